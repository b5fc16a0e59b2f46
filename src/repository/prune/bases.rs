//! What delta frames build on, which is needed as long as they are there.
//!
//! A frame decodes with all of its bases or not at all. So where one chunk of it is needed, all of
//! them are; and where none is, they still are while its pack stays, for a check reads all frames.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::marks::{Kept, Marked, Marks};
use crate::repository::backend::Freshness;
use crate::repository::error::RepositoryError;
use crate::repository::id::{ChunkId, ObjectId};
use crate::repository::repository::Inner;
use crate::repository::spread;

/// For each delta frame of a pack, by its number: what each of its chunks builds on.
type Bases = BTreeMap<u32, Vec<ChunkId>>;

/// So many names of bases are held; what further packs build on is read again when it is asked for.
const HELD_MAX: usize = 1 << 20;

/// The packs that hold delta frames.
#[derive(Default)]
pub(super) struct Builders {
    packs: Vec<Builder>,
}

struct Builder {
    id: ObjectId,
    /// Its number in the index, if a segment names it.
    number: Option<u32>,
    /// `None` if there are too many to hold.
    bases: Option<Bases>,
}

impl Builder {
    fn bases(&self, inner: &Inner) -> Result<Cow<'_, Bases>, RepositoryError> {
        match &self.bases {
            Some(bases) => Ok(Cow::Borrowed(bases)),
            None => Ok(Cow::Owned(read_bases(inner, &self.id)?)),
        }
    }
}

fn read_bases(inner: &Inner, id: &ObjectId) -> Result<Bases, RepositoryError> {
    Ok(inner.read_footer(id, Freshness::Cached)?.contents.bases)
}

impl Builders {
    /// Looks at all footers, and tells `marks` which frames are deltas.
    pub(super) fn find(
        inner: &Inner,
        packs: &HashSet<ObjectId>,
        marks: &mut Marks,
    ) -> Result<Self, RepositoryError> {
        if !inner.config.has_deltas() {
            return Ok(Self::default());
        }
        let mut ids: Vec<ObjectId> = packs.iter().copied().collect();
        ids.sort_unstable();
        let (found, held) = (Mutex::new(Vec::new()), AtomicUsize::new(0));
        let index = std::sync::Arc::clone(&marks.index);
        spread::for_each(ids.len(), |at| {
            let id = ids[at];
            let bases = read_bases(inner, &id)?;
            if bases.is_empty() {
                return Ok(());
            }
            let names: usize = bases.values().map(Vec::len).sum();
            let frames: Vec<u32> = bases.keys().copied().collect();
            let may_hold = held.fetch_add(names, Ordering::Relaxed) + names <= HELD_MAX;
            let bases = may_hold.then_some(bases);
            let builder = Builder { id, number: index.number_of(&id), bases };
            found.lock().unwrap_or_else(PoisonError::into_inner).push((builder, frames));
            Ok(())
        })?;
        let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut packs = Vec::with_capacity(found.len());
        for (builder, frames) in found {
            if let Some(number) = builder.number {
                for frame in frames {
                    marks.note_delta(number, frame);
                }
            }
            packs.push(builder);
        }
        packs.sort_unstable_by_key(|builder| builder.id);
        Ok(Self { packs })
    }

    /// Marks what the frames build on that hold anything needed.
    pub(super) fn mark_needed(&self, inner: &Inner, marks: &Marks) -> Result<(), RepositoryError> {
        // A base stands alone, so that marking it changes the fate of no frame that is asked for.
        spread::for_each(self.packs.len(), |at| {
            let builder = &self.packs[at];
            let Some(number) = builder.number else { return Ok(()) };
            for (frame, bases) in builder.bases(inner)?.iter() {
                let Some((_, kept)) = marks.fate_of_frame(number, *frame) else { continue };
                for base in bases {
                    if mark(inner, marks, base, kept)? == Marked::Missing {
                        return Err(RepositoryError::MissingChunk { id: *base });
                    }
                }
            }
            Ok(())
        })
    }

    /// Marks what all delta frames build on that stay: whether anything was not marked before.
    pub(super) fn mark_staying(
        &self,
        inner: &Inner,
        marks: &Marks,
        going: &HashSet<ObjectId>,
    ) -> Result<bool, RepositoryError> {
        let is_new = AtomicBool::new(false);
        let staying: Vec<_> =
            self.packs.iter().filter(|builder| !going.contains(&builder.id)).collect();
        spread::for_each(staying.len(), |at| {
            for base in staying[at].bases(inner)?.values().flatten() {
                // One that is lost is for `check` to tell: nobody needs what was built on it.
                if mark(inner, marks, base, Kept::Cold)? == Marked::New {
                    is_new.store(true, Ordering::Relaxed);
                }
            }
            Ok(())
        })?;
        Ok(is_new.into_inner())
    }

    /// What the delta frames of the packs in `of` build on first: pack, frame, base.
    pub(super) fn first_bases(
        &self,
        inner: &Inner,
        of: &HashSet<u32>,
    ) -> Result<Vec<(u32, u32, ChunkId)>, RepositoryError> {
        let mut firsts = Vec::new();
        for builder in &self.packs {
            let Some(number) = builder.number.filter(|number| of.contains(number)) else {
                continue;
            };
            let bases = builder.bases(inner)?;
            let first =
                |(frame, bases): (&u32, &Vec<ChunkId>)| Some((number, *frame, *bases.first()?));
            firsts.extend(bases.iter().filter_map(first));
        }
        Ok(firsts)
    }
}

fn mark(inner: &Inner, marks: &Marks, id: &ChunkId, kept: Kept) -> Result<Marked, RepositoryError> {
    marks.mark(id, kept == Kept::Hot).map_err(|error| inner.index_error(error))
}
