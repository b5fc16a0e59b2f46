//! Children of the real binary: answered, judged, limited, and never left behind.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use regex::Regex;
use snap_backup::app::hook::{Around, Failure, Ran, Redactor, Started, Step, run};
use snap_backup::app::profile::{Expect, PromptRule};
use snap_backup::monitor::{News, Recorder};
use snap_backup::os::host;
use snap_backup::os::process::{
    self, CaptureLimits, ChildMark, Launch, Trampoline, Wiring, capture, feed, find_orphans,
    kill_orphans,
};

use crate::is_root;

const COMPLETED: &str = "All migrations have completed";

fn snap() -> Trampoline {
    Trampoline::of(Path::new(env!("CARGO_BIN_EXE_snap")))
}

fn expect() -> Expect {
    let must_not = Regex::new("An error occurred").ok();
    Expect { exit: vec![0], must: Regex::new(COMPLETED).ok(), must_not }
}

fn rule(pattern: &str, answer: &str, fails: bool) -> PromptRule {
    let pattern = Regex::new(pattern).expect("a good expression");
    PromptRule { pattern, answer: answer.to_owned(), max: 1, fails }
}

/// The rules of the built-in profile for passbolt v1.
fn rules() -> Vec<PromptRule> {
    vec![
        rule(r"(?is)anonymous usage statistics.{0,200}\(y/n\)\s*\n\[n\] > $", "n", false),
        rule(r"(?i)mark the migration as successful.{0,60}\(y/a\)\s*\n> $", "a", true),
    ]
}

/// A migrator written in sh, run under given rules and limits.
struct Migrator<'a> {
    script: &'a str,
    prompts: Vec<PromptRule>,
    idle: Duration,
    total: Duration,
    redactor: Redactor,
    token: String,
    cancelled: &'a dyn Fn() -> bool,
}

impl<'a> Migrator<'a> {
    fn new(script: &'a str) -> Self {
        static NUMBER: Mutex<u32> = Mutex::new(0);
        let mut number = NUMBER.lock().expect("no test panics while it counts");
        *number += 1;
        Self {
            script,
            prompts: rules(),
            idle: Duration::from_secs(20),
            total: Duration::from_mins(1),
            redactor: Redactor::default(),
            token: format!("test-{}-{number}", std::process::id()),
            cancelled: &|| false,
        }
    }

    fn run(&self) -> Ran {
        self.run_recording(&mut |_| Ok(()))
    }

    fn run_recording(&self, started: &mut Started<'_>) -> Ran {
        let expect = expect();
        let step = Step {
            argv: process::argv(["sh", "-c", self.script]),
            dir: Path::new("/"),
            account: None,
            env: Vec::new(),
            expect: &expect,
            prompts: &self.prompts,
            idle_timeout: self.idle,
            timeout: self.total,
        };
        let monitor = Recorder::default();
        let around = Around {
            trampoline: &snap(),
            token: &self.token,
            redactor: &self.redactor,
            monitor: &monitor,
            cancelled: self.cancelled,
        };
        let ran = run(&step, &around, started);
        let told = |news: &News| matches!(news, News::ChildOutput { .. });
        let lines = monitor.news().iter().filter(|news| told(news)).count();
        let text = ran.transcript.text();
        if !text.contains(" bytes left out]") {
            assert_eq!(lines, text.lines().count(), "each line is told once");
        }
        assert_eq!(find_orphans(&self.token, &[]), [], "nothing is left behind");
        ran
    }
}

#[test]
fn a_known_question_is_answered_by_its_rule() {
    let ran = Migrator::new(
        "printf 'Please send anonymous usage statistics. Ok?\\n(see: URL) (y/n) \\n[n] > '; \
         read answer; echo \"answer=$answer\"; echo 'All migrations have completed.'",
    )
    .run();
    let text = ran.transcript.text();
    assert_eq!(ran.outcome.expect("it succeeds"), 0, "{text}");
    assert_eq!(
        text,
        "Please send anonymous usage statistics. Ok?\n(see: URL) (y/n) \n[n] > n\nanswer=n\n\
         All migrations have completed.\n"
    );
}

#[test]
fn a_failed_migration_is_never_marked_as_done() {
    // `a` makes the real one exit 0, having said nothing of a failure at its end.
    let ran = Migrator::new(
        "printf 'Do you want to mark the migration as successful?. [y]es or [a]bort. (y/a) \\n> '; \
         read answer; echo \"marked: $answer\"; echo 'All migrations have completed.'; exit 0",
    )
    .run();
    assert!(matches!(ran.outcome, Err(Failure::Asked { .. })), "{:?}", ran.outcome);
    assert!(ran.transcript.text().contains("marked: a\n"));
}

