//! Speaks with a person: the only printing, prompting, environment and exit codes.
//!
//! [`command`] is the table of what can be typed, one file a verb says what it does, [`failure`]
//! what is said when it does not work. [`run`] is the way through them.

mod address;
mod app;
mod backup;
mod check;
mod command;
mod config;
mod confirm;
mod context;
mod diff;
mod directories;
mod dump;
mod environment;
mod explain;
pub mod failure;
mod help;
mod history;
mod init;
mod key;
mod ls;
mod migrate_sql;
mod output;
mod panic;
mod progress;
mod recover;
mod render;
mod repair;
mod restore;
mod rollback;
mod screens;
mod secret;
mod show;
mod signals;
mod snapd;
mod snapshots;
mod suggest;
mod text;
mod transaction;
mod unlock;
mod usage;
mod version;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::FromArgMatches;

use crate::os::crash;
use crate::os::process;
use crate::upgrade::Signals;

use command::{Cli, Global, Verb};
use context::Context;
use environment::Environment;
use failure::{Exit, Failure};

/// What somebody outside wants of the transaction that this process carries out.
static SIGNALS: Signals = Signals::new();

/// Parses what was typed, does it, says how it went, and returns the exit code.
pub fn run(typed: impl IntoIterator<Item = OsString>) -> ExitCode {
    let typed: Vec<OsString> = typed.into_iter().collect();
    // A child on its way to become another program: it shall do nothing else on the way.
    if typed.get(1).is_some_and(|verb| verb == process::GATE_VERB) {
        return ExitCode::from(process::gate(&typed[2..]));
    }
    let environment = Environment::read();
    let parsed = command::tree()
        .try_get_matches_from(&typed)
        .and_then(|matches| Cli::from_arg_matches(&matches));
    let exit = match parsed {
        Ok(cli) => {
            let cx = Context::new(&environment, &cli.global);
            end(&cx, panic::caught(&cx, || dispatch(&cx, cli.verb.as_ref())))
        }
        Err(error) => {
            // What was typed cannot be relied on; only whether a program listens matters.
            let json = typed.iter().any(|word| word == "--json");
            let global = Global { json, ..Global::default() };
            let cx = Context::new(&environment, &global);
            end(&cx, usage::refused(&cx, &error, &typed))
        }
    };
    ExitCode::from(exit.code())
}

fn end(cx: &Context<'_>, result: Result<Exit, Failure>) -> Exit {
    result.unwrap_or_else(|failure| {
        cx.out.fail(&failure);
        failure.exit
    })
}

fn dispatch(cx: &Context<'_>, verb: Option<&Verb>) -> Result<Exit, Failure> {
    if let Some(ordered) = cx.environment.crash()? {
        crash::arm(ordered);
    }
    if let Some(log) = cx.environment.path("SNAP_CRASH_LOG") {
        crash::log_to(&log).map_err(|error| {
            let failure = Failure::new(failure::Code::E0601, "cannot open SNAP_CRASH_LOG");
            failure.because(error.to_string())
        })?;
    }
    let Some(verb) = verb else {
        cx.out.print(help::FRONT);
        return Ok(Exit::Ok);
    };
    cx.out.speak_as(verb.name());
    signals::listen(cx.out, &SIGNALS);
    if verb.only_looks() {
        transaction::remind(cx);
    }
    match verb {
        Verb::Init(args) => init::run(cx, args),
        Verb::Snapshots(args) => snapshots::run(cx, args),
        Verb::Ls(args) => ls::run(cx, args),
        Verb::Dump(args) => dump::run(cx, args),
        Verb::App { verb } => app::run(cx, verb),
        Verb::Backup(args) => backup::run(cx, args),
        Verb::Diff(args) => diff::run(cx, args),
        Verb::Restore(args) => restore::run(cx, args),
        Verb::Check(args) => check::run(cx, args),
        Verb::Repair { verb } => repair::run(cx, verb),
        Verb::Key { verb } => key::run(cx, verb),
        Verb::Rollback(args) => rollback::run(cx, args),
        Verb::Recover(args) => recover::run(cx, args),
        Verb::History(args) => history::run(cx, args),
        Verb::Show(args) => show::run(cx, args),
        Verb::MigrateSql(args) => migrate_sql::run(cx, args),
        Verb::Help(args) => help::run(cx, args),
        Verb::Explain(args) => explain::run(cx, args),
        Verb::Version(args) => Ok(version::run(cx, args)),
    }
}

impl Verb {
    /// Whether it changes no application and settles nothing: it may go on beside an open
    /// transaction, and says that there is one.
    const fn only_looks(&self) -> bool {
        match self {
            Self::Snapshots(_)
            | Self::Ls(_)
            | Self::Diff(_)
            | Self::Dump(_)
            | Self::Check(_)
            | Self::App { .. } => true,
            Self::Init(_)
            | Self::Backup(_)
            | Self::Restore(_)
            | Self::Repair { .. }
            | Self::Key { .. }
            | Self::Rollback(_)
            | Self::Recover(_)
            | Self::History(_)
            | Self::Show(_)
            | Self::MigrateSql(_)
            | Self::Help(_)
            | Self::Explain(_)
            | Self::Version(_) => false,
        }
    }

    /// As typed.
    const fn name(&self) -> &'static str {
        match self {
            Self::Init(_) => "init",
            Self::Snapshots(_) => "snapshots",
            Self::Ls(_) => "ls",
            Self::Dump(_) => "dump",
            Self::App { .. } => "app",
            Self::Backup(_) => "backup",
            Self::Diff(_) => "diff",
            Self::Restore(_) => "restore",
            Self::Check(_) => "check",
            Self::Repair { .. } => "repair",
            Self::Key { .. } => "key",
            Self::Rollback(_) => "rollback",
            Self::Recover(_) => "recover",
            Self::History(_) => "history",
            Self::Show(_) => "show",
            Self::MigrateSql(_) => "migrate-sql",
            Self::Help(_) => "help",
            Self::Explain(_) => "explain",
            Self::Version(_) => "version",
        }
    }
}
