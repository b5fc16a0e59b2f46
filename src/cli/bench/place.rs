//! Where a bench runs: one temporary directory, and children of this very binary in it.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::metered::{self, Metered};
use crate::cli::failure::{Code, Failure};
use crate::os::file;
use crate::os::process::{self, CaptureLimits, Launch, Trampoline, Wiring};
use crate::repository::ObjectId;

/// A stage over 10^8 files takes minutes.
const LIMITS: CaptureLimits =
    CaptureLimits { timeout: Duration::from_hours(6), bytes_max: 64 << 20 };

/// The directory.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) root: PathBuf,
    trampoline: Trampoline,
    threads: Option<u16>,
}

/// What a child said and used.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) used: Metered,
    summary: Value,
}

impl Ran {
    /// A number of its summary.
    pub(super) fn number(&self, field: &str) -> u64 {
        self.summary[field].as_u64().unwrap_or_default()
    }

    /// A text of its summary.
    pub(super) fn text(&self, field: &str) -> String {
        self.summary[field].as_str().unwrap_or_default().to_owned()
    }
}

impl Place {
    /// A new directory below `temp`, which is removed if a signal ends the run.
    pub(super) fn build(temp: &Path, threads: Option<u16>) -> Result<Self, Failure> {
        let root = temp.join(format!("snap-bench-{}", ObjectId::random().short()));
        file::create_dir(&root, 0o700).map_err(Failure::cannot("create", &root))?;
        crate::cli::signals::litter(root.clone());
        Ok(Self { root, trampoline: Trampoline::own(), threads })
    }

    /// Runs `snap` in the house `house`, a directory here, and wants it to succeed.
    pub(super) fn snap(&self, house: &Path, arguments: &[&OsStr]) -> Result<Ran, Failure> {
        let dir = |name: &str| house.join(name).into_os_string();
        let env: Vec<(OsString, OsString)> = [
            ("SNAP_CONFIG_DIR", dir("config")),
            ("SNAP_STATE_DIR", dir("state")),
            ("SNAP_CACHE_DIR", dir("cache")),
            ("SNAP_RUNTIME_DIR", dir("run")),
            ("SNAP_REPOSITORY", dir("repository")),
            ("SNAP_OUTPUT", "json".into()),
            ("LC_ALL", "C.UTF-8".into()),
        ]
        .map(|(name, value)| (name.into(), value))
        .into();
        let figures = house.join("figures");
        let threads = self.threads.map(|threads| format!("--threads={threads}"));
        let program = [self.trampoline.program().as_os_str(), metered::VERB.as_ref()];
        let argv = process::argv(
            program
                .into_iter()
                .chain([figures.as_os_str()])
                .chain(arguments.iter().copied())
                .chain(threads.as_ref().map(OsStr::new)),
        );
        let launch = Launch {
            trampoline: &self.trampoline,
            argv: &argv,
            dir: house,
            env: &env,
            identity: None,
            wiring: Wiring::Pipes,
            token: &self.root.display().to_string(),
        };
        let told = process::capture(&launch, LIMITS).map_err(|error| {
            Failure::new(Code::E0605, "cannot run this program again").because(error.to_string())
        })?;
        let lines: Vec<Value> = told
            .out
            .split(|byte| *byte == b'\n')
            .filter_map(|line| serde_json::from_slice(line).ok())
            .collect();
        let last = |kind: &str| lines.iter().rev().find(|line| line["message_type"] == kind);
        if told.code() != Some(0) {
            let words: Vec<_> = arguments.iter().map(|word| word.to_string_lossy()).collect();
            let mut failure = Failure::new(Code::E0605, format!("snap {} failed", words.join(" ")));
            if let Some(error) = last("exit_error") {
                failure = failure.because(error["error"].as_str().unwrap_or_default());
            }
            let said = String::from_utf8_lossy(&told.err).trim().to_owned();
            return Err(if said.is_empty() { failure } else { failure.because(said) });
        }
        let used = std::fs::read(&figures).map_err(Failure::cannot("read", &figures))?;
        let used = serde_json::from_slice(&used).map_err(|error| {
            Failure::new(Code::E0605, "a measured run told no figures").because(error.to_string())
        })?;
        Ok(Ran { used, summary: last("summary").cloned().unwrap_or_default() })
    }

    /// Removes everything.
    pub(super) fn remove(self) -> Result<(), Failure> {
        clear(&self.root)
    }
}

/// Removes a directory of ours.
pub(super) fn clear(dir: &Path) -> Result<(), Failure> {
    file::remove_dir_all(dir).map(drop).map_err(Failure::cannot("remove", dir))
}
