//! A directory under way: its slots fill in any order, and when the last is done it is whole.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use super::slots::Slots;
use crate::os::meta::Stat;
use crate::tree::statcache::{Held, Mark, Recalled};
use crate::tree::{Entry, TreePath, Xattr};

/// An entry as it was found; nothing if it vanished, or could not be read.
pub(super) type Slot = Option<(Entry, Mark)>;

/// A directory under way.
pub(super) struct Node {
    /// `None` for the root.
    pub(super) path: Option<TreePath>,
    /// What its entries were when they were last read.
    pub(super) before: OnceLock<Recalled>,
    /// It directly holds something that is left out, so its time is no part of the tree.
    pub(super) holds_left_out: AtomicBool,
    /// Itself, its slices, directories below and link groups that are not done.
    pending: AtomicUsize,
    inner: Mutex<Inner>,
}

pub(super) struct Inner {
    /// Taken out before the node goes, so that a deep tree is not dropped on the stack.
    pub(super) parent: Option<(Arc<Node>, usize)>,
    pub(super) slots: Slots,
    /// The directory itself; unset if it could not be opened.
    pub(super) own: Option<Own>,
}

/// What a directory is without its entries.
pub(super) struct Own {
    pub(super) stat: Stat,
    pub(super) xattrs: Vec<Xattr>,
    /// It is listed, and its inside is not.
    pub(super) is_skipped: bool,
}

impl Node {
    pub(super) fn new(path: Option<TreePath>, parent: Option<(Arc<Self>, usize)>) -> Arc<Self> {
        Arc::new(Self {
            path,
            before: OnceLock::new(),
            holds_left_out: AtomicBool::new(false),
            pending: AtomicUsize::new(1),
            inner: Mutex::new(Inner { parent, slots: Slots::default(), own: None }),
        })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no holder of this lock panics")
    }

    /// What its entries were, if all of them are held.
    pub(super) fn held_before(&self) -> Option<&Held> {
        match self.before.get()? {
            Recalled::Whole(held) => Some(held),
            Recalled::Wide(_) => None,
        }
    }

    /// One thing more is not done.
    pub(super) fn hold(&self) {
        self.pending.fetch_add(1, Ordering::Relaxed);
    }

    /// One thing is done. `true` if it was the last: the directory is whole.
    pub(super) fn release(&self) -> bool {
        self.pending.fetch_sub(1, Ordering::AcqRel) == 1
    }
}
