//! A leaf: the entries of a directory, column by column.

use std::collections::HashMap;
use std::iter;

use crate::repository::ChunkId;
use crate::tree::wire::{Reader, Writer};
use crate::tree::{BadObject, Content, Entry, Kind, Meta, Mtime, TreePath, Xattr};

const NANOS_PER_SEC: u32 = 1_000_000_000;

/// The least an entry takes: name 3, kind 1, mode 2, owner 1, time 5.
const ENTRY_BYTES_MIN: usize = 12;

/// Lays out `entries`, which are sorted by name.
pub fn encode(entries: &[Entry]) -> Vec<u8> {
    let mut out = Writer(Vec::with_capacity(16 + entries.len() * 64));
    out.byte(super::LEAF);
    out.count(entries.len());
    put_names(&mut out, entries.iter().map(|entry| &*entry.name));
    for entry in entries {
        out.byte(code(&entry.kind));
    }
    for entry in entries {
        let [low, high, ..] = entry.meta.mode.to_le_bytes();
        out.raw(&[low, high]);
    }
    put_owners(&mut out, entries);
    put_times(&mut out, entries);
    put_contents(&mut out, entries);
    put_attributes(&mut out, entries);
    put_groups(&mut out, entries);
    out.0
}

/// Reads a leaf, and refuses what [`encode`] would not have written.
pub fn decode(raw: &[u8]) -> Result<Vec<Entry>, BadObject> {
    let mut from = Reader(raw);
    match from.byte()? {
        super::LEAF => {}
        super::BRANCH => return Err(BadObject::Nested),
        other => return Err(BadObject::TooNew(other)),
    }
    let count = from.count("entries", ENTRY_BYTES_MIN)?;
    let names = take_names(&mut from, count)?;
    let codes = from.raw(count)?;
    let mut metas = take_modes(&mut from, count)?;
    take_owners(&mut from, &mut metas)?;
    take_times(&mut from, &mut metas)?;
    let kinds = take_contents(&mut from, codes)?;
    take_attributes(&mut from, &mut metas)?;
    let mut entries: Vec<Entry> = iter::zip(names, iter::zip(metas, kinds))
        .map(|(name, (meta, kind))| Entry { name, meta, kind, link_group: None })
        .collect();
    take_groups(&mut from, &mut entries)?;
    from.end()?;
    Ok(entries)
}

const fn code(kind: &Kind) -> u8 {
    match kind {
        Kind::File { content: Content::Empty, .. } => 0,
        Kind::File { content: Content::Chunk(_), .. } => 1,
        Kind::File { content: Content::List(_), .. } => 2,
        Kind::Directory { .. } => 3,
        Kind::SkippedDirectory => 4,
        Kind::MountPoint => 5,
        Kind::Symlink { .. } => 6,
        Kind::Fifo => 7,
        Kind::Socket => 8,
        Kind::CharDevice { .. } => 9,
        Kind::BlockDevice { .. } => 10,
        Kind::Database { .. } => 11,
    }
}

pub(super) fn put_names<'a>(out: &mut Writer, names: impl Iterator<Item = &'a [u8]>) {
    let mut before: &[u8] = b"";
    for name in names {
        let shared = iter::zip(before, name).take_while(|(a, b)| a == b).count();
        out.count(shared);
        out.bytes(&name[shared..]);
        before = name;
    }
}

pub(super) fn take_names(from: &mut Reader<'_>, count: usize) -> Result<Vec<Box<[u8]>>, BadObject> {
    let mut names: Vec<Box<[u8]>> = Vec::with_capacity(count);
    for _ in 0..count {
        let before = names.last().map_or(&b""[..], |name| name);
        let shared = from.small("names")?;
        let rest = from.bytes("names")?;
        let kept = before.get(..shared).ok_or(BadObject::Number("names"))?;
        if before.get(shared).is_some_and(|next| rest.first() == Some(next)) {
            return Err(BadObject::Number("names")); // more is shared than was said
        }
        let name = [kept, rest].concat().into_boxed_slice();
        if !is_name(&name) {
            return Err(BadObject::Name);
        }
        if *before >= *name {
            return Err(BadObject::Order("names"));
        }
        names.push(name);
    }
    Ok(names)
}

fn is_name(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..") && !name.iter().any(|byte| matches!(byte, 0 | b'/'))
}

fn take_modes(from: &mut Reader<'_>, count: usize) -> Result<Vec<Meta>, BadObject> {
    let mut metas = Vec::with_capacity(count);
    for _ in 0..count {
        let mode = u32::from(u16::from_le_bytes(from.array()?));
        if mode > 0o7777 {
            return Err(BadObject::Number("modes"));
        }
        metas.push(Meta { mode, ..Meta::default() });
    }
    Ok(metas)
}

