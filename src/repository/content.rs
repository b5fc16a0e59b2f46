//! A file's content: no bytes, one chunk, or a list of chunks.
//!
//! ```text
//! read up to whole_bytes_max + 1 bytes
//! if they end there: one chunk
//! else: read 256 KiB more whenever what was read shows no cut,
//!       cut, chunk after chunk, media at fixed places, where the bytes lie (see `window`),
//!       and write the list; a full list (65,536 entries) becomes one entry of a list above it
//! ```

use std::io::{self, Read};

use super::chunker::Chunker;
use super::error::RepositoryError;
use super::id::ChunkId;
use super::media::Kind;
use super::window::Window;

/// Where a file's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stored {
    /// No bytes.
    Empty,
    /// All of them in one chunk.
    Chunk(ChunkId),
    /// In the chunks that this list names. The list's id is a Merkle id over theirs.
    List(ChunkId),
}

/// One chunk of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Its name.
    pub id: ChunkId,
    /// Its length.
    pub bytes: u64,
}

/// A list as it is stored: what it names are chunks, or lists one level below.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct List {
    /// 0: chunks.
    pub(super) level: u8,
    pub(super) pieces: Vec<Piece>,
}

/// The most entries in a list: 2.5 MiB of it, 16 GiB of file.
const LIST_PIECES_MAX: usize = 65_536;
/// 2^64 bytes need no more.
const LIST_LEVEL_MAX: u8 = 4;
const LIST_MAGIC: [u8; 4] = *b"list";
const LIST_HEADER_BYTES: usize = 12;

impl List {
    /// Layout: FORMAT.md, "Chunk list".
    pub(super) fn encode(&self) -> Vec<u8> {
        let count = u32::try_from(self.pieces.len()).expect("lists are bounded");
        let mut out = Vec::with_capacity(LIST_HEADER_BYTES + 40 * self.pieces.len());
        out.extend_from_slice(&LIST_MAGIC);
        out.extend_from_slice(&[1, self.level, 0, 0]);
        out.extend_from_slice(&count.to_le_bytes());
        self.pieces.iter().for_each(|piece| out.extend_from_slice(piece.id.as_bytes()));
        self.pieces.iter().for_each(|piece| out.extend_from_slice(&piece.bytes.to_le_bytes()));
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (head, rest) = bytes.split_first_chunk::<LIST_HEADER_BYTES>()?;
        let [m0, m1, m2, m3, version, level, 0, 0, c0, c1, c2, c3] = *head else { return None };
        let count = u32::from_le_bytes([c0, c1, c2, c3]) as usize;
        let fits = [m0, m1, m2, m3] == LIST_MAGIC
            && version == 1
            && level <= LIST_LEVEL_MAX
            && (1..=LIST_PIECES_MAX).contains(&count)
            && rest.len() == 40 * count;
        if !fits {
            return None;
        }
        let (ids, lengths) = rest.split_at(32 * count);
        let (ids, _) = ids.as_chunks::<32>();
        let (lengths, _) = lengths.as_chunks::<8>();
        let piece = |(id, bytes): (&[u8; 32], &[u8; 8])| Piece {
            id: ChunkId::from_bytes(*id),
            bytes: u64::from_le_bytes(*bytes),
        };
        Some(Self { level, pieces: ids.iter().zip(lengths).map(piece).collect() })
    }
}

/// What is done with the pieces of a file: stored, or only hashed.
pub(super) trait Sink {
    /// Takes a file that is one chunk.
    fn chunk(&mut self, plain: &[u8]) -> Result<ChunkId, RepositoryError>;
    /// Takes the next chunk of a longer file: the first `bytes` of what `window` has left.
    fn piece(
        &mut self,
        kind: Kind,
        window: &mut Window,
        bytes: usize,
    ) -> Result<ChunkId, RepositoryError>;
    fn list(&mut self, plain: &[u8]) -> Result<ChunkId, RepositoryError>;
}

/// How much there is to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// So many bytes, or fewer if the reader ends early. What may follow is not read, which saves
    /// a system call for each file; whoever cares compares the file's size afterwards.
    Bytes(u64),
    /// All there is.
    ToEnd,
}

/// Reads content once and hands its pieces to `sink`. `window` is only reused memory.
pub(super) fn take_apart(
    chunker: &Chunker,
    reader: &mut dyn Read,
    extent: Extent,
    window: &mut Window,
    sink: &mut dyn Sink,
) -> Result<(Stored, u64), RepositoryError> {
    let mut source = Source { reader, left: extent, ended: false };
    let whole = chunker.whole_bytes_max();
    window.clear();
    // One byte more than fits tells a file that ends here from a longer one.
    source.fill(window, whole + 1)?;
    let plain = window.rest();
    if plain.len() <= whole {
        let stored =
            if plain.is_empty() { Stored::Empty } else { Stored::Chunk(sink.chunk(plain)?) };
        return Ok((stored, plain.len() as u64));
    }
    cut(chunker, &mut source, window, sink)
}