#[test]
fn an_unknown_question_fails_the_step_soon() {
    let before = Instant::now();
    let ran = Migrator::new("printf 'Delete everything? [yes] '; read answer; echo done").run();
    match ran.outcome {
        Err(Failure::UnknownQuestion { question }) => {
            assert_eq!(question, "Delete everything? [yes]");
        }
        other => panic!("{other:?}"),
    }
    assert!(before.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_question_without_a_word_is_a_question_too() {
    let ran = Migrator::new("echo working; read answer").run();
    assert!(matches!(ran.outcome, Err(Failure::UnknownQuestion { .. })), "{:?}", ran.outcome);
}

#[test]
fn a_question_asked_again_and_again_fails_the_step() {
    let ran = Migrator::new(
        "while :; do printf 'anonymous usage statistics (y/n)\\n[n] > '; read answer || exit; done",
    )
    .run();
    assert!(matches!(ran.outcome, Err(Failure::AskedTooOften { .. })), "{:?}", ran.outcome);
}

#[test]
fn half_a_line_and_silence_is_taken_for_a_question() {
    let mut migrator = Migrator::new("printf 'Working... '; sleep 600");
    migrator.idle = Duration::from_secs(1);
    let ran = migrator.run();
    assert!(matches!(ran.outcome, Err(Failure::UnknownQuestion { .. })), "{:?}", ran.outcome);
}

#[test]
fn silence_ends_at_its_limit() {
    let mut migrator = Migrator::new("echo working; sleep 600");
    migrator.idle = Duration::from_secs(1);
    let ran = migrator.run();
    assert!(matches!(ran.outcome, Err(Failure::Hung { .. })), "{:?}", ran.outcome);
}

#[test]
fn chatter_ends_at_the_whole_limit_and_stays_bounded() {
    let mut migrator = Migrator::new("exec yes 'a line of endless output'");
    migrator.total = Duration::from_secs(2);
    let ran = migrator.run();
    assert!(matches!(ran.outcome, Err(Failure::TooSlow { .. })), "{:?}", ran.outcome);
    assert!(ran.transcript.text().len() < 600 * 1024);
}

#[test]
fn a_lying_success_is_caught() {
    let says = Migrator::new("echo 'An error occurred'; echo 'All migrations have completed.'");
    assert!(matches!(says.run().outcome, Err(Failure::Says { .. })));
    assert!(matches!(Migrator::new("echo fine").run().outcome, Err(Failure::Lacks { .. })));
    let code = Migrator::new("echo 'All migrations have completed.'; exit 3").run();
    assert!(matches!(code.outcome, Err(Failure::ExitCode { code: 3 })), "{:?}", code.outcome);
    let signal = Migrator::new("echo 'All migrations have completed.'; kill -11 $$").run();
    assert!(matches!(signal.outcome, Err(Failure::Signal { signal: 11 })), "{:?}", signal.outcome);
}

#[test]
fn a_daemon_left_behind_is_ended_and_fails_the_step() {
    // Each ignores the hang-up that the end of the session's leader brings.
    for script in [
        "trap '' HUP; sleep 600 & echo 'All migrations have completed.'",
        "trap '' HUP; setsid sh -c 'sleep 600 & exec sleep 601' >/dev/null 2>&1 & \
         echo 'All migrations have completed.'",
        "trap '' HUP TERM INT; (while :; do sleep 1; done) & echo 'All migrations have completed.'",
    ] {
        let ran = Migrator::new(script).run();
        assert!(matches!(ran.outcome, Err(Failure::Strays { .. })), "{script}: {:?}", ran.outcome);
    }
}

#[test]
fn what_is_stopped_leaves_nothing() {
    let since = Instant::now();
    let cancelled = move || since.elapsed() > Duration::from_millis(300);
    let mut migrator = Migrator::new("trap '' TERM INT HUP; sleep 600 & sleep 601");
    migrator.cancelled = &cancelled;
    assert!(matches!(migrator.run().outcome, Err(Failure::Cancelled)));
}

#[test]
fn without_rules_there_is_no_terminal_and_nothing_to_read() {
    let mut migrator = Migrator::new(
        "if [ -t 0 ] || [ -t 1 ]; then echo terminal; fi; read answer || echo 'nothing to read'; \
         echo 'All migrations have completed.' >&2",
    );
    migrator.prompts.clear();
    let ran = migrator.run();
    assert!(ran.outcome.is_ok(), "{:?}", ran.outcome);
    let text = ran.transcript.text();
    assert!(text.contains("nothing to read\n") && !text.contains("terminal\n"), "{text}");
}

#[test]
fn secrets_are_in_neither_transcript_nor_failure() {
    let mut migrator = Migrator::new(
        "echo 'user pb password hunter2hunter2'; echo 'An error occurred'; printf 'hunter2hunter2? '; read x",
    );
    migrator.redactor = Redactor::new(["hunter2hunter2".into()]);
    let ran = migrator.run();
    let shown = format!("{} {:?}", ran.transcript.text(), ran.outcome);
    assert!(!shown.contains("hunter2") && shown.contains("••••"), "{shown}");
}

#[test]
fn the_child_sees_a_clean_environment_and_cannot_gain_privileges() {
    let mut migrator = Migrator::new(
        "env | cut -d= -f1 | sort | tr '\\n' ' '; echo; umask; grep NoNewPrivs /proc/self/status; \
         echo 'All migrations have completed.'",
    );
    migrator.prompts.clear();
    let text = migrator.run().transcript.text();
    let mut names: Vec<_> = text.lines().next().unwrap_or_default().split_whitespace().collect();
    names.retain(|name| !["PWD", "OLDPWD", "SHLVL", "_"].contains(name)); // the shell's own
    assert_eq!(names, ["PATH", "SNAP_TXN_ID", "TERM"]);
    assert!(text.contains("\n0022\n") && text.contains("NoNewPrivs:\t1"), "{text}");
}

#[test]
fn nothing_happens_before_the_start_is_recorded() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mark = dir.path().join("mark");
    let script = format!("touch {}; echo '{COMPLETED}'", mark.display());
    let migrator = Migrator::new(&script);
    let refused = migrator.run_recording(&mut |child| {
        assert!(!host::is_gone(child.process), "the child is there");
        Err("the journal is full".into())
    });
    assert!(matches!(refused.outcome, Err(Failure::NotRecorded(_))), "{:?}", refused.outcome);
    std::thread::sleep(Duration::from_millis(200));
    assert!(!mark.exists(), "it did something");
    let ran = migrator.run_recording(&mut |_| {
        assert!(!mark.exists(), "it did something before it was recorded");
        Ok(())
    });
    assert!(ran.outcome.is_ok() && mark.exists());
}

#[test]
fn a_program_that_is_not_there_is_named() {
    let argv = process::argv(["/no/such/program"]);
    let refused = capture(&launch(&argv, Wiring::Pipes), LIMITS).expect_err("it is not there");
    assert!(refused.to_string().contains("/no/such/program"), "{refused}");
    assert!(refused.to_string().contains("No such file"), "{refused}");
}

const LIMITS: CaptureLimits =
    CaptureLimits { timeout: Duration::from_secs(20), bytes_max: 1 << 20 };

fn launch(argv: &[OsString], wiring: Wiring) -> Launch<'_> {
    static SNAP: std::sync::LazyLock<Trampoline> = std::sync::LazyLock::new(snap);
    Launch {
        trampoline: &SNAP,
        argv,
        dir: Path::new("/"),
        env: &[],
        identity: None,
        wiring,
        // Whatever has the same token is ended together: tests run side by side.
        token: Box::leak(process::fresh_token().into_boxed_str()),
    }
}

