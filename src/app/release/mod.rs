//! Takes a release in: a directory, an archive or a git tag becomes a snapshot of class `release`.
//!
//! Nothing is unpacked. Entries are read one by one, their bytes go straight into the repository,
//! and the tree is made of the checked values:
//!
//! ```text
//! for each entry:   its path cannot leave the release, its kind is a file, directory or link,
//!                   sizes and counts are within their limits -> content stored, entry noted
//! then:             one leading directory stripped; no file has anything below it;
//!                   links, last of all, end inside the release
//! then:             the tree declares its version itself, the checksum fits -> the record
//! ```

mod archive;
mod checkout;
mod checksum;
mod collect;
mod directory;
mod error;
mod git;
mod git_command;
mod import;
mod links;
mod pax;

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests build the releases they take in")]
mod tests;

use std::fmt;
use std::path::PathBuf;

pub use checkout::{Followed, GitCommit, follow, is_checkout};
pub use checksum::Checksum;
pub use error::ReleaseError;
pub use git::{GitSource, tidy};
pub use import::{Import, Imported, import};

/// Where a release is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReleaseSource {
    /// A directory that holds it, or the one directory that does.
    Directory(PathBuf),
    /// A tar archive, plain or compressed by gzip or zstd.
    Archive(PathBuf),
    /// A tag, branch or commit.
    Git(GitSource),
}

/// How much a release may be. What a header claims is held against this before it is believed.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Entries of any kind.
    pub entries: u64,
    /// Bytes of one file.
    pub file_bytes: u64,
    /// Bytes of all files.
    pub total_bytes: u64,
    /// Names in one path.
    pub depth: u64,
    /// Plain bytes for one byte of a compressed archive, once there are many.
    pub ratio: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { entries: 300_000, file_bytes: 1 << 30, total_bytes: 2 << 30, depth: 100, ratio: 200 }
    }
}

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    /// Entries of any kind.
    Entries,
    /// Bytes of one file.
    FileBytes,
    /// Bytes of all files.
    TotalBytes,
    /// Names in one path.
    Depth,
    /// Plain bytes for one packed byte.
    Ratio,
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Entries => "entries",
            Self::FileBytes => "bytes in one file",
            Self::TotalBytes => "bytes",
            Self::Depth => "names in one path",
            Self::Ratio => "plain bytes for each packed one",
        })
    }
}
