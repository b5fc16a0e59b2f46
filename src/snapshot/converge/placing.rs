//! Puts what was written aside where it belongs, and notes what was compared before.

use std::io;

use super::Item;
use super::act::{Act, Lane, unlock};
use super::aside::{Aside, Spot, remove_if_any};
use crate::os::beneath::Dir;
use crate::os::crash::{CrashPoint, reach};
use crate::os::meta::Inode;
use crate::snapshot::SnapshotError;
use crate::snapshot::written::Written;
use crate::tree::Kind;

impl Act<'_> {
    pub(super) fn put_in_place(
        &self,
        place: &mut Lane<'_>,
        aside: &Aside,
        item: &Item,
        spot: Spot,
    ) -> Result<(), SnapshotError> {
        let dir = place.dir(item.path.parent().as_ref())?;
        let (from, name, new_name) = (aside.dir(spot), spot.name(), item.path.name());
        let Some(replaced) = item.replaces else {
            let renamed = from.rename_to_free(&name, dir, new_name);
            renamed.map_err(self.at("put in place", Some(&item.path)))?;
            reach(CrashPoint::ConvergeRenamed);
            return Ok(());
        };
        let now = self.expect_inode(dir, item, replaced.inode)?;
        unlock(dir, new_name, &now);
        if replaced.is_directory {
            self.displace_directory(aside, dir, item)?;
        }
        let renamed = from.rename_over(&name, dir, new_name);
        renamed.map_err(self.at("put in place", Some(&item.path)))?;
        reach(CrashPoint::ConvergeRenamed);
        Ok(())
    }

    /// The inode of a file that was compared where nobody else can reach it, if it may count as
    /// compared once it has its name.
    pub(super) fn compared_aside(
        &self,
        aside: &Aside,
        item: &Item,
        spot: Spot,
    ) -> Result<Option<Inode>, SnapshotError> {
        let is_file = matches!(item.entry.kind, Kind::File { .. });
        let is_alone = item.link_to.is_none() && item.entry.link_group.is_none();
        let is_whole = || {
            let losses = self.losses.lock().expect("no holder of this lock panics");
            losses.counts.count() == 0
        };
        // Where its holes are is to be seen by reading it.
        let has_holes = || self.plan.annex.data_ranges.contains_key(&Some(item.path.clone()));
        if !is_file || !is_alone || has_holes() || !is_whole() {
            return Ok(None);
        }
        let stat = aside.dir(spot).stat(&spot.name());
        Ok(Some(stat.map_err(self.at("look at", Some(&item.path)))?.inode))
    }

    /// Notes it, now that it has its name. Who changes it from here on changes one of its times too.
    pub(super) fn note_written(
        &self,
        place: &mut Lane<'_>,
        item: &Item,
        inode: Inode,
        written: &Written,
    ) -> Result<(), SnapshotError> {
        let dir = place.dir(item.path.parent().as_ref())?;
        let stat = dir.stat_if_any(item.path.name());
        // Somebody may have put another one there already: that is told by who looks again.
        if let Some(stat) = stat.map_err(self.at("look at", Some(&item.path)))?
            && stat.inode == inode
        {
            written.note(&item.entry, &stat);
        }
        Ok(())
    }

    fn displace_directory(
        &self,
        aside: &Aside,
        dir: &Dir,
        item: &Item,
    ) -> Result<(), SnapshotError> {
        let moved = aside.displace(dir, item.path.name());
        let moved = match moved {
            // A directory of an overlay's lower layer cannot be moved; what is in it may go.
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                remove_if_any(dir, item.path.name())
            }
            other => other,
        };
        moved.map_err(self.at("move aside", Some(&item.path)))
    }
}
