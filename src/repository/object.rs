//! Objects: what kinds there are, and the header that all but packs begin with.

use super::error::RepositoryError;
use super::id::{ObjectId, RepositoryId};
use super::seal::{Sealer, TAG_BYTES, Turn};

/// What an object is. Its code is part of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKind {
    /// What the repository is; the highest valid number wins.
    Config,
    /// A key slot.
    Key,
    /// Frames of chunks.
    Pack,
    /// Where chunks are; a cache, rebuilt from packs.
    Index,
    /// A snapshot record: the sole commit point.
    Snapshot,
    /// A mark that keeps a snapshot.
    Pin,
    /// A mark that a snapshot is no longer wanted.
    Forgotten,
    /// Who works here.
    Lease,
    /// What a prune is about to delete.
    Condemned,
    /// A damaged object, kept as evidence.
    Quarantine,
    /// What a user says of a snapshot after it was taken.
    Label,
}

impl ObjectKind {
    /// Every kind.
    pub const ALL: [Self; 11] = [
        Self::Config,
        Self::Key,
        Self::Pack,
        Self::Index,
        Self::Snapshot,
        Self::Pin,
        Self::Forgotten,
        Self::Lease,
        Self::Condemned,
        Self::Quarantine,
        Self::Label,
    ];

    /// The number that stands for it in the format.
    pub const fn code(self) -> u8 {
        match self {
            Self::Config => 1,
            Self::Key => 2,
            Self::Pack => 3,
            Self::Index => 4,
            Self::Snapshot => 5,
            Self::Pin => 6,
            Self::Forgotten => 7,
            Self::Lease => 8,
            Self::Condemned => 9,
            Self::Quarantine => 10,
            Self::Label => 11,
        }
    }

    /// The directory, or prefix, that holds objects of this kind.
    pub const fn directory(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Key => "keys",
            Self::Pack => "packs",
            Self::Index => "index",
            Self::Snapshot => "snapshots",
            Self::Pin => "pins",
            Self::Forgotten => "forgotten",
            Self::Lease => "leases",
            Self::Condemned => "condemned",
            Self::Quarantine => "quarantine",
            Self::Label => "labels",
        }
    }

    /// How an error names an object of this kind.
    pub(super) fn named(self, name: &str) -> String {
        format!("{}/{name}", self.directory())
    }
}

/// The first bytes of every object but a pack. No text-mode copy leaves them whole.
const MAGIC: [u8; 8] = *b"snapobj\n";
/// The layout described in FORMAT.md.
pub(super) const FORMAT_VERSION: u16 = 1;
pub(super) const HEADER_BYTES: usize = 16;
const CLEAR_TAG_BYTES: usize = 32;

/// The clear beginning of an object. Layout: FORMAT.md, "Objects".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    kind: ObjectKind,
    /// Bytes between the header and the tag.
    body_bytes: u32,
}

impl Header {
    fn encode(self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        out[..8].copy_from_slice(&MAGIC);
        out[8..10].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        out[10] = self.kind.code();
        out[12..].copy_from_slice(&self.body_bytes.to_le_bytes());
        out
    }
}

/// Splits an object into header, body and tag; believes no byte of it.
fn split<'a>(
    kind: ObjectKind,
    name: &str,
    bytes: &'a [u8],
    tag_bytes: usize,
) -> Result<(&'a [u8], &'a [u8]), RepositoryError> {
    let damaged =
        |what: &str| RepositoryError::Damaged { object: kind.named(name), what: what.to_owned() };
    let (head, rest) =
        bytes.split_at_checked(HEADER_BYTES).ok_or_else(|| damaged("it is too short"))?;
    if head[..8] != MAGIC {
        return Err(damaged("it does not begin as an object does"));
    }
    let version = u16::from_le_bytes([head[8], head[9]]);
    if version > FORMAT_VERSION {
        return Err(RepositoryError::TooNew { object: kind.named(name), version });
    }
    let body_bytes = rest.len().checked_sub(tag_bytes).and_then(|n| u32::try_from(n).ok());
    let body_bytes = body_bytes.ok_or_else(|| damaged("it is too short"))?;
    if head != (Header { kind, body_bytes }).encode() {
        return Err(damaged("its header does not fit it"));
    }
    Ok((head, rest))
}

/// Makes an object of `body` that only holders of the master key can read.
pub(super) fn seal(sealer: &Sealer, kind: ObjectKind, body: &[u8]) -> Vec<u8> {
    let body_bytes = u32::try_from(body.len()).expect("objects sealed as a whole are bounded");
    let header = Header { kind, body_bytes }.encode();
    let mut out = Vec::with_capacity(HEADER_BYTES + body.len() + TAG_BYTES);
    out.extend_from_slice(&header);
    out.extend_from_slice(body);
    sealer.seal(Turn::Whole, &header, &mut out, HEADER_BYTES);
    out
}

/// Opens what [`seal`] made.
pub(super) fn open(
    sealer: &Sealer,
    kind: ObjectKind,
    name: &str,
    bytes: &[u8],
) -> Result<Vec<u8>, RepositoryError> {
    let (head, sealed) = split(kind, name, bytes, TAG_BYTES)?;
    let mut body = Vec::new();
    match sealer.open(Turn::Whole, head, sealed, &mut body) {
        Ok(()) => Ok(body),
        Err(_) => Err(RepositoryError::Damaged {
            object: kind.named(name),
            what: "its seal does not open".to_owned(),
        }),
    }
}

/// Makes an object of `body` that anybody can read and only holders of the master key can alter.
pub(super) fn tagged(
    master: &[u8; 32],
    repository: &RepositoryId,
    kind: ObjectKind,
    name: &ObjectId,
    body: &[u8],
) -> Vec<u8> {
    let body_bytes = u32::try_from(body.len()).expect("clear objects are bounded");
    let mut out = Header { kind, body_bytes }.encode().to_vec();
    out.extend_from_slice(body);
    let tag = super::seal::tag(master, repository, kind, name, &out);
    out.extend_from_slice(tag.as_bytes());
    out
}

/// The body of a clear object, not yet believed: see [`is_authentic`].
pub(super) fn clear_body<'a>(
    kind: ObjectKind,
    name: &str,
    bytes: &'a [u8],
) -> Result<&'a [u8], RepositoryError> {
    let (_, rest) = split(kind, name, bytes, CLEAR_TAG_BYTES)?;
    Ok(&rest[..rest.len() - CLEAR_TAG_BYTES])
}

/// Whether the tag of a clear object that [`clear_body`] took apart is ours.
pub(super) fn is_authentic(
    master: &[u8; 32],
    repository: &RepositoryId,
    kind: ObjectKind,
    name: &ObjectId,
    bytes: &[u8],
) -> bool {
    let Some((tagged, tag)) = bytes.split_last_chunk::<CLEAR_TAG_BYTES>() else { return false };
    // `blake3::Hash` compares in constant time.
    super::seal::tag(master, repository, kind, name, tagged) == blake3::Hash::from_bytes(*tag)
}
