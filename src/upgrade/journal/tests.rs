#![expect(clippy::disallowed_methods, reason = "tests damage what they made")]

use std::fs;

use proptest::prelude::*;
use rusqlite::Connection;

use super::super::event::{
    Begun, Cause, CauseKind, ChildStarted, Closed, Ending, Event, Quiesced, Quiescing, StepStarted,
    UndoStepFinished,
};
use super::super::state::{EventKind, Resume, State};
use super::super::stored::Digest;
use super::*;

fn begun() -> Event {
    Event::Begun(Box::new(Begun {
        repository: "r".into(),
        location: "/srv/backup".into(),
        key_file: None,
        boot_id: "boot".into(),
        pid: 1,
        process_started: 2,
        user: "root".into(),
        host: "web1".into(),
        argv: vec!["snap".into()],
        baseline: serde_json::Value::Null,
    }))
}

fn begin(journal: &mut Journal, app: &str) -> Result<Number, JournalError> {
    let plan = b"{}";
    let plan_digest = *blake3::hash(plan).as_bytes();
    let new = NewTransaction { token: [7; 16], app, plan, plan_digest, machine_id: "m" };
    journal.begin(&new, &begun())
}

fn cause() -> Cause {
    Cause { kind: CauseKind::Failed, step: 8, what: "it failed".into(), chain: Vec::new() }
}

/// An event of each kind that may follow in a test; `Armed` and its like are filled elsewhere.
fn body(kind: EventKind) -> Event {
    let name = "x".to_owned();
    let key = Digest([1; 32]);
    let compared = super::super::event::Compared { before: key, after: key };
    match kind {
        EventKind::Begun => begun(),
        EventKind::Quiescing => {
            Event::Quiescing(Quiescing { maintenance: serde_json::Value::Null, safety: None })
        }
        EventKind::Quiesced => Event::Quiesced(Quiesced { t0: 5, databases: Vec::new() }),
        EventKind::Armed => Event::Armed(Box::new(super::super::event::ArmedRecord {
            safety: key,
            files_digest: key,
            databases: Vec::new(),
            label: super::super::event::Label::Proved,
            roots: Vec::new(),
        })),
        EventKind::StepStarted => Event::StepStarted(StepStarted { number: 7, name, key }),
        EventKind::ChildStarted => Event::ChildStarted(ChildStarted {
            what: name,
            pid: 9,
            process_started: 9,
            session: 9,
            boot_id: "boot".into(),
        }),
        EventKind::StepFinished => Event::StepFinished(super::super::event::StepFinished {
            number: 7,
            name,
            took_ms: 1,
            note: String::new(),
            transcript: None,
        }),
        EventKind::Committed => Event::Committed(super::super::event::Committed {
            probes: serde_json::Value::Null,
            passed: 1,
            reported: Vec::new(),
        }),
        EventKind::UndoStarted => Event::UndoStarted(cause()),
        EventKind::UndoStepFinished => Event::UndoStepFinished(UndoStepFinished {
            what: name,
            note: String::new(),
            took_ms: 1,
        }),
        EventKind::RolledBack => Event::RolledBack(super::super::event::Proof {
            files: compared,
            databases: Vec::new(),
            files_read: 0,
            files_unchanged: 0,
        }),
        EventKind::UndoFailed => Event::UndoFailed(super::super::event::UndoFailed {
            at: name,
            chain: Vec::new(),
            back: Vec::new(),
            not_back: Vec::new(),
        }),
        EventKind::Closed => Event::Closed(Closed {
            ending: Ending::Untouched,
            cause: None,
            quiet_ms: None,
            problems: Vec::new(),
        }),
    }
}

#[test]
fn a_transaction_is_read_as_it_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Journal::open_or_create(dir.path()).unwrap();
    let number = begin(&mut journal, "passbolt").unwrap();
    assert_eq!(number, Number(1));
    let state = journal.append(number, &body(EventKind::Quiescing)).unwrap();
    assert_eq!(state, State::Quiescing);
    drop(journal);

    let journal = Journal::open(dir.path()).unwrap().expect("it was made");
    let read = journal.transaction(number).unwrap();
    assert_eq!((read.state, read.events.len()), (State::Quiescing, 2));
    assert_eq!(read.events[0].event, begun());
    assert_eq!(journal.plan(&read.header).unwrap(), b"{}");
    assert_eq!(read.header.token_hex(), "07".repeat(16));
    assert_eq!(journal.unfinished().unwrap(), [read.header]);
}

