//! Reading chunks: frames opened, decoded, hashed, and kept for a while.

use std::borrow::Cow;
use std::sync::Arc;

use super::backend::{Freshness, Range};
use super::delta::Head;
use super::error::RepositoryError;
use super::frame::{Coding, FRAME_HEADER_BYTES, FrameHeader, Payload};
use super::id::{ChunkId, ObjectId};
use super::index::{Index, PackRef, Place};
use super::lately::Lately;
use super::object::ObjectKind;
use super::pack::{self, PackClass};
use super::repository::{Inner, Repository};
use super::seal::Turn;

/// A frame, opened and decoded. Its chunks are compared with their ids as they are taken out.
#[derive(Debug)]
pub struct Frame {
    pack: ObjectId,
    number: u32,
    payload: Payload,
}

/// Frames decoded lately. The classes do not drive each other out: while files are written, the
/// directories to come are read.
pub(super) struct FrameCache {
    data: Lately<FrameKey, Frame>,
    metadata: Lately<FrameKey, Frame>,
}

type FrameKey = (ObjectId, u32);

/// Enough for every thread to sit in a frame and in what it builds on, and for path order to hit again.
const DATA_BYTES_MAX: usize = 12 << 20;
/// Enough for one frame of each of hundreds of backups: a tree has directories of all of them.
const METADATA_BYTES_MAX: usize = 20 << 20;

impl Frame {
    /// The bytes of a chunk, not compared with its id.
    pub(super) fn chunk(&self, number: u16) -> Option<&[u8]> {
        self.payload.chunk(usize::from(number))
    }

    /// What it holds.
    pub(super) const fn payload(&self) -> &Payload {
        &self.payload
    }

    /// Where it is: its pack, and its number there.
    pub(super) const fn key(&self) -> FrameKey {
        (self.pack, self.number)
    }
}

impl Default for FrameCache {
    fn default() -> Self {
        Self { data: Lately::new(DATA_BYTES_MAX), metadata: Lately::new(METADATA_BYTES_MAX) }
    }
}

impl FrameCache {
    const fn of(&self, class: PackClass) -> &Lately<FrameKey, Frame> {
        match class {
            PackClass::Data => &self.data,
            PackClass::Metadata => &self.metadata,
        }
    }
}

impl Inner {
    /// Reads, opens and decodes the frame at `offset` of a pack, past every cache if told so.
    pub(super) fn read_frame(
        &self,
        pack: PackRef,
        number: u32,
        at: (u32, u32),
        freshness: Freshness,
    ) -> Result<Payload, RepositoryError> {
        let raw = self.read_raw(pack, at, freshness)?;
        self.open_frame(pack, number, &raw).map_err(|what| damaged_frame(&pack.id, number, what))
    }

    /// The header and the sealed bytes of the frame at `offset` of a pack.
    pub(super) fn read_raw(
        &self,
        pack: PackRef,
        (offset, sealed_bytes): (u32, u32),
        freshness: Freshness,
    ) -> Result<Vec<u8>, RepositoryError> {
        let range = Range::Part {
            offset: u64::from(offset),
            bytes: FRAME_HEADER_BYTES + sealed_bytes as usize,
        };
        let mut raw = Vec::new();
        self.backend.read(ObjectKind::Pack, &pack.id.to_string(), range, freshness, &mut raw)?;
        Ok(raw)
    }

