//! Reading chunks: frames opened, decoded, hashed, and kept for a while.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::backend::{Freshness, Range};
use super::content::{List, Piece, Stored};
use super::error::RepositoryError;
use super::frame::{Coding, FRAME_HEADER_BYTES, FrameHeader, Payload};
use super::id::{ChunkId, ObjectId};
use super::index::{Index, PackRef, Place};
use super::object::ObjectKind;
use super::pack;
use super::repository::{Inner, Repository};
use super::seal::Turn;

/// A frame, opened and decoded. Its chunks are compared with their ids as they are taken out.
#[derive(Debug)]
pub struct Frame {
    pack: ObjectId,
    number: u32,
    payload: Payload,
}

/// Frames decoded lately, up to a number of bytes.
#[derive(Default)]
pub(super) struct FrameCache {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    frames: HashMap<(ObjectId, u32), (Arc<Frame>, u64)>,
    bytes: usize,
    clock: u64,
}

/// Enough for every thread to sit in a frame of each class, and for path order to hit again.
const KEPT_BYTES_MAX: usize = 16 << 20;

impl FrameCache {
    fn get(&self, key: (ObjectId, u32)) -> Option<Arc<Frame>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.clock += 1;
        let now = kept.clock;
        let (frame, used) = kept.frames.get_mut(&key)?;
        *used = now;
        Some(Arc::clone(frame))
    }

    fn keep(&self, key: (ObjectId, u32), frame: &Arc<Frame>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.clock += 1;
        let now = kept.clock;
        if kept.frames.insert(key, (Arc::clone(frame), now)).is_none() {
            kept.bytes += frame.payload.memory_bytes();
        }
        while kept.bytes > KEPT_BYTES_MAX && kept.frames.len() > 1 {
            let oldest = kept.frames.iter().min_by_key(|(_, (_, used))| *used).map(|(key, _)| *key);
            let gone = oldest.and_then(|key| kept.frames.remove(&key));
            kept.bytes -= gone.map_or(0, |(frame, _)| frame.payload.memory_bytes());
        }
    }
}

impl Inner {
    /// Reads, opens and decodes the frame at `offset` of a pack, past every cache if told so.
    pub(super) fn read_frame(
        &self,
        pack: PackRef,
        number: u32,
        (offset, sealed_bytes): (u32, u32),
        freshness: Freshness,
    ) -> Result<Payload, RepositoryError> {
        let name = pack.id.to_string();
        let range = Range::Part {
            offset: u64::from(offset),
            bytes: FRAME_HEADER_BYTES + sealed_bytes as usize,
        };
        let mut raw = Vec::new();
        self.backend.read(ObjectKind::Pack, &name, range, freshness, &mut raw)?;
        self.open_frame(pack, number, &raw).map_err(|what| damaged_frame(&pack.id, number, what))
    }

    /// Opens and decodes a frame whose header and sealed bytes are `raw`.
    pub(super) fn open_frame(
        &self,
        pack: PackRef,
        number: u32,
        raw: &[u8],
    ) -> Result<Payload, &'static str> {
        self.open_encoded(pack, number, raw).map(|(_, _, payload)| payload)
    }

    /// The same, with what was inside the seal and how it was coded.
    pub(super) fn open_encoded(
        &self,
        pack: PackRef,
        number: u32,
        raw: &[u8],
    ) -> Result<(Coding, Vec<u8>, Payload), &'static str> {
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
        let mut codec = self.codec();
        let mut payload = Vec::new();
        codec.decode(header.coding, &encoded, &mut payload).map_err(|error| error.0)?;
        self.keep_codec(codec);
        let payload = Payload::parse(payload).ok_or("its table does not fit its data")?;
        Ok((header.coding, encoded, payload))
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
        let pack = self.inner.index()?.packs[place.pack as usize];
        let key = (pack.id, place.frame);
        if let Some(frame) = self.inner.frames.get(key) {
            return Ok(frame);
        }
        let at = (place.offset, place.sealed_bytes);
        let payload = self.inner.read_frame(pack, place.frame, at, Freshness::Cached)?;
        let frame = Arc::new(Frame { pack: pack.id, number: place.frame, payload });
        self.inner.frames.keep(key, &frame);
        Ok(frame)
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

    /// The chunks of a file, in order. Holds one list of each level, however long the file.
    pub fn pieces(&self, stored: &Stored) -> Pieces<'_> {
        Pieces { repository: self, root: Some(*stored), open: Vec::new() }
    }

    /// What one list names itself: its level, and chunks (level 0) or lists one level below.
    pub fn list_of(&self, id: &ChunkId) -> Result<(u8, Vec<Piece>), RepositoryError> {
        let list = List::decode(&self.get(id)?).ok_or_else(|| RepositoryError::Damaged {
            object: format!("chunk list {id}"),
            what: "it is not a list".to_owned(),
        })?;
        Ok((list.level, list.pieces))
    }
}

/// The chunks of a file, in order. Ends after the first error.
pub struct Pieces<'a> {
    repository: &'a Repository,
    root: Option<Stored>,
    /// What is left of the list of each level, the highest first.
    open: Vec<(u8, std::vec::IntoIter<Piece>)>,
}

impl Pieces<'_> {
    fn begin(&mut self, root: Stored) -> Result<(), RepositoryError> {
        match root {
            Stored::Empty => Ok(()),
            Stored::List(id) => self.descend(&id, None),
            Stored::Chunk(id) => {
                let place = self.repository.locate(&id)?;
                let bytes = place.ok_or(RepositoryError::MissingChunk { id })?.bytes;
                let one = vec![Piece { id, bytes: u64::from(bytes) }];
                self.open.push((0, one.into_iter()));
                Ok(())
            }
        }
    }

    /// Goes into a list, which must lie one level below the list that names it.
    fn descend(&mut self, id: &ChunkId, above: Option<u8>) -> Result<(), RepositoryError> {
        let list = List::decode(&self.repository.get(id)?);
        let list = list.filter(|list| above.is_none_or(|above| list.level + 1 == above));
        let list = list.ok_or_else(|| RepositoryError::Damaged {
            object: format!("chunk list {id}"),
            what: "it is not a list of the expected level".to_owned(),
        })?;
        self.open.push((list.level, list.pieces.into_iter()));
        Ok(())
    }

    fn step(&mut self) -> Result<Option<Piece>, RepositoryError> {
        if let Some(root) = self.root.take() {
            self.begin(root)?;
        }
        while let Some((level, pieces)) = self.open.last_mut() {
            let level = *level;
            match pieces.next() {
                None => drop(self.open.pop()),
                Some(piece) if level == 0 => return Ok(Some(piece)),
                Some(list) => self.descend(&list.id, Some(level))?,
            }
        }
        Ok(None)
    }
}

impl Iterator for Pieces<'_> {
    type Item = Result<Piece, RepositoryError>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step();
        if step.is_err() {
            self.open.clear();
        }
        step.transpose()
    }
}
