//! A tar archive as a snapshot. Nothing is unpacked: entries become a tree in the repository.
//!
//! The archive is not trusted. Whatever its names say, they end up below one root; a name that
//! climbs, a hard link to what did not come before, and a kind that is not known are refused.
//!
//! The `tar` crate finds the headers. Long names and PAX records are read here: the crate takes
//! them however long they claim to be, and cuts records at line breaks, which names may hold.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::PathBuf;

use tar::{Archive, EntryType};

use super::SnapshotError;
use super::record::{Class, Counts, Root, Snapshot};
use super::take::{StoredTrees, prepare_stored};
use crate::monitor::{Counter, Monitor};
use crate::repository::{Bundle, Extent, PackClass, Repository, RepositoryError, WriteOptions};
use crate::tree::edit::{Edit, edit, empty_directory, empty_root};
use crate::tree::{Entry, ExclusionRules, Kind, Meta, Mtime, TreePath, Xattr};

/// The label of the one root of such a snapshot.
const ROOT: &str = "archive";

/// What to take in.
pub struct Import<'a> {
    /// The archive, unpacked from any compression.
    pub archive: &'a mut dyn Read,
    /// Where its entries lie below, as the snapshot tells it.
    pub at: PathBuf,
    /// What it is of.
    pub source: String,
    /// Words of the user.
    pub tags: Vec<String>,
    /// A line of the user.
    pub note: Option<String>,
}

/// Takes an archive in. On an error there is no snapshot of it.
pub fn import(
    repository: &Repository,
    import: Import<'_>,
    monitor: &dyn Monitor,
) -> Result<Snapshot, SnapshotError> {
    let writer = repository.begin(&WriteOptions::default())?;
    let mut taken = Taken {
        repository,
        bundle: writer.bundle(PackClass::Data),
        entries: BTreeMap::new(),
        links: BTreeMap::new(),
        root: None,
        monitor,
    };
    let mut archive = Archive::new(import.archive);
    let mut said = Said::default();
    for entry in archive.entries().map_err(|error| malformed(&error))?.raw(true) {
        let mut entry = entry.map_err(|error| malformed(&error))?;
        match entry.header().entry_type() {
            EntryType::XGlobalHeader => {}
            EntryType::XHeader => said.records(&extension(&mut entry)?)?,
            EntryType::GNULongName => said.path = Some(without_nul(extension(&mut entry)?)),
            EntryType::GNULongLink => said.link = Some(without_nul(extension(&mut entry)?)),
            _ => taken.entry(&mut entry, std::mem::take(&mut said))?,
        }
    }
    let (root, counts) = taken.finish()?;
    let trees = StoredTrees {
        class: Class::User,
        source: import.source,
        app: None,
        roots: vec![Root {
            label: ROOT.to_owned(),
            path: import.at,
            entry: root,
            rules: ExclusionRules::default(),
        }],
        attachments: Vec::new(),
        tags: import.tags,
        note: import.note,
        counts,
    };
    prepare_stored(&writer, trees)?.commit(writer, monitor)
}

fn malformed(error: &io::Error) -> SnapshotError {
    SnapshotError::BadArchive { entry: String::new(), what: error.to_string() }
}

fn bad(path: &[u8], what: &str) -> SnapshotError {
    SnapshotError::BadArchive { entry: path.escape_ascii().to_string(), what: what.to_owned() }
}

/// What the archive gave so far.
struct Taken<'a, 'w> {
    repository: &'a Repository,
    bundle: Bundle<'w>,
    entries: BTreeMap<TreePath, Entry>,
    /// Further names of a file, by the name that came first.
    links: BTreeMap<TreePath, Vec<TreePath>>,
    /// What the archive says of the root itself.
    root: Option<Meta>,
    monitor: &'a dyn Monitor,
}

