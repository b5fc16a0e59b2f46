//! Looks for entries in many snapshots. A directory that several of them share is looked at once.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::SnapshotError;
use super::record::Snapshot;
use crate::repository::{ChunkId, Repository};
use crate::tree::read::DirEntries;
use crate::tree::{Entry, Kind};

/// An entry that was looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// Where it was on the machine.
    pub path: PathBuf,
    /// What it is.
    pub entry: Entry,
}

/// Whether an entry is looked for.
pub type Wanted<'a> = dyn Fn(&Path, &Entry) -> bool + 'a;

/// Looks through snapshots, one after the other.
pub struct Finder<'a> {
    repository: &'a Repository,
    wanted: &'a Wanted<'a>,
    /// What was found below a directory. Its place is part of the key: paths may be looked for.
    known: HashMap<(ChunkId, PathBuf), Rc<[Sighting]>>,
}

struct Open<'a> {
    key: (ChunkId, PathBuf),
    entries: DirEntries<'a>,
    found: Vec<Sighting>,
}

impl<'a> Finder<'a> {
    /// Looks for what `wanted` says, which answers the same whenever it is asked.
    pub fn new(repository: &'a Repository, wanted: &'a Wanted<'a>) -> Self {
        Self { repository, wanted, known: HashMap::new() }
    }

    /// What is in `snapshot`, in the order of its trees.
    pub fn look(&mut self, snapshot: &Snapshot) -> Result<Vec<Sighting>, SnapshotError> {
        let mut found = Vec::new();
        for root in &snapshot.roots {
            if (self.wanted)(&root.path, &root.entry) {
                found.push(Sighting { path: root.path.clone(), entry: root.entry.clone() });
            }
            if let Kind::Directory { object } = root.entry.kind {
                found.extend_from_slice(&self.below((object, root.path.clone()))?);
            }
        }
        Ok(found)
    }

    /// What is below a directory. A tree may be deeper than the stack.
    fn below(&mut self, key: (ChunkId, PathBuf)) -> Result<Rc<[Sighting]>, SnapshotError> {
        if let Some(known) = self.known.get(&key) {
            return Ok(Rc::clone(known));
        }
        let mut open = vec![self.open(key)?];
        loop {
            let dir = open.last_mut().expect("the first is returned when it ends");
            let Some(entry) = dir.entries.next().transpose()? else {
                let Open { key, found, .. } = open.pop().expect("it is the last");
                let found: Rc<[Sighting]> = found.into();
                self.known.insert(key, Rc::clone(&found));
                match open.last_mut() {
                    None => return Ok(found),
                    Some(above) => above.found.extend_from_slice(&found),
                }
                continue;
            };
            let path = dir.key.1.join(OsStr::from_bytes(&entry.name));
            if (self.wanted)(&path, &entry) {
                dir.found.push(Sighting { path: path.clone(), entry: entry.clone() });
            }
            if let Kind::Directory { object } = entry.kind {
                let key = (object, path);
                match self.known.get(&key) {
                    Some(known) => dir.found.extend_from_slice(known),
                    None => open.push(self.open(key)?),
                }
            }
        }
    }

    fn open(&self, key: (ChunkId, PathBuf)) -> Result<Open<'a>, SnapshotError> {
        let entries = DirEntries::of(self.repository, &key.0)?;
        Ok(Open { key, entries, found: Vec::new() })
    }
}
