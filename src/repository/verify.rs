//! Reading packs whole: footer, frames, chunks; each hashed.

use super::backend::{Freshness, Range};
use super::error::RepositoryError;
use super::id::{ChunkId, ObjectId};
use super::index::PackRef;
use super::object::ObjectKind;
use super::pack::{self, Contents, PACK_HEADER_BYTES, TRAILER_BYTES, Trailer};
use super::reading::damaged_frame;
use super::repository::{Inner, Repository};
use super::seal::Turn;
use super::spread;

/// A pack whose header and footer were read.
pub(super) struct WholePack {
    pub(super) pack: PackRef,
    pub(super) contents: Contents,
    /// Its length.
    pub(super) bytes: u64,
}

/// One frame of a pack.
#[derive(Clone, Copy)]
pub(super) struct FrameOf<'p> {
    pub(super) whole: &'p WholePack,
    pub(super) number: u32,
    /// The number of its first chunk in the pack.
    pub(super) first_chunk: usize,
}

impl Inner {
    /// All frames of some packs. Those that build on others stand beside what they build on: whoever
    /// takes them in this order finds most bases decoded.
    pub(super) fn frames_of<'p>(
        &self,
        packs: &'p [WholePack],
    ) -> Result<Vec<FrameOf<'p>>, RepositoryError> {
        let mut frames = Vec::new();
        for whole in packs {
            for (number, first_chunk) in (0_u32..).zip(whole.contents.first_chunks()) {
                let base = whole.contents.bases.get(&number).and_then(|bases| bases.first());
                let beside = match base {
                    Some(base) => self.frame_with(base)?,
                    None => None,
                };
                let beside = beside.unwrap_or((whole.pack.id, number));
                frames.push((beside, FrameOf { whole, number, first_chunk }));
            }
        }
        frames.sort_by_key(|(beside, _)| *beside);
        Ok(frames.into_iter().map(|(_, frame)| frame).collect())
    }

    /// The frame that a chunk is in, if an index names it.
    fn frame_with(&self, id: &ChunkId) -> Result<Option<(ObjectId, u32)>, RepositoryError> {
        let index = self.index()?;
        let place = index.locate(id).map_err(|error| self.index_error(error))?;
        Ok(place.map(|place| (index.packs[place.pack as usize].id, place.frame)))
    }

    /// Reads header, trailer and footer of a pack.
    pub(super) fn read_footer(
        &self,
        id: &ObjectId,
        freshness: Freshness,
    ) -> Result<WholePack, RepositoryError> {
        let kind = ObjectKind::Pack;
        let name = id.to_string();
        let damaged = |what: &str| RepositoryError::Damaged {
            object: kind.named(&name),
            what: what.to_owned(),
        };
        let length = self.backend.stat(kind, &name)?.ok_or_else(|| damaged("it is not there"))?;
        let read =
            |range, into: &mut Vec<u8>| self.backend.read(kind, &name, range, freshness, into);
        let mut raw = Vec::new();
        read(Range::Part { offset: 0, bytes: PACK_HEADER_BYTES }, &mut raw)?;
        let class = pack::class_in(&raw, id).ok_or_else(|| damaged("its header is not its own"))?;
        read(Range::Tail { bytes: TRAILER_BYTES }, &mut raw)?;
        let trailer = raw.first_chunk().and_then(|raw| Trailer::decode(raw, length));
        let trailer = trailer.ok_or_else(|| damaged("its trailer does not fit it"))?;
        let (offset, bytes) = (u64::from(trailer.footer_offset), trailer.sealed_bytes as usize);
        read(Range::Part { offset, bytes }, &mut raw)?;
        let clear = pack::footer_binding(&pack::header(class, id), trailer);
        let mut footer = Vec::new();
        self.sealer(kind, id)
            .open(Turn::Footer, &clear, &raw, &mut footer)
            .map_err(|_| damaged("the seal of its footer does not open"))?;
        // A footer of many chunks is long: not sealed, opened and decoded in memory at once.
        drop(raw);
        let contents = Contents::decode(&footer).filter(|contents| contents.end() == offset);
        let contents = contents.ok_or_else(|| damaged("its footer does not add up"))?;
        Ok(WholePack { pack: PackRef { id: *id, class }, contents, bytes: length })
    }

    /// Reads one frame of a pack and compares every chunk in it with the footer.
    pub(super) fn verify_frame(
        &self,
        FrameOf { whole, number, first_chunk }: FrameOf<'_>,
        freshness: Freshness,
    ) -> Result<(), RepositoryError> {
        let place = whole.contents.frames[number as usize];
        let at = (place.offset, place.sealed_bytes);
        let payload = self.read_frame(whole.pack, number, at, freshness)?;
        let wrong = |what: &str| damaged_frame(&whole.pack.id, number, what);
        if payload.chunks() != usize::from(place.chunks) {
            return Err(wrong("it holds another number of chunks"));
        }
        for chunk in 0..payload.chunks() {
            let plain = payload.chunk(chunk).unwrap_or_default();
            let id = whole.contents.ids[first_chunk + chunk];
            let as_long = plain.len() == whole.contents.lengths[first_chunk + chunk] as usize;
            if !as_long || self.hash(plain) != id {
                return Err(wrong(&format!("chunk {id} has another hash")));
            }
        }
        Ok(())
    }
}

impl Repository {
    /// Reads packs back from the medium, past the page cache; decodes and hashes every chunk, with
    /// all cores. The first error ends it.
    pub fn read_back(&self, packs: &[ObjectId]) -> Result<(), RepositoryError> {
        packs.iter().try_for_each(|id| {
            let whole = [self.inner.read_footer(id, Freshness::Medium)?];
            let frames = self.inner.frames_of(&whole)?;
            spread::for_each(frames.len(), |at| {
                self.inner.verify_frame(frames[at], Freshness::Medium)
            })
        })
    }
}
