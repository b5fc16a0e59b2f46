//! Speaks with a person: the only printing, prompting, environment and exit codes.
//!
//! [`command`] is the table of what can be typed, one file a verb says what it does, [`failure`]
//! what is said when it does not work. [`run`] is the way through them.

mod address;
mod again;
mod app;
mod backup;
pub mod bench;
mod check;
mod command;
mod config;
mod confirm;
mod consent;
mod context;
mod demo;
mod diff;
mod directories;
mod dump;
mod environment;
mod explain;
mod export;
pub mod failure;
mod find;
mod forget;
mod help;
mod history;
mod import;
mod init;
mod key;
mod ls;
mod needed;
mod output;
mod panic;
mod plan;
mod progress;
mod prune;
mod recover;
mod release;
mod remembered;
mod render;
mod repair;
mod restore;
mod rollback;
mod screens;
mod secret;
mod selection;
mod show;
mod signals;
mod snapd;
mod snapshots;
mod stats;
mod suggest;
mod tag;
mod text;
mod transaction;
mod unlock;
mod upgrade;
mod usage;
mod version;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::FromArgMatches;

use crate::app::sql_files;
use crate::os::crash;
use crate::os::limits;
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
    if let Some(exit) = child(&typed) {
        return exit;
    }
    let environment = Environment::read();
    let parsed = command::tree()
        .try_get_matches_from(&typed)
        .and_then(|matches| Cli::from_arg_matches(&matches));
    let exit = match parsed {
        Ok(cli) => {
            let cx = Context::new(&environment, &cli.global);
            let ended = panic::caught(&cx, || dispatch(&cx, cli.verb.as_ref()));
            let only_answers = cli.verb.as_ref().is_none_or(|verb| verb.only_answers(&cli.global));
            end(&cx, if only_answers { ended.and_then(|exit| heard(&cx, exit)) } else { ended })
        }
        Err(error) => {
            // What was typed cannot be relied on; only whether a program listens matters.
            let json = typed.iter().any(|word| word == "--json");
            let global = Global { json, ..Global::default() };
            let cx = Context::new(&environment, &global);
            end(&cx, usage::refused(&cx, &error, &typed).and_then(|exit| heard(&cx, exit)))
        }
    };
    ExitCode::from(exit.code())
}

/// Children of ours, before anything else is set up: one on its way to become another program, one
/// that is measured, and one that is an application's migrator. No help names these verbs.
fn child(typed: &[OsString]) -> Option<ExitCode> {
    let [_, verb, rest @ ..] = typed else { return None };
    if verb == process::GATE_VERB {
        return Some(ExitCode::from(process::gate(rest)));
    }
    if verb == bench::metered::VERB {
        return Some(bench::metered::run(rest));
    }
    if verb == sql_files::MIGRATE_VERB {
        let (mut input, mut output) = (std::io::stdin().lock(), std::io::stdout().lock());
        return Some(ExitCode::from(sql_files::migrate(rest, &mut input, &mut output)));
    }
    None
}

fn end(cx: &Context<'_>, result: Result<Exit, Failure>) -> Exit {
    result.unwrap_or_else(|failure| {
        cx.out.fail(&failure);
        failure.exit
    })
}

/// The ending of a run that did nothing but answer: an answer that did not arrive is no success.
fn heard(cx: &Context<'_>, exit: Exit) -> Result<Exit, Failure> {
    let Some(error) = cx.out.unheard() else { return Ok(exit) };
    let failure = Failure::new(failure::io_code(&error), "cannot write to standard output");
    let worst = exit.worst(failure.exit);
    Err(failure.because(error.to_string()).ending(worst))
}

/// More than any work has at once, beside those that all share.
const THREADS_BESIDES: usize = 24;

