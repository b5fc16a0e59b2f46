//! Metadata of what was there before, and of directories: last, for every change below a directory
//! changes its time.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::AsFd;

use rayon::prelude::*;

use super::Differences;
use super::act::{Act, ITEMS_TOGETHER, Lane};
use crate::os::crash::{CrashPoint, reach};
use crate::os::meta::{At, InodeFlags, Stamp, set_flags};
use crate::snapshot::SnapshotError;
use crate::tree::place::{self, Loss};
use crate::tree::{Entry, Kind, TreePath};

impl Act<'_> {
    /// Metadata, the deepest first: a directory may end up closed to us.
    /// What lies equally deep does not touch each other.
    pub(super) fn put_metadata(&self, work: &Differences) -> Result<(), SnapshotError> {
        let mut levels: BTreeMap<usize, BTreeSet<&Option<TreePath>>> = BTreeMap::new();
        for path in work.metadata.keys().chain(work.touched.keys()) {
            let depth = path.as_ref().map_or(0, |path| path.parts().count());
            levels.entry(depth).or_default().insert(path);
        }
        for level in levels.into_values().rev() {
            let level: Vec<_> = level.into_iter().collect();
            level.par_chunks(ITEMS_TOGETHER).try_for_each(|paths| {
                let mut place = Lane::new(self);
                for path in paths {
                    match (work.metadata.get(path), work.touched.get(path)) {
                        (Some(entry), _) => self.put_meta_of(&mut place, path.as_ref(), entry)?,
                        (None, Some(mtime)) => self.put_time_of(path.as_ref(), *mtime)?,
                        (None, None) => {}
                    }
                    reach(CrashPoint::ConvergeMetadata);
                }
                Ok::<(), SnapshotError>(())
            })?;
        }
        self.put_flags(work)
    }

    fn put_meta_of(
        &self,
        place: &mut Lane<'_>,
        path: Option<&TreePath>,
        entry: &Entry,
    ) -> Result<(), SnapshotError> {
        let Some(inside) = path else {
            let done = place::put_meta(self.root.at(), &entry.meta);
            self.note(None, None, done.map_err(self.at("put metadata of", None))?);
            return Ok(());
        };
        let handle = place.dir(inside.parent().as_ref())?.handle(inside.name());
        let handle = handle.map_err(self.at("open", path))?;
        let done = match entry.kind {
            Kind::Symlink { .. } => place::put_link_meta(At::Handle(&handle), &entry.meta),
            _ => place::put_meta(At::Handle(&handle), &entry.meta),
        };
        self.note(path, Some(entry), done.map_err(self.at("put metadata of", path))?);
        Ok(())
    }

    fn put_time_of(&self, path: Option<&TreePath>, mtime: Stamp) -> Result<(), SnapshotError> {
        let dir = match path {
            None => self.root.again(),
            Some(path) => self.root.open_beneath(path.as_bytes()),
        };
        let done = match dir {
            // A directory that was to stay may have gone meanwhile with what was in it.
            Err(gone) if gone.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(dir) => dir.at().set_mtime(mtime),
        };
        done.map_err(self.at("put the time of", path))
    }

    /// `chattr +i` and `+a` last: nothing can be done to such a file afterwards.
    fn put_flags(&self, work: &Differences) -> Result<(), SnapshotError> {
        let made = work.items.iter().chain(&work.directories).map(|item| Some(item.path.clone()));
        let made: BTreeSet<_> = made.chain(work.metadata.keys().cloned()).collect();
        for (path, flags) in &self.plan.annex.flags {
            if made.contains(path) {
                self.put_flags_of(path.as_ref(), *flags)?;
            }
        }
        Ok(())
    }

    pub(super) fn put_flags_of(
        &self,
        path: Option<&TreePath>,
        flags: InodeFlags,
    ) -> Result<(), SnapshotError> {
        let set = match path {
            None => set_flags(&self.root, flags),
            Some(path) => {
                let parent = match path.parent() {
                    None => self.root.again(),
                    Some(parent) => self.root.open_beneath(parent.as_bytes()),
                };
                let parent = parent.map_err(self.at("open", Some(path)))?;
                match parent.open_file(path.name()) {
                    Ok(file) => set_flags(file.as_fd(), flags),
                    Err(error) => Err(error),
                }
            }
        };
        if set.is_err() {
            self.note(path, None, vec![Loss::Flags]);
        }
        Ok(())
    }
}