/// So much is read at a time: it is cut and hashed while it still lies near the core, and what was
/// read beyond a frame is copied once.
const READ_BYTES: usize = 256 << 10;

/// Where a chunk begins with so many zeros, more are looked for.
const SEEMS_ZEROS: usize = 64;

/// Cuts what is longer than one chunk, whose beginning is in `window` already.
fn cut(
    chunker: &Chunker,
    source: &mut Source<'_>,
    window: &mut Window,
    sink: &mut dyn Sink,
) -> Result<(Stored, u64), RepositoryError> {
    let mut lists = Lists::default();
    let mut size = 0;
    let mut searched = 0;
    let kind = chunker.kind_of(window.rest());
    loop {
        let mut found = None;
        if searched == 0 {
            if window.rest().len() < SEEMS_ZEROS {
                source.fill(window, READ_BYTES)?;
            }
            if window.rest().starts_with(&[0; SEEMS_ZEROS]) {
                source.fill(window, chunker.max())?;
                found = chunker.cut_in_zeros(kind, window.rest());
            }
        }
        let found =
            found.or_else(|| chunker.first_cut(kind, window.rest(), searched, source.ended));
        let Some(bytes) = found else {
            searched = window.rest().len();
            source.fill(window, searched + READ_BYTES)?;
            continue;
        };
        if bytes == 0 {
            break;
        }
        searched = 0;
        let id = sink.piece(kind, window, bytes)?;
        lists.push(0, Piece { id, bytes: bytes as u64 }, sink)?;
        size += bytes as u64;
    }
    Ok((Stored::List(lists.finish(sink)?), size))
}

/// Reads no further than it was told to.
struct Source<'a> {
    reader: &'a mut dyn Read,
    left: Extent,
    ended: bool,
}

impl Source<'_> {
    /// Reads until `window` has `wanted` bytes left or the end is met.
    fn fill(&mut self, window: &mut Window, wanted: usize) -> Result<(), RepositoryError> {
        while window.rest().len() < wanted && !self.ended {
            let room = window.room(wanted);
            let most = match self.left {
                Extent::ToEnd => room.len(),
                Extent::Bytes(left) => {
                    usize::try_from(left).map_or(room.len(), |left| left.min(room.len()))
                }
            };
            if most == 0 {
                self.ended = true;
                break;
            }
            let read = match self.reader.read(&mut room[..most]) {
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(RepositoryError::Source(error)),
            };
            window.read(read);
            self.ended = read == 0;
            if let Extent::Bytes(left) = &mut self.left {
                *left -= read as u64;
                self.ended |= *left == 0;
            }
        }
        Ok(())
    }
}

/// The lists being filled, the lowest first.
#[derive(Default)]
struct Lists {
    levels: Vec<Vec<Piece>>,
}

impl Lists {
    /// Adds a piece; a list that is full is handed on and becomes a piece one level up.
    fn push(
        &mut self,
        mut level: usize,
        mut piece: Piece,
        sink: &mut dyn Sink,
    ) -> Result<(), RepositoryError> {
        loop {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            if self.levels[level].len() < LIST_PIECES_MAX {
                self.levels[level].push(piece);
                return Ok(());
            }
            // Full: it goes up, and the piece begins the next one.
            let full = std::mem::replace(&mut self.levels[level], vec![piece]);
            piece = Self::close(level, full, sink)?;
            level += 1;
        }
    }

    /// Closes all lists; the id of the topmost.
    fn finish(mut self, sink: &mut dyn Sink) -> Result<ChunkId, RepositoryError> {
        let mut level = 0;
        loop {
            let pieces = std::mem::take(&mut self.levels[level]);
            let piece = Self::close(level, pieces, sink)?;
            level += 1;
            if level == self.levels.len() {
                return Ok(piece.id);
            }
            self.push(level, piece, sink)?;
        }
    }

    fn close(
        level: usize,
        pieces: Vec<Piece>,
        sink: &mut dyn Sink,
    ) -> Result<Piece, RepositoryError> {
        let level = u8::try_from(level).expect("no file has so many chunks");
        let bytes = pieces.iter().map(|piece| piece.bytes).sum();
        let id = sink.list(&List { level, pieces }.encode())?;
        Ok(Piece { id, bytes })
    }
}
