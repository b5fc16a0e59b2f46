//! Reading a pack that lost its footer: frame by frame, as far as they are sound.

use std::collections::BTreeSet;

use super::backend::{Freshness, Range};
use super::delta::Head;
use super::error::RepositoryError;
use super::format::FRAME_BYTES_MAX;
use super::frame::{Coding, FRAME_HEADER_BYTES, FRAME_MAGIC, FrameHeader};
use super::id::ObjectId;
use super::index::PackRef;
use super::object::ObjectKind;
use super::pack::{self, Contents, FramePlace, PACK_HEADER_BYTES, PackClass};
use super::repository::Inner;
use super::seal::TAG_BYTES;

/// What a scan made out.
#[derive(Default)]
pub(super) struct Scanned {
    pub(super) class: Option<PackClass>,
    /// As a footer would say it; a frame that is not sound has no chunks.
    pub(super) contents: Contents,
    /// The numbers of the frames that are sound.
    pub(super) sound: BTreeSet<u32>,
}

impl Inner {
    /// Makes out what it can of a pack. Only sound frames count: each is opened, and its chunks
    /// are hashed to learn their ids, but for those of delta frames.
    pub(super) fn scan(&self, id: &ObjectId) -> Result<Scanned, RepositoryError> {
        let kind = ObjectKind::Pack;
        let name = id.to_string();
        let mut scanned = Scanned::default();
        let Some(length) = self.backend.stat(kind, &name)? else { return Ok(scanned) };
        let Ok(length) = usize::try_from(length) else { return Ok(scanned) };
        let mut bytes = Vec::new();
        let range = Range::Part { offset: 0, bytes: length };
        self.backend.read(kind, &name, range, Freshness::Cached, &mut bytes)?;
        // The class is bound to every seal. If the header lost it, one of the two opens.
        let classes = match pack::class_in(&bytes, id) {
            Some(class) => vec![class],
            None => PackClass::ALL.to_vec(),
        };
        for class in classes {
            scanned = self.scan_frames(PackRef { id: *id, class }, &bytes);
            if !scanned.sound.is_empty() {
                break;
            }
        }
        Ok(scanned)
    }

    fn scan_frames(&self, pack: PackRef, bytes: &[u8]) -> Scanned {
        let mut scanned = Scanned { class: Some(pack.class), ..Scanned::default() };
        let mut at = PACK_HEADER_BYTES;
        while let Some(start) = next_frame(bytes, at) {
            at = start + 1;
            let Some(header) = header_at(bytes, start) else { continue };
            let end = start + FRAME_HEADER_BYTES + header.sealed_bytes as usize;
            let next = u32::try_from(scanned.contents.frames.len()).unwrap_or(u32::MAX);
            if end > bytes.len() || header.ordinal < next {
                continue;
            }
            if let Some(head) = self.names_in(pack, header.ordinal, &bytes[start..end]) {
                enter(&mut scanned, header, start, head);
                at = end;
            }
        }
        scanned
    }

    /// What a frame holds, if it is sound. A delta frame says it itself: what it builds on may lie
    /// in packs that no index knows yet.
    fn names_in(&self, pack: PackRef, number: u32, raw: &[u8]) -> Option<Head> {
        let (coding, encoded) = self.unseal(pack, number, raw).ok()?;
        if coding == Coding::Delta {
            return Head::decode(&encoded).map(|(head, _)| head);
        }
        let payload = self.decode(coding, &encoded).ok()?;
        let mut head = Head::default();
        for number in 0..payload.chunks() {
            let plain = payload.chunk(number).unwrap_or_default();
            head.ids.push(self.hash(plain));
            head.lengths.push(u32::try_from(plain.len()).expect("a payload is bounded"));
        }
        Some(head)
    }
}

fn enter(scanned: &mut Scanned, header: FrameHeader, start: usize, head: Head) {
    let Ok(offset) = u32::try_from(start) else { return };
    let contents = &mut scanned.contents;
    // Frames before it that were passed over keep their numbers, without chunks.
    let nothing = FramePlace { offset, sealed_bytes: 0, chunks: 0 };
    contents.frames.resize(header.ordinal as usize, nothing);
    contents.frames.push(FramePlace {
        offset,
        sealed_bytes: header.sealed_bytes,
        chunks: u16::try_from(head.ids.len()).expect("a frame counts its chunks in 16 bits"),
    });
    contents.ids.extend(head.ids);
    contents.lengths.extend(head.lengths);
    if !head.bases.is_empty() {
        contents.bases.insert(header.ordinal, head.bases);
    }
    scanned.sound.insert(header.ordinal);
}

/// Where the next thing begins that looks like a frame.
fn next_frame(bytes: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    rest.windows(FRAME_MAGIC.len()).position(|four| four == FRAME_MAGIC).map(|found| from + found)
}

fn header_at(bytes: &[u8], start: usize) -> Option<FrameHeader> {
    let header = FrameHeader::decode(bytes.get(start..)?.first_chunk()?)?;
    let bounded = header.sealed_bytes as usize <= FRAME_BYTES_MAX + TAG_BYTES
        && (header.ordinal as usize) < super::format::PACK_FRAMES_MAX;
    bounded.then_some(header)
}