#[test]
fn a_short_command_is_heard_in_whole() {
    let argv = process::argv(["sh", "-c", "echo out; echo err >&2; exit 7"]);
    let heard = capture(&launch(&argv, Wiring::Pipes), LIMITS).expect("it runs");
    assert_eq!(
        (heard.code(), &heard.out[..], &heard.err[..]),
        (Some(7), &b"out\n"[..], &b"err\n"[..])
    );
    let argv = process::argv(["yes"]);
    let heard = capture(&launch(&argv, Wiring::Pipes), LIMITS).expect("it runs");
    assert_eq!((heard.code(), heard.out.len()), (None, LIMITS.bytes_max));
}

#[test]
fn a_command_that_is_spoken_with_answers() {
    use std::io::{Read, Write};
    let argv = process::argv(["tr", "a-z", "A-Z"]);
    let mut fed = feed(&launch(&argv, Wiring::Fed)).expect("it runs");
    fed.input.write_all(b"hello\n").expect("it reads");
    fed.input.shutdown(std::net::Shutdown::Write).expect("it sees the end");
    let mut answer = String::new();
    fed.output.read_to_string(&mut answer).expect("it answers");
    assert_eq!(answer, "HELLO\n");
}

#[test]
fn a_child_takes_its_account_for_good() {
    if !is_root() {
        eprintln!("skipped: only root can take another account");
        return;
    }
    let nobody = snap_backup::app::Account::by_id(65534, 65534).identity();
    let argv = process::argv(["sh", "-c", "id -u; id -g; id -G; touch /root/x 2>&1; exit 0"]);
    let launch = Launch { identity: Some(&nobody), ..launch(&argv, Wiring::Pipes) };
    let heard = capture(&launch, LIMITS).expect("it runs");
    let text = String::from_utf8_lossy(&heard.out).into_owned();
    assert!(
        text.starts_with("65534\n65534\n65534\n") && text.contains("Permission denied"),
        "{text}"
    );
}

