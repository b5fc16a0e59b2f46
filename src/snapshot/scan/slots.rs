//! The entries of a directory under way. Those of a wide one do not stay in memory: a slice of them
//! is put aside as soon as it is whole.

use std::ops::Range;

use super::Scan;
use super::node::{Node, Slot};
use crate::tree::Entry;
use crate::tree::statcache::{Block, Mark, Recalled, Run};

/// So many names are one piece of work; a larger directory is shared.
pub(super) const SLICE_NAMES: usize = 512;
/// A directory with more names is wide: of a million, all entries and what they were before took
/// 800 MB.
const HELD_NAMES_MAX: usize = 8 * SLICE_NAMES;

/// One slot for each name, in their order.
#[derive(Default)]
pub(super) struct Slots {
    slices: Vec<Slice>,
    is_wide: bool,
}

/// The slots of one piece of work.
pub(super) struct Slice {
    /// None before the first is put, and once they are put aside.
    slots: Vec<Slot>,
    names: usize,
    /// So many are not put yet.
    left: usize,
    run: Option<Run>,
}

/// A slice of a wide directory that is whole.
pub(super) struct Full {
    number: usize,
    slots: Vec<Slot>,
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
    fn put(&mut self, at: usize, found: Slot) -> Option<Full> {
        let number = at / SLICE_NAMES;
        let slice = &mut self.slices[number];
        if slice.slots.is_empty() {
            slice.slots = vec![None; slice.names];
        }
        slice.slots[at % SLICE_NAMES] = found;
        slice.left -= 1;
        let is_full = self.is_wide && slice.left == 0;
        is_full.then(|| Full { number, slots: std::mem::take(&mut slice.slots) })
    }

    /// The slices, if there are too many to be held.
    pub(super) fn into_parts(self) -> Result<Vec<Slice>, Vec<Slot>> {
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
    pub(super) fn into_run(self) -> Result<Run, Vec<Slot>> {
        self.run.ok_or(self.slots)
    }
}

/// The pieces of work that so many names make.
pub(super) fn slices(names: usize) -> impl DoubleEndedIterator<Item = Range<usize>> {
    let count = names.div_ceil(SLICE_NAMES);
    (0..count).map(move |n| n * SLICE_NAMES..names.min((n + 1) * SLICE_NAMES))
}

/// Entries and marks apart.
pub(super) fn parted(slots: Vec<Slot>) -> (Vec<Entry>, Vec<Mark>) {
    let marks: Vec<Mark> = slots.iter().flatten().map(|(_, mark)| *mark).collect();
    // The entries stay in the memory of the slots.
    let entry = |slot: Slot| slot.map(|(entry, _)| entry);
    (slots.into_iter().filter_map(entry).collect(), marks)
}

impl Scan<'_, '_> {
    /// Puts what was found under some names of a directory.
    pub(super) fn put(&self, node: &Node, found: impl IntoIterator<Item = (usize, Slot)>) {
        let full: Vec<Full> = {
            let slots = &mut node.lock().slots;
            found.into_iter().filter_map(|(at, slot)| slots.put(at, slot)).collect()
        };
        for Full { number, slots } in full {
            let (entries, marks) = parted(slots);
            let run = self.task.new.put_aside(&entries, &marks);
            let slice = &mut node.lock().slots.slices[number];
            if run.is_none() {
                slice.slots = entries.into_iter().zip(marks).map(Some).collect();
            }
            slice.run = run;
        }
    }

    /// What `name` was when it was last read. `window` holds a part of what is remembered of a wide
    /// directory; whoever asks for one name after the other keeps it.
    pub(super) fn before<'x>(
        &self,
        node: &'x Node,
        name: &[u8],
        window: &'x mut Window,
    ) -> Option<(&'x Entry, &'x Mark)> {
        let block = match node.before.get()? {
            Recalled::Whole(block) => block,
            Recalled::Wide(wide) => {
                let run = wide.run_of(name)?;
                if window.at != Some(run.offset()) {
                    window.at = Some(run.offset());
                    window.block = self.task.old.as_ref().and_then(|old| old.run(run));
                }
                window.block.as_ref()?
            }
        };
        let index = block.entries.binary_search_by(|entry| (*entry.name).cmp(name)).ok()?;
        Some((&block.entries[index], &block.marks[index]))
    }
}

/// A part of what is remembered of a wide directory.
#[derive(Default)]
pub(super) struct Window {
    at: Option<u64>,
    block: Option<Block>,
}
