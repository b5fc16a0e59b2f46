//! What is known of a directory and its names before they are looked at.

use std::collections::BTreeSet;

use super::directory::key_of;
use super::node::Node;
use super::slots::Window;
use super::{Made, Scan};
use crate::os::meta::Stat;
use crate::os::names::Names;
use crate::tree::read::read_narrow;
use crate::tree::statcache::{Block, Mark, Recalled};
use crate::tree::walk::Walker;
use crate::tree::{Entry, Kind, TreePath};

/// What is known of a name.
#[derive(Clone, Copy)]
pub(super) struct Before<'x> {
    pub(super) entry: &'x Entry,
    pub(super) mark: Mark,
    /// Which entry of its directory it was, if all of them are held.
    pub(super) number: Option<u32>,
}

impl<'x> Before<'x> {
    /// What was compared a moment ago, and is as stat says.
    const fn as_seen(entry: &'x Entry, stat: &Stat) -> Self {
        let (mtime, ctime, inode, links) = (stat.mtime, stat.ctime, stat.inode, stat.links);
        let mark = Mark { mtime, ctime, inode, links, is_racy: false };
        Self { entry, mark, number: None }
    }
}

impl Scan<'_, '_> {
    /// What is known of a directory; `before` is its own entry.
    pub(super) fn known(&self, node: &Node, before: Option<&(Entry, Mark)>) -> Option<Recalled> {
        let Some(made) = &self.task.made else { return self.task.new.old()?.recall(key_of(node)) };
        let own = if node.path.is_none() { made.root } else { &before?.0 };
        let Kind::Directory { object } = own.kind else { return None };
        // What cannot be read, or is too wide to be held, is not known: its files are read instead.
        let entries = read_narrow(self.repository(), &object).ok()??;
        let marks = vec![Mark::nothing(); entries.len()];
        let block = Block { object, entries, marks, holds_all: false };
        Some(Recalled::Whole(block.into()))
    }

    /// The names in a directory that need not be listed: by its own times no name came and none
    /// went since it was. `before` is its own entry, `stat` what it is now.
    pub(super) fn names_before(
        &self,
        node: &Node,
        before: Option<&(Entry, Mark)>,
        stat: &Stat,
    ) -> Option<Names> {
        let (entry, mark) = before?;
        let held = node.held_before()?;
        let is_its = matches!(entry.kind, Kind::Directory { object } if object == held.object);
        let is_same = !mark.is_racy && mark.fits(entry, stat);
        let is_listed = self.task.walker == Walker::Walkdir || !self.tells_names;
        (is_its && is_same && held.holds_all && !is_listed).then(|| held.names().collect())
    }

    /// What `name`, which is no directory, was when it was read, and what stat said of it.
    pub(super) fn read_before<'x>(
        &'x self,
        node: &'x Node,
        name: &[u8],
        stat: &Stat,
        window: &'x mut Window,
    ) -> Option<Before<'x>> {
        let before = self.before(node, name, window);
        if let Some(Made { files, .. }) = self.task.made {
            let entry = before?.entry;
            return files.holds(entry, stat).then(|| Before::as_seen(entry, stat));
        }
        let Some(put) = self.task.put else { return before };
        if before.is_some_and(|before| before.mark.fits(before.entry, stat)) {
            return before;
        }
        let entry = put.at(&Self::path_of(node, name));
        let entry = entry.filter(|entry| put.files.holds(entry, stat));
        entry.map(|entry| Before::as_seen(entry, stat)).or(before)
    }

    /// Whether a directory need not be listed: nobody touched what is in it since it was.
    pub(super) fn is_settled(
        &self,
        path: &TreePath,
        (entry, mark): &(Entry, Mark),
        stat: &Stat,
    ) -> bool {
        let is_touched = |touched: &BTreeSet<_>| touched.contains(&Some(path.clone()));
        self.task.touched.is_some_and(|touched| !is_touched(touched))
            && matches!(entry.kind, Kind::Directory { .. })
            && !mark.is_racy
            && mark.fits(entry, stat)
    }
}
