//! Opened segments, kept in local files that only their owner reads.
//!
//! A file is a table, its filter, then the names of the segments that it covers. Files are merged as
//! they become many: four of one size make one of the next. All of it may be deleted at any time.
//!
//! Without a directory that works they lie in files without a name, and go with their process.
//!
//! Files are not synced. One that was written in another boot may have been torn by a power cut:
//! its hash is checked before it is used.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::filter::Filter;
use super::merge::merge;
use super::table::{Bytes, Sieve, Table};
use crate::os::{file, host};
use crate::repository::id::ObjectId;

/// Its last digit is the version: whatever else is there goes, and is made anew.
const MAGIC: [u8; 8] = *b"snapcc2\n";
/// Length of the table, number of segments, hash of all before it, boot, magic.
const TAIL_BYTES: usize = 8 + 4 + 32 + 16 + 8;
const TEMP: &str = "new-";

/// The directory of one repository's opened segments.
pub(super) struct Cache {
    dir: PathBuf,
    boot: [u8; 16],
}

/// How much of the index may still be held in memory: it bounds what a process takes, whatever the
/// repository holds. What does not fit is read from its file when it is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    tables: u64,
    filters: u64,
}

impl Default for Allowance {
    /// Tables of 170,000 chunks: reading more takes longer than a small run asks. Filters of
    /// 26 million chunks.
    fn default() -> Self {
        Self { tables: 8 << 20, filters: 32 << 20 }
    }
}

impl Allowance {
    /// Everything is read from files.
    #[cfg(test)]
    pub(super) const fn nothing() -> Self {
        Self { tables: 0, filters: 0 }
    }

    fn take(from: &mut u64, bytes: u64) -> bool {
        let left = from.checked_sub(bytes);
        *from = left.unwrap_or(*from);
        left.is_some()
    }

    /// Lets `make` have what `tables` take besides; they keep it if nothing comes of that.
    fn in_place_of(
        &mut self,
        tables: &[&Table],
        make: impl FnOnce(&mut Self) -> io::Result<Option<Kept>>,
    ) -> io::Result<Option<Kept>> {
        let before = *self;
        for table in tables {
            let (bytes, filter) = table.memory_bytes();
            self.tables += bytes;
            self.filters += filter;
        }
        let made = make(self);
        if !matches!(made, Ok(Some(_))) {
            *self = before;
        }
        made
    }
}

/// Some segments made into one table, kept in a file unless there is no cache that works.
pub(super) struct Kept {
    path: Option<PathBuf>,
    pub(super) covers: BTreeSet<ObjectId>,
    pub(super) table: Arc<Table>,
}

impl Kept {
    /// Held in memory only.
    pub(super) fn in_memory(covers: BTreeSet<ObjectId>, table: Table) -> Self {
        Self { path: None, covers, table: Arc::new(table) }
    }
}

impl Cache {
    /// Opens the directory, and makes it if it is not there.
    pub(super) fn open(dir: PathBuf) -> io::Result<Self> {
        file::create_dirs(&dir, 0o700)?;
        let boot = blake3::hash(host::boot_id().as_bytes());
        let boot = *boot.as_bytes().first_chunk().expect("a hash is longer");
        Ok(Self { dir, boot })
    }

