//! What delta frames build on, which is needed as long as they are there.
//!
//! A frame decodes with all of its bases or not at all. So where one chunk of it is needed, all of
//! them are; and where none is, they still are while its pack stays, for a check reads all frames.

use std::collections::HashSet;

use super::marks::{Kept, Marked, Marks};
use crate::repository::backend::Freshness;
use crate::repository::error::RepositoryError;
use crate::repository::id::{ChunkId, ObjectId};
use crate::repository::pack::Contents;
use crate::repository::repository::Inner;

/// The packs that hold delta frames.
#[derive(Default)]
pub(super) struct Builders {
    packs: Vec<Builder>,
}

struct Builder {
    id: ObjectId,
    /// Its number in the index, if a segment names it.
    number: Option<u32>,
}

impl Builders {
    /// Looks at all footers, and tells `marks` which frames are deltas.
    pub(super) fn find(
        inner: &Inner,
        packs: impl Iterator<Item = ObjectId>,
        marks: &mut Marks,
    ) -> Result<Self, RepositoryError> {
        let mut found = Self::default();
        if !inner.config.has_deltas() {
            return Ok(found);
        }
        for id in packs {
            let contents = inner.read_footer(&id, Freshness::Cached)?.contents;
            if contents.bases.is_empty() {
                continue;
            }
            let number = marks.index.number_of(&id);
            if let Some(number) = number {
                contents.bases.keys().for_each(|frame| marks.note_delta(number, *frame));
            }
            found.packs.push(Builder { id, number });
        }
        Ok(found)
    }

    /// Marks what the frames build on that hold anything needed.
    pub(super) fn mark_needed(
        &self,
        inner: &Inner,
        marks: &mut Marks,
    ) -> Result<(), RepositoryError> {
        for builder in &self.packs {
            let Some(number) = builder.number else { continue };
            let contents = inner.read_footer(&builder.id, Freshness::Cached)?.contents;
            let firsts = contents.first_chunks();
            for (frame, bases) in &contents.bases {
                let fate = fate_of(inner, marks, (number, *frame), &contents, &firsts)?;
                let Some(kept) = fate else { continue };
                for base in bases {
                    if mark(inner, marks, base, kept)? == Marked::Missing {
                        return Err(RepositoryError::MissingChunk { id: *base });
                    }
                }
            }
        }
        Ok(())
    }

    /// Marks what all delta frames build on that stay: whether anything was not marked before.
    pub(super) fn mark_staying(
        &self,
        inner: &Inner,
        marks: &mut Marks,
        going: &HashSet<ObjectId>,
    ) -> Result<bool, RepositoryError> {
        let mut is_new = false;
        for builder in self.packs.iter().filter(|builder| !going.contains(&builder.id)) {
            let contents = inner.read_footer(&builder.id, Freshness::Cached)?.contents;
            for base in contents.all_bases() {
                // One that is lost is for `check` to tell: nobody needs what was built on it.
                is_new |= mark(inner, marks, base, Kept::Cold)? == Marked::New;
            }
        }
        Ok(is_new)
    }
}

fn mark(
    inner: &Inner,
    marks: &mut Marks,
    id: &ChunkId,
    kept: Kept,
) -> Result<Marked, RepositoryError> {
    marks.mark(id, kept == Kept::Hot).map_err(|error| inner.index_error(error))
}

/// Whether anything in a frame is needed, and by the newest snapshots.
fn fate_of(
    inner: &Inner,
    marks: &Marks,
    (pack, frame): (u32, u32),
    contents: &Contents,
    firsts: &[usize],
) -> Result<Option<Kept>, RepositoryError> {
    let mut fate = None;
    let first = firsts[frame as usize];
    let chunks = usize::from(contents.frames[frame as usize].chunks);
    for (chunk, id) in (0_u16..).zip(&contents.ids[first..first + chunks]) {
        let found = marks.fate(pack, frame, chunk, id);
        match found.map_err(|error| inner.index_error(error))? {
            Some(Kept::Hot) => return Ok(Some(Kept::Hot)),
            Some(Kept::Cold) => fate = Some(Kept::Cold),
            None => {}
        }
    }
    Ok(fate)
}
