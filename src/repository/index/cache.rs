//! Opened segments, kept in local files that only their owner reads.
//!
//! A file is a table, then the names of the segments that it covers. Files are merged as they
//! become many: four of one size make one of the next. All of it may be deleted at any time.
//!
//! Files are not synced. One that was written in another boot may have been torn by a power cut:
//! its hash is checked before it is used.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::merge::merge;
use super::table::{Bytes, Table};
use crate::os::{file, host};
use crate::repository::id::ObjectId;

const MAGIC: [u8; 8] = *b"snapcch\n";
/// Hash, boot, number of segments, magic.
const TAIL_BYTES: usize = 32 + 16 + 4 + 8;
const TEMP: &str = "new-";
/// So many files of one size are merged.
const SAME_SIZE_MAX: usize = 4;
/// Tables up to this, together, are read into memory; look-ups in larger ones read the file.
pub(super) const MEMORY_BYTES_MAX: u64 = 24 << 20;

/// The directory of one repository's opened segments.
pub(super) struct Cache {
    dir: PathBuf,
    boot: [u8; 16],
}

/// One file of it.
pub(super) struct Kept {
    path: PathBuf,
    pub(super) covers: BTreeSet<ObjectId>,
    pub(super) table: Table,
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
        memory_left: &mut u64,
    ) -> io::Result<Vec<Kept>> {
        let mut kept: Vec<Kept> = Vec::new();
        let mut covered = BTreeSet::new();
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            let found = self.read(&path, memory_left)?;
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
        memory_left: &mut u64,
    ) -> io::Result<Option<Kept>> {
        let name = ObjectId::random().to_string();
        let temp = self.dir.join(format!("{TEMP}{name}"));
        let path = self.dir.join(&name);
        let mut out = Hashed {
            out: BufWriter::with_capacity(1 << 18, file::create_new(&temp, 0o600)?),
            hasher: blake3::Hasher::new(),
        };
        merge(tables, &mut out)?;
        for id in covers {
            out.write_all(id.as_bytes())?;
        }
        let count = u32::try_from(covers.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        let Hashed { mut out, hasher } = out;
        out.write_all(hasher.finalize().as_bytes())?;
        out.write_all(&self.boot)?;
        out.write_all(&count.to_le_bytes())?;
        out.write_all(&MAGIC)?;
        out.flush()?;
        file::rename_over(&temp, &path)?;
        self.read(&path, memory_left)
    }

    /// Merges files of one size while there are too many of it.
    pub(super) fn settle(
        &self,
        mut kept: Vec<Kept>,
        memory_left: &mut u64,
    ) -> io::Result<Vec<Kept>> {
        loop {
            kept.sort_by_key(|file| file.table.chunks);
            let level = |file: &Kept| file.table.chunks.max(1).ilog2() / 2;
            let crowded = kept
                .windows(SAME_SIZE_MAX)
                .position(|same| level(&same[0]) == level(&same[SAME_SIZE_MAX - 1]));
            let Some(first) = crowded else { return Ok(kept) };
            let many: Vec<Kept> = kept.drain(first..first + SAME_SIZE_MAX).collect();
            let tables: Vec<&Table> = many.iter().map(|file| &file.table).collect();
            let covers = many.iter().flat_map(|file| file.covers.iter().copied()).collect();
            *memory_left += tables.iter().map(|table| table.memory_bytes()).sum::<u64>();
            if let Some(merged) = self.keep(&tables, &covers, memory_left)? {
                kept.push(merged);
            }
            for file in &many {
                file::remove(&file.path)?;
            }
        }
    }

    /// Reads one file; `None` if it is not one of ours, or torn.
    fn read(&self, path: &Path, memory_left: &mut u64) -> io::Result<Option<Kept>> {
        let opened = match File::options().read(true).write(true).open(path) {
            Ok(opened) => opened,
            // Another process has merged it away.
            Err(gone) if gone.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let length = opened.metadata()?.len();
        let Some(tail_at) = length.checked_sub(TAIL_BYTES as u64) else { return Ok(None) };
        let mut tail = [0; TAIL_BYTES];
        opened.read_exact_at(&mut tail, tail_at)?;
        let count = u64::from(u32::from_le_bytes([tail[48], tail[49], tail[50], tail[51]]));
        let table_bytes = tail_at.checked_sub(32 * count);
        let Some(table_bytes) = table_bytes.filter(|_| tail[52..] == MAGIC) else {
            return Ok(None);
        };
        if tail[32..48] != self.boot {
            if hash_of(&opened, tail_at)? != tail[..32] {
                return Ok(None);
            }
            opened.write_all_at(&self.boot, tail_at + 32)?;
        }
        let mut names =
            vec![0; usize::try_from(32 * count).map_err(|_| io::ErrorKind::InvalidData)?];
        opened.read_exact_at(&mut names, table_bytes)?;
        let covers =
            names.as_chunks::<32>().0.iter().map(|name| ObjectId::from_bytes(*name)).collect();
        let bytes = if table_bytes <= *memory_left {
            *memory_left -= table_bytes;
            let whole = usize::try_from(table_bytes).map_err(|_| io::ErrorKind::InvalidData)?;
            let mut bytes = vec![0; whole];
            opened.read_exact_at(&mut bytes, 0)?;
            Bytes::Memory(bytes)
        } else {
            Bytes::File(opened)
        };
        let table = Table::open(bytes, table_bytes)?;
        Ok(table.map(|table| Kept { path: path.to_owned(), covers, table }))
    }
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

/// Hashes what is written.
struct Hashed {
    out: BufWriter<File>,
    hasher: blake3::Hasher,
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
