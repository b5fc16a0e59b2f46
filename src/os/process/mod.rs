//! Child processes: started behind a gate, watched, and never left behind.
//!
//! A child is our own binary first (the hidden verb [`GATE_VERB`]). It takes the account, ties its
//! life to ours and waits for one byte on its standard input; only then it becomes the program.
//! So whoever starts it can make the child's number durable before the child does anything, and no
//! code of ours ever runs between fork and exec.
//!
//! ```text
//! us                                  the child
//! start: spawn ourselves           →  setsid, account, die-with-parent, no new privileges
//! (record pid, start time, boot)      waits for the byte, or ends when we are gone
//! open: send the byte              →  becomes the program: same number, same start time
//! ```

mod capture;
mod gate;
mod running;
mod stray;
mod table;

use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use super::crash::{CrashPoint, reach};
use super::host::{self, ProcessMark};
use super::pty;

pub use capture::{Answers, CaptureLimits, Captured, Fed, capture, feed, finish};
pub use gate::gate;
pub use running::{Heard, Running, Stream};
pub use stray::{Outlived, adopt_orphans, find_orphans, kill_all, kill_orphans, strays_of};

/// The hidden verb under which our binary is the gate.
pub const GATE_VERB: &str = "__gate";

/// Set in the environment of every child of a transaction, so that it is found again.
pub const TXN_VARIABLE: &str = "SNAP_TXN_ID";

/// Where programs without a path are looked for.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The binary that is started as the gate, and the arguments that make it one.
#[derive(Clone, Debug)]
pub struct Trampoline {
    program: PathBuf,
    arguments: Vec<OsString>,
}

impl Trampoline {
    /// This very program, also if its file was replaced meanwhile.
    pub fn own() -> Self {
        Self::of(Path::new("/proc/self/exe"))
    }

    /// Another build of this program.
    pub fn of(program: &Path) -> Self {
        Self { program: program.to_owned(), arguments: vec![GATE_VERB.into()] }
    }

    /// The program itself, for a child that is `snap` too.
    pub fn program(&self) -> &Path {
        &self.program
    }
}

/// The account that a child takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// By number.
    pub uid: u32,
    /// By number.
    pub gid: u32,
    /// Its name, from which its other groups follow.
    pub name: Option<String>,
}

/// What a child reads and where its output goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wiring {
    /// All three on one terminal.
    Terminal,
    /// Nothing to read; output and errors apart.
    Pipes,
    /// We write what it reads; output and errors apart.
    Fed,
}

/// What is to be started, and as whom.
#[derive(Clone, Debug)]
pub struct Launch<'a> {
    /// The gate.
    pub trampoline: &'a Trampoline,
    /// Program and arguments; never a line for a shell.
    pub argv: &'a [OsString],
    /// Where it starts.
    pub dir: &'a Path,
    /// Its whole environment, beside `PATH` and [`TXN_VARIABLE`].
    pub env: &'a [(OsString, OsString)],
    /// `None`: as whoever we are.
    pub identity: Option<&'a Identity>,
    /// What it reads and writes.
    pub wiring: Wiring,
    /// Identifies the transaction, or whatever else its strays are found by.
    pub token: &'a str,
}

/// A child as it is recorded: it can be told from every other process there ever was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildMark {
    /// Number and start time.
    pub process: ProcessMark,
    /// The boot in which the number means anything.
    pub boot_id: String,
}

impl ChildMark {
    /// Its session: it leads its own.
    pub const fn session(&self) -> u32 {
        self.process.pid
    }
}

/// Why a child did not become its program.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// No terminal, no pipe or no process could be had.
    #[error("cannot start a child process")]
    Start(#[source] io::Error),
    /// The program could not be executed, or the account not be taken.
    #[error("cannot run {}: {what}", program.display())]
    Program {
        /// Which.
        program: PathBuf,
        /// What the gate said.
        what: String,
    },
}

/// A child behind its gate: it exists, and has done nothing.
#[derive(Debug)]
#[must_use = "a child that is never let through ends when this is dropped"]
pub struct Waiting {
    child: Child,
    gate: UnixStream,
    pty: Option<pty::Pty>,
    mark: ChildMark,
    program: OsString,
    wiring: Wiring,
    token: String,
}

/// Starts a child behind its gate.
///
/// To be called from the main thread: the kernel ends the child with the *thread* that started it.
pub fn start(launch: &Launch<'_>) -> Result<Waiting, LaunchError> {
    let started = || -> io::Result<Waiting> {
        let (gate, theirs) = UnixStream::pair()?;
        let pty = match launch.wiring {
            Wiring::Terminal => Some(pty::open()?),
            Wiring::Pipes | Wiring::Fed => None,
        };
        let mut command = Command::new(&launch.trampoline.program);
        command.args(&launch.trampoline.arguments).args(gate::arguments(launch));
        command.env_clear().env("PATH", PATH).env(TXN_VARIABLE, launch.token);
        command.envs(launch.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::from(OwnedFd::from(theirs)));
        match &pty {
            Some(pty) => {
                command.stdout(Stdio::from(pty.slave.try_clone()?));
                command.stderr(Stdio::from(pty.slave.try_clone()?));
            }
            None => {
                command.stdout(Stdio::piped()).stderr(Stdio::piped());
            }
        }
        let child = command.spawn()?;
        let process = host::mark(child.id())?;
        Ok(Waiting {
            mark: ChildMark { process, boot_id: host::boot_id() },
            child,
            gate,
            pty,
            program: launch.argv.first().cloned().unwrap_or_default(),
            wiring: launch.wiring,
            token: launch.token.to_owned(),
        })
    };
    let waiting = started().map_err(LaunchError::Start)?;
    reach(CrashPoint::ChildSpawned);
    Ok(waiting)
}

impl Waiting {
    /// How this child is recorded.
    pub const fn mark(&self) -> &ChildMark {
        &self.mark
    }

    /// Ends the child, which has done nothing.
    pub fn abandon(mut self) {
        // It may have ended by itself; either way it is waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Lets the child through, and waits until it has become its program.
    pub fn open(self) -> Result<Running, LaunchError> {
        let Self { child, mut gate, pty, mark, program, wiring, token } = self;
        let mut running = Running::new(child, pty, mark, token);
        let sent = gate.write_all(&[gate::OPEN]);
        reach(CrashPoint::GateOpened);
        let said = match (sent, wiring) {
            (Ok(()), Wiring::Fed) => return Ok(running.fed_by(gate)),
            // The gate closes its end by becoming the program; if it cannot, it says why.
            (Ok(()), _) => read_all(&mut gate),
            (Err(error), _) => Err(error),
        };
        match said {
            Ok(text) if text.is_empty() => Ok(running),
            told => {
                let what = told.unwrap_or_else(|error| error.to_string());
                running.kill();
                Err(LaunchError::Program { program: PathBuf::from(program), what })
            }
        }
    }
}

fn read_all(gate: &mut UnixStream) -> io::Result<String> {
    let mut text = String::new();
    gate.take(4096).read_to_string(&mut text)?;
    Ok(text)
}

/// A program and its arguments, from text.
pub fn argv<S: AsRef<OsStr>>(parts: impl IntoIterator<Item = S>) -> Vec<OsString> {
    parts.into_iter().map(|part| part.as_ref().to_owned()).collect()
}

/// A token that no other launch of any process has: for commands outside of a transaction.
///
/// Whatever has the same token is ended together.
pub fn fresh_token() -> String {
    static SERIAL: AtomicU64 = AtomicU64::new(0);
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    let own = host::this_process();
    format!("{}-{}-{serial}", own.pid, own.started_ticks)
}