    /// All files that cover only segments that are `listed`, none of them twice. Other files go:
    /// they cover segments that no longer exist, are torn, or are doubles.
    pub(super) fn load(
        &self,
        listed: &BTreeSet<ObjectId>,
        left: &mut Allowance,
    ) -> io::Result<Vec<Kept>> {
        let mut kept: Vec<Kept> = Vec::new();
        let mut covered = BTreeSet::new();
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            let found = self.read(&path, left)?;
            match found.filter(|found| {
                found.covers.is_subset(listed) && found.covers.is_disjoint(&covered)
            }) {
                Some(found) => {
                    covered.extend(found.covers.iter().copied());
                    kept.push(found);
                }
                None => drop(file::remove(&path)?),
            }
        }
        Ok(kept)
    }

    /// Keeps `tables` as one file that covers `covers`.
    pub(super) fn keep(
        &self,
        tables: &[&Table],
        covers: &BTreeSet<ObjectId>,
        left: &mut Allowance,
    ) -> io::Result<Option<Kept>> {
        let name = ObjectId::random().to_string();
        let temp = self.dir.join(format!("{TEMP}{name}"));
        let path = self.dir.join(&name);
        let written = write(tables, covers, &self.boot, file::create_new(&temp, 0o600)?);
        if let Err(error) = written.and_then(|_| file::rename_over(&temp, &path)) {
            // Perhaps the disk is full.
            let _ = file::remove(&temp);
            return Err(error);
        }
        self.read(&path, left)
    }

    /// Keeps several as one, and removes their files.
    pub(super) fn merge(&self, many: &[Kept], left: &mut Allowance) -> io::Result<Option<Kept>> {
        let (tables, covers) = contents(many);
        let merged = left.in_place_of(&tables, |left| self.keep(&tables, &covers, left))?;
        let Some(merged) = merged else { return Ok(None) };
        for path in many.iter().filter_map(|kept| kept.path.as_ref()) {
            file::remove(path)?;
        }
        Ok(Some(merged))
    }

    /// Reads one file; `None` if it is not one of ours, or torn.
    fn read(&self, path: &Path, left: &mut Allowance) -> io::Result<Option<Kept>> {
        match File::options().read(true).write(true).open(path) {
            Ok(opened) => open(Some(path.to_owned()), opened, &self.boot, left),
            // Another process has merged it away.
            Err(gone) if gone.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Where files without a name lie, the first place that takes one.
pub(super) struct Scratch(Vec<PathBuf>);

impl Scratch {
    pub(super) fn in_any(dirs: impl Iterator<Item = PathBuf>) -> Self {
        Self(dirs.collect())
    }

    /// Keeps `tables` as one that covers `covers`; `None` if no place takes it.
    pub(super) fn keep(
        &self,
        tables: &[&Table],
        covers: &BTreeSet<ObjectId>,
        left: &mut Allowance,
    ) -> Option<Kept> {
        // It goes with this boot.
        let boot = [0; 16];
        let keep = |dir: &PathBuf| {
            let file = write(tables, covers, &boot, file::nameless_in(dir).ok()?).ok()?;
            open(None, file, &boot, left).ok()?
        };
        self.0.iter().find_map(keep)
    }

    /// Keeps several as one.
    pub(super) fn merge(&self, many: &[Kept], left: &mut Allowance) -> Option<Kept> {
        let (tables, covers) = contents(many);
        let merged = left.in_place_of(&tables, |left| Ok(self.keep(&tables, &covers, left)));
        merged.ok().flatten()
    }
}

/// The tables of all, and what they cover together.
fn contents(many: &[Kept]) -> (Vec<&Table>, BTreeSet<ObjectId>) {
    let tables = many.iter().map(|kept| &*kept.table).collect();
    (tables, many.iter().flat_map(|kept| kept.covers.iter().copied()).collect())
}

/// Writes `tables` as one that covers `covers` into `out`, which is empty.
fn write(
    tables: &[&Table],
    covers: &BTreeSet<ObjectId>,
    boot: &[u8; 16],
    out: File,
) -> io::Result<File> {
    let out = Hashed { out, hasher: blake3::Hasher::new(), bytes: 0 };
    let mut out = BufWriter::with_capacity(1 << 18, out);
    let filter = merge(tables, &mut out)?;
    out.flush()?;
    let table_bytes = out.get_ref().bytes;
    out.write_all(filter.as_bytes())?;
    for id in covers {
        out.write_all(id.as_bytes())?;
    }
    let count = u32::try_from(covers.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    out.write_all(&table_bytes.to_le_bytes())?;
    out.write_all(&count.to_le_bytes())?;
    out.flush()?;
    let hash = out.get_ref().hasher.finalize();
    out.write_all(hash.as_bytes())?;
    out.write_all(boot)?;
    out.write_all(&MAGIC)?;
    out.into_inner().map(|hashed| hashed.out).map_err(io::IntoInnerError::into_error)
}

/// Takes a file that was written; `None` if it is not one of ours, or torn.
fn open(
    path: Option<PathBuf>,
    opened: File,
    boot: &[u8; 16],
    left: &mut Allowance,
) -> io::Result<Option<Kept>> {
    let length = opened.metadata()?.len();
    let Some(tail) = Tail::read(&opened, length)? else { return Ok(None) };
    if tail.boot != *boot {
        if hash_of(&opened, tail.hashed)? != tail.hash {
            return Ok(None);
        }
        opened.write_all_at(boot, tail.boot_at)?;
    }
    let names = read_part(&opened, tail.names_at, tail.names_bytes)?;
    let covers = names.as_chunks::<32>().0.iter().map(|name| ObjectId::from_bytes(*name)).collect();
    let filter = if Allowance::take(&mut left.filters, tail.filter_bytes) {
        Some(read_part(&opened, tail.table_bytes, tail.filter_bytes)?)
    } else {
        None
    };
    let bytes = if Allowance::take(&mut left.tables, tail.table_bytes) {
        Bytes::Memory(read_part(&opened, 0, tail.table_bytes)?)
    } else {
        Bytes::File(opened)
    };
    let is_file = matches!(bytes, Bytes::File(_));
    let Some(table) = Table::open(bytes, tail.table_bytes)? else { return Ok(None) };
    let expected = Filter::bytes_for(table.chunks) as u64;
    if tail.filter_bytes != expected {
        return Ok(None);
    }
    let filter = filter.and_then(|bytes| Filter::from_bytes(bytes, table.chunks));
    let sieve = match (filter, usize::try_from(tail.table_bytes)) {
        (Some(filter), _) => Sieve::Memory(filter),
        (None, Ok(start)) if is_file => Sieve::File(start),
        _ => Sieve::Nothing,
    };
    let table = Arc::new(table.sifted(sieve));
    Ok(Some(Kept { path, covers, table }))
}

/// What the end of a file says of the rest.
struct Tail {
    table_bytes: u64,
    filter_bytes: u64,
    names_at: u64,
    names_bytes: u64,
    /// So many bytes are under the hash.
    hashed: u64,
    hash: [u8; 32],
    boot: [u8; 16],
    boot_at: u64,
}

impl Tail {
    /// `None` if it is no such file.
    fn read(opened: &File, length: u64) -> io::Result<Option<Self>> {
        let Some(tail_at) = length.checked_sub(TAIL_BYTES as u64) else { return Ok(None) };
        let mut raw = [0; TAIL_BYTES];
        opened.read_exact_at(&mut raw, tail_at)?;
        let [bytes, rest @ ..] = raw.as_chunks::<4>().0 else { return Ok(None) };
        let table_bytes =
            u64::from(u32::from_le_bytes(*bytes)) | u64::from(u32::from_le_bytes(rest[0])) << 32;
        let names_bytes = 32 * u64::from(u32::from_le_bytes(rest[1]));
        let names_at = tail_at.checked_sub(names_bytes);
        let Some(names_at) = names_at.filter(|_| raw[60..] == MAGIC) else { return Ok(None) };
        let Some(filter_bytes) = names_at.checked_sub(table_bytes) else { return Ok(None) };
        let part = |from: usize| &raw[from..];
        Ok(Some(Self {
            table_bytes,
            filter_bytes,
            names_at,
            names_bytes,
            hashed: tail_at + 12,
            hash: *part(12).first_chunk().expect("the tail is longer"),
            boot: *part(44).first_chunk().expect("the tail is longer"),
            boot_at: tail_at + 44,
        }))
    }
}

fn read_part(opened: &File, from: u64, bytes: u64) -> io::Result<Vec<u8>> {
    let mut part = vec![0; usize::try_from(bytes).map_err(|_| io::ErrorKind::InvalidData)?];
    opened.read_exact_at(&mut part, from)?;
    Ok(part)
}

/// The hash of the first `length` bytes.
fn hash_of(opened: &File, length: u64) -> io::Result<[u8; 32]> {
    let mut hasher = blake3::Hasher::new();
    let mut block = vec![0; 1 << 18];
    let mut from = opened.take(length);
    loop {
        match from.read(&mut block)? {
            0 => return Ok(*hasher.finalize().as_bytes()),
            read => drop(hasher.update(&block[..read])),
        }
    }
}

/// Hashes and counts what is written, in large blocks.
struct Hashed {
    out: File,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
