//! A directory with nothing pending: its object, its place in its parent.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::directory::key_of;
use super::node::{Inner, Node, Own};
use super::slots::{Place, Slice, Slots, are_all, are_same, parted};
use super::{Keep, Scan};
use crate::repository::ChunkId;
use crate::snapshot::SnapshotError;
use crate::tree::statcache::{Block, Held, Mark};
use crate::tree::{Entry, Kind, Meta, Mtime, TreeError, manifest};

impl Scan<'_, '_> {
    /// One thing in `node` is done. If it was the last, its object is made, and its parent has one
    /// thing less to do, and so on up.
    pub(super) fn release(&self, mut node: Arc<Node>) -> Result<(), SnapshotError> {
        while node.release() {
            let inner = std::mem::replace(
                &mut *node.lock(),
                Inner { parent: None, slots: Slots::default(), own: None },
            );
            let slot = match inner.own {
                None => None,
                Some(own) => Some(self.make_whole(&node, own, inner.slots)?),
            };
            let Some((parent, at)) = inner.parent else {
                *self.whole.lock().expect("no holder of this lock panics") = slot;
                return Ok(());
            };
            let place = Self::place(&parent, slot);
            self.put(&parent, [(at, place)]);
            node = parent;
        }
        Ok(())
    }

    fn make_whole(
        &self,
        node: &Node,
        own: Own,
        slots: Slots,
    ) -> Result<(Entry, Mark), SnapshotError> {
        self.tally.directories.add(1);
        let name = node.path.as_ref().map_or(&b"root"[..], |path| path.name());
        let mark = Mark::new(&own.stat, self.began);
        let (kind, leaves_time_out) = if own.is_skipped {
            (Kind::SkippedDirectory, true)
        } else {
            let (object, has_database) = match slots.into_parts() {
                Err(slots) => self.held(node, slots)?,
                Ok(slices) => self.wide(node, slices)?,
            };
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

    /// The object of a directory whose entries are in memory, and whether it holds a database.
    fn held(&self, node: &Node, slots: Vec<Place>) -> Result<(ChunkId, bool), SnapshotError> {
        let databases = self.databases_in(node);
        let has_database = !databases.is_empty();
        if !has_database && let Some(object) = self.same(node, &slots)? {
            return Ok((object, false));
        }
        let holds_all = !has_database && are_all(&slots);
        let (mut entries, mut marks) = parted(node, slots);
        for entry in databases {
            add_database(&mut entries, &mut marks, entry);
        }
        let object = self.object_of(node, &entries)?;
        let block = Block { object, entries, marks, holds_all };
        self.task.new.add(key_of(node), &block);
        self.note_owners(block.entries.iter().map(owner_of));
        Ok((object, has_database))
    }

    /// The object of a directory in which everything is what is remembered of it, if that is still
    /// stored.
    fn same(&self, node: &Node, slots: &[Place]) -> Result<Option<ChunkId>, SnapshotError> {
        let Some(held) = node.held_before() else { return Ok(None) };
        let Some(place) = held.place else { return Ok(None) };
        if !are_same(slots, held) || !self.is_kept(&held.object)? {
            return Ok(None);
        }
        self.task.new.add_again(place);
        self.note_owners(held.owners());
        Ok(Some(held.object))
    }

    /// Whether a directory object need not be made again.
    fn is_kept(&self, object: &ChunkId) -> Result<bool, SnapshotError> {
        Ok(match self.workers.keep {
            Keep::Hash(_) => true,
            Keep::Store(_) => self.repository().contains(object)?,
        })
    }

    /// The same of a wide directory, slice by slice.
    fn wide(&self, node: &Node, slices: Vec<Slice>) -> Result<(ChunkId, bool), SnapshotError> {
        let databases = self.databases_in(node);
        let has_database = !databases.is_empty();
        let mut databases = databases.into_iter().peekable();
        let mut writer = manifest::DirectoryWriter::default();
        let mut runs = Vec::with_capacity(slices.len());
        let last = slices.len().saturating_sub(1);
        for (number, slice) in slices.into_iter().enumerate() {
            let (mut run, mut entries, mut marks) = match slice.into_run() {
                Err(slots) => {
                    let (entries, marks) = parted(node, slots);
                    (None, entries, marks)
                }
                Ok(run) => {
                    let block = self.task.new.take_up(&run);
                    let block = block.map_err(TreeError::io("list", self.task.path))?;
                    (Some(run), block.entries, block.marks)
                }
            };
            let end = entries.last().map(|entry| entry.name.clone());
            while let Some(entry) =
                databases.next_if(|entry| number == last || Some(&entry.name) < end.as_ref())
            {
                add_database(&mut entries, &mut marks, entry);
                run = None;
            }
            let run = run.or_else(|| self.task.new.put_aside(&entries, &marks));
            runs.extend(run);
            self.note_owners(entries.iter().map(owner_of));
            for entry in entries {
                writer.push(entry, |raw| self.with_hands(|hands| hands.take_object(raw, None)))?;
            }
        }
        let object = writer.finish(|raw| self.with_hands(|hands| hands.take_object(raw, None)))?;
        self.task.new.add_wide(key_of(node), &object, &runs);
        Ok((object, has_database))
    }

    /// The databases that are declared in a directory, whether their files are there now or not.
    fn databases_in(&self, node: &Node) -> Vec<Entry> {
        if self.task.exclusions.rules().databases.is_empty() {
            return Vec::new();
        }
        let declared = self.task.exclusions.databases_in(node.path.as_ref());
        let entry = |(file, name): (&[u8], &str)| {
            self.tally.others.add(1);
            let kind = Kind::Database { name: name.to_owned() };
            Entry { name: file.into(), meta: Meta::default(), kind, link_group: None }
        };
        let mut databases: Vec<Entry> = declared.map(entry).collect();
        databases.sort_by(|a, b| a.name.cmp(&b.name));
        databases
    }

    /// Equal entries have the object they had. It need not be made again if it is stored.
    fn object_of(&self, node: &Node, entries: &[Entry]) -> Result<ChunkId, SnapshotError> {
        let is_same = |before: &&Held| {
            let pairs = entries.iter().enumerate();
            before.len() == entries.len()
                && pairs.into_iter().all(|(at, entry)| *before.entry(at) == *entry)
        };
        let before = node.held_before().filter(is_same);
        if let Some(before) = before
            && self.is_kept(&before.object)?
        {
            return Ok(before.object);
        }
        // The leaves of a directory that has several build on none of its leaves of before: which
        // one that would be is not known here, and most of them are what they were anyhow.
        let before = node.before.get().map(|before| *before.object());
        Ok(self.with_hands(|hands| {
            manifest::put_directory(entries, |raw| hands.take_object(raw, before.as_ref()))
        })?)
    }

    fn note_owners(&self, owners: impl Iterator<Item = (u32, u32)>) {
        let mut last = None;
        for owner in owners {
            if last != Some(owner) {
                self.owners.lock().expect("no holder of this lock panics").insert(owner);
                last = Some(owner);
            }
        }
    }
}

/// Puts a database where its name says.
fn add_database(entries: &mut Vec<Entry>, marks: &mut Vec<Mark>, entry: Entry) {
    let at = entries.partition_point(|other| other.name < entry.name);
    entries.insert(at, entry);
    marks.insert(at, Mark::nothing());
}

const fn owner_of(entry: &Entry) -> (u32, u32) {
    (entry.meta.uid, entry.meta.gid)
}
