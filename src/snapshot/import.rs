//! A tar archive as a snapshot. Nothing is unpacked: entries become a tree in the repository.
//!
//! The archive is not trusted. Whatever its names say, they end up below one root; a name that
//! climbs, a hard link to what did not come before, and a kind that is not known are refused.
//!
//! The `tar` crate finds the headers; what stands before them is read by `said`.

mod said;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::PathBuf;

use tar::{Archive, EntryType};

use self::said::{Said, extension, without_nul};
use super::SnapshotError;
use super::record::{Class, Counts, Root, Snapshot};
use super::take::{StoredTrees, prepare_stored};
use crate::monitor::{Counter, Monitor};
use crate::repository::{Bundle, Extent, PackClass, Repository, RepositoryError, WriteOptions};
use crate::tree::edit::{Edit, edit, empty_directory, empty_root};
use crate::tree::{Entry, ExclusionRules, Kind, Meta, Mtime, TreePath};

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_name_says_it_lies_below_the_root() {
        let placed = |raw: &[u8]| place(raw).unwrap().map(|path| path.to_string());
        assert_eq!(placed(b"./a//b/"), Some("a/b".to_owned()));
        assert_eq!(placed(b"/etc/passwd"), Some("etc/passwd".to_owned()));
        assert_eq!(placed(b"./"), None);
        assert!(place(b"../x").is_err() && place(b"a/../../x").is_err());
    }
}
