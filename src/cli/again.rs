//! This very program, run again as a person would type it, in a house of its own.
//!
//! A house is a directory that holds all that such a run keeps: configuration, state, caches,
//! repository. The demo and the bench are played by such children: what they do is what users
//! get, and what they use is told by a process that did nothing else.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::os::file;
use crate::os::process::{self, CaptureLimits, Launch, Trampoline, Wiring};
use crate::repository::ObjectId;

use super::failure::{Code, Failure};
use super::signals;

/// No child of ours says nearly as much.
const SAID_BYTES_MAX: usize = 64 << 20;

/// A new directory below `temp`, called after what it is for, which is removed if a signal ends
/// the run.
pub(super) fn workplace(temp: &Path, what: &str, mode: u32) -> Result<PathBuf, Failure> {
    let dir = temp.join(format!("snap-{what}-{}", ObjectId::random().short()));
    file::create_dir(&dir, mode).map_err(Failure::cannot("create", &dir))?;
    signals::litter(dir.clone());
    Ok(dir)
}

/// Removes a directory of ours.
pub(super) fn clear(dir: &Path) -> Result<(), Failure> {
    file::remove_dir_all(dir).map(drop).map_err(Failure::cannot("remove", dir))
}

/// How this program is run again.
#[derive(Debug)]
pub(super) struct Again {
    trampoline: Trampoline,
    limits: CaptureLimits,
    /// Tells these children from those of others: whatever one leaves is ended.
    token: String,
}

impl Again {
    /// Children that work below `root` and may take as long as `timeout`.
    pub(super) fn below(root: &Path, timeout: Duration) -> Self {
        Self {
            trampoline: Trampoline::own(),
            limits: CaptureLimits { timeout, bytes_max: SAID_BYTES_MAX },
            token: root.display().to_string(),
        }
    }

    /// Runs `snap` with `arguments` in `house`; `more` is in its environment too.
    pub(super) fn run<'w>(
        &'w self,
        house: &Path,
        arguments: impl IntoIterator<Item = &'w OsStr>,
        more: &[(&str, &OsStr)],
    ) -> Result<Ended, Failure> {
        let program = self.trampoline.program().as_os_str();
        let launch = Launch {
            trampoline: &self.trampoline,
            argv: &process::argv(std::iter::once(program).chain(arguments)),
            dir: house,
            env: &environment(house, more),
            identity: None,
            wiring: Wiring::Pipes,
            token: &self.token,
        };
        let told = process::capture(&launch, self.limits).map_err(|error| {
            Failure::new(Code::E0605, "cannot run this program again").because(error.to_string())
        })?;
        let lines = told.out.split(|byte| *byte == b'\n');
        Ok(Ended {
            code: told.code(),
            signal: told.status.and_then(|status| status.signal()),
            lines: lines.filter_map(|line| serde_json::from_slice(line).ok()).collect(),
            stderr: String::from_utf8_lossy(&told.err).into_owned(),
        })
    }
}

fn environment(house: &Path, more: &[(&str, &OsStr)]) -> Vec<(OsString, OsString)> {
    let dirs = [
        ("SNAP_CONFIG_DIR", "config"),
        ("SNAP_STATE_DIR", "state"),
        ("SNAP_CACHE_DIR", "cache"),
        ("SNAP_RUNTIME_DIR", "run"),
        ("SNAP_REPOSITORY", "repository"),
    ];
    let dirs = dirs.map(|(name, dir)| (name, house.join(dir).into_os_string()));
    let told = [("SNAP_OUTPUT", "json"), ("LC_ALL", "C.UTF-8")];
    let told = told.map(|(name, value)| (name, value.into()));
    let more = more.iter().map(|(name, value)| (*name, (*value).to_owned()));
    dirs.into_iter().chain(told).chain(more).map(|(name, value)| (name.into(), value)).collect()
}

/// How a child ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// Its exit code; `None` if a signal killed it.
    pub(super) code: Option<i32>,
    /// The signal that killed it.
    pub(super) signal: Option<i32>,
    /// The lines of its JSON stream.
    pub(super) lines: Vec<Value>,
    stderr: String,
}

impl Ended {
    /// The last line of that type.
    pub(super) fn last(&self, kind: &str) -> Option<&Value> {
        self.lines.iter().rev().find(|line| line["message_type"] == kind)
    }

    /// A text in the last line of that type.
    pub(super) fn text(&self, kind: &str, field: &str) -> String {
        let found = self.last(kind).and_then(|line| line[field].as_str());
        found.unwrap_or_default().to_owned()
    }

    /// A number in the last line of that type.
    pub(super) fn number(&self, kind: &str, field: &str) -> u64 {
        self.last(kind).and_then(|line| line[field].as_u64()).unwrap_or_default()
    }

    /// How it ended, in words.
    pub(super) fn how(&self) -> String {
        match (self.code, self.signal) {
            (Some(code), _) => format!("exit {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => "being stopped".to_owned(),
        }
    }

    /// `failure`, because of what the child said of its own.
    pub(super) fn explains(&self, mut failure: Failure) -> Failure {
        if let Some(error) = self.last("exit_error") {
            failure = failure.because(error["error"].as_str().unwrap_or_default());
            for cause in error["cause"].as_array().into_iter().flatten() {
                failure = failure.because(cause.as_str().unwrap_or_default());
            }
        }
        let stderr = self.stderr.trim();
        if stderr.is_empty() { failure } else { failure.because(stderr) }
    }
}
