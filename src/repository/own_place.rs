//! What this machine keeps of a repository, and may forget: opened segments, and when packs were last
//! read. A directory for each repository.
//!
//! Whoever uses it holds it locked, together with others, and its time says when it was last used:
//! so that the place of a repository that is long gone can be told and removed.

use std::path::{Path, PathBuf};

use super::id::RepositoryId;
use crate::os::beneath::Dir;
use crate::os::clock;
use crate::os::file;
use crate::os::lock::Lock;
use crate::os::meta::Stamp;

/// How much of the repository's id its name has.
const DIGITS: usize = 16;
/// Its time is set anew when it is older than that.
const NOTED_SECS: i64 = 24 * 60 * 60;

/// The place of one repository, in use while this lives.
#[derive(Debug)]
pub(super) struct OwnPlace {
    dir: PathBuf,
    _used: Option<Lock>,
}

impl OwnPlace {
    /// Where it is.
    pub(super) fn path(cache_dir: &Path, id: &RepositoryId) -> PathBuf {
        cache_dir.join(&id.to_string()[..DIGITS])
    }

    /// Opens it, and makes it if it is not there; `None` if that cannot be done.
    pub(super) fn open(cache_dir: &Path, id: &RepositoryId) -> Option<Self> {
        let dir = Self::path(cache_dir, id);
        file::create_dirs(&dir, 0o700).ok()?;
        // Without a lock, or if somebody removes it right now, it may go while we use it: then it is
        // made again, or done without.
        let used = Lock::shared(&dir).ok().flatten();
        let _ = Dir::open_root(&dir).and_then(|opened| {
            let now = clock::now().0;
            let secs = now / 1_000_000_000;
            if (secs - opened.stat_self()?.mtime.secs).abs() > NOTED_SECS {
                opened.at().set_mtime(Stamp { secs, nanos: 0 })?;
            }
            Ok(())
        });
        Some(Self { dir, _used: used })
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }
}

/// Whether `name` is what the place of a repository is called.
pub fn is_own_place(name: &[u8]) -> bool {
    name.len() == DIGITS && name.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}