/// A `snap` that was killed leaves its child to be found by what it inherited.
#[test]
fn an_orphan_is_found_and_ended_by_whoever_recovers() {
    let token = format!("test-orphan-{}", std::process::id());
    let script = "trap '' HUP TERM; echo $$; while :; do sleep 1; done";
    // Started as a grandchild, so that it is not ours and has no parent to die with.
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "setsid sh -c \"$1\" >/dev/null 2>&1 &", "sh", script]);
    shell.env("SNAP_TXN_ID", &token).status().expect("sh runs");
    let waited = Instant::now();
    while find_orphans(&token, &[]).is_empty() {
        assert!(waited.elapsed() < Duration::from_secs(10), "it never started");
        std::thread::yield_now();
    }
    let ended = kill_orphans(&token, &[], Duration::from_secs(10)).expect("they can be ended");
    assert!(ended >= 1);
    assert_eq!(find_orphans(&token, &[]), []);
}

/// What ends as soon as it has started its successor may be gone when the table is read to where it
/// is, and its successor may have a number that was passed already.
#[test]
fn a_daemon_that_comes_to_be_by_several_forks_is_found_at_the_first_look() {
    let script = r#"[ "$1" = 0 ] && exec sleep 600; sh -c "$0" "$0" $(($1 - 1)) & exit 0"#;
    for round in 0..20 {
        let token = format!("test-chain-{}-{round}", std::process::id());
        let mut first = std::process::Command::new("sh");
        first.args(["-c", script, script, "5"]).env("SNAP_TXN_ID", &token);
        first.status().expect("sh runs");
        assert_ne!(find_orphans(&token, &[]), [], "round {round}");
        kill_orphans(&token, &[], Duration::from_secs(10)).expect("they can be ended");
    }
}

#[test]
fn a_session_is_followed_although_the_environment_was_dropped() {
    let token = format!("test-session-{}", std::process::id());
    let dir = tempfile::tempdir().expect("a temporary directory");
    let ready = dir.path().join("ready");
    let script =
        format!("env -i sh -c 'trap \"\" HUP; touch {}; sleep 600' & sleep 600", ready.display());
    let argv = process::argv(["sh", "-c", &script]);
    let mut running = process::start(&Launch { token: &token, ..launch(&argv, Wiring::Pipes) })
        .and_then(process::Waiting::open)
        .expect("it runs");
    let waited = Instant::now();
    while !ready.exists() {
        assert!(waited.elapsed() < Duration::from_secs(10), "it never started");
        std::thread::yield_now();
    }
    let recorded = running.mark().clone();
    running.kill();
    assert!(find_orphans("another", &[]).is_empty());
    let other_boot = ChildMark { boot_id: "another".to_owned(), ..recorded.clone() };
    assert!(
        find_orphans("another", &[other_boot]).is_empty(),
        "numbers of another boot mean nothing"
    );
    let found = find_orphans("another", std::slice::from_ref(&recorded));
    assert!(!found.is_empty(), "the one without an environment is found by its session");
    kill_orphans("another", &[recorded], Duration::from_secs(10)).expect("it can be ended");
    fs::remove_file(ready).expect("it was made");
}

#[test]
fn a_child_dies_with_the_program_that_started_it() {
    // The gate's parent check: told of another parent than it has, it never opens.
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_snap"))
        .args([process::GATE_VERB, "1", "-", "-", "-", "/", "pipes", "echo", "ran"])
        .stdin(std::process::Stdio::null())
        .output()
        .expect("the binary runs");
    assert!(output.stdout.is_empty(), "it ran");
    assert_eq!(output.status.code(), Some(124));
}
