//! What a snapshot carries without proving it: names of owners, holes, inode flags, the times of
//! directories that hold something left out, and what lay under guarded paths.

use std::collections::{BTreeMap, BTreeSet};

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

use super::SnapshotError;
use crate::os::meta::InodeFlags;
use crate::repository::{Repository, Stored};
use crate::tree::{BadPath, Mtime, Recorded, TreePath};

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Annex {
    /// Of each root, by its label.
    pub roots: BTreeMap<String, RootAnnex>,
    /// Names of users, by number.
    pub users: BTreeMap<u32, String>,
    /// Names of groups, by number.
    pub groups: BTreeMap<u32, String>,
}

/// What belongs to one root. `None` as a path is the root itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RootAnnex {
    /// The times of directories that the digest leaves out.
    pub directory_mtimes: BTreeMap<Option<TreePath>, Mtime>,
    /// The ranges that hold data, as offset and length, of files that have holes.
    pub data_ranges: BTreeMap<Option<TreePath>, Vec<(u64, u64)>>,
    /// `chattr +i` and `+a`.
    pub flags: BTreeMap<Option<TreePath>, InodeFlags>,
    /// What lay under guarded paths.
    pub guarded: BTreeMap<TreePath, Guarded>,
    /// Where something was mounted.
    pub mount_points: BTreeSet<TreePath>,
    /// Directories that were marked as caches.
    pub caches: BTreeSet<TreePath>,
}

