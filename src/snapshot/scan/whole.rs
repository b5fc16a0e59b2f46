//! A directory with nothing pending: its object, its place in its parent.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::directory::key_of;
use super::node::{Inner, Node, Own, Slot};
use super::{Keep, Scan};
use crate::repository::ChunkId;
use crate::snapshot::SnapshotError;
use crate::tree::statcache::Mark;
use crate::tree::{Entry, Kind, Meta, Mtime, manifest};

impl Scan<'_, '_> {
    /// One thing in `node` is done. If it was the last, its object is made, and its parent has one
    /// thing less to do, and so on up.
    pub(super) fn release(&self, mut node: Arc<Node>) -> Result<(), SnapshotError> {
        while node.release() {
            let inner = std::mem::replace(
                &mut *node.lock(),
                Inner { parent: None, slots: Vec::new(), own: None },
            );
            let slot = match inner.own {
                None => None,
                Some(own) => Some(self.make_whole(&node, own, inner.slots)?),
            };
            let Some((parent, at)) = inner.parent else {
                *self.whole.lock().expect("no holder of this lock panics") = slot;
                return Ok(());
            };
            parent.lock().slots[at] = slot;
            node = parent;
        }
        Ok(())
    }

    fn make_whole(
        &self,
        node: &Node,
        own: Own,
        slots: Vec<Slot>,
    ) -> Result<(Entry, Mark), SnapshotError> {
        self.tally.directories.add(1);
        let name = node.path.as_ref().map_or(&b"root"[..], |path| path.name());
        let mark = Mark::new(&own.stat, self.began);
        let (kind, leaves_time_out) = if own.is_skipped {
            (Kind::SkippedDirectory, true)
        } else {
            let (entries, marks, has_database) = self.with_databases(node, slots);
            let object = self.object_of(node, &entries)?;
            self.task.new.add(key_of(node), &object, &entries, &marks);
            self.note_owners(&entries);
            let holds = node.holds_left_out.load(Ordering::Relaxed);
            let path = node.path.as_ref();
            let holds = has_database || holds;
            (Kind::Directory { object }, self.task.exclusions.leaves_time_out(path, holds))
        };
        let mut mtime: Mtime = own.stat.mtime.into();
        if leaves_time_out {
            self.annex(|annex| {
                annex.directory_mtimes.insert(node.path.clone(), mtime);
            });
            mtime = Mtime::default();
        }
        let (mode, uid, gid) = (own.stat.mode, own.stat.uid, own.stat.gid);
        let meta = Meta { mode, uid, gid, mtime, xattrs: own.xattrs };
        Ok((Entry { name: name.into(), meta, kind, link_group: None }, mark))
    }

    /// The entries in order, with the databases that are declared here, whether their files are
    /// there now or not.
    fn with_databases(&self, node: &Node, slots: Vec<Slot>) -> (Vec<Entry>, Vec<Mark>, bool) {
        let mut marks: Vec<Mark> = slots.iter().flatten().map(|(_, mark)| *mark).collect();
        // The entries stay in the memory of the slots: of 300,000 names in one directory each
        // further copy is 40 MB.
        let entry = |slot: Slot| slot.map(|(entry, _)| entry);
        let mut entries: Vec<Entry> = slots.into_iter().filter_map(entry).collect();
        let mut has_database = false;
        if self.task.exclusions.rules().databases.is_empty() {
            return (entries, marks, false);
        }
        for (file, name) in self.task.exclusions.databases_in(node.path.as_ref()) {
            has_database = true;
            let at = entries.partition_point(|entry: &Entry| *entry.name < *file);
            let kind = Kind::Database { name: name.to_owned() };
            let meta = Meta::default();
            entries.insert(at, Entry { name: file.into(), meta, kind, link_group: None });
            marks.insert(at, Mark::nothing());
            self.tally.others.add(1);
        }
        (entries, marks, has_database)
    }

    /// Equal entries have the object they had. It need not be made again if it is stored.
    fn object_of(&self, node: &Node, entries: &[Entry]) -> Result<ChunkId, SnapshotError> {
        let before = node.before.get().filter(|before| before.entries == entries);
        if let Some(before) = before {
            let is_enough = match self.workers.keep {
                Keep::Hash(_) => true,
                Keep::Store(_) => self.repository().contains(&before.object)?,
            };
            if is_enough {
                return Ok(before.object);
            }
        }
        // The leaves of a directory that has several build on none of its leaves of before: which
        // one that would be is not known here, and most of them are what they were anyhow.
        let before = node.before.get().map(|before| before.object);
        Ok(self.with_hands(|hands| {
            manifest::put_directory(entries, |raw| hands.take_object(raw, before.as_ref()))
        })?)
    }

    fn note_owners(&self, entries: &[Entry]) {
        let mut last = None;
        for entry in entries {
            let owner = (entry.meta.uid, entry.meta.gid);
            if last != Some(owner) {
                self.owners.lock().expect("no holder of this lock panics").insert(owner);
                last = Some(owner);
            }
        }
    }
}