fn put_owners(out: &mut Writer, entries: &[Entry]) {
    let mut table: Vec<(u32, u32)> = Vec::new();
    let mut index_of = HashMap::new();
    let mut indexes = Vec::with_capacity(entries.len());
    for entry in entries {
        let owner = (entry.meta.uid, entry.meta.gid);
        indexes.push(*index_of.entry(owner).or_insert_with(|| {
            table.push(owner);
            table.len() - 1
        }));
    }
    out.count(table.len());
    for (uid, gid) in table {
        out.number(uid.into());
        out.number(gid.into());
    }
    for index in indexes {
        out.count(index);
    }
}

fn take_owners(from: &mut Reader<'_>, metas: &mut [Meta]) -> Result<(), BadObject> {
    let count = from.count("owners", 2)?;
    let mut table = Vec::with_capacity(count);
    for _ in 0..count {
        table.push((from.word("owners")?, from.word("owners")?));
    }
    let mut used = FirstUse::new("owners");
    for meta in metas {
        let index = from.small("owners")?;
        (meta.uid, meta.gid) = *table.get(index).ok_or(BadObject::Number("owners"))?;
        used.check(index)?;
    }
    used.finish(count)?;
    no_twins(table, "owners")
}

fn put_times(out: &mut Writer, entries: &[Entry]) {
    let mut before = 0_i64;
    for entry in entries {
        out.signed(entry.meta.mtime.secs.wrapping_sub(before));
        before = entry.meta.mtime.secs;
    }
    for entry in entries {
        out.raw(&entry.meta.mtime.nanos.to_le_bytes());
    }
}

fn take_times(from: &mut Reader<'_>, metas: &mut [Meta]) -> Result<(), BadObject> {
    let mut before = 0_i64;
    for meta in &mut *metas {
        before = before.wrapping_add(from.signed("seconds")?);
        meta.mtime.secs = before;
    }
    for meta in metas {
        let nanos = u32::from_le_bytes(from.array()?);
        if nanos >= NANOS_PER_SEC {
            return Err(BadObject::Number("nanoseconds"));
        }
        meta.mtime = Mtime { nanos, ..meta.mtime };
    }
    Ok(())
}

/// The four columns that only some kinds have: sizes, ids, texts, devices.
fn put_contents(out: &mut Writer, entries: &[Entry]) {
    let kinds = || entries.iter().map(|entry| &entry.kind);
    for kind in kinds() {
        match kind {
            Kind::File { size, content: Content::Chunk(_) | Content::List(_) } => out.number(*size),
            Kind::File { size, content: Content::Empty } => debug_assert_eq!(*size, 0),
            _ => {}
        }
    }
    for kind in kinds() {
        if let Kind::File { content: Content::Chunk(id) | Content::List(id), .. }
        | Kind::Directory { object: id } = kind
        {
            out.raw(id.as_bytes());
        }
    }
    for kind in kinds() {
        match kind {
            Kind::Symlink { target } => out.bytes(target),
            Kind::Database { name } => out.bytes(name.as_bytes()),
            _ => {}
        }
    }
    for kind in kinds() {
        if let Kind::CharDevice { rdev } | Kind::BlockDevice { rdev } = kind {
            out.number(*rdev);
        }
    }
}

fn take_contents(from: &mut Reader<'_>, codes: &[u8]) -> Result<Vec<Kind>, BadObject> {
    let count_of = |wanted: &[u8]| codes.iter().filter(|code| wanted.contains(code)).count();
    let sizes = column(from, count_of(&[1, 2]), |from| match from.number("sizes")? {
        0 => Err(BadObject::Number("sizes")),
        size => Ok(size),
    })?;
    let ids = column(from, count_of(&[1, 2, 3]), |from| from.array().map(ChunkId::from_bytes))?;
    let texts = column(from, count_of(&[6, 11]), |from| match from.bytes("texts")? {
        b"" => Err(BadObject::Number("texts")),
        text => Ok(text),
    })?;
    let devices = column(from, count_of(&[9, 10]), |from| from.number("devices"))?;
    let (mut sizes, mut ids) = (sizes.into_iter(), ids.into_iter());
    let (mut texts, mut devices) = (texts.into_iter(), devices.into_iter());
    // Each column is as long as the codes say, so what is missing here was an unknown code.
    let mut kind = |code: u8| {
        Some(match code {
            0 => Kind::File { size: 0, content: Content::Empty },
            1 => Kind::File { size: sizes.next()?, content: Content::Chunk(ids.next()?) },
            2 => Kind::File { size: sizes.next()?, content: Content::List(ids.next()?) },
            3 => Kind::Directory { object: ids.next()? },
            4 => Kind::SkippedDirectory,
            5 => Kind::MountPoint,
            6 => Kind::Symlink { target: texts.next()?.into() },
            7 => Kind::Fifo,
            8 => Kind::Socket,
            9 => Kind::CharDevice { rdev: devices.next()? },
            10 => Kind::BlockDevice { rdev: devices.next()? },
            11 => Kind::Database { name: String::from_utf8(texts.next()?.into()).ok()? },
            _ => return None,
        })
    };
    codes.iter().map(|code| kind(*code).ok_or(BadObject::Number("kinds"))).collect()
}

