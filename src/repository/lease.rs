//! Leases: who works here.
//!
//! ```text
//! read condemned; take the lease; read condemned again; start over if it moved
//! work; renew now and then: a new object with a higher counter
//! before the record: is the lease still there?
//! ```
//! Writers share and never wait; a prune will take the exclusive one. No wall clock decides that a
//! lease is dead: its process must be provably gone, or its counter must stand still while the
//! observer's own clock runs.

use std::collections::HashSet;

use minicbor::{Decode, Encode};

use super::error::RepositoryError;
use super::id::ObjectId;
use super::object::ObjectKind;
use super::repository::Inner;
use crate::os::host::{self, ProcessMark};

/// Layout: FORMAT.md, "Lease".
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
struct StoredLease {
    #[n(0)]
    host: String,
    #[n(1)]
    boot_id: String,
    #[n(2)]
    pid: u32,
    #[n(3)]
    started_ticks: u64,
    /// Rises with each renewal.
    #[n(4)]
    counter: u64,
    /// The highest generation of `condemned` when the lease was taken.
    #[n(5)]
    generation: u64,
    #[n(6)]
    exclusive: bool,
    /// Process numbers mean something only inside their namespace.
    #[n(7)]
    pid_namespace: u64,
}

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
}

/// A shared lease that we hold.
pub(super) struct Lease {
    stored: StoredLease,
    name: ObjectId,
    /// Packs that a prune is about to delete: to a writer they are absent.
    pub(super) condemned: HashSet<ObjectId>,
}

impl Lease {
    /// Takes a shared lease, unless somebody holds the exclusive one.
    pub(super) fn take(inner: &Inner) -> Result<Self, RepositoryError> {
        let process = host::this_process();
        loop {
            let before = inner.backend.list(ObjectKind::Condemned)?;
            let stored = StoredLease {
                host: host::name(),
                boot_id: host::boot_id(),
                pid: process.pid,
                started_ticks: process.started_ticks,
                counter: 0,
                generation: before.iter().filter_map(|name| generation(name)).max().unwrap_or(0),
                exclusive: false,
                pid_namespace: host::pid_namespace(),
            };
            let name = put(inner, &stored)?;
            let lease = Self { stored, name, condemned: HashSet::new() };
            let others = others(inner, &name);
            let excluding = others?.into_iter().find(|(_, other)| other.exclusive);
            if let Some((_, holder)) = excluding {
                lease.release(inner)?;
                let holder = format!("process {} on {}", holder.pid, holder.host);
                return Err(RepositoryError::Locked { holder });
            }
            if inner.backend.list(ObjectKind::Condemned)? == before {
                let mut condemned = HashSet::new();
                for name in &before {
                    condemned.extend(read_condemned(inner, name)?);
                }
                return Ok(Self { condemned, ..lease });
            }
            lease.release(inner)?;
        }
    }

    /// Shows that we are alive.
    pub(super) fn renew(&mut self, inner: &Inner) -> Result<(), RepositoryError> {
        self.check(inner)?;
        self.stored.counter += 1;
        let old = std::mem::replace(&mut self.name, put(inner, &self.stored)?);
        inner.backend.remove(ObjectKind::Lease, &old.to_string())?;
        Ok(())
    }

    /// An error if somebody has taken the lease away.
    pub(super) fn check(&self, inner: &Inner) -> Result<(), RepositoryError> {
        match inner.backend.stat(ObjectKind::Lease, &self.name.to_string())? {
            Some(_) => Ok(()),
            None => Err(RepositoryError::LeaseLost),
        }
    }

    pub(super) fn release(&self, inner: &Inner) -> Result<(), RepositoryError> {
        inner.backend.remove(ObjectKind::Lease, &self.name.to_string())?;
        Ok(())
    }
}

fn put(inner: &Inner, stored: &StoredLease) -> Result<ObjectId, RepositoryError> {
    let name = ObjectId::random();
    let body = minicbor::to_vec(stored).expect("memory takes every byte");
    // Not synced: a lease speaks of a living process, and none outlives a power cut.
    inner.put_sealed(ObjectKind::Lease, &name, &body)?;
    Ok(name)
}

/// The leases of others; those whose process is provably gone are removed on the way.
fn others(inner: &Inner, ours: &ObjectId) -> Result<Vec<(ObjectId, StoredLease)>, RepositoryError> {
    let mut others = Vec::new();
    for name in inner.backend.list(ObjectKind::Lease)? {
        let Some(id) = ObjectId::parse(&name).filter(|id| id != ours) else { continue };
        let body = match inner.get_sealed(ObjectKind::Lease, &id) {
            Ok(body) => body,
            // Renewed or released since the list was made, or torn by a power cut: leases are not
            // synced. Either way nobody stands behind that name.
            Err(RepositoryError::Damaged { .. }) => continue,
            Err(error) => return Err(error),
        };
        let Ok(stored) = minicbor::decode::<StoredLease>(&body) else { continue };
        if stored.is_provably_dead() {
            inner.backend.remove(ObjectKind::Lease, &name)?;
        } else {
            others.push((id, stored));
        }
    }
    Ok(others)
}

impl StoredLease {
    /// Only on the same host can a process be shown to be gone.
    fn is_provably_dead(&self) -> bool {
        if self.host != host::name() || self.boot_id.is_empty() {
            return false;
        }
        let mark = ProcessMark { pid: self.pid, started_ticks: self.started_ticks };
        let same_numbers = self.pid_namespace == host::pid_namespace();
        self.boot_id != host::boot_id() || same_numbers && host::is_gone(mark)
    }
}

/// The generation in the name of a condemned record.
fn generation(name: &str) -> Option<u64> {
    name.split_once('-')?.0.parse().ok()
}

fn read_condemned(inner: &Inner, name: &str) -> Result<Vec<ObjectId>, RepositoryError> {
    let kind = ObjectKind::Condemned;
    let damaged =
        |what: &str| RepositoryError::Damaged { object: kind.named(name), what: what.to_owned() };
    let id = name.split_once('-').and_then(|(_, id)| ObjectId::parse(id));
    let id = id.ok_or_else(|| damaged("its name is not a name"))?;
    let mut bytes = Vec::new();
    let (range, freshness) = (super::backend::Range::All, super::backend::Freshness::Cached);
    inner.backend.read(kind, name, range, freshness, &mut bytes)?;
    let body = super::object::open(&inner.sealer(kind, &id), kind, name, &bytes)?;
    let stored: StoredCondemned =
        minicbor::decode(&body).map_err(|_| damaged("it is not a list of packs"))?;
    let (packs, rest) = stored.packs.as_chunks::<32>();
    if !rest.is_empty() {
        return Err(damaged("it is not a list of packs"));
    }
    Ok(packs.iter().map(|pack| ObjectId::from_bytes(*pack)).collect())
}
