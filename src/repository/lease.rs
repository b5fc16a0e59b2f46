//! Leases: who works here.
//!
//! ```text
//! read condemned; take the lease; read condemned again; start over if it moved
//! work; renew now and then: a new object with a higher counter
//! before the record: is the lease still there?
//! ```
//! Writers share and never wait, not even for a prune, which takes the exclusive one: that excludes
//! other exclusive ones only. No wall clock decides that a lease is dead: its process must be
//! provably gone, or its counter must stand still while the observer's own clock runs.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use minicbor::{Decode, Encode};

use super::condemned;
use super::error::RepositoryError;
use super::id::ObjectId;
use super::object::ObjectKind;
use super::repository::Inner;
use crate::os::clock;
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

/// Whom a lease excludes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    /// Nobody: writers.
    Shared,
    /// Others that hold so: whoever deletes or replaces objects.
    Exclusive,
    /// The same, of whoever puts records aside that cannot be read.
    Mending,
}

/// The leases that this process holds. One that names this process and is not among them could not
/// be removed when it was released, and is as dead as that of a process that is gone.
static HELD: Mutex<BTreeSet<ObjectId>> = Mutex::new(BTreeSet::new());

/// The name of a lease that this process holds, for as long as this value lives.
struct Held(ObjectId);

impl Held {
    fn new() -> Self {
        let name = ObjectId::random();
        HELD.lock().unwrap_or_else(PoisonError::into_inner).insert(name);
        Self(name)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        HELD.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
    }
}

/// A lease that we hold.
pub(super) struct Lease {
    stored: StoredLease,
    name: Held,
    /// Packs that a prune is about to delete: to a writer they are absent.
    pub(super) condemned: HashSet<ObjectId>,
    /// Snapshots that go with them: to a writer they are absent too.
    pub(super) given_up: HashSet<ObjectId>,
}

/// A lease of somebody else.
#[derive(Clone, Debug)]
pub(super) struct Holder {
    name: ObjectId,
    stored: StoredLease,
}

/// A lease of another host whose counter stands still for so long is dead: five renewals missed.
const STANDSTILL: Duration = Duration::from_mins(5);
/// How often a wait looks again.
const LOOK_EVERY: Duration = Duration::from_millis(50);

impl Lease {
    /// Takes a lease; an error if it is to be exclusive and somebody holds one that is.
    pub(super) fn take(inner: &Inner, hold: Hold) -> Result<Self, RepositoryError> {
        let process = host::this_process();
        loop {
            let before = inner.backend.list(ObjectKind::Condemned)?;
            let stored = StoredLease {
                host: host::name(),
                boot_id: host::boot_id(),
                pid: process.pid,
                started_ticks: process.started_ticks,
                counter: 0,
                generation: condemned::highest(&before),
                exclusive: hold != Hold::Shared,
                pid_namespace: host::pid_namespace(),
            };
            let name = put(inner, &stored)?;
            let (condemned, given_up) = Default::default();
            let mut lease = Self { stored, name, condemned, given_up };
            if hold != Hold::Shared {
                let others = lease.others(inner)?;
                if let Some(holder) = others.iter().find(|other| other.stored.exclusive) {
                    lease.release(inner)?;
                    return Err(RepositoryError::Locked { holder: holder.who() });
                }
            }
            for name in &before {
                match condemned::read(inner, name) {
                    Ok(Some(record)) => {
                        lease.condemned.extend(record.packs);
                        lease.given_up.extend(record.snapshots);
                    }
                    // One that is gone by now makes us start over below.
                    Ok(None) => {}
                    Err(RepositoryError::Damaged { .. }) if hold == Hold::Mending => {}
                    Err(error) => {
                        lease.release(inner)?;
                        return Err(error);
                    }
                }
            }
            if inner.backend.list(ObjectKind::Condemned)? == before {
                return Ok(lease);
            }
            lease.release(inner)?;
        }
    }

    /// Shows that we are alive.
    pub(super) fn renew(&mut self, inner: &Inner) -> Result<(), RepositoryError> {
        self.check(inner)?;
        self.stored.counter += 1;
        let old = std::mem::replace(&mut self.name, put(inner, &self.stored)?);
        inner.backend.remove(ObjectKind::Lease, &old.0.to_string())?;
        Ok(())
    }

    /// An error if somebody has taken the lease away.
    pub(super) fn check(&self, inner: &Inner) -> Result<(), RepositoryError> {
        match inner.backend.stat(ObjectKind::Lease, &self.name.0.to_string())? {
            Some(_) => Ok(()),
            None => Err(RepositoryError::LeaseLost),
        }
    }

