//! The maps of a snapshot record: a number given here to a field is never given to another, and a
//! field that an older version does not know is skipped by it.

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

#[derive(Encode, Decode)]
#[cbor(map)]
pub(super) struct StoredSnapshot {
    #[n(0)]
    pub(super) layout: u32,
    #[n(1)]
    pub(super) time_ns: i64,
    #[n(2)]
    pub(super) host: String,
    #[n(3)]
    pub(super) class: u8,
    #[n(4)]
    pub(super) source: String,
    #[n(5)]
    pub(super) sequence: u64,
    #[n(6)]
    pub(super) parent: Option<Id>,
    #[n(7)]
    pub(super) app: Option<StoredApp>,
    #[n(8)]
    pub(super) roots: Vec<StoredRoot>,
    #[n(9)]
    pub(super) files_digest: Id,
    #[n(10)]
    pub(super) annex: Option<StoredContent>,
    #[n(11)]
    pub(super) databases: Vec<StoredDatabase>,
    #[n(12)]
    pub(super) attachments: Vec<StoredAttachment>,
    #[n(13)]
    pub(super) counts: StoredCounts,
    #[n(14)]
    pub(super) problems: Vec<StoredProblem>,
    #[n(15)]
    pub(super) tags: Vec<String>,
    #[n(16)]
    pub(super) note: Option<String>,
    #[n(17)]
    pub(super) program: String,
}

#[derive(Encode, Decode)]
#[cbor(transparent)]
pub(super) struct Id(#[cbor(n(0), with = "minicbor::bytes")] pub(super) [u8; 32]);

#[derive(Encode, Decode)]
#[cbor(map)]
pub(super) struct StoredApp {
    #[n(0)]
    pub(super) name: String,
    #[n(1)]
    pub(super) version: String,
    #[n(2)]
    pub(super) profile: String,
}

#[derive(Encode, Decode)]
#[cbor(map)]
pub(super) struct StoredRoot {
    #[n(0)]
    pub(super) label: String,
    #[n(1)]
    pub(super) path: ByteVec,
    /// A directory object with this one entry.
    #[n(2)]
    pub(super) entry: ByteVec,
    #[n(3)]
    pub(super) rules: StoredRules,
}

#[derive(Encode, Decode)]
#[cbor(map)]
pub(super) struct StoredRules {
    #[n(0)]
    pub(super) skip_content: Vec<String>,
    #[n(1)]
    pub(super) guarded: Vec<String>,
    #[n(2)]
    pub(super) databases: Vec<StoredDatabaseFile>,
    #[n(3)]
    pub(super) exclude: Vec<String>,
    #[n(4)]
    pub(super) iexclude: Vec<String>,
    #[n(5)]
    pub(super) exclude_caches: bool,
    #[n(6)]
    pub(super) larger_than: Option<u64>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
pub(super) struct StoredDatabaseFile {
    #[n(0)]
    pub(super) path: ByteVec,
    #[n(1)]
    pub(super) name: String,
}

/// Nothing is stored for no bytes.
#[derive(Encode, Decode)]
#[cbor(map)]
pub(super) struct StoredContent {
    #[n(0)]
    pub(super) is_list: bool,
    #[n(1)]
    pub(super) id: Id,
}

#[derive(Encode, Decode)]
#[cbor(map)]
pub(super) struct StoredDatabase {
    #[n(0)]
    pub(super) name: String,
    #[n(1)]
    pub(super) kind: u8,
    #[n(2)]
    pub(super) state: Id,
    #[n(3)]
    pub(super) fingerprint: Id,
    #[n(4)]
    pub(super) identity: String,
    #[n(5)]
    pub(super) address: String,
    #[n(6)]
    pub(super) rows: u64,
    #[n(7)]
    pub(super) bytes: u64,
}

#[derive(Encode, Decode)]
#[cbor(map)]
pub(super) struct StoredAttachment {
    #[n(0)]
    pub(super) name: String,
    #[n(1)]
    pub(super) content: Option<StoredContent>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
pub(super) struct StoredCounts {
    #[n(0)]
    pub(super) files: u64,
    #[n(1)]
    pub(super) directories: u64,
    #[n(2)]
    pub(super) others: u64,
    #[n(3)]
    pub(super) bytes: u64,
    #[n(4)]
    pub(super) files_read: u64,
    #[n(5)]
    pub(super) bytes_read: u64,
    #[n(6)]
    pub(super) files_unchanged: u64,
    #[n(7)]
    pub(super) problems: u64,
    #[n(8)]
    pub(super) took_ms: u64,
}

#[derive(Encode, Decode)]
#[cbor(map)]
pub(super) struct StoredProblem {
    #[n(0)]
    pub(super) path: ByteVec,
    #[n(1)]
    pub(super) what: String,
}
