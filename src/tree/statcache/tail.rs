//! The end of the file: where the blocks are, what it is a cache of, and a checksum over both.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use crate::repository::ObjectId;
use crate::tree::BadObject;
use crate::tree::wire::{Reader, Writer};

const MAGIC: [u8; 8] = *b"snapst4\n";
const TRAILER_BYTES: usize = 8 + 8 + 8 + 32 + 8;
const PLACE_BYTES: usize = 8 + 8 + 4;
/// Two ids, a boot, a path.
const ORIGIN_BYTES_MAX: u64 = 8192;

/// What the cache is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The snapshot that was taken. Its chunks exist while it is listed.
    pub snapshot: Option<ObjectId>,
    /// The boot of the machine: after a crash, stat data and bytes may disagree.
    pub boot_id: String,
    /// Tells this root and repository from others.
    pub source: [u8; 32],
    /// The root. Where it is gone, nobody will ask again.
    pub root: PathBuf,
}

/// Where a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub(super) hash: u64,
    pub(super) offset: u64,
    pub(super) length: u32,
}

/// What is read of the end: all but the blocks.
pub(super) struct Tail {
    pub(super) origin: Origin,
    pub(super) places: Vec<Place>,
    /// Where the blocks end.
    pub(super) blocks_bytes: u64,
}

/// Which root the cache in `file` says it is of; nothing is checked, and only that is read.
pub fn root_of(file: &File) -> io::Result<PathBuf> {
    let Trailer { origin_at, ends_at, .. } = Trailer::of(file)?;
    let length = ends_at - origin_at;
    if length > ORIGIN_BYTES_MAX {
        return Err(bad());
    }
    let mut raw = vec![0; usize::try_from(length).map_err(|_| bad())?];
    file.read_exact_at(&mut raw, origin_at)?;
    Ok(Origin::decode(&mut Reader(&raw)).map_err(|_| bad())?.root)
}

impl Tail {
    pub(super) fn of(file: &File) -> io::Result<Self> {
        let Trailer { places_at, count, origin_at: _, ends_at, checksum } = Trailer::of(file)?;
        let mut tail = vec![0; usize::try_from(ends_at - places_at).map_err(|_| bad())?];
        file.read_exact_at(&mut tail, places_at)?;
        if blake3::hash(&tail) != checksum {
            return Err(bad());
        }
        let mut from = Reader(&tail);
        let places = (0..count).map(|_| Place::decode(&mut from));
        let places = places.collect::<Result<_, _>>().map_err(|_| bad())?;
        let origin = Origin::decode(&mut from).map_err(|_| bad())?;
        Ok(Self { origin, places, blocks_bytes: places_at })
    }
}

/// The last bytes: where everything else is.
struct Trailer {
    places_at: u64,
    count: u64,
    origin_at: u64,
    ends_at: u64,
    checksum: [u8; 32],
}

impl Trailer {
    fn of(file: &File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        let ends_at = length.checked_sub(TRAILER_BYTES as u64).ok_or_else(bad)?;
        let mut trailer = [0; TRAILER_BYTES];
        file.read_exact_at(&mut trailer, ends_at)?;
        let mut from = Reader(&trailer);
        let mut number = || from.array().map(u64::from_le_bytes).map_err(|_| bad());
        let (places_at, count, origin_at) = (number()?, number()?, number()?);
        let checksum: [u8; 32] = from.array().map_err(|_| bad())?;
        let magic: [u8; 8] = from.array().map_err(|_| bad())?;
        let places_bytes = count.checked_mul(PLACE_BYTES as u64).ok_or_else(bad)?;
        let fits = places_at.checked_add(places_bytes) == Some(origin_at) && origin_at <= ends_at;
        if magic != MAGIC || !fits {
            return Err(bad());
        }
        Ok(Self { places_at, count, origin_at, ends_at, checksum })
    }
}

fn bad() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

pub(super) fn encode(mut places: Vec<Place>, origin: &Origin, offset: u64) -> Vec<u8> {
    places.sort_unstable();
    let mut tail = Writer::default();
    for place in &places {
        tail.raw(&place.hash.to_le_bytes());
        tail.raw(&place.offset.to_le_bytes());
        tail.raw(&place.length.to_le_bytes());
    }
    let origin_at = offset + tail.0.len() as u64;
    origin.encode(&mut tail);
    let checksum = blake3::hash(&tail.0);
    tail.raw(&offset.to_le_bytes());
    tail.raw(&(places.len() as u64).to_le_bytes());
    tail.raw(&origin_at.to_le_bytes());
    tail.raw(checksum.as_bytes());
    tail.raw(&MAGIC);
    tail.0
}

impl Place {
    fn decode(from: &mut Reader<'_>) -> Result<Self, BadObject> {
        Ok(Self {
            hash: u64::from_le_bytes(from.array()?),
            offset: u64::from_le_bytes(from.array()?),
            length: u32::from_le_bytes(from.array()?),
        })
    }
}

impl Origin {
    fn encode(&self, out: &mut Writer) {
        out.bytes(self.snapshot.as_ref().map_or(&[][..], |id| id.as_bytes()));
        out.bytes(self.boot_id.as_bytes());
        out.raw(&self.source);
        out.bytes(self.root.as_os_str().as_bytes());
    }

    fn decode(from: &mut Reader<'_>) -> Result<Self, BadObject> {
        let snapshot = <[u8; 32]>::try_from(from.bytes("origin")?).ok().map(ObjectId::from_bytes);
        let boot_id = String::from_utf8_lossy(from.bytes("origin")?).into_owned();
        let source = from.array()?;
        let root = PathBuf::from(OsStr::from_bytes(from.bytes("origin")?));
        Ok(Self { snapshot, boot_id, source, root })
    }
}
