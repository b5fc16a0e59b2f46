//! A tar archive as a snapshot. Nothing is unpacked: entries become a tree in the repository.
//!
//! The archive is not trusted. Whatever its names say, they end up below one root; a name that
//! climbs, a hard link to what did not come before, and a kind that is not known are refused.
//!
//! The `tar` crate finds the headers; what stands before them is read by `said`.

mod links;
mod said;

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use tar::{Archive, EntryType};

use self::links::Links;
use self::said::{Said, extension, without_nul};
use super::SnapshotError;
use super::record::{Class, Counts, Root, Snapshot};
use super::take::{StoredTrees, beside, prepare_stored};
use crate::monitor::{Counter, Monitor};
use crate::os::file;
use crate::repository::{Bundle, Extent, PackClass, Repository, RepositoryError, WriteOptions};
use crate::tree::build::{Builder, Built};
use crate::tree::edit::{empty_directory, empty_root};
use crate::tree::gather::Gathered;
use crate::tree::{Entry, ExclusionRules, Kind, Meta, Mtime, TreeError, TreePath};

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
    /// A directory of ours, for what is too much to be held.
    pub scratch: Option<&'a Path>,
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
        entries: Gathered::new(scratch(import.scratch).map_err(unread)?),
        links: Links::default(),
        root: None,
        newest: Mtime::default(),
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
    entries: Gathered,
    links: Links,
    /// What the archive says of the root itself.
    root: Option<Meta>,
    /// Of the newest entry: as old are directories of which nothing is said.
    newest: Mtime,
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
            EntryType::Link => return self.link(path, &target()?, &raw),
            EntryType::Directory => Kind::Directory { object: empty_directory(self.repository) },
            EntryType::Symlink => Kind::Symlink { target: target()?.into_boxed_slice() },
            EntryType::Fifo => Kind::Fifo,
            EntryType::Char => Kind::CharDevice { rdev: device(entry, &raw)? },
            EntryType::Block => Kind::BlockDevice { rdev: device(entry, &raw)? },
            _ => return Err(bad(&raw, "its kind is not known")),
        };
        // What comes twice counts as it came last, as tar itself has it.
        self.links.leave(&path);
        self.newest = self.newest.max(meta.mtime);
        let entry = Entry { name: Box::default(), meta, kind: stored, link_group: None };
        self.entries.put(path, entry);
        Ok(())
    }

    /// A further name of what came before.
    fn link(&mut self, path: TreePath, target: &[u8], raw: &[u8]) -> Result<(), SnapshotError> {
        let first = place(target)?.ok_or_else(|| bad(raw, "it links to the root"))?;
        let known = self.entries.get(&first).map_err(unread)?;
        let known = known.filter(|known| !matches!(known.kind, Kind::Directory { .. }));
        let known = known.ok_or_else(|| bad(raw, "it links to what is not there"))?;
        self.links.join(&first, path.clone());
        self.entries.put(path, known);
        Ok(())
    }

    /// Makes one tree of everything.
    fn finish(mut self) -> Result<(Entry, Counts), SnapshotError> {
        let implied = Meta { mode: 0o755, mtime: self.newest, ..Meta::default() };
        let root = empty_root(self.repository, self.root.unwrap_or_else(|| implied.clone()));
        let mut counts = Counts::default();
        let mut builder = Builder::new(self.repository, &mut self.bundle, implied);
        let groups = self.links.groups();
        for next in self.entries.into_sorted().map_err(unread)? {
            let (path, mut entry) = next.map_err(unread)?;
            match &entry.kind {
                Kind::File { size, .. } => {
                    counts.files += 1;
                    counts.files_read += 1;
                    counts.bytes += size;
                    counts.bytes_read += size;
                }
                Kind::Directory { .. } => {}
                _ => counts.others += 1,
            }
            entry.link_group = groups.label(&path).cloned();
            builder.push(path, entry).map_err(|error| match error {
                TreeError::NoSuchDirectory { path: Some(path) } => {
                    bad(path.as_bytes(), "something lies in it, and it is no directory")
                }
                error => error.into(),
            })?;
        }
        let Built { object, directories } = builder.finish()?;
        counts.directories = directories;
        self.bundle.finish()?;
        Ok((Entry { kind: Kind::Directory { object }, ..root }, counts))
    }
}

fn unread(error: io::Error) -> SnapshotError {
    TreeError::io("read again", "the entries of the archive")(error).into()
}

/// A file for entries that are put aside. It has no name, so nothing is left of it.
fn scratch(dir: Option<&Path>) -> io::Result<File> {
    let unnamed = |dir: &Path| {
        let (file, temp) = beside(&dir.join("import"))?;
        file::remove(&temp).map(|_| file)
    };
    // Where there is no room of ours, memory does as well.
    dir.map(unnamed).and_then(Result::ok).map_or_else(file::anonymous, Ok)
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