fn column<'a, T>(
    from: &mut Reader<'a>,
    count: usize,
    mut take: impl FnMut(&mut Reader<'a>) -> Result<T, BadObject>,
) -> Result<Vec<T>, BadObject> {
    (0..count).map(|_| take(from)).collect()
}

fn put_attributes(out: &mut Writer, entries: &[Entry]) {
    let mut sets: Vec<&[Xattr]> = Vec::new();
    let mut set_of: HashMap<&[Xattr], usize> = HashMap::new();
    let mut refs = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let xattrs = &*entry.meta.xattrs;
        if !xattrs.is_empty() {
            let set = *set_of.entry(xattrs).or_insert_with(|| {
                sets.push(xattrs);
                sets.len() - 1
            });
            refs.push((index, set));
        }
    }
    out.count(sets.len());
    for set in sets {
        out.count(set.len());
        for xattr in set {
            out.bytes(&xattr.name);
            out.bytes(&xattr.value);
        }
    }
    out.count(refs.len());
    let mut next = 0;
    for (index, set) in refs {
        out.count(index - next);
        out.count(set);
        next = index + 1;
    }
}

fn take_attributes(from: &mut Reader<'_>, metas: &mut [Meta]) -> Result<(), BadObject> {
    const WHAT: &str = "attributes";
    let count = from.count(WHAT, 3)?;
    let mut sets = Vec::with_capacity(count);
    for _ in 0..count {
        let length = from.count(WHAT, 2)?;
        let mut set: Vec<Xattr> = Vec::with_capacity(length);
        for _ in 0..length {
            let (name, value) = (from.bytes(WHAT)?.into(), from.bytes(WHAT)?.into());
            set.push(Xattr { name, value });
        }
        if set.is_empty() || !set.is_sorted_by(|a, b| a.name < b.name) {
            return Err(BadObject::Order(WHAT));
        }
        sets.push(set);
    }
    let mut used = FirstUse::new(WHAT);
    let uses = from.count(WHAT, 2)?;
    let mut next = 0;
    for _ in 0..uses {
        let index = take_gap(from, &mut next, WHAT)?;
        let set = from.small(WHAT)?;
        let meta = metas.get_mut(index).ok_or(BadObject::Number(WHAT))?;
        meta.xattrs.clone_from(sets.get(set).ok_or(BadObject::Number(WHAT))?);
        used.check(set)?;
    }
    used.finish(count)?;
    no_twins(sets, WHAT)
}

fn put_groups(out: &mut Writer, entries: &[Entry]) {
    let grouped = || {
        let entries = entries.iter().enumerate();
        entries.filter_map(|(index, entry)| Some((index, entry.link_group.as_ref()?)))
    };
    out.count(grouped().count());
    let mut next = 0;
    for (index, path) in grouped() {
        out.count(index - next);
        out.bytes(path.as_bytes());
        next = index + 1;
    }
}

fn take_groups(from: &mut Reader<'_>, entries: &mut [Entry]) -> Result<(), BadObject> {
    const WHAT: &str = "groups";
    let count = from.count(WHAT, 2)?;
    let mut next = 0;
    for _ in 0..count {
        let index = take_gap(from, &mut next, WHAT)?;
        let path = TreePath::parse(from.bytes(WHAT)?).map_err(|_| BadObject::Name)?;
        let entry = entries.get_mut(index).ok_or(BadObject::Number(WHAT))?;
        entry.link_group = Some(path);
    }
    Ok(())
}

fn take_gap(
    from: &mut Reader<'_>,
    next: &mut usize,
    column: &'static str,
) -> Result<usize, BadObject> {
    let index = next.checked_add(from.small(column)?).ok_or(BadObject::Number(column))?;
    *next = index.checked_add(1).ok_or(BadObject::Number(column))?;
    Ok(index)
}

/// Holds a table to the order in which its rows are first used, each at least once.
struct FirstUse {
    table: &'static str,
    seen: usize,
}

impl FirstUse {
    const fn new(table: &'static str) -> Self {
        Self { table, seen: 0 }
    }

    fn check(&mut self, index: usize) -> Result<(), BadObject> {
        if index > self.seen {
            return Err(BadObject::Order(self.table));
        }
        self.seen = self.seen.max(index + 1);
        Ok(())
    }

    fn finish(self, rows: usize) -> Result<(), BadObject> {
        if self.seen == rows { Ok(()) } else { Err(BadObject::Order(self.table)) }
    }
}

fn no_twins<T: Ord>(mut table: Vec<T>, what: &'static str) -> Result<(), BadObject> {
    table.sort();
    let twins = table.windows(2).any(|pair| pair[0] == pair[1]);
    if twins { Err(BadObject::Order(what)) } else { Ok(()) }
}
