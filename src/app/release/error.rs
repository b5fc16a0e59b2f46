//! Why a release was not taken in. Until it is, nothing of it is anywhere but in loose packs.

use std::io;
use std::path::PathBuf;

use crate::os::process::LaunchError;

use super::Figure;

/// What was wrong with a release.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// There is nothing where it should be.
    #[error("there is no release at {}", path.display())]
    NotFound {
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It could not be read to its end.
    #[error("cannot read the release at {}", path.display())]
    Unreadable {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// An archive of a kind that this version does not read.
    #[error("{} is a {kind} archive, which is not supported by this version", path.display())]
    UnknownArchive {
        /// Which.
        path: PathBuf,
        /// Its kind.
        kind: &'static str,
    },
    /// An archive that cannot be what it claims to be.
    #[error("{}: {what}", path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// One entry of it would reach beyond the release, or cannot be one of a release's.
    #[error("{entry}: {what}")]
    BadEntry {
        /// Its path, as a terminal may show it.
        entry: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// It is larger than any release.
    #[error("the release has more than {limit} {figure}")]
    TooMuch {
        /// Of what.
        figure: Figure,
        /// So many are allowed.
        limit: u64,
    },
    /// Its checksum is not the one that was given.
    #[error("the checksum of {} is {found}, not {wanted}", path.display())]
    Checksum {
        /// Which archive.
        path: PathBuf,
        /// What was given.
        wanted: String,
        /// What it has.
        found: String,
    },
    /// A checksum that is none.
    #[error("{text:?} is no SHA-256 or SHA-512 checksum")]
    BadChecksum {
        /// What was given.
        text: String,
    },
    /// It is not a release of this application, or does not say which.
    #[error("this is no release of {app}: {why}")]
    NotOfApp {
        /// The application.
        app: String,
        /// Why not.
        why: String,
    },
    /// No such tag, branch or commit.
    #[error("{} has no tag, branch or commit {reference:?}", path.display())]
    NoReference {
        /// Which repository.
        path: PathBuf,
        /// What was looked for.
        reference: String,
    },
    /// Git could not be run.
    #[error("git cannot be run")]
    NoGit(#[source] LaunchError),
    /// Git said that it could not do it.
    #[error("git {command} failed in {}: {said}", path.display())]
    Git {
        /// What it was asked.
        command: String,
        /// Where.
        path: PathBuf,
        /// The last line it said.
        said: String,
    },
}
