//! Writes the bytes of files: those in one frame together, so that each frame is decoded once.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use crate::repository::{BaseFrames, Frame, Place, Repository};
use crate::snapshot::SnapshotError;
use crate::snapshot::annex::RootAnnex;
use crate::tree::{Content, Entry, Kind, TreePath};

/// What is written with what: each group from one frame; those that build on one frame, and it
/// itself, one after the other and by one thread, in the order of their first entries. So what later
/// snapshots build on is still decoded when it is asked for, and no two threads decode it. (Of 179
/// frames of a first backup 165 were decoded twice to restore the hundredth day.) Whatever has no
/// place (no bytes, or many chunks) is a group of its own.
pub(super) struct Groups {
    order: Vec<(Option<Place>, usize)>,
    cuts: Vec<Range<usize>>,
    /// Of the cuts.
    families: Vec<Range<usize>>,
}

/// The entries of one frame.
pub(super) type Group = [(Option<Place>, usize)];

/// So many groups are written by one thread: where all builds on one frame the others help.
const FAMILY_MAX: usize = 1024;

impl Groups {
    /// Groups `entries`, which are named by their index.
    pub(super) fn new<'e>(
        repository: &Repository,
        bases: &mut BaseFrames,
        entries: impl Iterator<Item = (usize, &'e Entry)>,
    ) -> Result<Self, SnapshotError> {
        let mut order: Vec<(Option<Place>, usize)> = Vec::new();
        for (index, entry) in entries {
            let place = match entry.kind {
                Kind::File { content: Content::Chunk(id), .. } => repository.locate(&id)?,
                _ => None,
            };
            order.push((place, index));
        }
        order.sort();
        let mut cuts = Vec::new();
        let mut start = 0;
        for at in 1..=order.len() {
            let ends = order
                .get(at)
                .is_none_or(|(place, _)| !is_same_frame(order[at - 1].0.as_ref(), place.as_ref()));
            if ends {
                cuts.push(start..at);
                start = at;
            }
        }
        bases.learn(repository, order.iter().filter_map(|(place, _)| place.as_ref()))?;
        let first = |cut: &Range<usize>| order[cut.clone()].iter().map(|(_, index)| *index).min();
        let base = |cut: &Range<usize>| {
            let place = order[cut.start].0.as_ref()?;
            Some(bases.of((place.pack, place.frame)))
        };
        let mut firsts = HashMap::new();
        for cut in &cuts {
            let (Some(base), Some(first)) = (base(cut), first(cut)) else { continue };
            let least = firsts.entry(base).or_insert(first);
            *least = first.min(*least);
        }
        let of_all = |cut: &Range<usize>| {
            base(cut).and_then(|base| firsts.get(&base).copied()).or_else(|| first(cut))
        };
        cuts.sort_by_cached_key(|cut| (of_all(cut), first(cut)));
        let mut families: Vec<Range<usize>> = Vec::new();
        for (number, cut) in cuts.iter().enumerate() {
            match families.last_mut() {
                Some(family)
                    if family.len() < FAMILY_MAX && of_all(&cuts[family.start]) == of_all(cut) =>
                {
                    family.end = number + 1;
                }
                _ => families.push(number..number + 1),
            }
        }
        Ok(Self { order, cuts, families })
    }

    /// Which groups one thread writes, one after the other.
    pub(super) fn families(&self) -> Vec<Vec<&Group>> {
        let group = |cut: &Range<usize>| &self.order[cut.clone()];
        let family = |family: &Range<usize>| self.cuts[family.clone()].iter().map(group).collect();
        self.families.iter().map(family).collect()
    }
}

fn is_same_frame(a: Option<&Place>, b: Option<&Place>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => (a.pack, a.frame) == (b.pack, b.frame),
        _ => false,
    }
}

/// Where the bytes of one file come from.
pub(super) struct Filling<'a> {
    pub(super) repository: &'a Repository,
    pub(super) annex: &'a RootAnnex,
    /// The decoded frame that holds its only chunk, if it was found.
    pub(super) frame: Option<(&'a Frame, &'a Place)>,
}

/// Room for what is read again, [`COMPARE_BYTES`] of it: filling it anew for each file costs as much
/// as reading.
pub(super) type Room = [u8];

/// So much is compared at a time.
pub(super) const COMPARE_BYTES: usize = 64 * 1024;

