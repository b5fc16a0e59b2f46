//! SQLite files: copied under SQLite's own locks, kept as pages, put back by a rename.

mod holders;
mod image;
mod pages;
mod restore;
mod table;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use image::io;

use crate::database::state::{
    ChunkRef, Id, Image, REFS_PER_LIST, Root, VERSION, Xattr, encode, encode_refs,
};
use crate::database::{
    Activity, Address, Consistency, Database, DatabaseError, DatabaseKind, DatabaseState,
    Fingerprint, OpenOptions, Proof, Value, Where,
};
use crate::monitor::{Counter, Monitor};
use crate::os::meta::At;
use crate::repository::{ChunkId, PackClass, Repository, Writer};

/// One SQLite file.
#[derive(Debug)]
pub(super) struct Sqlite {
    name: String,
    path: PathBuf,
    scratch_dir: PathBuf,
}

impl Sqlite {
    /// A link is followed once, here: later it could lead elsewhere.
    pub(super) fn new(name: String, path: &Path, options: &OpenOptions) -> Self {
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        Self { name, path, scratch_dir: options.scratch_dir.clone() }
    }

    fn image_of(&self, lists: Vec<Id>, page_bytes: u32) -> Result<Image, DatabaseError> {
        // No SQLite connection of ours is open now: closing this file would drop its locks.
        let file = fs::File::open(&self.path).map_err(|why| io("open", &self.path, why))?;
        let at = At::Open(file.as_fd());
        let stat = at.stat().map_err(|why| io("look at", &self.path, why))?;
        let xattrs = at.xattrs().map_err(|why| io("read the attributes of", &self.path, why))?;
        let xattrs = xattrs
            .into_iter()
            .map(|(name, value)| Xattr { name: name.into_vec(), value: value.into_vec() });
        Ok(Image {
            page_bytes,
            lists,
            mode: stat.mode,
            uid: stat.uid,
            gid: stat.gid,
            xattrs: xattrs.collect(),
        })
    }

    fn load(repository: &Repository, state: &ChunkId) -> Result<(Root, Image), DatabaseError> {
        let mut root = Root::decode(&repository.get(state)?)?;
        let image = root.image.take();
        let stored = if root.schema.is_some() { "MySQL or MariaDB" } else { "unknown" };
        let image = image.ok_or(DatabaseError::OtherKind { stored, wanted: "SQLite" })?;
        Ok((root, image))
    }
}

impl Database for Sqlite {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> DatabaseKind {
        DatabaseKind::Sqlite
    }

    fn address(&self) -> String {
        Address::Sqlite(self.path.clone()).to_string()
    }

    fn identity(&mut self) -> Result<String, DatabaseError> {
        Ok(format!("sqlite {}", self.path.display()))
    }

    fn dump(
        &mut self,
        writer: &Writer<'_>,
        monitor: &dyn Monitor,
    ) -> Result<DatabaseState, DatabaseError> {
        let copy = image::take(&self.path, &self.scratch_dir)?;
        let facts = image::check(copy.path(), &self.path)?;
        let repository = writer.repository();
        let (mut data, mut lists) = (writer.bundle(PackClass::Data), Vec::new());
        let mut metadata = writer.bundle(PackClass::Metadata);
        let mut refs = Vec::with_capacity(REFS_PER_LIST);
        let read = pages::read(repository, copy.path(), |chunk| {
            let id = data.put(chunk)?;
            let len = u32::try_from(chunk.len()).expect("a chunk has 64 KiB");
            monitor.count(Counter::BytesRead, u64::from(len));
            refs.push(ChunkRef { id, len, rows: 0 });
            if refs.len() == REFS_PER_LIST {
                lists.push(Id(*metadata.put(&encode_refs(&refs))?.as_bytes()));
                refs.clear();
            }
            Ok(id)
        });
        // Whatever was put must be handed over, or the whole run counts as failed.
        data.finish()?;
        let read = read?;
        if !refs.is_empty() {
            lists.push(Id(*metadata.put(&encode_refs(&refs))?.as_bytes()));
        }
        drop(copy);
        let image = self.image_of(lists, read.page_bytes)?;
        let root = Root {
            version: VERSION,
            kind: DatabaseKind::Sqlite.name().to_owned(),
            fingerprint: read.fingerprint,
            made_by: format!("sqlite {}", rusqlite::version()),
            identity: self.identity()?,
            consistency: 0,
            facts: facts.iter().map(super::Fact::stored).collect(),
            needs: Vec::new(),
            rows: 0,
            bytes: read.bytes,
            schema: None,
            image: Some(image),
        };
        let state = metadata.put(&encode(&root))?;
        metadata.finish()?;
        Ok(DatabaseState {
            state,
            fingerprint: read.fingerprint,
            rows: 0,
            bytes: read.bytes,
            consistency: Consistency::OnePoint,
            facts,
        })
    }

