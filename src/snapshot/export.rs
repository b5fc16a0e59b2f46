//! A snapshot as a tar archive that GNU tar and the databases' own clients restore.
//!
//! ```text
//! each root as it lay on the machine, without the leading slash, in the order of its tree
//! SQLite databases as files where they lay
//! .snap-export/NAME.sql: other databases, as scripts
//! ```
//! POSIX headers, with PAX records for whatever they cannot hold. The same snapshot gives the same
//! bytes.

mod header;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use tar::{Builder, EntryType};

use self::header::{Head, Item};
use super::SnapshotError;
use super::annex::{Annex, RootAnnex};
use super::record::{DatabaseMark, Root, Snapshot};
use crate::database::{Address, Native, native, write_native};
use crate::monitor::{Counter, Monitor, Problem};
use crate::repository::{Repository, Stored};
use crate::tree::read::Entries;
use crate::tree::{Entry, Kind, Meta, Mtime, TreeError, TreePath, Xattr};

/// Where what has no place in a tree goes.
pub const EXPORT_DIR: &str = ".snap-export";

/// What an export holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// Entries written, databases among them.
    pub entries: u64,
    /// Bytes of files and databases.
    pub bytes: u64,
    /// Databases written.
    pub databases: u64,
    /// What an archive cannot hold.
    pub left_out: Vec<Problem>,
}

/// Writes `snapshot` to `out`.
pub fn export(
    repository: &Repository,
    snapshot: &Snapshot,
    out: &mut dyn Write,
    monitor: &dyn Monitor,
) -> Result<Exported, SnapshotError> {
    let annex = Annex::read(repository, &snapshot.annex)?;
    let tar = Builder::new(out);
    let mut work = Work {
        repository,
        snapshot,
        annex: &annex,
        tar,
        done: Exported::default(),
        written: BTreeSet::new(),
        monitor,
    };
    for root in &snapshot.roots {
        work.root(root)?;
    }
    for database in &snapshot.databases {
        if !work.written.contains(&database.name) {
            work.apart(database)?;
        }
    }
    work.tar.finish().map_err(unwritten)?;
    Ok(work.done)
}

fn unwritten(source: io::Error) -> SnapshotError {
    TreeError::io("write", "the export")(source).into()
}

struct Work<'a, 'o> {
    repository: &'a Repository,
    snapshot: &'a Snapshot,
    annex: &'a Annex,
    tar: Builder<&'o mut dyn Write>,
    done: Exported,
    /// Databases that lay in a root.
    written: BTreeSet<String>,
    monitor: &'a dyn Monitor,
}

impl Work<'_, '_> {
    fn root(&mut self, root: &Root) -> Result<(), SnapshotError> {
        let none = RootAnnex::default();
        let annex = self.annex.roots.get(&root.label).unwrap_or(&none);
        let at = root.path.as_os_str().as_bytes();
        let at = at.strip_prefix(b"/").unwrap_or(at).to_vec();
        let place = |path: &TreePath| -> Vec<u8> {
            let slash: &[u8] = if at.is_empty() { b"" } else { b"/" };
            [&at, slash, path.as_bytes()].concat()
        };
        let mut firsts: BTreeMap<TreePath, Vec<u8>> = BTreeMap::new();
        let own = if at.is_empty() { b".".to_vec() } else { at.clone() };
        self.entry(own, None, &root.entry, annex, &mut firsts)?;
        for next in Entries::below(self.repository, &root.entry) {
            let (path, entry) = next?;
            self.entry(place(&path), Some(&path), &entry, annex, &mut firsts)?;
        }
        Ok(())
    }

    fn entry(
        &mut self,
        place: Vec<u8>,
        path: Option<&TreePath>,
        entry: &Entry,
        annex: &RootAnnex,
        firsts: &mut BTreeMap<TreePath, Vec<u8>>,
    ) -> Result<(), SnapshotError> {
        let mut item = Item {
            path: place,
            meta: &entry.meta,
            mtime: entry.meta.mtime,
            kind: EntryType::Regular,
            size: 0,
            link: None,
            device: None,
        };
        if let Some(label) = &entry.link_group {
            if let Some(first) = firsts.get(label) {
                item.kind = EntryType::Link;
                item.link = Some(first.clone());
                return self.head(&item);
            }
            firsts.insert(label.clone(), item.path.clone());
        }
        match &entry.kind {
            Kind::File { size, content } => {
                item.size = *size;
                self.head(&item)?;
                return self.content(content, *size);
            }
            Kind::Directory { .. } | Kind::SkippedDirectory | Kind::MountPoint => {
                item.kind = EntryType::Directory;
                item.path.push(b'/');
                if item.mtime == Mtime::default() {
                    let known = annex.directory_mtimes.get(&path.cloned());
                    item.mtime = known.copied().unwrap_or_default();
                }
            }
            Kind::Symlink { target } => {
                item.kind = EntryType::Symlink;
                item.link = Some(target.to_vec());
            }
            Kind::Fifo => item.kind = EntryType::Fifo,
            Kind::CharDevice { rdev } => {
                (item.kind, item.device) = (EntryType::Char, Some(*rdev));
            }
            Kind::BlockDevice { rdev } => {
                (item.kind, item.device) = (EntryType::Block, Some(*rdev));
            }
            Kind::Socket => {
                self.leave_out(&item.path, "an archive holds no sockets");
                return Ok(());
            }
            Kind::Database { name } => {
                let found = self.snapshot.databases.iter().find(|one| one.name == *name);
                if let Some(database) = found {
                    self.written.insert(name.clone());
                    self.database(item.path, database)?;
                }
                return Ok(());
            }
        }
        self.head(&item)
    }