impl Filling<'_> {
    /// Writes all bytes of `entry` to `file`, which is empty; holes stay holes. With `room` they are
    /// read again, out of the cache in which the kernel keeps them, and compared; whether that was
    /// done.
    pub(super) fn write(
        &self,
        file: &File,
        path: Option<&TreePath>,
        entry: &Entry,
        room: Option<&mut Room>,
    ) -> Result<bool, WriteError> {
        let Kind::File { size, content } = &entry.kind else { return Ok(false) };
        let ranges = self.annex.data_ranges.get(&path.cloned());
        // Holes at the end are none yet: such a file is read when all is done.
        let mut room = room.filter(|_| ranges.is_none());
        let is_compared = room.is_some();
        let mut put = |offset, bytes: &[u8]| {
            match ranges {
                Some(ranges) => put_ranges(file, offset, bytes, ranges)?,
                None => file.write_all_at(bytes, offset)?,
            }
            room.as_mut().map_or(Ok(()), |room| compare_with(file, offset, bytes, room))
        };
        let mut length = 0;
        match content {
            Content::Empty => {}
            Content::Chunk(id) => {
                let in_frame = self
                    .frame
                    .and_then(|(frame, place)| self.repository.chunk_in(frame, place, id).ok());
                if let Some(bytes) = in_frame {
                    put(0, bytes)?;
                    length += bytes.len() as u64;
                } else {
                    // Not sound there: perhaps it is stored twice.
                    let bytes = self.repository.get(id)?;
                    put(0, &bytes)?;
                    length += bytes.len() as u64;
                }
            }
            Content::List(_) => {
                for piece in self.repository.pieces(content) {
                    let piece = piece?;
                    let end = length + piece.bytes;
                    let is_hole =
                        ranges.is_some_and(|ranges| within(ranges, length, end).is_empty());
                    if !is_hole || !self.repository.is_zeros(&piece) {
                        put(length, &self.repository.get(&piece.id)?)?;
                    }
                    length = end;
                }
            }
        }
        if length != *size {
            return Err(WriteError::Io(io::Error::from(io::ErrorKind::InvalidData)));
        }
        if ranges.is_some() && file.metadata()?.len() < *size {
            file.set_len(*size)?; // a hole at the end
        }
        Ok(is_compared)
    }
}

/// Reads what was just written: it must be these bytes.
fn compare_with(file: &File, offset: u64, bytes: &[u8], room: &mut Room) -> io::Result<()> {
    let mut at = offset;
    for part in bytes.chunks(room.len()) {
        let read = &mut room[..part.len()];
        file.read_exact_at(read, at)?;
        if read != part {
            return Err(io::Error::other("what was written is read back otherwise"));
        }
        at += part.len() as u64;
    }
    Ok(())
}

/// Why bytes were not written.
#[derive(Debug)]
pub(super) enum WriteError {
    /// The disk.
    Io(io::Error),
    /// The repository.
    Repository(crate::repository::RepositoryError),
}

impl From<io::Error> for WriteError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<crate::repository::RepositoryError> for WriteError {
    fn from(error: crate::repository::RepositoryError) -> Self {
        Self::Repository(error)
    }
}

/// Puts `bytes` at `offset`. What lies between the data ranges is left a hole, if it is zeros: the
/// ranges are only a hint, the bytes are what is proved.
fn put_ranges(file: &File, offset: u64, bytes: &[u8], ranges: &[(u64, u64)]) -> io::Result<()> {
    let end = offset + bytes.len() as u64;
    let mut done = offset;
    for (start, length) in within(ranges, offset, end) {
        let (from, to) = ((*start).max(done), start.saturating_add(*length).min(end));
        if from >= to {
            continue;
        }
        put_unless_zeros(file, done, slice(bytes, offset, done, from))?;
        file.write_all_at(slice(bytes, offset, from, to), from)?;
        done = to;
    }
    put_unless_zeros(file, done, slice(bytes, offset, done, end))
}

/// The data ranges that have some of these bytes, if they are in order; no harm comes of others.
fn within(ranges: &[(u64, u64)], from: u64, to: u64) -> &[(u64, u64)] {
    let first = ranges.partition_point(|(start, length)| start.saturating_add(*length) <= from);
    let behind = ranges.partition_point(|(start, _)| *start < to);
    &ranges[first..behind.max(first)]
}

fn slice(bytes: &[u8], offset: u64, from: u64, to: u64) -> &[u8] {
    let at = |place: u64| usize::try_from(place - offset).expect("within the bytes");
    &bytes[at(from)..at(to)]
}

fn put_unless_zeros(file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
    if bytes.iter().all(|byte| *byte == 0) { Ok(()) } else { file.write_all_at(bytes, offset) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whatever_the_ranges_say_the_bytes_that_are_put_are_those_that_were_given(
            runs in proptest::collection::vec((any::<bool>(), 1..3_000_usize), 1..12),
            ranges in proptest::collection::vec((0..20_000_u64, 0..5_000_u64), 0..8),
            in_order in any::<bool>(),
            beyond in any::<bool>(),
            step in 1..9_000_usize,
        ) {
            let mut bytes = Vec::new();
            for (is_hole, length) in runs {
                bytes.resize(bytes.len() + length, u8::from(!is_hole));
            }
            let mut ranges = ranges;
            if in_order {
                ranges.sort_unstable();
            }
            ranges.extend(beyond.then_some((u64::MAX, 7)));
            let file = tempfile::tempfile().unwrap();
            for (number, part) in bytes.chunks(step).enumerate() {
                put_ranges(&file, (number * step) as u64, part, &ranges).unwrap();
            }
            file.set_len(bytes.len() as u64).unwrap();
            let mut read = vec![9; bytes.len()];
            file.read_exact_at(&mut read, 0).unwrap();
            prop_assert_eq!(read, bytes);
        }
    }

    #[test]
    fn the_ranges_of_some_bytes_are_those_that_have_one_of_them() {
        let ranges = [(10, 10), (30, 10), (50, 10)];
        for (from, to, wanted) in [(0, 10, 0..0), (0, 11, 0..1), (19, 31, 0..2), (20, 30, 1..1)] {
            assert_eq!(within(&ranges, from, to), &ranges[wanted], "{from}..{to}");
        }
        assert_eq!(within(&ranges, 35, 100), &ranges[1..]);
        assert_eq!(within(&ranges, 60, 100), []);
    }
}
