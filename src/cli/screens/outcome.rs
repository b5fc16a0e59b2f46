//! How a transaction ended: the verdict, the proof, and the exit code that agrees with them.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::json;

use crate::cli::context::Context;
use crate::cli::failure::{Code, Exit, Failure, Known};
use crate::cli::output::Level;
use crate::cli::render;
use crate::cli::text::{self, Ink};
use crate::upgrade::event::{Cause, CauseKind, UndoFailed};
use crate::upgrade::plan::Plan;
use crate::upgrade::{Finished, Outcome, UpgradeError};

/// What was done to which app, for sentences.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) struct Deed<'a> {
    /// `upgrade`, `rollback` or `restore`.
    pub(in crate::cli) verb: &'static str,
    /// The plan that was carried out.
    pub(in crate::cli) plan: &'a Plan,
    /// How long it took, all in all.
    pub(in crate::cli) took: Duration,
}

/// Says how it ended. What is not a success is a failure like every other.
pub(in crate::cli) fn tell(
    cx: &Context<'_>,
    deed: Deed<'_>,
    outcome: Outcome,
) -> Result<Exit, Failure> {
    let txn = outcome.number().to_string();
    let app = &deed.plan.app.name;
    match outcome {
        Outcome::Committed(finished) => Ok(committed(cx, deed, &finished)),
        Outcome::RolledBack { cause, error, problems, quiet_ms, .. } => {
            warn(cx, &problems);
            let version = &deed.plan.app.version;
            let away = quiet_ms.map_or_else(String::new, |ms| {
                format!(", shut for {}", render::took(Duration::from_millis(ms)))
            });
            let state = format!(
                "rolled back. {app} is {version} again, files and database proved identical{away}"
            );
            let exit = signal_exit(&cause).unwrap_or(Exit::RolledBack);
            let failure = failed(deed, error.as_deref(), &cause, Code::E0410);
            Err(end(cx, failure.ending(exit).state(state), app, &txn))
        }
        Outcome::Untouched { cause, error, problems, .. } => {
            warn(cx, &problems);
            let failure = failed(deed, error.as_deref(), &cause, Code::E0403);
            // A code of the time after the first change promises nothing here.
            let exit = match failure.exit {
                Exit::RolledBack => Exit::Error,
                exit => exit,
            };
            let exit = signal_exit(&cause).unwrap_or(exit);
            let state = format!("nothing of {app} was changed, and it is open again");
            Err(end(cx, failure.ending(exit).state(state), app, &txn))
        }
        Outcome::NeedsHands { failed, safety, .. } => {
            Err(end(cx, needs_hands(app, &failed, safety.as_deref()), app, &txn))
        }
        Outcome::Held { cause, error, .. } => {
            let failure = self::failed(deed, error.as_deref(), &cause, Code::E0410);
            let failure = failure.ending(Exit::Unhealthy).fix("snap recover");
            Err(end(cx, failure, app, &txn))
        }
    }
}

fn committed(cx: &Context<'_>, deed: Deed<'_>, finished: &Finished) -> Exit {
    let Deed { plan, took, .. } = deed;
    let app = &plan.app.name;
    let now = match &plan.aim {
        crate::upgrade::plan::Aim::Upgrade(release) => format!("{app} is {}.", release.version),
        crate::upgrade::plan::Aim::Restore(_) => format!("{app} is restored."),
    };
    let quiet = finished.quiet_ms.map_or_else(String::new, |ms| {
        format!(", {} of it in maintenance", render::took(Duration::from_millis(ms)))
    });
    let number = finished.number;
    let mut out =
        format!("\n{} {now}   {number} took {}{quiet}.\n", Ink::Good.on('✓'), render::took(took));
    let checks = render::counted(u64::from(finished.passed), "check", "checks");
    let _ = writeln!(out, "  verified: {checks} passed");
    for line in &finished.reported {
        let _ = writeln!(out, "  {} {line}", Ink::Warn.on('!'));
    }
    if !plan.review.is_empty() {
        let number = plan.review.len() as u64;
        let changed = render::counted(number, "changed default", "changed defaults");
        let _ = writeln!(out, "  review:   {changed}     snap show {}", finished.number);
    }
    let _ = writeln!(out, "  go back:  snap rollback {number}");
    cx.out.print(&out);
    warn(cx, &finished.problems);
    let exit = if finished.problems.is_empty() { Exit::Ok } else { Exit::Partial };
    let fields = json!({
        "app": app,
        "result": "committed",
        "code": exit.code(),
        "checks_passed": finished.passed,
        "reported": finished.reported,
        "problems": finished.problems,
        "quiet_milliseconds": finished.quiet_ms,
    });
    cx.out.message("txn_end", Level::Info, &now, fields);
    exit
}

fn end(cx: &Context<'_>, failure: Failure, app: &str, txn: &str) -> Failure {
    let result = failure.exit.name();
    let fields = json!({ "app": app, "result": result, "code": failure.exit.code() });
    cx.out.message("txn_end", Level::Error, failure.state_line(), fields);
    failure.with("app", app).with("txn", txn)
}

/// The cause in the words and under the code of the error that this process met, if it met one.
fn failed(deed: Deed<'_>, error: Option<&UpgradeError>, cause: &Cause, otherwise: Code) -> Failure {
    let app = &deed.plan.app.name;
    let verb = deed.verb;
    if let CauseKind::Signal(number) = cause.kind {
        return Failure::new(
            Code::E0430,
            format!("{verb} of {app} was stopped by signal {number}"),
        );
    }
    let code = match (error, cause.kind) {
        (Some(error), _) => error.code(),
        (None, CauseKind::Panic) => Code::E0901,
        (None, _) => otherwise,
    };
    let mut failure = Failure::new(code, format!("{verb} of {app} failed: {}", cause.what));
    for link in &cause.chain {
        if *link != cause.what {
            failure = failure.because(link);
        }
    }
    failure
}

fn signal_exit(cause: &Cause) -> Option<Exit> {
    match cause.kind {
        CauseKind::Signal(1) => Some(Exit::Hangup),
        CauseKind::Signal(15) => Some(Exit::Terminated),
        CauseKind::Signal(_) => Some(Exit::Interrupted),
        CauseKind::Failed | CauseKind::CutOff | CauseKind::Panic | CauseKind::Asked => None,
    }
}

/// The only ending that is neither old nor new: what is back, what is not, what to type.
pub(in crate::cli) fn needs_hands(app: &str, failed: &UndoFailed, safety: Option<&str>) -> Failure {
    let message = format!("{app} needs hands: the way back stopped at \"{}\"", failed.at);
    let mut failure = Failure::new(Code::E0420, message);
    for link in &failed.chain {
        failure = failure.because(link);
    }
    let list = |names: &[String]| {
        if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
    };
    let mut state = format!(
        "back: {}; not back: {}; maintenance stays on, nothing was deleted",
        list(&failed.back),
        list(&failed.not_back)
    );
    if let Some(safety) = safety.and_then(|safety| safety.get(..6)) {
        let _ = write!(state, "; safe in snapshot {safety}");
    }
    failure.state(state).fix(format!("snap recover --app {app}"))
}

fn warn(cx: &Context<'_>, problems: &[String]) {
    for problem in problems {
        let line = text::wrap(problem, 76).join("\n    ");
        cx.out.insist(&format!("  {} {line}\n", Ink::Warn.on('!')));
        cx.out.message("warning", Level::Warning, problem, json!({}));
    }
}
