//! A leaf of which nothing is taken apart before somebody asks: whoever only wants to know whether
//! a directory is as it was needs no entry of its own for each name.

use super::NANOS_PER_SEC;
use crate::os::meta::{FileKind, Stat};
use crate::repository::ChunkId;
use crate::tree::wire::Reader;
use crate::tree::{BadObject, Content, Entry, Kind, Meta, Mtime};

/// The entries of a directory that holds nothing out of the ordinary: no links, no devices, no
/// attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// All names, one after the other.
    names: Vec<u8>,
    rows: Vec<Row>,
    ids: Vec<ChunkId>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Row {
    /// Where its name ends; it begins where that before it ends.
    name_end: u32,
    /// Which id it has, if it has one.
    id: u32,
    code: u8,
    mode: u16,
    uid: u32,
    gid: u32,
    mtime: Mtime,
    size: u64,
}

impl Packed {
    /// Reads a leaf that is known to be what [`encode`](super::encode) wrote; `None` if it must be
    /// decoded.
    pub fn take(raw: &[u8]) -> Result<Option<Self>, BadObject> {
        let mut from = Reader(raw);
        if from.byte()? != super::super::LEAF {
            return Ok(None);
        }
        let count = from.count("entries", super::ENTRY_BYTES_MIN)?;
        let mut rows = vec![Row::default(); count];
        let names = take_names(&mut from, &mut rows)?;
        let codes = from.raw(count)?;
        if codes.iter().any(|code| !matches!(code, 0..=5 | 7 | 8)) {
            return Ok(None);
        }
        for (row, code) in rows.iter_mut().zip(codes) {
            row.code = *code;
            row.mode = u16::from_le_bytes(from.array()?);
        }
        take_owners(&mut from, &mut rows)?;
        take_times(&mut from, &mut rows)?;
        for row in rows.iter_mut().filter(|row| matches!(row.code, 1 | 2)) {
            row.size = from.number("sizes")?;
        }
        let mut ids = Vec::with_capacity(count);
        for row in rows.iter_mut().filter(|row| matches!(row.code, 1..=3)) {
            row.id = u32::try_from(ids.len()).map_err(|_| BadObject::Number("ids"))?;
            ids.push(ChunkId::from_bytes(from.array()?));
        }
        // Attributes: sets and their uses. Groups.
        for _ in 0..3 {
            if from.small("attributes")? != 0 {
                return Ok(None);
            }
        }
        from.end()?;
        Ok(Some(Self { names, rows, ids }))
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The name of an entry.
    pub fn name(&self, number: usize) -> &[u8] {
        let start = number.checked_sub(1).map_or(0, |before| self.rows[before].name_end);
        &self.names[start as usize..self.rows[number].name_end as usize]
    }

    /// User and group of an entry.
    pub fn owner(&self, number: usize) -> (u32, u32) {
        (self.rows[number].uid, self.rows[number].gid)
    }

    /// Whether mode, owner, size and kind of an entry are those that `stat` tells.
    pub fn fits(&self, number: usize, stat: &Stat) -> bool {
        let row = &self.rows[number];
        let kind = match row.code {
            0..=2 => FileKind::File,
            3 | 4 => FileKind::Directory,
            7 => FileKind::Fifo,
            8 => FileKind::Socket,
            _ => return false,
        };
        kind == stat.kind
            && (kind != FileKind::File || row.size == stat.size)
            && (u32::from(row.mode), row.uid, row.gid) == (stat.mode, stat.uid, stat.gid)
    }

    /// An entry as [`decode`](super::decode) would have made it.
    pub fn entry(&self, number: usize) -> Entry {
        let Row { id, code, mode, uid, gid, mtime, size, .. } = self.rows[number];
        let id = || self.ids[id as usize];
        let kind = match code {
            0 => Kind::File { size: 0, content: Content::Empty },
            1 => Kind::File { size, content: Content::Chunk(id()) },
            2 => Kind::File { size, content: Content::List(id()) },
            3 => Kind::Directory { object: id() },
            4 => Kind::SkippedDirectory,
            5 => Kind::MountPoint,
            7 => Kind::Fifo,
            _ => Kind::Socket,
        };
        let meta = Meta { mode: mode.into(), uid, gid, mtime, xattrs: Vec::new() };
        Entry { name: self.name(number).into(), meta, kind, link_group: None }
    }
}

fn take_names(from: &mut Reader<'_>, rows: &mut [Row]) -> Result<Vec<u8>, BadObject> {
    const WHAT: &str = "names";
    let mut names = Vec::with_capacity(rows.len() * 16);
    let mut start = 0_usize;
    for row in rows {
        let shared = from.small(WHAT)?;
        let rest = from.bytes(WHAT)?;
        let end = names.len();
        let kept = start..start.checked_add(shared).ok_or(BadObject::Number(WHAT))?;
        if kept.end > end {
            return Err(BadObject::Number(WHAT));
        }
        names.extend_from_within(kept);
        names.extend_from_slice(rest);
        start = end;
        row.name_end = u32::try_from(names.len()).map_err(|_| BadObject::Number(WHAT))?;
    }
    Ok(names)
}

fn take_owners(from: &mut Reader<'_>, rows: &mut [Row]) -> Result<(), BadObject> {
    const WHAT: &str = "owners";
    let count = from.count(WHAT, 2)?;
    let mut table = Vec::with_capacity(count);
    for _ in 0..count {
        table.push((from.word(WHAT)?, from.word(WHAT)?));
    }
    for row in rows {
        (row.uid, row.gid) = *table.get(from.small(WHAT)?).ok_or(BadObject::Number(WHAT))?;
    }
    Ok(())
}

fn take_times(from: &mut Reader<'_>, rows: &mut [Row]) -> Result<(), BadObject> {
    let mut before = 0_i64;
    for row in &mut *rows {
        before = before.wrapping_add(from.signed("seconds")?);
        row.mtime.secs = before;
    }
    for row in rows {
        row.mtime.nanos = u32::from_le_bytes(from.array()?);
        if row.mtime.nanos >= NANOS_PER_SEC {
            return Err(BadObject::Number("nanoseconds"));
        }
    }
    Ok(())
}