#[test]
fn the_file_and_what_lies_beside_it_are_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Journal::open_or_create(dir.path()).unwrap();
    begin(&mut journal, "a").unwrap();
    for entry in fs::read_dir(dir.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}", entry.path().display());
    }
}

#[test]
fn an_event_that_must_not_follow_leaves_the_journal_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Journal::open_or_create(dir.path()).unwrap();
    let number = begin(&mut journal, "a").unwrap();
    for kind in [EventKind::StepStarted, EventKind::Committed, EventKind::RolledBack] {
        let refused = journal.append(number, &body(kind)).unwrap_err();
        assert!(matches!(refused, JournalError::Illegal { .. }), "{refused:?}");
    }
    assert_eq!(journal.transaction(number).unwrap().events.len(), 1);
}

#[test]
fn an_application_has_one_open_transaction() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Journal::open_or_create(dir.path()).unwrap();
    let first = begin(&mut journal, "a").unwrap();
    begin(&mut journal, "b").unwrap();
    let refused = begin(&mut journal, "a").unwrap_err();
    assert!(matches!(refused, JournalError::StillOpen(number) if number == first));
    journal.append(first, &body(EventKind::Closed)).unwrap();
    assert_eq!(begin(&mut journal, "a").unwrap(), Number(3));
}

#[test]
fn a_journal_that_was_there_once_is_missed() {
    let dir = tempfile::tempdir().unwrap();
    assert!(Journal::open(dir.path()).unwrap().is_none(), "there never was one");
    drop(Journal::open_or_create(dir.path()).unwrap());
    fs::remove_file(dir.path().join("journal.db")).unwrap();
    for opened in
        [Journal::open(dir.path()).map(|_| ()), Journal::open_or_create(dir.path()).map(|_| ())]
    {
        assert!(matches!(opened, Err(JournalError::Lost { .. })), "{opened:?}");
    }
    assert!(!dir.path().join("journal.db").exists(), "nothing was made in its place");
}

#[test]
fn a_transactions_directory_alone_shows_that_a_journal_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("T4")).unwrap();
    assert!(matches!(Journal::open(dir.path()), Err(JournalError::Lost { .. })));
}

#[test]
fn a_later_version_is_named_and_not_guessed_at() {
    let dir = tempfile::tempdir().unwrap();
    drop(Journal::open_or_create(dir.path()).unwrap());
    let db = Connection::open(dir.path().join("journal.db")).unwrap();
    db.execute("UPDATE meta SET value = 'wings' WHERE key = 'features'", []).unwrap();
    let refused = Journal::open(dir.path()).unwrap_err();
    assert!(matches!(refused, JournalError::TooNew { .. }), "{refused:?}");
}

/// A journal with one closed transaction of some events, as bytes on disk.
fn sample(dir: &std::path::Path) -> Number {
    let mut journal = Journal::open_or_create(dir).unwrap();
    let number = begin(&mut journal, "a").unwrap();
    for kind in [
        EventKind::Quiescing,
        EventKind::Quiesced,
        EventKind::Armed,
        EventKind::StepStarted,
        EventKind::UndoStarted,
        EventKind::RolledBack,
        EventKind::Closed,
    ] {
        journal.append(number, &body(kind)).unwrap();
    }
    number
}