    /// Opens and decodes a frame whose header and sealed bytes are `raw`.
    pub(super) fn open_frame(
        &self,
        pack: PackRef,
        number: u32,
        raw: &[u8],
    ) -> Result<Payload, &'static str> {
        let (coding, encoded) = self.unseal(pack, number, raw)?;
        self.decode(coding, &encoded)
    }

    /// Opens a frame: how its payload is coded, and the coded bytes.
    pub(super) fn unseal(
        &self,
        pack: PackRef,
        number: u32,
        raw: &[u8],
    ) -> Result<(Coding, Vec<u8>), &'static str> {
        let (head, sealed) =
            raw.split_first_chunk::<FRAME_HEADER_BYTES>().ok_or("it is too short")?;
        let header = FrameHeader::decode(head).ok_or("its header is not a frame's")?;
        let expected = FrameHeader {
            ordinal: number,
            class: pack.class,
            sealed_bytes: u32::try_from(sealed.len()).map_err(|_| "it is too long")?,
            ..header
        };
        if header != expected {
            return Err("its header does not fit its place");
        }
        let clear = pack::frame_binding(&pack::header(pack.class, &pack.id), header);
        let mut encoded = Vec::new();
        self.sealer(ObjectKind::Pack, &pack.id)
            .open(Turn::Frame(number), &clear, sealed, &mut encoded)
            .map_err(|_| "its seal does not open")?;
        Ok((header.coding, encoded))
    }

    /// Decodes what was inside the seal.
    pub(super) fn decode(&self, coding: Coding, encoded: &[u8]) -> Result<Payload, &'static str> {
        if coding == Coding::Delta { self.undelta(encoded) } else { self.plain(coding, encoded) }
    }

    /// Decodes what needs no other frame.
    fn plain(&self, coding: Coding, encoded: &[u8]) -> Result<Payload, &'static str> {
        let mut codec = self.codec();
        let mut payload = Vec::new();
        codec.decode(coding, encoded, &mut payload).map_err(|error| error.0)?;
        self.keep_codec(codec);
        Payload::parse(payload).ok_or("its table does not fit its data")
    }

    /// Decodes a delta frame, after its bases.
    fn undelta(&self, encoded: &[u8]) -> Result<Payload, &'static str> {
        let (head, stream) = Head::decode(encoded).ok_or("its head does not add up")?;
        let mut bases = Vec::new();
        for base in head.bases_once() {
            let found = self.standing(&base, &|_| true);
            bases.push(found.ok().flatten().ok_or("what it builds on cannot be read")?);
        }
        let plain: Option<Vec<&[u8]>> =
            bases.iter().map(|(frame, place)| frame.chunk(place.chunk)).collect();
        let prefix = match &*plain.ok_or("what it builds on is not in its place")? {
            [one] => Cow::Borrowed(*one),
            several => Cow::Owned(several.concat()),
        };
        let bytes = head.data_bytes().ok_or("its head does not add up")?;
        let mut codec = self.codec();
        let data = codec.decode_after(&prefix, stream, bytes).map_err(|error| error.0)?;
        self.keep_codec(codec);
        Payload::of_delta(data, &head.lengths).ok_or("its head does not add up")
    }

    /// A frame that stands alone and holds the chunk, in a pack that may be used; none if there is
    /// none that can be read. It never opens a delta frame, so nothing recurses.
    pub(super) fn standing(
        &self,
        id: &ChunkId,
        may_use: &dyn Fn(&ObjectId) -> bool,
    ) -> Result<Option<(Arc<Frame>, Place)>, RepositoryError> {
        let index = self.index()?;
        for place in index.each_place(id) {
            let place = place.map_err(|error| self.index_error(error))?;
            let pack = index.packs[place.pack as usize];
            if !may_use(&pack.id) {
                continue;
            }
            if let Ok(Some(frame)) = self.frame_alone(pack, &place) {
                return Ok(Some((frame, place)));
            }
        }
        Ok(None)
    }

    /// The frame at `place`, unless it is a delta frame.
    fn frame_alone(
        &self,
        pack: PackRef,
        place: &Place,
    ) -> Result<Option<Arc<Frame>>, RepositoryError> {
        if let Some(frame) = self.kept_frame(pack, place) {
            return Ok(frame.payload.stands_alone().then_some(frame));
        }
        let raw = self.read_raw(pack, (place.offset, place.sealed_bytes), Freshness::Cached)?;
        let wrong = |what| damaged_frame(&pack.id, place.frame, what);
        let (coding, encoded) = self.unseal(pack, place.frame, &raw).map_err(wrong)?;
        if coding == Coding::Delta {
            return Ok(None);
        }
        let payload = self.plain(coding, &encoded).map_err(wrong)?;
        Ok(Some(self.keep_frame(pack, place.frame, payload)))
    }

    /// What the chunk at `place` builds on, if it is in a delta frame: its head says so, and none
    /// of the bases is read for it.
    pub(super) fn base_of(&self, place: &Place) -> Result<Option<ChunkId>, RepositoryError> {
        let pack = self.index()?.packs[place.pack as usize];
        let wrong = |what| damaged_frame(&pack.id, place.frame, what);
        let raw = self.read_raw(pack, (place.offset, place.sealed_bytes), Freshness::Cached)?;
        let (coding, encoded) = self.unseal(pack, place.frame, &raw).map_err(wrong)?;
        if coding != Coding::Delta {
            return Ok(None);
        }
        let head = Head::decode(&encoded).ok_or_else(|| wrong("its head does not add up"))?.0;
        Ok(head.bases.get(usize::from(place.chunk)).copied())
    }

    /// The frame at `place`, decoded once for all who ask soon.
    pub(super) fn frame(&self, place: &Place) -> Result<Arc<Frame>, RepositoryError> {
        let pack = self.index()?.packs[place.pack as usize];
        if let Some(frame) = self.kept_frame(pack, place) {
            return Ok(frame);
        }
        let at = (place.offset, place.sealed_bytes);
        let payload = self.read_frame(pack, place.frame, at, Freshness::Cached)?;
        Ok(self.keep_frame(pack, place.frame, payload))
    }

    /// Keeps a decoded frame for all who ask soon.
    pub(super) fn keep_frame(&self, pack: PackRef, number: u32, payload: Payload) -> Arc<Frame> {
        let weight = payload.memory_bytes();
        let frame = Arc::new(Frame { pack: pack.id, number, payload });
        self.frames.of(pack.class).keep(frame.key(), &frame, weight);
        frame
    }

    fn kept_frame(&self, pack: PackRef, place: &Place) -> Option<Arc<Frame>> {
        self.frames.of(pack.class).get(&(pack.id, place.frame))
    }
}