impl Taken<'_, '_> {
    fn entry<R: Read>(
        &mut self,
        entry: &mut tar::Entry<'_, R>,
        said: Said,
    ) -> Result<(), SnapshotError> {
        let kind = entry.header().entry_type();
        let raw = said.path.clone().unwrap_or_else(|| entry.header().path_bytes().into_owned());
        let link = said.link.clone();
        let link = link.or_else(|| entry.header().link_name_bytes().map(Cow::into_owned));
        let size = entry.size();
        if said.size.is_some_and(|said| said != size) {
            return Err(bad(&raw, "its two sizes disagree"));
        }
        let meta = meta(entry, said, &raw)?;
        let Some(path) = place(&raw)? else {
            self.root = Some(meta);
            return Ok(());
        };
        self.monitor.count(Counter::Entries, 1);
        let target = || link.filter(|link| !link.is_empty()).ok_or_else(|| bad(&raw, "no target"));
        let stored = match kind {
            EntryType::Regular | EntryType::Continuous => {
                let put = self.bundle.put_content(entry, Extent::Bytes(size));
                let (content, got) = put.map_err(|error| match error {
                    RepositoryError::Source(error) => malformed(&error),
                    error => error.into(),
                })?;
                if got != size {
                    return Err(bad(&raw, "the archive ends in it"));
                }
                self.monitor.count(Counter::BytesRead, size);
                Kind::File { size, content }
            }
            EntryType::Link => {
                let first = place(&target()?)?.ok_or_else(|| bad(&raw, "it links to the root"))?;
                let known = self.entries.get(&first);
                let known = known.filter(|known| !matches!(known.kind, Kind::Directory { .. }));
                let twin = known.ok_or_else(|| bad(&raw, "it links to what is not there"))?.clone();
                self.links.entry(first).or_default().push(path.clone());
                self.entries.insert(path, twin);
                return Ok(());
            }
            EntryType::Directory => Kind::Directory { object: empty_directory(self.repository) },
            EntryType::Symlink => Kind::Symlink { target: target()?.into_boxed_slice() },
            EntryType::Fifo => Kind::Fifo,
            EntryType::Char => Kind::CharDevice { rdev: device(entry, &raw)? },
            EntryType::Block => Kind::BlockDevice { rdev: device(entry, &raw)? },
            _ => return Err(bad(&raw, "its kind is not known")),
        };
        let name = path.name().into();
        // What comes twice counts as it came last, as tar itself has it.
        self.entries.insert(path, Entry { name, meta, kind: stored, link_group: None });
        Ok(())
    }

    /// Makes one tree of everything.
    fn finish(mut self) -> Result<(Entry, Counts), SnapshotError> {
        self.name_link_groups();
        self.add_parents()?;
        let mut counts = Counts { directories: 1, ..Counts::default() };
        for entry in self.entries.values() {
            match &entry.kind {
                Kind::File { size, .. } => {
                    counts.files += 1;
                    counts.files_read += 1;
                    counts.bytes += size;
                    counts.bytes_read += size;
                }
                Kind::Directory { .. } => counts.directories += 1,
                _ => counts.others += 1,
            }
        }
        let meta = self.root.take().unwrap_or_else(|| self.plain());
        let root = empty_root(self.repository, meta);
        let entries = std::mem::take(&mut self.entries).into_iter();
        let edits = entries.map(|(path, entry)| (path, Edit::Put(entry)));
        let object = edit(self.repository, &mut self.bundle, &root, edits)?;
        self.bundle.finish()?;
        Ok((Entry { kind: Kind::Directory { object }, ..root }, counts))
    }

    /// A group of names is called by the first of them in the order of the tree.
    fn name_link_groups(&mut self) {
        for (first, others) in std::mem::take(&mut self.links) {
            let names: Vec<&TreePath> = std::iter::once(&first).chain(&others).collect();
            let label = (*names.iter().min().expect("one at least")).clone();
            for name in names {
                if let Some(entry) = self.entries.get_mut(name) {
                    entry.link_group = Some(label.clone());
                    entry.name = name.name().into();
                }
            }
        }
    }