#[test]
fn every_change_of_a_row_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let number = sample(dir.path());
    let changes = [
        "UPDATE event SET body = '{}' WHERE seq = 3",
        "UPDATE event SET kind = 'quiescing' WHERE seq = 3",
        "UPDATE event SET at = at + 1 WHERE seq = 5",
        "UPDATE event SET hash = zeroblob(32) WHERE seq = 8",
        "UPDATE event SET prev = zeroblob(32) WHERE seq = 2",
        "DELETE FROM event WHERE seq = 4",
        "DELETE FROM event WHERE seq = 8",
        "DELETE FROM event",
        "UPDATE event SET seq = 40 WHERE seq = 4",
        "UPDATE tx SET app = 'b'",
        "UPDATE tx SET machine_id = 'other'",
        "UPDATE tx SET token = zeroblob(16)",
        "UPDATE tx SET plan_digest = zeroblob(32)",
    ];
    let path = dir.path().join("journal.db");
    let whole = fs::read(&path).unwrap();
    for change in changes {
        fs::write(&path, &whole).unwrap();
        let db = Connection::open(&path).unwrap();
        db.execute_batch(change).unwrap();
        db.close().unwrap();
        let read = Journal::open(dir.path())
            .and_then(|journal| journal.expect("it is there").transaction(number));
        assert!(matches!(read, Err(JournalError::Damaged { .. })), "{change}: {read:?}");
    }
    fs::write(&path, &whole).unwrap();
    let db = Connection::open(&path).unwrap();
    db.execute_batch("UPDATE tx SET plan = x'00'").unwrap();
    db.close().unwrap();
    let journal = Journal::open(dir.path()).unwrap().expect("it is there");
    let header = journal.transaction(number).unwrap().header;
    assert!(matches!(journal.plan(&header), Err(JournalError::Damaged { .. })));
}

#[test]
fn a_full_disk_is_told_from_an_unknown_end_and_the_free_pages_carry_a_rollback() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Journal::open_or_create(dir.path()).unwrap();
    let number = begin(&mut journal, "a").unwrap();
    for kind in
        [EventKind::Quiescing, EventKind::Quiesced, EventKind::Armed, EventKind::StepStarted]
    {
        journal.append(number, &body(kind)).unwrap();
    }
    // From here on the file cannot grow, as on a full disk.
    let pages: i64 = journal.db.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    journal.db.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())).unwrap();

    journal.append(number, &body(EventKind::UndoStarted)).unwrap();
    let long = |bytes: usize| {
        Event::UndoStepFinished(UndoStepFinished {
            what: "database a".into(),
            note: "x".repeat(bytes),
            took_ms: 1,
        })
    };
    for _ in 0..40 {
        journal.append(number, &long(16 << 10)).unwrap();
    }
    let refused = journal.append(number, &long(2 << 20)).unwrap_err();
    assert!(matches!(refused, JournalError::Full(_)), "{refused:?}");
    journal.append(number, &body(EventKind::RolledBack)).unwrap();
    assert_eq!(journal.append(number, &body(EventKind::Closed)).unwrap(), State::Closed);
}

#[test]
fn only_a_number_with_its_t_is_a_transaction() {
    assert_eq!(Number::parse("T17"), Some(Number(17)));
    for text in ["17", "t17", "T", "T0", "T-1", "T+1", "T1x", "T1:before"] {
        assert_eq!(Number::parse(text), None, "{text}");
    }
}

fn legal(walk: Vec<EventKind>) -> Vec<EventKind> {
    let mut state = State::Planned;
    let takes = |kind: &EventKind| match state.next(*kind) {
        Ok(next) => {
            state = next;
            true
        }
        Err(_) => false,
    };
    walk.into_iter().filter(takes).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// H13: a journal cut after every event is read, and says what to do.
    #[test]
    fn a_journal_cut_after_every_event_resumes_to_a_legal_action(
        walk in prop::collection::vec(prop::sample::select(&EventKind::ALL[..]), 0..120)
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = Journal::open_or_create(dir.path()).unwrap();
        let number = begin(&mut journal, "a").unwrap();
        let mut expected = State::Planned;
        for kind in legal(walk) {
            journal.append(number, &body(kind)).unwrap();
            expected = expected.next(kind).expect("the walk is legal");
            drop(journal);
            journal = Journal::open(dir.path()).unwrap().expect("it is there");
            let state = journal.transaction(number).unwrap().state;
            prop_assert_eq!(state, expected);
            let action = state.resume();
            let open = journal.unfinished().unwrap().len();
            prop_assert_eq!(open, usize::from(action != Resume::Nothing));
        }
    }
}