    /// A database that lies in no root.
    fn apart(&mut self, database: &DatabaseMark) -> Result<(), SnapshotError> {
        let path = match Address::parse(&database.address) {
            Ok(Address::Sqlite(path)) => relative(&path),
            _ => format!("{EXPORT_DIR}/{}.sql", file_name(&database.name)).into_bytes(),
        };
        self.database(path, database)
    }

    /// Writes a database twice: once to learn how long it is.
    fn database(&mut self, path: Vec<u8>, mark: &DatabaseMark) -> Result<(), SnapshotError> {
        let mut count = Count(0);
        write_native(self.repository, &mark.state, &mut count)?;
        let (mode, uid, gid, xattrs) = match native(self.repository, &mark.state)? {
            Native::Script => (0o600, 0, 0, Vec::new()),
            Native::File { mode, uid, gid, xattrs } => (mode, uid, gid, xattrs),
        };
        let xattr = |(name, value): (Vec<u8>, Vec<u8>)| Xattr {
            name: name.into_boxed_slice(),
            value: value.into_boxed_slice(),
        };
        let taken = self.snapshot.time.0;
        let mtime = Mtime {
            secs: taken.div_euclid(1_000_000_000),
            nanos: u32::try_from(taken.rem_euclid(1_000_000_000)).expect("less than a second"),
        };
        let xattrs = xattrs.into_iter().map(xattr).collect();
        let meta = Meta { mode: mode & 0o7777, uid, gid, mtime, xattrs };
        let (kind, size) = (EntryType::Regular, count.0);
        self.head(&Item { path, meta: &meta, mtime, kind, size, link: None, device: None })?;
        let mut out = Counted { out: self.tar.get_mut(), bytes: 0 };
        write_native(self.repository, &mark.state, &mut out)?;
        if out.bytes != size {
            return Err(unwritten(io::ErrorKind::InvalidData.into()));
        }
        self.done.databases += 1;
        self.pad(size)
    }

    /// Writes the header of an entry, PAX records before it.
    fn head(&mut self, item: &Item<'_>) -> Result<(), SnapshotError> {
        let Head { header, pax, nameless } = item.head(self.annex).map_err(unwritten)?;
        for _ in 0..nameless {
            self.leave_out(&item.path, "an attribute whose name is no text");
        }
        let records = pax.iter().map(|(key, value)| (key.as_str(), value.as_slice()));
        self.tar.append_pax_extensions(records).map_err(unwritten)?;
        self.done.entries += 1;
        self.done.bytes += item.size;
        self.monitor.count(Counter::Entries, 1);
        self.tar.get_mut().write_all(header.as_bytes()).map_err(unwritten)
    }

    /// Writes the bytes of a file; a hole at its end is written too.
    fn content(&mut self, content: &Stored, size: u64) -> Result<(), SnapshotError> {
        let mut written = 0;
        for piece in self.repository.pieces(content) {
            let bytes = self.repository.get(&piece?.id)?;
            written += bytes.len() as u64;
            self.tar.get_mut().write_all(&bytes).map_err(unwritten)?;
            self.monitor.count(Counter::BytesRead, bytes.len() as u64);
        }
        if written > size {
            return Err(unwritten(io::ErrorKind::InvalidData.into()));
        }
        let zeros = [0; 4096];
        while written < size {
            let now = usize::try_from(size - written).map_or(zeros.len(), |n| n.min(zeros.len()));
            self.tar.get_mut().write_all(&zeros[..now]).map_err(unwritten)?;
            written += now as u64;
        }
        self.pad(size)
    }

    fn pad(&mut self, size: u64) -> Result<(), SnapshotError> {
        let over = usize::try_from(size % 512).expect("less than a block");
        let fill = if over == 0 { 0 } else { 512 - over };
        self.tar.get_mut().write_all(&[0; 512][..fill]).map_err(unwritten)
    }

    fn leave_out(&mut self, path: &[u8], what: &str) {
        let path = Path::new("/").join(std::ffi::OsStr::from_bytes(path));
        let problem = Problem { path, what: what.to_owned() };
        self.monitor.problem(problem.clone());
        self.done.left_out.push(problem);
    }
}

fn relative(path: &Path) -> Vec<u8> {
    let raw = path.as_os_str().as_bytes();
    raw.strip_prefix(b"/").unwrap_or(raw).to_vec()
}

/// A database's name as the name of a file.
fn file_name(name: &str) -> String {
    name.chars().map(|c| if c == '/' || c.is_control() { '_' } else { c }).collect()
}

/// Counts what passes.
struct Counted<'a> {
    out: &'a mut dyn Write,
    bytes: u64,
}

/// Only counts.
struct Count(u64);

impl Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write_all(bytes)?;
        self.bytes += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