/// What lay under one guarded path: enough to tell whether it is still the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guarded {
    /// Files, directories and others, itself included.
    pub entries: u64,
    /// Bytes of the files.
    pub bytes: u64,
    /// Over names, kinds, sizes and times, not over content.
    pub digest: [u8; 32],
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct StoredAnnex {
    #[n(0)]
    layout: u32,
    #[n(1)]
    roots: Vec<StoredRoot>,
    #[n(2)]
    users: Vec<StoredName>,
    #[n(3)]
    groups: Vec<StoredName>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct StoredName {
    #[n(0)]
    number: u32,
    #[n(1)]
    name: String,
}

/// A path of no bytes is the root.
#[derive(Encode, Decode)]
#[cbor(map)]
struct StoredRoot {
    #[n(0)]
    label: String,
    #[n(1)]
    directory_mtimes: Vec<StoredMtime>,
    #[n(2)]
    data_ranges: Vec<StoredRanges>,
    #[n(3)]
    flags: Vec<StoredFlags>,
    #[n(4)]
    guarded: Vec<StoredGuarded>,
    #[n(5)]
    mount_points: Vec<ByteVec>,
    #[n(6)]
    caches: Vec<ByteVec>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct StoredMtime {
    #[n(0)]
    path: ByteVec,
    #[n(1)]
    secs: i64,
    #[n(2)]
    nanos: u32,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct StoredRanges {
    #[n(0)]
    path: ByteVec,
    /// Offset, length, offset, length, …
    #[n(1)]
    ranges: Vec<u64>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct StoredFlags {
    #[n(0)]
    path: ByteVec,
    #[n(1)]
    immutable: bool,
    #[n(2)]
    append_only: bool,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct StoredGuarded {
    #[n(0)]
    path: ByteVec,
    #[n(1)]
    entries: u64,
    #[n(2)]
    bytes: u64,
    #[cbor(n(3), with = "minicbor::bytes")]
    digest: [u8; 32],
}

const LAYOUT: u32 = 1;

impl Annex {
    /// Reads the annex that a record names.
    pub fn read(repository: &Repository, stored: &Stored) -> Result<Self, SnapshotError> {
        let mut raw = Vec::new();
        for piece in repository.pieces(stored) {
            raw.extend(repository.get(&piece?.id)?);
        }
        if raw.is_empty() {
            return Ok(Self::default());
        }
        Self::decode(&raw).ok_or(SnapshotError::BadAnnex)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let names = |names: &BTreeMap<u32, String>| {
            let name = |(number, name): (&u32, &String)| StoredName {
                number: *number,
                name: name.clone(),
            };
            names.iter().map(name).collect()
        };
        let stored = StoredAnnex {
            layout: LAYOUT,
            roots: self.roots.iter().map(|(label, root)| root.store(label)).collect(),
            users: names(&self.users),
            groups: names(&self.groups),
        };
        minicbor::to_vec(stored).expect("memory takes every byte")
    }

    fn decode(raw: &[u8]) -> Option<Self> {
        let stored: StoredAnnex = minicbor::decode(raw).ok()?;
        if stored.layout != LAYOUT {
            return None;
        }
        let names =
            |names: Vec<StoredName>| names.into_iter().map(|n| (n.number, n.name)).collect();
        let root = |root: StoredRoot| Some((root.label.clone(), RootAnnex::load(root)?));
        Some(Self {
            roots: stored.roots.into_iter().map(root).collect::<Option<_>>()?,
            users: names(stored.users),
            groups: names(stored.groups),
        })
    }
}

impl RootAnnex {
    /// What a live tree is compared by, so that it can be equal elsewhere too.
    pub fn recorded(&self) -> Recorded {
        Recorded {
            untimed: self.directory_mtimes.keys().cloned().collect(),
            mount_points: self.mount_points.clone(),
            caches: self.caches.clone(),
        }
    }

    fn store(&self, label: &str) -> StoredRoot {
        StoredRoot {
            label: label.to_owned(),
            directory_mtimes: self
                .directory_mtimes
                .iter()
                .map(|(path, mtime)| StoredMtime {
                    path: bytes_of(path.as_ref()),
                    secs: mtime.secs,
                    nanos: mtime.nanos,
                })
                .collect(),
            data_ranges: self
                .data_ranges
                .iter()
                .map(|(path, ranges)| StoredRanges {
                    path: bytes_of(path.as_ref()),
                    ranges: ranges.iter().flat_map(|(offset, length)| [*offset, *length]).collect(),
                })
                .collect(),
            flags: self
                .flags
                .iter()
                .map(|(path, flags)| StoredFlags {
                    path: bytes_of(path.as_ref()),
                    immutable: flags.immutable,
                    append_only: flags.append_only,
                })
                .collect(),
            guarded: self
                .guarded
                .iter()
                .map(|(path, guarded)| StoredGuarded {
                    path: bytes_of(Some(path)),
                    entries: guarded.entries,
                    bytes: guarded.bytes,
                    digest: guarded.digest,
                })
                .collect(),
            mount_points: self.mount_points.iter().map(|path| bytes_of(Some(path))).collect(),
            caches: self.caches.iter().map(|path| bytes_of(Some(path))).collect(),
        }
    }

    fn load(stored: StoredRoot) -> Option<Self> {
        let mut root = Self::default();
        for StoredMtime { path, secs, nanos } in stored.directory_mtimes {
            root.directory_mtimes.insert(path_of(&path).ok()?, Mtime { secs, nanos });
        }
        for StoredRanges { path, ranges } in stored.data_ranges {
            let (pairs, []) = ranges.as_chunks::<2>() else { return None };
            let pairs = pairs.iter().map(|[offset, length]| (*offset, *length)).collect();
            root.data_ranges.insert(path_of(&path).ok()?, pairs);
        }
        for StoredFlags { path, immutable, append_only } in stored.flags {
            root.flags.insert(path_of(&path).ok()?, InodeFlags { immutable, append_only });
        }
        for StoredGuarded { path, entries, bytes, digest } in stored.guarded {
            root.guarded.insert(path_of(&path).ok()??, Guarded { entries, bytes, digest });
        }
        for path in stored.mount_points {
            root.mount_points.insert(path_of(&path).ok()??);
        }
        for path in stored.caches {
            root.caches.insert(path_of(&path).ok()??);
        }
        Some(root)
    }
}

fn bytes_of(path: Option<&TreePath>) -> ByteVec {
    path.map_or_else(Vec::new, |path| path.as_bytes().to_vec()).into()
}

/// Of no bytes: the root.
fn path_of(bytes: &[u8]) -> Result<Option<TreePath>, BadPath> {
    if bytes.is_empty() { Ok(None) } else { TreePath::parse(bytes).map(Some) }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    fn full() -> Annex {
        let inside = TreePath::parse(b"a/b").unwrap();
        let path = Some(inside.clone());
        let flags = InodeFlags { immutable: true, append_only: false };
        let guarded = Guarded { entries: 3, bytes: 1 << 40, digest: [7; 32] };
        let root = RootAnnex {
            directory_mtimes: [(None, Mtime { secs: -1, nanos: 5 })].into(),
            data_ranges: [(path.clone(), vec![(0, 4096), (1 << 30, 1)])].into(),
            flags: [(path.clone(), flags)].into(),
            guarded: [(inside.clone(), guarded)].into(),
            mount_points: [inside.clone()].into(),
            caches: [inside].into(),
        };
        Annex {
            roots: [("root".to_owned(), root)].into(),
            users: [(33, "www-data".to_owned())].into(),
            groups: BTreeMap::new(),
        }
    }

    #[test]
    fn layout_1_stays_these_bytes_for_ever() {
        let mut hex = String::new();
        for byte in full().encode() {
            write!(hex, "{byte:02x}").unwrap();
        }
        let text = include_str!("RECORD.md").split("```annex").nth(1).unwrap();
        let golden: String = text.split("```").next().unwrap().split_whitespace().collect();
        assert_eq!(hex, golden);
    }

    #[test]
    fn an_annex_survives_being_stored() {
        let annex = full();
        let raw = annex.encode();
        assert_eq!(Annex::decode(&raw), Some(annex));
        for end in 0..raw.len() {
            assert_eq!(Annex::decode(&raw[..end]), None, "{end}");
        }
    }
}