    fn fingerprint(
        &mut self,
        repository: &Repository,
        _state: &ChunkId,
    ) -> Result<Fingerprint, DatabaseError> {
        let copy = image::take(&self.path, &self.scratch_dir)?;
        Ok(pages::read(repository, copy.path(), |chunk| Ok(repository.hash(chunk)))?.fingerprint)
    }

    fn restore(
        &mut self,
        repository: &Repository,
        state: &ChunkId,
        monitor: &dyn Monitor,
    ) -> Result<Fingerprint, DatabaseError> {
        let (root, image) = Self::load(repository, state)?;
        restore::restore(repository, &image, &root.fingerprint, &self.path, monitor)
    }

    fn prove(
        &mut self,
        repository: &Repository,
        state: &ChunkId,
        scratch_dir: &Path,
    ) -> Result<Proof, DatabaseError> {
        let (root, image) = Self::load(repository, state)?;
        let copy = image::ImageFile::create(scratch_dir)?;
        let path = copy.path();
        let mut file =
            fs::File::options().write(true).open(path).map_err(|why| io("open", path, why))?;
        restore::write_chunks(repository, &image, &mut file, path, |_| {})?;
        drop(file);
        image::check(path, &self.path)?;
        let read = pages::read(repository, path, |chunk| Ok(repository.hash(chunk)))?;
        if read.fingerprint == root.fingerprint {
            Ok(Proof::Proved)
        } else {
            Err(DatabaseError::DamagedState { what: "its pages" })
        }
    }

    fn consistency(&mut self) -> Result<Consistency, DatabaseError> {
        Ok(Consistency::OnePoint)
    }

    fn activity(&mut self) -> Result<Activity, DatabaseError> {
        let [wal, shm, journal] = restore::beside(&self.path);
        let mut written = BTreeMap::new();
        for (name, path) in [("file", &self.path), ("wal", &wal), ("journal", &journal)] {
            // A log may be written in place, so its size alone would tell nothing.
            if let Ok(meta) = fs::metadata(path) {
                let nanos =
                    meta.mtime().wrapping_mul(1_000_000_000).wrapping_add(meta.mtime_nsec());
                written.insert(format!("{name}_bytes"), meta.len());
                written.insert(format!("{name}_mtime"), nanos.cast_unsigned());
            }
        }
        written.insert("changes".to_owned(), change_counter(&self.path)?);
        let sessions = holders::of(&[&self.path, &wal, &shm, &journal]);
        Ok(Activity { sessions, written })
    }

    fn end_sessions(&mut self) -> Result<(), DatabaseError> {
        let sessions = self.activity()?.sessions;
        if sessions.is_empty() {
            return Ok(());
        }
        // The holders are processes, and whose they are is not ours to guess.
        let holders = holders::named(&sessions);
        Err(DatabaseError::Held { path: self.path.clone(), holders })
    }

    fn read(
        &mut self,
        table: &str,
        columns: &[&str],
        matching: &[Where<'_>],
    ) -> Result<Option<Vec<Vec<Value>>>, DatabaseError> {
        table::read(&self.path, table, columns, matching)
    }

    fn count(&mut self, table: &str) -> Result<Option<u64>, DatabaseError> {
        table::count(&self.path, table)
    }

    fn write(
        &mut self,
        table: &str,
        column: &str,
        value: Option<&[u8]>,
        matching: &[Where<'_>],
    ) -> Result<u64, DatabaseError> {
        table::write(&self.path, table, column, value, matching)
    }
}

/// The header's count of changes, which moves with every transaction that reaches the file.
fn change_counter(path: &Path) -> Result<u64, DatabaseError> {
    let mut header = [0; 28];
    let file = match fs::File::open(path) {
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => {
            return Err(DatabaseError::NoFile { path: path.to_owned() });
        }
        opened => opened.map_err(|why| io("open", path, why))?,
    };
    match (&file).read_exact(&mut header) {
        // A new database has no header yet.
        Err(why) if why.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(0),
        read => read.map_err(|why| io("read", path, why))?,
    }
    let [.., a, b, c, d] = header;
    Ok(u32::from_be_bytes([a, b, c, d]).into())
}
