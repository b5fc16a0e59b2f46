//! Condemned records: what a prune is about to delete.
//!
//! Their number, the generation, orders them against leases: a lease names the highest generation
//! that was there when it was taken, so one that names an older generation than a record belongs
//! to a run that does not know of it.

use std::collections::HashSet;

use minicbor::{Decode, Encode};

use super::backend::{Freshness, Range};
use super::error::RepositoryError;
use super::id::ObjectId;
use super::object::{self, ObjectKind};
use super::repository::Inner;

/// Layout: FORMAT.md, "Condemned".
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
struct StoredCondemned {
    #[n(0)]
    generation: u64,
    /// Names of packs, one after the other.
    #[cbor(n(1), with = "minicbor::bytes")]
    packs: Vec<u8>,
    /// Names of index segments, likewise.
    #[cbor(n(2), with = "minicbor::bytes")]
    segments: Vec<u8>,
    /// Names of forgotten snapshots that go with them.
    #[cbor(n(3), with = "minicbor::bytes")]
    #[cbor(default)]
    snapshots: Vec<u8>,
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Condemned {
    pub(super) name: String,
    pub(super) generation: u64,
    pub(super) packs: HashSet<ObjectId>,
    pub(super) segments: Vec<ObjectId>,
    pub(super) snapshots: Vec<ObjectId>,
}

/// What a prune gives up.
#[derive(Clone, Debug, Default)]
pub(super) struct GivenUp {
    pub(super) packs: Vec<ObjectId>,
    pub(super) segments: Vec<ObjectId>,
    pub(super) snapshots: Vec<ObjectId>,
}

/// The generation in the name of a record.
pub(super) fn generation(name: &str) -> Option<u64> {
    name.split_once('-')?.0.parse().ok()
}

/// The highest generation among the names of records; 0 if there is none.
pub(super) fn highest(names: &[String]) -> u64 {
    names.iter().filter_map(|name| generation(name)).max().unwrap_or(0)
}

/// Reads the record `name`; `None` if it is gone.
pub(super) fn read(inner: &Inner, name: &str) -> Result<Option<Condemned>, RepositoryError> {
    let kind = ObjectKind::Condemned;
    let damaged =
        |what: &str| RepositoryError::Damaged { object: kind.named(name), what: what.to_owned() };
    let id = name.split_once('-').and_then(|(_, id)| ObjectId::parse(id));
    let id = id.ok_or_else(|| damaged("its name is not a name"))?;
    let mut bytes = Vec::new();
    if let Err(error) = inner.backend.read(kind, name, Range::All, Freshness::Cached, &mut bytes) {
        let gone = inner.backend.stat(kind, name)?.is_none();
        return if gone { Ok(None) } else { Err(error) };
    }
    let body = object::open(&inner.sealer(kind, &id), kind, name, &bytes)?;
    let stored: StoredCondemned =
        minicbor::decode(&body).map_err(|_| damaged("it is not a list of packs"))?;
    let list = |raw: &[u8]| {
        let (ids, rest) = raw.as_chunks::<32>();
        let ids = ids.iter().map(|id| ObjectId::from_bytes(*id)).collect::<Vec<_>>();
        if rest.is_empty() { Ok(ids) } else { Err(damaged("it is not a list of packs")) }
    };
    Ok(Some(Condemned {
        name: name.to_owned(),
        generation: stored.generation,
        packs: list(&stored.packs)?.into_iter().collect(),
        segments: list(&stored.segments)?,
        snapshots: list(&stored.snapshots)?,
    }))
}

/// Reads every record there is, the oldest first.
pub(super) fn read_all(inner: &Inner) -> Result<Vec<Condemned>, RepositoryError> {
    let mut all = Vec::new();
    for name in inner.backend.list(ObjectKind::Condemned)? {
        all.extend(read(inner, &name)?);
    }
    all.sort_by_key(|record| record.generation);
    Ok(all)
}

/// Writes a record. Durable on return.
pub(super) fn write(
    inner: &Inner,
    generation: u64,
    given_up: &GivenUp,
) -> Result<Condemned, RepositoryError> {
    let kind = ObjectKind::Condemned;
    let joined = |ids: &[ObjectId]| ids.iter().flat_map(|id| *id.as_bytes()).collect::<Vec<u8>>();
    let stored = StoredCondemned {
        generation,
        packs: joined(&given_up.packs),
        segments: joined(&given_up.segments),
        snapshots: joined(&given_up.snapshots),
    };
    let body = minicbor::to_vec(stored).expect("memory takes every byte");
    let id = ObjectId::random();
    let name = format!("{generation}-{id}");
    let bytes = object::seal(&inner.sealer(kind, &id), kind, &body);
    inner.backend.put(kind, &name, &bytes)?;
    inner.backend.sync(kind)?;
    Ok(Condemned {
        name,
        generation,
        packs: given_up.packs.iter().copied().collect(),
        segments: given_up.segments.clone(),
        snapshots: given_up.snapshots.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_the_first_layout_is_still_read() {
        // {0: 7, 1: h'ab…', 2: h''}: without the names of snapshots.
        let mut old = vec![0xa3, 0x00, 0x07, 0x01, 0x58, 0x20];
        old.extend_from_slice(&[0xab; 32]);
        old.extend_from_slice(&[0x02, 0x40]);
        let stored: StoredCondemned = minicbor::decode(&old).unwrap();
        assert_eq!(stored.generation, 7);
        assert_eq!(stored.packs, [0xab; 32]);
        assert!(stored.segments.is_empty() && stored.snapshots.is_empty());
    }

    #[test]
    fn the_highest_generation_is_a_number_and_no_word() {
        let names = ["9-ab".to_owned(), "10-cd".to_owned()];
        assert_eq!((highest(&names), highest(&[])), (10, 0));
    }
}
