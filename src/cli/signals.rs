//! Ctrl-C, SIGTERM and a lost terminal.
//!
//! Outside a transaction nothing is half done that matters: a snapshot exists only once its record
//! does, so the first signal ends the run. Inside one the first signal asks it to stop safely and
//! the second insists; SIGHUP (an ssh session that drops) never stops it, nor anything that was
//! started with `nohup`.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals as Incoming;

use crate::os::{file, host};
use crate::upgrade::{Signals, Stage};

use super::failure::{Code, Exit, Failure};
use super::output::Output;
use super::text::Ink;

/// What is removed before a signal ends the process: the demo's directory.
static LITTER: OnceLock<PathBuf> = OnceLock::new();

/// Has `dir`, which is ours alone, removed if a signal ends the run. Only the first call counts.
pub(super) fn litter(dir: PathBuf) {
    LITTER.get_or_init(|| dir);
}

/// Listens until the process ends.
///
/// `out` and `signals` live as long as the process: the listener never ends.
pub(super) fn listen(out: &'static Output, signals: &'static Signals) {
    let hangup = Some(SIGHUP).filter(|signal| !host::ignores(*signal));
    let Ok(mut incoming) = Incoming::new([SIGINT, SIGTERM].into_iter().chain(hangup)) else {
        // Without a listener the kernel's default holds: the process dies, `recover` settles it.
        return;
    };
    let listener = move || {
        for signal in incoming.forever() {
            match answer(signals, signal) {
                Answer::Nothing => {}
                Answer::GoOn(words) => {
                    out.insist(&format!(" {} {words}\n", Ink::Warn.on('!')));
                }
                Answer::End(failure) => end(out, &failure),
            }
        }
    };
    // Without a thread nobody listens: what runs then goes to its end.
    let _ = thread::Builder::new().spawn(listener);
}

/// What a signal leads to.
#[derive(Debug)]
enum Answer {
    Nothing,
    GoOn(&'static str),
    End(Failure),
}

fn answer(signals: &Signals, signal: i32) -> Answer {
    let stage = signals.stage();
    if signal == SIGHUP && stage != Stage::Free {
        return Answer::Nothing;
    }
    if stage == Stage::Free {
        let exit = match signal {
            SIGHUP => Exit::Hangup,
            SIGTERM => Exit::Terminated,
            _ => Exit::Interrupted,
        };
        return Answer::End(Failure::new(Code::E0430, "stopped on request").ending(exit));
    }
    let times = signals.note(signal);
    match (stage, times) {
        (Stage::Committed, _) => Answer::GoOn("committed already: finishing"),
        (Stage::Untouched, 1) => Answer::GoOn("stopping: nothing was changed yet, reopening"),
        (_, 1) => Answer::GoOn("stopping safely: everything is put back first (again: stop now)"),
        _ => Answer::End(Failure::new(Code::E0431, "stopped at once").ending(Exit::OpenTxn)),
    }
}

#[expect(clippy::exit, reason = "the main thread is busy, and must not go on")]
fn end(out: &Output, failure: &Failure) {
    if let Some(dir) = LITTER.get() {
        // Children die with us, and may write to the last: nothing can be said about it any more.
        let _ = file::remove_dir_all(dir);
    }
    out.fail(failure);
    std::process::exit(failure.exit.code().into());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outside_a_transaction_the_first_signal_ends_the_run() {
        let signals = Signals::new();
        for (signal, code) in [(SIGINT, 130), (SIGTERM, 143), (SIGHUP, 129)] {
            let Answer::End(failure) = answer(&signals, signal) else { panic!("{signal}") };
            assert_eq!(failure.exit.code(), code);
        }
        assert_eq!(signals.asked(), None);
    }
}
