//! The entries of a directory under way. Those of a wide one do not stay in memory: a slice of them
//! is put aside as soon as it is whole.

use std::borrow::Cow;
use std::ops::Range;

use super::Scan;
use super::before::Before;
use super::inode::has_extras;
use super::node::{Node, Slot};
use crate::os::meta::Stat;
use crate::tree::Entry;
use crate::tree::statcache::{Block, Held, Mark, Recalled, Run};

/// So many names are one piece of work; a larger directory is shared.
pub(super) const SLICE_NAMES: usize = 512;
/// A directory with more names is wide: of a million, all entries and what they were before took
/// 800 MB.
const HELD_NAMES_MAX: usize = 8 * SLICE_NAMES;

/// What was found under a name of a directory.
#[derive(Clone, Default)]
pub(super) enum Place {
    /// It vanished, or could not be read.
    #[default]
    Nothing,
    /// What is remembered of it, to the last mark: its number among those that are held. Nothing
    /// is made anew for it.
    Same(u32),
    Found(Box<(Entry, Mark)>),
}

impl From<Slot> for Place {
    fn from(slot: Slot) -> Self {
        slot.map_or(Self::Nothing, |found| Self::Found(Box::new(found)))
    }
}

/// One slot for each name, in their order.
#[derive(Default)]
pub(super) struct Slots {
    slices: Vec<Slice>,
    is_wide: bool,
}

/// The slots of one piece of work.
pub(super) struct Slice {
    /// None before the first is put, and once they are put aside.
    slots: Vec<Place>,
    names: usize,
    /// So many are not put yet.
    left: usize,
    run: Option<Run>,
}

/// A slice of a wide directory that is whole.
pub(super) struct Full {
    number: usize,
    slots: Vec<Place>,
}

impl Slots {
    /// For so many names.
    pub(super) fn new(names: usize) -> Self {
        let slice = |range: Range<usize>| Slice {
            slots: Vec::new(),
            names: range.len(),
            left: range.len(),
            run: None,
        };
        Self { slices: slices(names).map(slice).collect(), is_wide: names > HELD_NAMES_MAX }
    }

    /// Puts what was found under a name, which is done once for each; a slice that is thereby whole
    /// is to be put aside.
    fn put(&mut self, at: usize, found: Place) -> Option<Full> {
        let number = at / SLICE_NAMES;
        let slice = &mut self.slices[number];
        if slice.slots.is_empty() {
            slice.slots = vec![Place::Nothing; slice.names];
        }
        slice.slots[at % SLICE_NAMES] = found;
        slice.left -= 1;
        let is_full = self.is_wide && slice.left == 0;
        is_full.then(|| Full { number, slots: std::mem::take(&mut slice.slots) })
    }

    /// The slices, if there are too many to be held.
    pub(super) fn into_parts(self) -> Result<Vec<Slice>, Vec<Place>> {
        if self.is_wide {
            return Ok(self.slices);
        }
        let mut slices = self.slices.into_iter().map(|slice| slice.slots);
        let mut all = slices.next().unwrap_or_default();
        slices.for_each(|slots| all.extend(slots));
        Err(all)
    }
}

impl Slice {
    /// Where its entries are; or, if they could not be put aside, they themselves.
    pub(super) fn into_run(self) -> Result<Run, Vec<Place>> {
        self.run.ok_or(self.slots)
    }
}

/// The pieces of work that so many names make.
pub(super) fn slices(names: usize) -> impl DoubleEndedIterator<Item = Range<usize>> {
    let count = names.div_ceil(SLICE_NAMES);
    (0..count).map(move |n| n * SLICE_NAMES..names.min((n + 1) * SLICE_NAMES))
}

/// Entries and marks apart.
pub(super) fn parted(node: &Node, slots: Vec<Place>) -> (Vec<Entry>, Vec<Mark>) {
    let held = node.held_before();
    let found = |place: Place| match place {
        Place::Nothing => None,
        Place::Same(number) => {
            let (held, number) = (held?, number as usize);
            Some((held.entry(number).into_owned(), held.mark(number)))
        }
        Place::Found(found) => Some(*found),
    };
    slots.into_iter().filter_map(found).unzip()
}