pub(super) fn damaged_frame(pack: &ObjectId, number: u32, what: &str) -> RepositoryError {
    RepositoryError::Damaged {
        object: ObjectKind::Pack.named(&pack.to_string()),
        what: format!("frame {number}: {what}"),
    }
}

impl Repository {
    /// The frame at `place`, decoded once for all who ask soon.
    pub fn frame(&self, place: &Place) -> Result<Arc<Frame>, RepositoryError> {
        self.inner.frame(place)
    }

    /// The chunk of `frame` at `place`, after comparing it with `id`.
    pub fn chunk_in<'f>(
        &self,
        frame: &'f Frame,
        place: &Place,
        id: &ChunkId,
    ) -> Result<&'f [u8], RepositoryError> {
        let wrong = || damaged_frame(&frame.pack, frame.number, &format!("it lacks chunk {id}"));
        let plain = frame.payload.chunk(usize::from(place.chunk)).ok_or_else(wrong)?;
        if self.hash(plain) == *id { Ok(plain) } else { Err(wrong()) }
    }

    /// The bytes of a chunk, compared with its id. If it is stored twice, one sound copy is enough.
    pub fn get(&self, id: &ChunkId) -> Result<Vec<u8>, RepositoryError> {
        let places =
            |index: &Index| index.places(id).map_err(|error| self.inner.index_error(error));
        let mut found = places(&*self.inner.index()?)?;
        if found.is_empty() {
            // Another process may have stored it since the index was loaded.
            found = places(&*self.inner.refresh_index()?)?;
        }
        match self.get_at(id, &found) {
            Ok(plain) => Ok(plain),
            Err(failure) => {
                // A prune may have moved it since the index was loaded.
                let again = places(&*self.inner.refresh_index()?)?;
                if again == found { Err(failure) } else { self.get_at(id, &again) }
            }
        }
    }

    fn get_at(&self, id: &ChunkId, found: &[Place]) -> Result<Vec<u8>, RepositoryError> {
        let mut failure = RepositoryError::MissingChunk { id: *id };
        for place in found {
            let plain = self
                .frame(place)
                .and_then(|frame| self.chunk_in(&frame, place, id).map(<[u8]>::to_vec));
            match plain {
                Ok(plain) => return Ok(plain),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }
}
