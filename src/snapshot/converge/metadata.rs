//! Metadata of what was there before, and of directories: last, for every change below a directory
//! changes its time.

use std::io;
use std::os::fd::AsFd;

use rayon::prelude::*;

use super::act::{Act, ITEMS_TOGETHER, Lane};
use super::{Differences, Dress, DressedKind};
use crate::os::crash::{CrashPoint, reach};
use crate::os::meta::{At, InodeFlags, Stamp, set_flags};
use crate::snapshot::SnapshotError;
use crate::tree::TreePath;
use crate::tree::place::{self, Loss};

impl Act<'_> {
    /// Metadata, the deepest first: a directory may end up closed to us.
    /// What lies equally deep does not touch each other.
    pub(super) fn put_metadata(&self, work: &Differences) -> Result<(), SnapshotError> {
        let depth = |path: &Option<TreePath>| path.as_ref().map_or(0, |path| path.parts().count());
        // The order of the tree within a level: neighbours share a directory.
        let numbered = work.metadata.iter().enumerate();
        let mut dressed: Vec<_> = numbered.map(|(at, (path, _))| (depth(path), at)).collect();
        dressed.sort_unstable();
        let timed = work.touched.iter().filter(|(path, _)| !work.dresses(path.as_ref()));
        let mut timed: Vec<_> = timed.map(|(path, mtime)| (depth(path), path, *mtime)).collect();
        timed.sort_by_key(|(depth, ..)| *depth);
        let deepest = dressed.last().map(|last| last.0).max(timed.last().map(|last| last.0));
        for level in (0..=deepest.unwrap_or(0)).rev() {
            let dressed = dressed.split_off(dressed.partition_point(|(depth, _)| *depth < level));
            let timed = timed.split_off(timed.partition_point(|(depth, ..)| *depth < level));
            dressed.par_chunks(ITEMS_TOGETHER).try_for_each(|few| {
                let mut place = Lane::new(self);
                for (_, at) in few {
                    let (path, dress) = &work.metadata[*at];
                    self.put_meta_of(&mut place, path.as_ref(), dress)?;
                    reach(CrashPoint::ConvergeMetadata);
                }
                Ok::<(), SnapshotError>(())
            })?;
            timed.par_chunks(ITEMS_TOGETHER).try_for_each(|few| {
                for (_, path, mtime) in few {
                    self.put_time_of(path.as_ref(), *mtime)?;
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
        dress: &Dress,
    ) -> Result<(), SnapshotError> {
        let Some(inside) = path else {
            let done = place::put_meta(self.root.at(), &dress.meta);
            self.note(None, None, done.map_err(self.at("put metadata of", None))?);
            return Ok(());
        };
        let handle = place.dir(inside.parent().as_ref())?.handle(inside.name());
        let handle = handle.map_err(self.at("open", path))?;
        let done = match dress.on {
            DressedKind::Link => place::put_link_meta(At::Handle(&handle), &dress.meta),
            _ => place::put_meta(At::Handle(&handle), &dress.meta),
        };
        // What has several names is never given metadata here.
        self.note(path, None, done.map_err(self.at("put metadata of", path))?);
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
        for (path, flags) in &self.plan.annex.flags {
            if work.changes(path.as_ref()) {
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
