//! A backend in memory that fails when it is told to.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::*;

type Objects = BTreeMap<(ObjectKind, String), Vec<u8>>;

/// Objects by kind and name. Clones share them, as two processes share a directory.
#[derive(Clone, Default)]
pub(crate) struct Memory {
    objects: Arc<Mutex<Objects>>,
    /// How many calls still succeed; all of them at `u64::MAX`.
    left: Arc<AtomicU64>,
}

impl Memory {
    pub(crate) fn new() -> Self {
        Self { objects: Arc::default(), left: Arc::new(AtomicU64::new(u64::MAX)) }
    }

    /// Another one that holds the same, and goes its own way.
    pub(crate) fn copy(&self) -> Self {
        let objects = self.objects.lock().unwrap().clone();
        Self { objects: Arc::new(Mutex::new(objects)), ..Self::new() }
    }

    /// Lets `calls` more calls succeed, and none after them.
    pub(super) fn fail_after(&self, calls: u64) {
        self.left.store(calls, Ordering::SeqCst);
    }

    /// How many calls were made since [`Self::fail_after`] was given `from`.
    pub(super) fn calls_since(&self, from: u64) -> u64 {
        from - self.left.load(Ordering::SeqCst)
    }

    pub(in crate::repository) fn bytes(&self, kind: ObjectKind, name: &str) -> Vec<u8> {
        self.objects.lock().unwrap()[&(kind, name.to_owned())].clone()
    }

    /// Flips a bit in the middle of the first object of a kind.
    pub(crate) fn harm_one(&self, kind: ObjectKind) {
        let mut objects = self.objects.lock().unwrap();
        let (_, bytes) = objects.iter_mut().find(|((of, _), _)| *of == kind).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    }

    /// Every object there is, with its bytes.
    pub(crate) fn all(&self) -> Vec<(ObjectKind, String, Vec<u8>)> {
        let objects = self.objects.lock().unwrap();
        objects.iter().map(|((kind, name), bytes)| (*kind, name.clone(), bytes.clone())).collect()
    }

    /// Makes an object what nobody wrote, or nothing.
    pub(crate) fn set(&self, kind: ObjectKind, name: &str, bytes: Option<Vec<u8>>) {
        let mut objects = self.objects.lock().unwrap();
        let key = (kind, name.to_owned());
        match bytes {
            Some(bytes) => objects.insert(key, bytes),
            None => objects.remove(&key),
        };
    }

    fn call(&self, doing: &'static str, path: &str) -> Result<(), RepositoryError> {
        let counted = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
            if left == u64::MAX { Some(left) } else { left.checked_sub(1) }
        });
        counted.map(drop).map_err(|_| {
            let full = io::Error::from_raw_os_error(rustix::io::Errno::NOSPC.raw_os_error());
            RepositoryError::io(doing, path)(full)
        })
    }

    fn insert(&self, kind: ObjectKind, name: &str, bytes: Vec<u8>) {
        let replaced = self.objects.lock().unwrap().insert((kind, name.to_owned()), bytes);
        assert!(replaced.is_none(), "{kind:?} {name} was written twice");
    }
}

impl Backend for Memory {
    fn put(&self, kind: ObjectKind, name: &str, bytes: &[u8]) -> Result<(), RepositoryError> {
        self.call("create", name)?;
        self.insert(kind, name, bytes.to_vec());
        Ok(())
    }

    fn writer(
        &self,
        kind: ObjectKind,
        name: &str,
    ) -> Result<Box<dyn ObjectWriter>, RepositoryError> {
        self.call("create", name)?;
        let name = name.to_owned();
        Ok(Box::new(MemoryWriter { memory: self.clone(), kind, name, bytes: Mutex::default() }))
    }

    fn read(
        &self,
        kind: ObjectKind,
        name: &str,
        range: Range,
        _: Freshness,
        into: &mut Vec<u8>,
    ) -> Result<(), RepositoryError> {
        self.call("read", name)?;
        let damaged = |what: &str| RepositoryError::Damaged {
            object: kind.named(name),
            what: what.to_owned(),
        };
        let objects = self.objects.lock().unwrap();
        let bytes = objects.get(&(kind, name.to_owned())).ok_or_else(|| damaged("not there"))?;
        let part = match range {
            Range::All => Some(&bytes[..]),
            Range::Tail { bytes: tail } => Some(&bytes[bytes.len().saturating_sub(tail)..]),
            Range::Part { offset, bytes: count } => {
                usize::try_from(offset).ok().and_then(|start| bytes.get(start..start + count))
            }
        };
        into.clear();
        into.extend_from_slice(part.ok_or_else(|| damaged("too short"))?);
        Ok(())
    }

    fn list(&self, kind: ObjectKind) -> Result<Vec<String>, RepositoryError> {
        self.call("list", kind.directory())?;
        let objects = self.objects.lock().unwrap();
        Ok(objects.keys().filter(|(of, _)| *of == kind).map(|(_, name)| name.clone()).collect())
    }

    fn stat(&self, kind: ObjectKind, name: &str) -> Result<Option<u64>, RepositoryError> {
        self.call("read", name)?;
        let objects = self.objects.lock().unwrap();
        Ok(objects.get(&(kind, name.to_owned())).map(|bytes| bytes.len() as u64))
    }

    fn remove(&self, kind: ObjectKind, name: &str) -> Result<bool, RepositoryError> {
        self.call("remove", name)?;
        Ok(self.objects.lock().unwrap().remove(&(kind, name.to_owned())).is_some())
    }

    fn sync(&self, kind: ObjectKind) -> Result<(), RepositoryError> {
        self.call("sync", kind.directory())
    }

    fn traits(&self) -> Traits {
        Traits { is_local: false, syncs: false, creates_only: true }
    }
}

struct MemoryWriter {
    memory: Memory,
    kind: ObjectKind,
    name: String,
    bytes: Mutex<Vec<u8>>,
}

impl ObjectWriter for MemoryWriter {
    fn write_at(&self, offset: u64, part: &[u8]) -> Result<(), RepositoryError> {
        self.memory.call("write", &self.name)?;
        let mut bytes = self.bytes.lock().unwrap();
        let start = usize::try_from(offset).unwrap();
        let length = bytes.len().max(start + part.len());
        bytes.resize(length, 0);
        bytes[start..start + part.len()].copy_from_slice(part);
        Ok(())
    }

    fn finish(&self) -> Result<(), RepositoryError> {
        self.memory.call("sync", &self.name)?;
        self.memory.insert(self.kind, &self.name, std::mem::take(&mut self.bytes.lock().unwrap()));
        Ok(())
    }
}
