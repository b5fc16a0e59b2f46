//! Where a bench runs: one temporary directory, and measured children of this very binary in it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::metered::{self, Metered};
use crate::cli::again::{self, Again, Ended};
use crate::cli::failure::{Code, Failure};

/// A stage over 10^8 files takes minutes.
const STAGE_MAY_TAKE: Duration = Duration::from_hours(6);

/// The directory.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) root: PathBuf,
    again: Again,
    threads: Option<u16>,
}

/// What a child said and used.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) used: Metered,
    ended: Ended,
}

impl Ran {
    /// A number of its summary.
    pub(super) fn number(&self, field: &str) -> u64 {
        self.ended.number("summary", field)
    }

    /// A text of its summary.
    pub(super) fn text(&self, field: &str) -> String {
        self.ended.text("summary", field)
    }
}

impl Place {
    /// A new directory below `temp`, which is removed if a signal ends the run.
    pub(super) fn build(temp: &Path, threads: Option<u16>) -> Result<Self, Failure> {
        let root = again::workplace(temp, "bench", 0o700)?;
        let again = Again::below(&root, STAGE_MAY_TAKE);
        Ok(Self { root, again, threads })
    }

    /// Runs `snap` in `house`, a directory here, and wants it to succeed.
    pub(super) fn snap(&self, house: &Path, arguments: &[&OsStr]) -> Result<Ran, Failure> {
        let figures = house.join("figures");
        let threads = self.threads.map(|threads| format!("--threads={threads}"));
        let metered = [metered::VERB.as_ref(), figures.as_os_str()];
        let threads = threads.as_ref().map(OsStr::new);
        let words = metered.into_iter().chain(arguments.iter().copied()).chain(threads);
        let ended = self.again.run(house, words, &[])?;
        if ended.code != Some(0) {
            let words: Vec<_> = arguments.iter().map(|word| word.to_string_lossy()).collect();
            let message = format!("snap {} ended with {}", words.join(" "), ended.how());
            return Err(ended.explains(Failure::new(Code::E0605, message)));
        }
        let used = std::fs::read(&figures).map_err(Failure::cannot("read", &figures))?;
        let used = serde_json::from_slice(&used).map_err(|error| {
            Failure::new(Code::E0605, "a measured run told no figures").because(error.to_string())
        })?;
        Ok(Ran { used, ended })
    }

    /// Removes everything.
    pub(super) fn remove(self) -> Result<(), Failure> {
        again::clear(&self.root)
    }
}
