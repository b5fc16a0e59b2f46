//! One command, timed from its start until what it wrote is on the disk.
//!
//! A small process of our own stands between: what the kernel tells a parent of its children is
//! then of this one command alone.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde::{Deserialize, Serialize};

pub(crate) const VERB: &str = "__measure";

/// What a command took.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Sample {
    pub(crate) seconds: f64,
    pub(crate) cpu_seconds: f64,
    pub(crate) peak_bytes: u64,
    /// How often it lost its core to somebody: the machine was not quiet.
    pub(crate) switched_out: u64,
}

/// A command to be measured.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) argv: Vec<OsString>,
    pub(crate) env: Vec<(OsString, OsString)>,
    pub(crate) dir: PathBuf,
    /// What it wrote lies on this file system, which is synced before the clock stops.
    pub(crate) syncs: PathBuf,
}

impl Job {
    pub(crate) fn new(program: impl AsRef<OsStr>, dir: &Path) -> Self {
        Self {
            argv: vec![program.as_ref().to_owned()],
            env: Vec::new(),
            dir: dir.to_owned(),
            syncs: dir.to_owned(),
        }
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.argv.push(arg.as_ref().to_owned());
        self
    }

    pub(crate) fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.argv.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.into(), value.as_ref().to_owned()));
        self
    }

    /// Runs it, and wants it to succeed.
    pub(crate) fn run(&self) -> Result<Sample, String> {
        let own = std::env::current_exe().map_err(|why| why.to_string())?;
        let figures = self.syncs.join(".figures");
        let out = Command::new(own)
            .arg(VERB)
            .arg(&figures)
            .args(&self.argv)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .output()
            .map_err(|why| format!("{:?}: {why}", self.argv))?;
        let told = std::fs::read(&figures).map_err(|why| format!("{}: {why}", figures.display()));
        if !out.status.success() {
            let said = String::from_utf8_lossy(&out.stderr);
            return Err(format!("{:?} ended with {}: {}", self.argv, out.status, said.trim()));
        }
        std::fs::remove_file(&figures).map_err(|why| why.to_string())?;
        serde_json::from_slice(&told?).map_err(|why| why.to_string())
    }
}

/// The process between: runs the command, syncs, tells.
pub(crate) fn child(words: &[String]) -> ExitCode {
    let [figures, program, arguments @ ..] = words else { return ExitCode::from(2) };
    let figures = Path::new(figures);
    let started = Instant::now();
    let status = Command::new(program).args(arguments).status();
    let synced = figures.parent().and_then(|dir| File::open(dir).ok());
    if let Some(dir) = synced {
        let _ = rustix::fs::syncfs(dir);
    }
    let seconds = started.elapsed().as_secs_f64();
    let Ok(used) = getrusage(UsageWho::RUSAGE_CHILDREN) else { return ExitCode::from(3) };
    let time = |value: nix::sys::time::TimeVal| value.num_microseconds() as f64 / 1e6;
    let sample = Sample {
        seconds,
        cpu_seconds: time(used.user_time()) + time(used.system_time()),
        peak_bytes: u64::try_from(used.max_rss()).unwrap_or_default() * 1024,
        switched_out: u64::try_from(used.involuntary_context_switches()).unwrap_or_default(),
    };
    let text = serde_json::to_vec(&sample).unwrap_or_default();
    match (status, std::fs::write(figures, text)) {
        (Ok(status), Ok(())) if status.success() => ExitCode::SUCCESS,
        (Ok(status), _) => {
            ExitCode::from(status.code().and_then(|c| c.try_into().ok()).unwrap_or(1))
        }
        (Err(why), _) => {
            eprintln!("{program}: {why}");
            ExitCode::from(127)
        }
    }
}
