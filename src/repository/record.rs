//! Records: small sealed objects with a life of their own, beside the packs.
//!
//! A snapshot record is the sole commit point; its body is the caller's. Pins and tombstones name
//! a snapshot inside: their own names are random, as every name is.

use minicbor::{Decode, Encode};

use super::backend::Freshness;
use super::error::RepositoryError;
use super::id::ObjectId;
use super::lease::{Hold, Lease};
use super::object::ObjectKind;
use super::repository::Repository;
use crate::os::clock;

/// The records that callers may list and read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// Snapshots.
    Snapshot,
    /// Marks that keep a snapshot.
    Pin,
    /// Marks that a snapshot is no longer wanted.
    Forgotten,
    /// What a user says of a snapshot after it was taken; the body is the caller's.
    Label,
}

impl RecordKind {
    pub(super) const fn object(self) -> ObjectKind {
        match self {
            Self::Snapshot => ObjectKind::Snapshot,
            Self::Pin => ObjectKind::Pin,
            Self::Forgotten => ObjectKind::Forgotten,
            Self::Label => ObjectKind::Label,
        }
    }
}

/// A pin or a tombstone: which snapshot it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The mark's own name.
    pub id: ObjectId,
    /// The snapshot it is about. It need not exist: a pin is durable before its record.
    pub snapshot: ObjectId,
}

/// Layout: FORMAT.md, "Pin and tombstone".
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
struct StoredMark {
    #[cbor(n(0), with = "minicbor::bytes")]
    snapshot: [u8; 32],
    #[n(1)]
    created_ns: i64,
}

impl Repository {
    /// The names of all records of a kind, in order of names.
    pub fn record_ids(&self, kind: RecordKind) -> Result<Vec<ObjectId>, RepositoryError> {
        let names = self.inner.backend.list(kind.object())?;
        Ok(names.iter().filter_map(|name| ObjectId::parse(name)).collect())
    }

    /// A record's body; `None` if there is no such record.
    pub fn record(
        &self,
        kind: RecordKind,
        id: &ObjectId,
    ) -> Result<Option<Vec<u8>>, RepositoryError> {
        self.record_from(kind, id, Freshness::Cached)
    }

    /// The same, read from the medium, past the page cache.
    pub fn read_back_record(
        &self,
        kind: RecordKind,
        id: &ObjectId,
    ) -> Result<Option<Vec<u8>>, RepositoryError> {
        self.record_from(kind, id, Freshness::Medium)
    }

    fn record_from(
        &self,
        kind: RecordKind,
        id: &ObjectId,
        freshness: Freshness,
    ) -> Result<Option<Vec<u8>>, RepositoryError> {
        let read = self.inner.get_sealed_from(kind.object(), id, freshness);
        match read {
            Ok(body) => Ok(Some(body)),
            // Asked only now: nearly all that are asked for are there.
            Err(error) => match self.inner.backend.stat(kind.object(), &id.to_string())? {
                None => Ok(None),
                Some(_) => Err(error),
            },
        }
    }

    /// Writes a record under a new name; durable on return. Snapshots go through `Writer::commit`.
    pub fn put_record(&self, kind: RecordKind, body: &[u8]) -> Result<ObjectId, RepositoryError> {
        let id = ObjectId::random();
        self.inner.put_sealed(kind.object(), &id, body)?;
        self.inner.backend.sync(kind.object())?;
        Ok(id)
    }

    /// Removes a record; whether there was one. Durable on return.
    pub fn remove_record(&self, kind: RecordKind, id: &ObjectId) -> Result<bool, RepositoryError> {
        let removed = self.inner.backend.remove(kind.object(), &id.to_string())?;
        self.inner.backend.sync(kind.object())?;
        Ok(removed)
    }

    /// Pins a snapshot, which need not exist yet. Durable on return.
    pub fn pin(&self, snapshot: &ObjectId) -> Result<ObjectId, RepositoryError> {
        self.put_record(RecordKind::Pin, &mark(snapshot))
    }

    /// Removes every pin of a snapshot; how many there were.
    pub fn unpin(&self, snapshot: &ObjectId) -> Result<usize, RepositoryError> {
        self.remove_marks(RecordKind::Pin, snapshot)
    }

    /// All pins.
    pub fn pins(&self) -> Result<Vec<Mark>, RepositoryError> {
        self.marks(RecordKind::Pin)
    }

    /// Says that a snapshot is no longer wanted. Reversible until its data is pruned.
    pub fn forget(&self, snapshot: &ObjectId) -> Result<ObjectId, RepositoryError> {
        self.put_record(RecordKind::Forgotten, &mark(snapshot))
    }

    /// Takes a tombstone back; how many there were. Not beside a prune, which may be about to delete
    /// what hangs on it.
    pub fn remember(&self, snapshot: &ObjectId) -> Result<usize, RepositoryError> {
        let lease = Lease::take(&self.inner, Hold::Exclusive)?;
        let removed = self.remove_marks(RecordKind::Forgotten, snapshot);
        let released = lease.release(&self.inner);
        removed.and_then(|removed| released.map(|()| removed))
    }

    /// All tombstones.
    pub fn forgotten(&self) -> Result<Vec<Mark>, RepositoryError> {
        self.marks(RecordKind::Forgotten)
    }

    pub(super) fn marks(&self, kind: RecordKind) -> Result<Vec<Mark>, RepositoryError> {
        let ids = self.record_ids(kind)?;
        // One may have been removed since the list was made.
        ids.iter().filter_map(|id| self.mark(kind, id).transpose()).collect()
    }

    /// One pin or tombstone; `None` if there is no such record.
    pub fn mark(&self, kind: RecordKind, id: &ObjectId) -> Result<Option<Mark>, RepositoryError> {
        let Some(body) = self.record(kind, id)? else { return Ok(None) };
        let stored: StoredMark = minicbor::decode(&body).map_err(|_| RepositoryError::Damaged {
            object: kind.object().named(&id.to_string()),
            what: "it is not a mark".to_owned(),
        })?;
        Ok(Some(Mark { id: *id, snapshot: ObjectId::from_bytes(stored.snapshot) }))
    }

    fn remove_marks(
        &self,
        kind: RecordKind,
        snapshot: &ObjectId,
    ) -> Result<usize, RepositoryError> {
        let marks = self.marks(kind)?;
        let ours: Vec<_> = marks.iter().filter(|mark| mark.snapshot == *snapshot).collect();
        for mark in &ours {
            self.remove_record(kind, &mark.id)?;
        }
        Ok(ours.len())
    }
}

fn mark(snapshot: &ObjectId) -> Vec<u8> {
    let stored = StoredMark { snapshot: *snapshot.as_bytes(), created_ns: clock::now().0 };
    minicbor::to_vec(stored).expect("memory takes every byte")
}
