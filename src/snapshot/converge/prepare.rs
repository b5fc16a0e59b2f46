//! Writes aside all that is to come, makes it durable, and reads it again. Nothing of the tree is
//! changed by it.

use std::collections::BTreeMap;
use std::io;
use std::sync::Mutex;
use std::thread;

use rayon::prelude::*;

use super::act::{Act, Lane};
use super::aside::{Aside, Spot};
use super::content::{Filling, Groups, Room, WriteError};
use super::{Differences, Item};
use crate::monitor::Counter;
use crate::os::beneath::Dir;
use crate::os::crash::{CrashPoint, reach};
use crate::os::crew::beside;
use crate::repository::{BaseFrames, Extent, Frame, Place};
use crate::snapshot::SnapshotError;
use crate::snapshot::written::Written;
use crate::tree::place::{self, Loss};
use crate::tree::{Entry, Kind, TreePath};

/// What comparing takes.
pub(super) struct Comparing<'a> {
    /// Where it is noted.
    pub(super) written: &'a Written,
    pub(super) room: &'a mut Room,
}

impl Act<'_> {
    /// Writes aside all that is to come, makes it durable, and reads it again.
    pub(super) fn prepare(
        &self,
        work: &Differences,
        aside: &Aside,
    ) -> Result<Vec<Option<Spot>>, SnapshotError> {
        let spots = self.write_all(work, aside)?;
        reach(CrashPoint::ConvergeWritten);
        // The disk has to do with the one, the cores with the other.
        let (synced, compared) = thread::scope(|scope| {
            let syncing = beside(scope, || self.sync());
            let compared = self.compare_all(work, aside, &spots);
            let synced = syncing.map_or_else(
                || self.sync(),
                |syncing| syncing.join().expect("a sync does not panic"),
            );
            (synced, compared)
        });
        synced?;
        compared?;
        reach(CrashPoint::ConvergeSynced);
        Ok(spots)
    }

    /// Writes everything that is to come into the aside directory; where each item is. What could
    /// not be made for want of a right has no place.
    fn write_all(
        &self,
        work: &Differences,
        aside: &Aside,
    ) -> Result<Vec<Option<Spot>>, SnapshotError> {
        let own = work.items.iter().enumerate().filter(|(_, item)| item.link_to.is_none());
        let own = own.map(|(index, item)| (index, &item.entry));
        let groups = Groups::new(self.repository, &mut BaseFrames::default(), own)?;
        let spots = Mutex::new(vec![None; work.items.len()]);
        groups.families().into_par_iter().flat_map_iter(|family| family).try_for_each(|group| {
            let place = group.first().and_then(|(place, _)| place.as_ref());
            // If the frame cannot be had, each file says so, or finds another copy.
            let frame = place.and_then(|place| self.repository.frame(place).ok());
            let mut made = Vec::with_capacity(group.len());
            for (place, index) in group {
                let frame = frame.as_deref().zip(place.as_ref());
                let item = &work.items[*index];
                made.push((*index, self.write_aside(aside, item, frame)?));
            }
            let mut spots = spots.lock().expect("no holder of this lock panics");
            for (index, spot) in made {
                spots[index] = spot;
            }
            Ok::<_, SnapshotError>(())
        })?;
        let mut spots = spots.into_inner().expect("no holder of this lock panics");
        self.link_all(work, aside, &mut spots)?;
        Ok(spots)
    }

    fn write_aside(
        &self,
        aside: &Aside,
        item: &Item,
        frame: Option<(&Frame, &Place)>,
    ) -> Result<Option<Spot>, SnapshotError> {
        let spot = aside.spot();
        let filling = Filling { repository: self.repository, annex: &self.plan.annex, frame };
        let is_made =
            self.create(aside.dir(spot), &spot.name(), &item.path, &item.entry, &filling)?;
        Ok(is_made.then_some(spot))
    }

    /// Creates an entry with all its metadata; whether it could be made at all.
    pub(super) fn create(
        &self,
        dir: &Dir,
        name: &[u8],
        path: &TreePath,
        entry: &Entry,
        filling: &Filling<'_>,
    ) -> Result<bool, SnapshotError> {
        if matches!(entry.kind, Kind::File { .. }) {
            self.create_file(dir, name, path, entry, filling, None)?;
            return Ok(true);
        }
        let made = place::create(dir, name, entry, |_| Ok(()));
        let losses = made.map_err(self.at("write", Some(path)))?;
        let is_made = !losses.contains(&Loss::Special);
        self.note(Some(path), Some(entry), losses);
        Ok(is_made)
    }

    /// Creates a file with all its metadata. With `comparing` its bytes are compared, and it is noted
    /// if nothing of it was lost.
    pub(super) fn create_file(
        &self,
        dir: &Dir,
        name: &[u8],
        path: &TreePath,
        entry: &Entry,
        filling: &Filling<'_>,
        comparing: Option<Comparing<'_>>,
    ) -> Result<(), SnapshotError> {
        let mut failure = None;
        let mut is_compared = false;
        let (written, room) = comparing.map(|it| (it.written, it.room)).unzip();
        let made = place::create_file(dir, name, entry, |file| {
            match filling.write(file, Some(path), entry, room) {
                Ok(compared) => {
                    is_compared = compared;
                    Ok(())
                }
                Err(WriteError::Io(error)) => Err(error),
                Err(WriteError::Repository(error)) => {
                    failure = Some(error);
                    Err(io::Error::other("its content cannot be had"))
                }
            }
        });
        if let Some(error) = failure {
            return Err(error.into());
        }
        let (stat, losses) = made.map_err(self.at("write", Some(path)))?;
        if let Some(written) = written.filter(|_| is_compared && losses.is_empty()) {
            written.note(entry, &stat);
        }
        self.note(Some(path), Some(entry), losses);
        if let Kind::File { size, .. } = entry.kind {
            self.monitor.count(Counter::FilesWritten, 1);
            self.monitor.count(Counter::BytesWritten, size);
        }
        Ok(())
    }

    /// Further names: of what was just written, or of what is live and stays.
    fn link_all(
        &self,
        work: &Differences,
        aside: &Aside,
        spots: &mut [Option<Spot>],
    ) -> Result<(), SnapshotError> {
        let mut written: BTreeMap<&TreePath, Spot> = BTreeMap::new();
        for (item, spot) in work.items.iter().zip(&*spots) {
            if let (None, Some(spot)) = (&item.link_to, spot) {
                written.insert(&item.path, *spot);
            }
        }
        let mut place = Lane::new(self);
        for (index, item) in work.items.iter().enumerate() {
            let Some(source) = &item.link_to else { continue };
            let spot = aside.spot();
            let (from, name) = if let Some(written) = written.get(source) {
                (aside.dir(*written), written.name())
            } else {
                (place.dir(source.parent().as_ref())?, source.name().to_vec())
            };
            let linked = aside.dir(spot).link_from(from, &name, &spot.name());
            linked.map_err(self.at("link", Some(&item.path)))?;
            spots[index] = Some(spot);
        }
        Ok(())
    }

    /// Reads again what was written aside: what the disk took must be what is wanted.
    fn compare_all(
        &self,
        work: &Differences,
        aside: &Aside,
        spots: &[Option<Spot>],
    ) -> Result<(), SnapshotError> {
        work.items.par_iter().zip(spots).try_for_each_init(
            || self.repository.content_hasher(),
            |hasher, (item, spot)| {
                let (Kind::File { size, content }, None, Some(spot)) =
                    (&item.entry.kind, &item.link_to, spot)
                else {
                    return Ok(());
                };
                let file = aside.dir(*spot).open_file(&spot.name());
                let mut file = file.map_err(self.at("read again", Some(&item.path)))?;
                let found = hasher.hash(&mut file, Extent::ToEnd)?;
                if found == (*content, *size) {
                    return Ok(());
                }
                Err(SnapshotError::WrittenWrong { path: self.plan.full(Some(&item.path)) })
            },
        )
    }
}