/// Whether each name has an entry.
pub(super) fn are_all(slots: &[Place]) -> bool {
    !slots.iter().any(|place| matches!(place, Place::Nothing))
}

/// Whether all that is remembered is still there, and nothing else.
pub(super) fn are_same(slots: &[Place], before: &Held) -> bool {
    if are_all(slots) != before.holds_all {
        return false;
    }
    let mut left = 0..before.len();
    let is_next = |place: &Place| match place {
        Place::Nothing => true,
        Place::Same(number) => left.next() == Some(*number as usize),
        Place::Found(_) => false,
    };
    slots.iter().all(is_next) && left.is_empty()
}

impl Scan<'_, '_> {
    /// Puts what was found under some names of a directory.
    pub(super) fn put(&self, node: &Node, found: impl IntoIterator<Item = (usize, Place)>) {
        let full: Vec<Full> = {
            let slots = &mut node.lock().slots;
            found.into_iter().filter_map(|(at, slot)| slots.put(at, slot)).collect()
        };
        for Full { number, slots } in full {
            let (entries, marks) = parted(node, slots);
            let run = self.task.new.put_aside(&entries, &marks);
            let slice = &mut node.lock().slots.slices[number];
            if run.is_none() {
                let found = entries.into_iter().zip(marks);
                slice.slots = found.map(|found| Place::Found(Box::new(found))).collect();
            }
            slice.run = run;
        }
    }

    /// What `name` was when it was last read. Whoever asks for one name after the other keeps
    /// `window`.
    pub(super) fn before<'x>(
        &self,
        node: &'x Node,
        name: &[u8],
        window: &'x mut Window,
    ) -> Option<Before<'x>> {
        let block = match node.before.get()? {
            Recalled::Whole(held) => {
                let at = held.position(name, window.next)?;
                window.next = at + 1;
                let entry = match held.entry(at) {
                    Cow::Borrowed(entry) => entry,
                    Cow::Owned(entry) => &*window.entry.insert(entry),
                };
                return Some(Before { entry, mark: held.mark(at), number: u32::try_from(at).ok() });
            }
            Recalled::Wide(wide) => {
                let run = wide.run_of(name)?;
                if window.at != Some(run.offset()) {
                    window.at = Some(run.offset());
                    window.block = self.task.new.old().and_then(|old| old.run(run));
                    window.next = 0;
                }
                window.block.as_ref()?
            }
        };
        let entries = &block.entries;
        let at = match entries.get(window.next) {
            Some(next) if *next.name == *name => window.next,
            _ => entries.binary_search_by(|entry| (*entry.name).cmp(name)).ok()?,
        };
        window.next = at + 1;
        Some(Before { entry: &entries[at], mark: block.marks[at], number: None })
    }

    /// Which of the held entries `name` is, if that shows without looking into the entry.
    pub(super) fn same_at_once(
        &self,
        node: &Node,
        name: &[u8],
        stat: &Stat,
        window: &mut Window,
    ) -> Option<u32> {
        let held = node.held_before()?;
        let at = held.position(name, window.next)?;
        let is_same = held.fits(at, stat)
            && !has_extras(stat)
            && Mark::new(stat, self.began) == held.mark(at);
        if !is_same {
            return None;
        }
        window.next = at + 1;
        u32::try_from(at).ok()
    }

    /// The place of what was found under a name in `node`.
    pub(super) fn place(node: &Node, found: Slot) -> Place {
        let same = || {
            let ((entry, mark), held) = (found.as_ref()?, node.held_before()?);
            let at = held.position(&entry.name, 0)?;
            (held.mark(at) == *mark && *held.entry(at) == *entry).then_some(at)
        };
        match same().and_then(|at| u32::try_from(at).ok()) {
            Some(number) => Place::Same(number),
            None => found.into(),
        }
    }
}

/// Where somebody is who asks for one name after the other.
#[derive(Default)]
pub(super) struct Window {
    /// A part of what is remembered of a wide directory, and which.
    block: Option<Block>,
    at: Option<u64>,
    /// The entry that is likely to be asked for next.
    next: usize,
    /// The one that was asked for last, if it had to be made for that.
    entry: Option<Entry>,
}