    /// Directories that the archive leaves to be understood.
    fn add_parents(&mut self) -> Result<(), SnapshotError> {
        let mut missing = BTreeMap::new();
        for path in self.entries.keys() {
            let mut above = path.parent();
            while let Some(dir) = above {
                above = dir.parent();
                match self.entries.get(&dir) {
                    Some(entry) if matches!(entry.kind, Kind::Directory { .. }) => break,
                    Some(_) => return Err(bad(path.as_bytes(), "it lies in what is no directory")),
                    None => {
                        let kind = Kind::Directory { object: empty_directory(self.repository) };
                        let name = dir.name().into();
                        let entry = Entry { name, meta: self.plain(), kind, link_group: None };
                        missing.insert(dir, entry);
                    }
                }
            }
        }
        self.entries.extend(missing);
        Ok(())
    }

    /// What is said of a directory of which nothing is said: as old as the newest entry.
    fn plain(&self) -> Meta {
        let mtime = self.entries.values().map(|entry| entry.meta.mtime).max().unwrap_or_default();
        Meta { mode: 0o755, mtime, ..Meta::default() }
    }
}

/// Where an entry lies below the root; `None` is the root itself.
fn place(raw: &[u8]) -> Result<Option<TreePath>, SnapshotError> {
    let parts: Vec<&[u8]> =
        raw.split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b".")).collect();
    if parts.is_empty() {
        return Ok(None);
    }
    TreePath::parse(&parts.join(&b'/')).map(Some).map_err(|_| bad(raw, "its path is none"))
}

/// Long names and PAX records are not longer than this: attributes of 64 KiB fit several times.
const EXTENSION_BYTES_MAX: u64 = 1 << 20;

/// Reads what stands before an entry and speaks of it.
fn extension<R: Read>(entry: &mut tar::Entry<'_, R>) -> Result<Vec<u8>, SnapshotError> {
    if entry.size() > EXTENSION_BYTES_MAX {
        return Err(bad(b"", "what is said of an entry is too long"));
    }
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes).map_err(|error| malformed(&error))?;
    Ok(bytes)
}

fn without_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    while bytes.last() == Some(&0) {
        bytes.pop();
    }
    bytes
}

/// What is said of the next entry, beside its header.
#[derive(Default)]
struct Said {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    mtime: Option<Mtime>,
    uid: Option<u32>,
    gid: Option<u32>,
    xattrs: Vec<Xattr>,
}

impl Said {
    /// Reads PAX records: `LENGTH KEY=VALUE` and a line break, the length counting all of it.
    fn records(&mut self, mut rest: &[u8]) -> Result<(), SnapshotError> {
        while !rest.is_empty() {
            let record = first_record(rest);
            let (key, value, length) =
                record.ok_or_else(|| bad(b"", "a PAX record does not add up"))?;
            self.record(key, value)?;
            rest = &rest[length..];
        }
        self.xattrs.sort();
        self.xattrs.dedup_by(|a, b| a.name == b.name);
        Ok(())
    }

    fn record(&mut self, key: &[u8], value: &[u8]) -> Result<(), SnapshotError> {
        let text = || std::str::from_utf8(value).ok();
        let wrong = || bad(key, "this PAX record does not say what it should");
        match key {
            b"path" => self.path = Some(value.to_vec()),
            b"linkpath" => self.link = Some(value.to_vec()),
            b"size" => self.size = Some(text().and_then(|t| t.parse().ok()).ok_or_else(wrong)?),
            b"mtime" => self.mtime = Some(text().and_then(time).ok_or_else(wrong)?),
            b"uid" => self.uid = Some(text().and_then(|t| t.parse().ok()).ok_or_else(wrong)?),
            b"gid" => self.gid = Some(text().and_then(|t| t.parse().ok()).ok_or_else(wrong)?),
            _ if key.starts_with(b"GNU.sparse.") => {
                return Err(bad(b"", "it is sparse in a way that is not known"));
            }
            _ => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    self.xattrs.push(Xattr { name: name.into(), value: value.into() });
                }
            }
        }
        Ok(())
    }
}