    pub(super) fn release(&self, inner: &Inner) -> Result<(), RepositoryError> {
        inner.backend.remove(ObjectKind::Lease, &self.name.0.to_string())?;
        Ok(())
    }

    /// All leases of others; those whose process is provably gone are removed on the way.
    ///
    /// A renewal puts the new lease before it removes the old one, and the two are a minute apart:
    /// who is missed by one listing, because both happened meanwhile, is seen by the next.
    pub(super) fn others(&self, inner: &Inner) -> Result<Vec<Holder>, RepositoryError> {
        let mut found = BTreeMap::new();
        for _ in 0..2 {
            for holder in others(inner, &self.name.0)? {
                found.insert(holder.name, holder);
            }
        }
        Ok(found.into_values().collect())
    }

    /// Waits until no live lease names an older generation than `generation`, at most for `limit`;
    /// whether that came about.
    pub(super) fn outlast(
        &self,
        inner: &Inner,
        generation: u64,
        limit: Duration,
    ) -> Result<bool, RepositoryError> {
        let watch = clock::stopwatch();
        // Since when each counter has stood still, by our own clock.
        let mut still: BTreeMap<ObjectId, Duration> = BTreeMap::new();
        loop {
            let mut older = self.others(inner)?;
            older.retain(|holder| holder.generation() < generation);
            still.retain(|name, _| older.iter().any(|holder| holder.name == *name));
            for holder in &older {
                let since = *still.entry(holder.name).or_insert_with(|| watch.elapsed());
                let stands_still = watch.elapsed().saturating_sub(since) >= STANDSTILL;
                if stands_still && !holder.stored.is_of_this_host() {
                    inner.backend.remove(ObjectKind::Lease, &holder.name.to_string())?;
                }
            }
            if older.is_empty() {
                return Ok(true);
            }
            if watch.elapsed() >= limit {
                return Ok(false);
            }
            clock::pause(LOOK_EVERY.min(limit));
        }
    }
}

impl Holder {
    /// The highest generation that it knows of.
    pub(super) fn generation(&self) -> u64 {
        self.stored.generation
    }

    fn who(&self) -> String {
        let StoredLease { pid, host, .. } = &self.stored;
        match host::describe(*pid).filter(|_| self.stored.is_of_this_host()) {
            Some(described) => format!("{described} on {host}"),
            None => format!("process {pid} on {host}"),
        }
    }
}

fn put(inner: &Inner, stored: &StoredLease) -> Result<Held, RepositoryError> {
    let name = Held::new();
    let body = minicbor::to_vec(stored).expect("memory takes every byte");
    // Not synced: a lease speaks of a living process, and none outlives a power cut.
    inner.put_sealed(ObjectKind::Lease, &name.0, &body)?;
    Ok(name)
}

fn others(inner: &Inner, ours: &ObjectId) -> Result<Vec<Holder>, RepositoryError> {
    let mut others = Vec::new();
    for text in inner.backend.list(ObjectKind::Lease)? {
        let Some(name) = ObjectId::parse(&text).filter(|name| name != ours) else { continue };
        let body = match inner.get_sealed(ObjectKind::Lease, &name) {
            Ok(body) => body,
            // Renewed or released since the list was made, or torn by a power cut: leases are not
            // synced. Either way nobody stands behind that name.
            Err(RepositoryError::Damaged { .. }) => continue,
            Err(error) => return Err(error),
        };
        let Ok(stored) = minicbor::decode::<StoredLease>(&body) else { continue };
        if stored.is_provably_dead(&name) {
            inner.backend.remove(ObjectKind::Lease, &text)?;
        } else {
            others.push(Holder { name, stored });
        }
    }
    Ok(others)
}

impl StoredLease {
    /// Whether its process can be looked at from here.
    fn is_of_this_host(&self) -> bool {
        self.host == host::name()
            && !self.boot_id.is_empty()
            && (self.boot_id != host::boot_id() || self.pid_namespace == host::pid_namespace())
    }

    /// Only on the same host can a process be shown to be gone.
    fn is_provably_dead(&self, name: &ObjectId) -> bool {
        let mark = ProcessMark { pid: self.pid, started_ticks: self.started_ticks };
        let is_gone = || {
            let held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
            host::is_gone(mark) || mark == host::this_process() && !held.contains(name)
        };
        self.is_of_this_host() && (self.boot_id != host::boot_id() || is_gone())
    }
}
