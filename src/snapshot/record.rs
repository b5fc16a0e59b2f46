//! The record of one point in time: the only thing that makes a snapshot exist.
#![doc = include_str!("RECORD.md")]

use std::path::PathBuf;

use super::stored;
use crate::database::DatabaseKind;
use crate::monitor::Problem;
use crate::os::clock::Moment;
use crate::repository::ChunkId;
use crate::repository::ObjectId;
use crate::tree::{Content, Entry, ExclusionRules, Kind};

/// Who a snapshot is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Somebody asked for it. Only these are `latest`.
    User,
    /// The way back of a transaction.
    Safety,
    /// A release of an application, as its authors ship it.
    Release,
}

/// What one application was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppMark {
    /// Its name on this machine.
    pub name: String,
    /// Its version, as it calls itself.
    pub version: String,
    /// The profile that knew what it is made of.
    pub profile: String,
}

/// One root: a directory with all below it, or a single file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// What the digest calls it; unique in a snapshot.
    pub label: String,
    /// Where it was. Not in the digest.
    pub path: PathBuf,
    /// Itself, with the id of its directory object. Its name is always `root`.
    pub entry: Entry,
    /// What was left out.
    pub rules: ExclusionRules,
}

/// One database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseMark {
    /// Its name in the snapshot.
    pub name: String,
    /// Its family.
    pub kind: DatabaseKind,
    /// Its state, as the repository keeps it.
    pub state: ChunkId,
    /// Equal exactly when the content is.
    pub fingerprint: [u8; 32],
    /// Which server it was.
    pub identity: String,
    /// Where it was, as the user reads it.
    pub address: String,
    /// Rows in it.
    pub rows: u64,
    /// Bytes of its rows.
    pub bytes: u64,
}

/// How much a snapshot holds, and what it cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Regular files.
    pub files: u64,
    /// Directories, the roots included.
    pub directories: u64,
    /// Links, FIFOs, sockets, devices, mount points, database files.
    pub others: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Files whose content was read.
    pub files_read: u64,
    /// Bytes read from them.
    pub bytes_read: u64,
    /// Files that were not read again, for nothing about them had changed.
    pub files_unchanged: u64,
    /// What could not be read; the first of them are in [`Snapshot::problems`].
    pub problems: u64,
    /// From the first look to the record, in milliseconds.
    pub took_ms: u64,
}

/// A point in time: files and databases under one id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Its name in the repository.
    pub id: ObjectId,
    /// When it was begun.
    pub time: Moment,
    /// The machine's name.
    pub host: String,
    /// Who it is for.
    pub class: Class,
    /// What it is of: the application, or the paths. Snapshots of one source are counted.
    pub source: String,
    /// Counted from 1 for each host and source.
    pub sequence: u64,
    /// The one it was compared with.
    pub parent: Option<ObjectId>,
    /// The application, if it is one's.
    pub app: Option<AppMark>,
    /// Its trees, sorted by label.
    pub roots: Vec<Root>,
    /// Equal exactly when all roots are.
    pub files_digest: [u8; 32],
    /// Where the annex is: what is carried but not proved.
    pub annex: Content,
    /// Its databases, sorted by name.
    pub databases: Vec<DatabaseMark>,
    /// Other bytes that it keeps, by name.
    pub attachments: Vec<(String, Content)>,
    /// How much it holds.
    pub counts: Counts,
    /// The first things that could not be read.
    pub problems: Vec<Problem>,
    /// Words that the user gave it.
    pub tags: Vec<String>,
    /// A line that the user gave it.
    pub note: Option<String>,
    /// The version of this program that took it.
    pub program: String,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 3] = [Self::User, Self::Safety, Self::Release];

    /// The word for it in records and output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Safety => "safety",
            Self::Release => "release",
        }
    }
}

impl Counts {
    /// Both together.
    pub(super) const fn plus(&self, other: &Self) -> Self {
        Self {
            files: self.files + other.files,
            directories: self.directories + other.directories,
            others: self.others + other.others,
            bytes: self.bytes + other.bytes,
            files_read: self.files_read + other.files_read,
            bytes_read: self.bytes_read + other.bytes_read,
            files_unchanged: self.files_unchanged + other.files_unchanged,
            problems: self.problems + other.problems,
            took_ms: self.took_ms + other.took_ms,
        }
    }
}

impl Snapshot {
    /// Whether something that should be in it could not be read. Nothing is built on such a one.
    pub const fn is_partial(&self) -> bool {
        self.counts.problems > 0
    }

    /// The root with this label.
    pub fn root(&self, label: &str) -> Option<&Root> {
        self.roots.iter().find(|root| root.label == label)
    }

    /// The directory objects of its roots.
    pub(super) fn root_objects(&self) -> impl Iterator<Item = ChunkId> {
        self.roots.iter().filter_map(|root| match root.entry.kind {
            Kind::Directory { object } => Some(object),
            _ => None,
        })
    }

    /// The bytes of its record: one form only.
    pub fn encode(&self) -> Vec<u8> {
        stored::encode(self)
    }

    /// Reads the record `id`.
    pub fn decode(id: ObjectId, raw: &[u8]) -> Result<Self, BadRecord> {
        stored::decode(id, raw)
    }
}

/// Why some bytes are no snapshot record.
#[derive(Debug, thiserror::Error)]
pub enum BadRecord {
    /// Not what this version writes.
    #[error("it is not a snapshot record")]
    Malformed(#[source] minicbor::decode::Error),
    /// Written by a later version.
    #[error("its layout {0} is unknown to this version")]
    TooNew(u32),
    /// A field holds what it cannot.
    #[error("its field {0} holds what it cannot")]
    Field(&'static str),
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use crate::snapshot::testing;

    #[test]
    fn layout_1_stays_these_bytes_for_ever() {
        let mut hex = String::new();
        for byte in testing::snapshot().encode() {
            write!(hex, "{byte:02x}").unwrap();
        }
        let text = include_str!("RECORD.md").split("```text").nth(1).unwrap();
        let golden: String = text.split("```").next().unwrap().split_whitespace().collect();
        assert_eq!(hex, golden);
    }

    #[test]
    fn a_record_survives_being_stored() {
        let snapshot = testing::snapshot();
        let raw = snapshot.encode();
        let read = Snapshot::decode(snapshot.id, &raw).unwrap();
        assert_eq!(read, snapshot);
        assert_eq!(read.encode(), raw);
    }

    #[test]
    fn a_field_of_a_later_version_is_skipped() {
        let snapshot = testing::snapshot();
        let mut raw = snapshot.encode();
        assert_eq!(raw[0], 0xb2, "a map of 18");
        raw[0] += 1;
        raw.extend_from_slice(&[0x18, 0x63, 0x63, b'n', b'e', b'w']);
        assert_eq!(Snapshot::decode(snapshot.id, &raw).unwrap(), snapshot);
    }

    #[test]
    fn a_record_that_ends_early_is_refused() {
        let snapshot = testing::snapshot();
        let raw = snapshot.encode();
        for end in 0..raw.len() {
            assert!(Snapshot::decode(snapshot.id, &raw[..end]).is_err(), "{end}");
        }
    }
}