/// Key, value and length of the first record.
fn first_record(bytes: &[u8]) -> Option<(&[u8], &[u8], usize)> {
    let blank = bytes.iter().take(12).position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(&bytes[..blank]).ok()?.parse().ok()?;
    let record = bytes.get(blank + 1..length)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    Some((&record[..equals], &record[equals + 1..], length))
}

fn meta<R: Read>(entry: &tar::Entry<'_, R>, said: Said, raw: &[u8]) -> Result<Meta, SnapshotError> {
    let header = entry.header();
    let wrong = |_: io::Error| bad(raw, "its header does not add up");
    let id = |of: Option<u32>, number: u64| {
        of.or_else(|| u32::try_from(number).ok()).ok_or_else(|| bad(raw, "its owner is none"))
    };
    let secs = i64::try_from(header.mtime().map_err(wrong)?).unwrap_or(0);
    Ok(Meta {
        mode: header.mode().map_err(wrong)? & 0o7777,
        uid: id(said.uid, header.uid().map_err(wrong)?)?,
        gid: id(said.gid, header.gid().map_err(wrong)?)?,
        mtime: said.mtime.unwrap_or(Mtime { secs, nanos: 0 }),
        xattrs: said.xattrs,
    })
}

fn device<R: Read>(entry: &tar::Entry<'_, R>, raw: &[u8]) -> Result<u64, SnapshotError> {
    let numbers = entry.header().device_major().and_then(|major| {
        let minor = entry.header().device_minor()?;
        Ok(major.zip(minor))
    });
    let (major, minor) = numbers
        .map_err(|error| malformed(&error))?
        .ok_or_else(|| bad(raw, "it has no device number"))?;
    Ok(rustix::fs::makedev(major, minor))
}

/// Reads a decimal number of seconds; what is finer than nanoseconds is cut.
fn time(text: &str) -> Option<Mtime> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let is_negative = whole.starts_with('-');
    let whole: i64 = whole.parse().ok()?;
    if !part.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits: String = part.chars().chain(std::iter::repeat('0')).take(9).collect();
    let nanos: u32 = digits.parse().ok()?;
    Some(if is_negative && nanos > 0 {
        Mtime { secs: whole.checked_sub(1)?, nanos: 1_000_000_000 - nanos }
    } else {
        Mtime { secs: whole, nanos }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_on_both_sides_of_1970() {
        let at = |secs, nanos| Some(Mtime { secs, nanos });
        assert_eq!(time("5"), at(5, 0));
        assert_eq!(time("5.25"), at(5, 250_000_000));
        assert_eq!(time("5.0000000019"), at(5, 1));
        assert_eq!(time("-4.75"), at(-5, 250_000_000));
        assert_eq!(time("-0.75"), at(-1, 250_000_000));
        assert_eq!(time("-10"), at(-10, 0));
        assert_eq!(time("x"), None);
        assert_eq!(time("1.x"), None);
    }

    #[test]
    fn records_are_as_long_as_they_say_whatever_is_in_them() {
        let mut said = Said::default();
        said.records(b"15 path=a\nb=c\n\n20 SCHILY.xattr.u=\0\n").unwrap();
        assert_eq!(said.path.as_deref(), Some(&b"a\nb=c\n"[..]));
        assert_eq!((&*said.xattrs[0].name, &*said.xattrs[0].value), (&b"u"[..], &b"\0"[..]));
        for wrong in [&b"99 path=a\n"[..], b"path=a\n", b"9 path=ab\n", b"x path=a\n", b"6 path\n"]
        {
            assert!(Said::default().records(wrong).is_err(), "{}", wrong.escape_ascii());
        }
    }

    #[test]
    fn whatever_a_name_says_it_lies_below_the_root() {
        let placed = |raw: &[u8]| place(raw).unwrap().map(|path| path.to_string());
        assert_eq!(placed(b"./a//b/"), Some("a/b".to_owned()));
        assert_eq!(placed(b"/etc/passwd"), Some("etc/passwd".to_owned()));
        assert_eq!(placed(b"./"), None);
        assert!(place(b"../x").is_err() && place(b"a/../../x").is_err());
    }
}
