//! A snapshot as a tar archive that GNU tar and the databases' own clients restore.
//!
//! ```text
//! each root as it lay on the machine, without the leading slash, in the order of its tree
//! SQLite databases as files where they lay
//! .snap-export/NAME.sql: other databases, as scripts
//! ```
//! POSIX headers, with PAX records for whatever they cannot hold: long names, nanoseconds, times
//! before 1970, large numbers, extended attributes. The same snapshot gives the same bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use tar::{Builder, EntryType, Header};

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

/// One entry of the archive.
struct Item<'e> {
    path: Vec<u8>,
    meta: &'e Meta,
    mtime: Mtime,
    kind: EntryType,
    size: u64,
    link: Option<Vec<u8>>,
    device: Option<u64>,
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
        let mut header = Header::new_ustar();
        let mut pax: Vec<(String, Vec<u8>)> = Vec::new();
        header.set_entry_type(item.kind);
        header.set_mode(item.meta.mode & 0o7777);
        for (key, id) in [("uid", item.meta.uid), ("gid", item.meta.gid)] {
            // Seven octal digits.
            let fits = if id < 1 << 21 { u64::from(id) } else { 0 };
            if key == "uid" {
                header.set_uid(fits);
            } else {
                header.set_gid(fits);
            }
            if fits != u64::from(id) {
                pax.push((key.to_owned(), id.to_string().into_bytes()));
            }
        }
        header.set_size(item.size);
        header.set_mtime(u64::try_from(item.mtime.secs).unwrap_or(0));
        if item.mtime.nanos != 0 || item.mtime.secs < 0 {
            pax.push(("mtime".to_owned(), decimal(item.mtime).into_bytes()));
        }
        let raw = header.as_mut_bytes();
        if !put(&mut raw[..100], &item.path) {
            pax.push(("path".to_owned(), item.path.clone()));
        }
        if let Some(link) = &item.link
            && !put(&mut raw[157..257], link)
        {
            pax.push(("linkpath".to_owned(), link.clone()));
        }
        if let Some(device) = item.device {
            let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
            header.set_device_major(major).map_err(unwritten)?;
            header.set_device_minor(minor).map_err(unwritten)?;
        }
        self.names(&mut header, item.meta);
        for xattr in &item.meta.xattrs {
            match std::str::from_utf8(&xattr.name).ok().filter(|name| !name.contains('=')) {
                Some(name) => pax.push((format!("SCHILY.xattr.{name}"), xattr.value.to_vec())),
                None => self.leave_out(&item.path, "an attribute whose name is no text"),
            }
        }
        header.set_cksum();
        pax.sort();
        let records = pax.iter().map(|(key, value)| (key.as_str(), value.as_slice()));
        self.tar.append_pax_extensions(records).map_err(unwritten)?;
        self.done.entries += 1;
        self.done.bytes += item.size;
        self.monitor.count(Counter::Entries, 1);
        self.tar.get_mut().write_all(header.as_bytes()).map_err(unwritten)
    }

    /// Names of owners, as far as they are known and fit; the numbers are there whatever they are.
    fn names(&self, header: &mut Header, meta: &Meta) {
        let fits = |name: &&String| name.len() < 32 && name.is_ascii();
        if let Some(user) = self.annex.users.get(&meta.uid).filter(fits) {
            let _ = header.set_username(user);
        }
        if let Some(group) = self.annex.groups.get(&meta.gid).filter(fits) {
            let _ = header.set_groupname(group);
        }
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

/// Puts bytes into a field; whether all of them fit. What is cut is said by a PAX record.
fn put(field: &mut [u8], bytes: &[u8]) -> bool {
    let fits = bytes.len() <= field.len();
    let length = bytes.len().min(field.len());
    field[..length].copy_from_slice(&bytes[..length]);
    fits
}

/// A time as PAX spells it: a decimal number of seconds.
fn decimal(time: Mtime) -> String {
    let nanos = i128::from(time.secs) * 1_000_000_000 + i128::from(time.nanos);
    let sign = if nanos < 0 { "-" } else { "" };
    let nanos = nanos.unsigned_abs();
    let (whole, part) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
    let text = format!("{sign}{whole}.{part:09}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_decimal_numbers_on_both_sides_of_1970() {
        let time = |secs, nanos| decimal(Mtime { secs, nanos });
        assert_eq!(time(5, 0), "5");
        assert_eq!(time(5, 250_000_000), "5.25");
        assert_eq!(time(5, 1), "5.000000001");
        assert_eq!(time(-5, 250_000_000), "-4.75");
        assert_eq!(time(-1, 250_000_000), "-0.75");
        assert_eq!(time(-10, 0), "-10");
        assert_eq!(time(0, 0), "0");
    }
}