/// Threads cannot be had.
fn no_threads(why: &str) -> Failure {
    Failure::new(failure::Code::E0601, "cannot start as many threads as this needs")
        .because(why)
        .tip("the limits of this user, service or container are too low (ulimit -u, TasksMax)")
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
    match limits::threads(THREADS_BESIDES) {
        // What takes an application back makes do with the threads it gets.
        Err(error) if !matches!(verb, Verb::Recover(_) | Verb::Rollback(_)) => {
            return Err(no_threads(&error.to_string()));
        }
        _ => {}
    }
    signals::listen(cx.out, &SIGNALS);
    if verb.only_looks() {
        transaction::remind(cx);
    }
    match verb {
        Verb::Init(args) => init::run(cx, args),
        Verb::Snapshots(args) => snapshots::run(cx, args),
        Verb::Ls(args) => ls::run(cx, args),
        Verb::Export(args) => export::run(cx, args),
        Verb::Import(args) => import::run(cx, args),
        Verb::Find(args) => find::run(cx, args),
        Verb::Stats(args) => stats::run(cx, args),
        Verb::Dump(args) => dump::run(cx, args),
        Verb::App { verb } => app::run(cx, verb),
        Verb::Backup(args) => backup::run(cx, args),
        Verb::Diff(args) => diff::run(cx, args),
        Verb::Restore(args) => restore::run(cx, args),
        Verb::Tag { verb } => tag::run(cx, verb),
        Verb::Forget(args) => forget::run(cx, args),
        Verb::Prune(args) => prune::run(cx, args),
        Verb::Check(args) => check::run(cx, args),
        Verb::Repair { verb } => repair::run(cx, verb),
        Verb::Key { verb } => key::run(cx, verb),
        Verb::Plan(args) => plan::run(cx, args),
        Verb::Upgrade(args) => upgrade::run(cx, args),
        Verb::Rollback(args) => rollback::run(cx, args),
        Verb::Recover(args) => recover::run(cx, args),
        Verb::History(args) => history::run(cx, args),
        Verb::Show(args) => show::run(cx, args),
        Verb::Bench(args) => bench::run(cx, args),
        Verb::Demo(args) => demo::run(cx, args),
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
            | Self::Find(_)
            | Self::Export(_)
            | Self::Stats(_)
            | Self::Diff(_)
            | Self::Dump(_)
            | Self::Check(_)
            | Self::App { .. }
            | Self::Tag { .. }
            | Self::Forget(_)
            | Self::Prune(_) => true,
            Self::Init(_)
            | Self::Backup(_)
            | Self::Import(_)
            | Self::Restore(_)
            | Self::Repair { .. }
            | Self::Key { .. }
            | Self::Plan(_)
            | Self::Upgrade(_)
            | Self::Rollback(_)
            | Self::Recover(_)
            | Self::History(_)
            | Self::Show(_)
            | Self::Bench(_)
            | Self::Demo(_)
            | Self::Help(_)
            | Self::Explain(_)
            | Self::Version(_) => false,
        }
    }

    /// Whether what it prints is all that comes of it. Of others the exit code tells what was done,
    /// whether or not anybody heard the words.
    const fn only_answers(&self, global: &Global) -> bool {
        match self {
            Self::Snapshots(_)
            | Self::Ls(_)
            | Self::Find(_)
            | Self::Stats(_)
            | Self::Diff(_)
            | Self::Dump(_)
            | Self::Check(_)
            | Self::Plan(_)
            | Self::History(_)
            | Self::Show(_)
            | Self::Bench(_)
            | Self::Help(_)
            | Self::Explain(_)
            | Self::Version(_)
            | Self::Key { verb: key::Verb::List } => true,
            Self::App { verb } => !matches!(verb, app::Verb::Add(_)) || global.dry_run,
            Self::Init(_)
            | Self::Backup(_)
            | Self::Export(_)
            | Self::Import(_)
            | Self::Restore(_)
            | Self::Repair { .. }
            | Self::Key { .. }
            | Self::Tag { .. }
            | Self::Forget(_)
            | Self::Prune(_)
            | Self::Upgrade(_)
            | Self::Rollback(_)
            | Self::Recover(_)
            | Self::Demo(_) => global.dry_run,
        }
    }

    /// As typed.
    const fn name(&self) -> &'static str {
        match self {
            Self::Init(_) => "init",
            Self::Snapshots(_) => "snapshots",
            Self::Ls(_) => "ls",
            Self::Export(_) => "export",
            Self::Import(_) => "import",
            Self::Find(_) => "find",
            Self::Stats(_) => "stats",
            Self::Dump(_) => "dump",
            Self::App { .. } => "app",
            Self::Backup(_) => "backup",
            Self::Diff(_) => "diff",
            Self::Restore(_) => "restore",
            Self::Tag { .. } => "tag",
            Self::Forget(_) => "forget",
            Self::Prune(_) => "prune",
            Self::Check(_) => "check",
            Self::Repair { .. } => "repair",
            Self::Key { .. } => "key",
            Self::Plan(_) => "plan",
            Self::Upgrade(_) => "upgrade",
            Self::Rollback(_) => "rollback",
            Self::Recover(_) => "recover",
            Self::History(_) => "history",
            Self::Show(_) => "show",
            Self::Bench(_) => "bench",
            Self::Demo(_) => "demo",
            Self::Help(_) => "help",
            Self::Explain(_) => "explain",
            Self::Version(_) => "version",
        }
    }
}
