//! A leaf: the entries of a directory, column by column.

mod kinds;
mod packed;
mod tables;

use std::collections::HashMap;
use std::iter;

use self::kinds::{code, put_contents, take_contents};
pub use self::packed::Packed;
use self::tables::{FirstUse, no_twins};
use crate::tree::wire::{Reader, Writer};
use crate::tree::{BadObject, Entry, Meta, Mtime, TreePath, Xattr};

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
