//! `snap recover`: settles what was cut off. The journal alone decides in which direction.

use std::time::Duration;

use serde_json::json;

use crate::upgrade::state::Resume;
use crate::upgrade::{self, Decision, Ground, Outcome, RecoverRequest};

use super::app as apps;
use super::command::About;
use super::context::Context;
use super::failure::{Exit, Failure};
use super::output::Level;
use super::screens::outcome::needs_hands;
use super::screens::told::state_word;
use super::secret::{self, Which};
use super::text::Ink;
use super::transaction::Place;

pub(super) const ABOUT: About = About {
    name: "recover",
    examples: "snap recover\nsnap recover --dry-run\nsnap recover --app passbolt",
    exits: &[Exit::Locked, Exit::Password, Exit::NeedsHands],
};

/// Which, and with whose word.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Settle the transactions of all apps, whatever SNAP_APP says
    #[arg(long, conflicts_with = "app", help_heading = "Safety")]
    all: bool,
    /// Settle what began on another machine: a clone, or a restored /var
    #[arg(long, help_heading = "Safety")]
    other_machine: bool,
    /// How long to wait for a repository, key or server that is missing
    #[arg(long, value_name = "SECONDS", default_value_t = 120, help_heading = "Safety")]
    wait: u64,
}

/// Settles every open transaction; exits 0 once all are settled, either way.
pub(super) fn run(cx: &Context<'_>, args: &Args) -> Result<Exit, Failure> {
    let place = Place::new(cx)?;
    let ground = Ground { wait: Duration::from_secs(args.wait), ..place.ground()? };
    let passphrase = secret::named(cx, Which::Existing)?;
    let key_file = cx.global.key_file.as_ref().map(|key| cx.environment.directory.join(key));
    let roots = apps::roots(cx);
    let names = if args.all { Vec::new() } else { cx.apps() };
    let request = RecoverRequest {
        apps: &names,
        passphrase: passphrase.as_ref(),
        key_file: key_file.as_deref(),
        other_machine: args.other_machine,
        roots: &roots,
    };
    let decisions = upgrade::decisions(&ground, &request)?;
    if decisions.is_empty() {
        let all = RecoverRequest { apps: &[], ..request };
        let others = upgrade::decisions(&ground, &all)?;
        cx.out.print(&match &others[..] {
            [] => "No transaction is open: nothing to do.\n".to_owned(),
            others => {
                format!("No transaction of {} is open.\n", names.join(", ")) + &listed(others)
            }
        });
        cx.out.message("summary", Level::Info, "nothing to do", json!({ "settled": 0 }));
        return Ok(Exit::Ok);
    }
    for one in &decisions {
        decided(cx, one);
    }
    if cx.global.dry_run {
        return Ok(Exit::Ok);
    }
    let outcomes = place.progress.during(|| upgrade::recover(&ground, &request))?;
    let (mut exit, mut left) = (Exit::Ok, None);
    let mut count = 0;
    for outcome in outcomes {
        match outcome {
            Ok(outcome) => {
                exit = exit.worst(settled(cx, &outcome)?);
                count += 1;
            }
            Err(error) => left = left.or(Some(error)),
        }
    }
    if let Some(error) = left.filter(|_| exit != Exit::NeedsHands) {
        return Err(error.into());
    }
    let fields = json!({ "settled": count, "code": exit.code() });
    cx.out.message("summary", Level::Info, "recovery is done", fields);
    Ok(exit)
}

/// Open transactions of other apps, a line each.
fn listed(others: &[Decision]) -> String {
    let line = |one: &Decision| format!("  {} of {} is.", one.number, one.app);
    others.iter().map(line).collect::<Vec<_>>().join("\n") + "\n"
}

fn decided(cx: &Context<'_>, one: &Decision) {
    let what = match one.resume {
        Resume::Nothing => "it is settled",
        Resume::Reopen => "nothing was changed: reopening",
        Resume::Finish => "after the commit: finishing",
        Resume::CloseRolledBack => "everything is back: reopening",
        Resume::RollBack => "before the commit: going back",
    };
    let line = format!("{} {}: {} → {what}", one.number, one.app, state_word(one.state));
    cx.out.insist(&format!("{line}\n"));
    let fields = json!({ "txn": one.number.to_string(), "app": one.app, "decision": what });
    cx.out.message("decision", Level::Info, &line, fields);
}

fn settled(cx: &Context<'_>, outcome: &Outcome) -> Result<Exit, Failure> {
    let number = outcome.number();
    let told = upgrade::show(cx.directories.state()?, number)?;
    let app = &told.header.app;
    let ok = Ink::Good.on('✓');
    let (line, result, problems) = match outcome {
        Outcome::Committed(finished) => {
            (format!("{number} {app}: the new state stays"), "committed", &finished.problems)
        }
        Outcome::RolledBack { problems, .. } => {
            (format!("{app} is back exactly as before {number}"), "rolled-back", problems)
        }
        Outcome::Untouched { problems, .. } => {
            (format!("{app} was not changed by {number}, and is open"), "untouched", problems)
        }
        Outcome::NeedsHands { failed, safety, .. } => {
            let failure = needs_hands(app, failed, safety.as_deref());
            cx.out.insist(&failure.render(cx.out.columns()));
            let fields = json!({ "app": app, "result": "needs-hands", "code": 21 });
            cx.out.message("txn_end", Level::Error, failure.message(), fields);
            return Ok(Exit::NeedsHands);
        }
        Outcome::Held { .. } => return Ok(Exit::Unhealthy),
    };
    cx.out.print(&format!("{ok} {line}.\n"));
    for problem in problems {
        cx.out.insist(&format!("  {} {problem}\n", Ink::Warn.on('!')));
    }
    let fields = json!({
        "txn": number.to_string(), "app": app, "result": result, "problems": problems,
    });
    cx.out.message("txn_end", Level::Info, &line, fields);
    Ok(if problems.is_empty() { Exit::Ok } else { Exit::Partial })
}
