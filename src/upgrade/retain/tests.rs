use super::*;
use crate::upgrade::event::{ArmedRecord, Closed, Label};
use crate::upgrade::journal::{Header, Number, Recorded};
use crate::upgrade::plan::tests::plan;
use crate::upgrade::plan::{Plan, PlannedRelease};
use crate::upgrade::stored::Digest;

const DAY: i64 = 24 * 3600 * 1_000_000_000;

fn id(byte: u8) -> ObjectId {
    ObjectId::from_bytes([byte; 32])
}

/// Transaction `number` with safety snapshot `number`, from release `base` to `to`.
fn told(number: u8, ending: Option<Ending>, at: i64, base: u8, to: u8) -> Told {
    let armed = ArmedRecord {
        safety: Digest([number; 32]),
        files_digest: Digest([0; 32]),
        databases: Vec::new(),
        label: Label::Proved,
        roots: Vec::new(),
    };
    let mut events = vec![Event::Armed(Box::new(armed))];
    events.extend(ending.map(|ending| {
        Event::Closed(Closed { ending, cause: None, quiet_ms: None, problems: Vec::new() })
    }));
    let Aim::Upgrade(release) = plan().aim else { panic!("the sample is an upgrade") };
    let aim = Aim::Upgrade(PlannedRelease {
        snapshot: Digest([to; 32]),
        base: Some(Digest([base; 32])),
        commit: None,
        ..release
    });
    Told {
        header: Header {
            number: Number(i64::from(number)),
            token: [number; 16],
            app: "a".into(),
            plan_digest: [0; 32],
            format: 1,
            features: String::new(),
            binary_version: String::new(),
            machine_id: String::new(),
        },
        plan: Some(Plan { aim, ..plan() }),
        state: if ending.is_some() { State::Closed } else { State::Armed },
        events: events.into_iter().map(|event| Recorded::for_test(at, event)).collect(),
    }
}

#[test]
fn a_way_back_stays_until_a_later_upgrade_and_for_a_week() {
    let now = 100 * DAY;
    let old = told(1, Some(Ending::Committed), now - 30 * DAY, 101, 102);
    assert_eq!(retire(&[old], Some(id(102)), now), Retired::default(), "nothing came after it");

    let old = told(1, Some(Ending::Committed), now - 3 * DAY, 101, 102);
    let new = told(2, Some(Ending::Committed), now, 102, 103);
    assert_eq!(retire(&[new, old], Some(id(103)), now), Retired::default(), "too young");

    let old = told(1, Some(Ending::Committed), now - 8 * DAY, 101, 102);
    let new = told(2, Some(Ending::Committed), now, 102, 103);
    let retired = retire(&[new, old], Some(id(103)), now);
    assert_eq!(retired.safety, BTreeSet::from([id(1)]));
    assert_eq!(retired.releases, BTreeSet::from([id(101)]), "102 is the base of T2's way back");
}

#[test]
fn a_failed_upgrade_after_it_retires_nothing() {
    let now = 100 * DAY;
    let old = told(1, Some(Ending::Committed), now - 30 * DAY, 101, 102);
    let failed = told(2, Some(Ending::RolledBack), now - 20 * DAY, 102, 103);
    assert_eq!(retire(&[failed, old], Some(id(102)), now), Retired::default());
}

#[test]
fn an_open_transaction_keeps_its_way_back_and_an_untouched_one_needs_none() {
    let now = 100 * DAY;
    let open = told(2, None, now - 90 * DAY, 102, 103);
    let untouched = told(1, Some(Ending::Untouched), now - DAY, 102, 104);
    let retired = retire(&[open, untouched], Some(id(102)), now);
    assert_eq!(retired.safety, BTreeSet::from([id(1)]));
    assert_eq!(retired.releases, BTreeSet::from([id(104)]));
}

#[test]
fn what_is_open_recent_or_installed_is_needed_and_says_by_whom() {
    let now = 100 * DAY;
    let open = told(3, None, now, 103, 104);
    let recent = told(2, Some(Ending::Committed), now - DAY, 102, 103);
    let old = told(1, Some(Ending::Committed), now - 30 * DAY, 101, 102);
    let needed = needed(vec![open, recent, old], now);
    let of = |number: u8| needed.get(&id(number)).map(|one| (one.transaction.0, one.need));
    assert_eq!(of(3), Some((3, Need::Open)));
    assert_eq!(of(2), Some((2, Need::WayBack)));
    assert_eq!(of(1), None, "a later upgrade stands, and it is a month old");
    assert_eq!(of(104), Some((3, Need::Open)));
    assert_eq!(of(102), Some((2, Need::Release)));
    assert_eq!(of(101), None);
}
