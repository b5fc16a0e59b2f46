//! Reads one inode that is not a directory: its content once, its metadata, and whether it stood
//! still meanwhile.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;

use super::before::Before;
use super::node::Slot;
use super::{Scan, Tally};
use crate::monitor::{Counter, Monitor};
use crate::os::beneath::Dir;
use crate::os::meta::{self, At, FileKind, RawXattr, Stamp, Stat};
use crate::repository::{Extent, RepositoryError, Stored};
use crate::snapshot::SnapshotError;
use crate::tree::statcache::Mark;
use crate::tree::{Entry, Kind, Meta, TreePath, Xattr};

/// A file that changes while it is read is read again, so often at most.
const READS_MAX: u32 = 3;

/// Where an inode was found.
#[derive(Clone, Copy)]
pub(super) struct Found<'a> {
    pub(super) dir: &'a Dir,
    pub(super) name: &'a [u8],
    pub(super) stat: &'a Stat,
    /// The file that `stat` was asked of, if it was opened for that.
    pub(super) file: Option<&'a File>,
    /// What it was when it was last read.
    pub(super) before: Option<Before<'a>>,
}

impl Found<'_> {
    /// What it was, if by all that stat tells it is unchanged.
    pub(super) fn unchanged(&self) -> Option<&Entry> {
        let Before { entry, mark, .. } = self.before?;
        (!mark.is_racy && mark.fits(entry, self.stat)).then_some(entry)
    }

    /// Which of the held entries it is, if nothing about it has to be noted anew.
    pub(super) fn same(&self, began: Stamp) -> Option<u32> {
        let Before { entry, mark, number } = self.before?;
        let is_plain = entry.link_group.is_none() && !has_extras(self.stat);
        let is_same = is_plain && Mark::new(self.stat, began) == mark;
        self.unchanged().and(number).filter(|_| is_same)
    }

    /// What its content was.
    fn content_before(&self) -> Option<&Stored> {
        match &self.before?.entry.kind {
            Kind::File { content, .. } => Some(content),
            _ => None,
        }
    }
}

impl Scan<'_, '_> {
    /// The entry of an inode; none if it vanished or cannot be read, which was then reported.
    /// `path` makes the inode's full path, which is seldom needed.
    pub(super) fn take_inode(
        &self,
        found: Found<'_>,
        path: &dyn Fn() -> Option<TreePath>,
    ) -> Result<Slot, SnapshotError> {
        let taken = match found.unchanged() {
            Some(entry) => {
                // What was put here carries its name in its path.
                let (name, meta, kind) =
                    (found.name.into(), entry.meta.clone(), entry.kind.clone());
                let entry = Entry { name, meta, kind, link_group: None };
                Ok(Some((entry, *found.stat)))
            }
            None => match found.stat.kind {
                FileKind::File => self.read_file(found, path),
                _ => read_other(found).map(Some).map_err(Failed::Here),
            },
        };
        match taken {
            Ok(taken) => {
                if let Some((entry, stat)) = &taken {
                    self.count(entry, found.unchanged().is_some());
                    self.note_extras(found, stat, path);
                }
                Ok(taken.map(|(entry, stat)| (entry, Mark::new(&stat, self.began))))
            }
            // Gone since it was listed: it is not part of the tree.
            Err(Failed::Here(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(Failed::Here(error)) => {
                self.problem(path().as_ref(), &format!("cannot read it: {error}"));
                Ok(None)
            }
            Err(Failed::Repository(error)) => Err(error.into()),
        }
    }

    fn read_file(
        &self,
        found: Found<'_>,
        path: &dyn Fn() -> Option<TreePath>,
    ) -> Result<Option<(Entry, Stat)>, Failed> {
        let mut last = None;
        for attempt in 0..READS_MAX {
            let opened;
            let (file, before) = match found.file {
                Some(file) if attempt == 0 => (file, *found.stat),
                _ => {
                    opened = found.dir.open_file(found.name)?;
                    (&opened, Stat::of(&opened)?)
                }
            };
            if before.kind != FileKind::File {
                // Replaced since it was listed: looked at as what it is now.
                let now = found.dir.stat(found.name)?;
                let found = Found { stat: &now, before: None, ..found };
                return Ok(Some(read_other(found)?));
            }
            let (content, size) = self.take_content(file, &before, found.content_before())?;
            let entry = file_entry(found.name, file, &before, content, size)?;
            let after = Stat::of(file)?;
            let stood_still = (before.size, before.mtime, before.ctime)
                == (after.size, after.mtime, after.ctime)
                && size == before.size;
            if stood_still {
                return Ok(Some((entry, before)));
            }
            last = Some((entry, before));
        }
        self.problem(path().as_ref(), "it changed each time it was read");
        Ok(last)
    }

    /// Stores or hashes a file's bytes; no longer than it was when it was opened.
    fn take_content(
        &self,
        file: &File,
        stat: &Stat,
        before: Option<&Stored>,
    ) -> Result<(Stored, u64), Failed> {
        if stat.size == 0 {
            return Ok((Stored::Empty, 0));
        }
        let mut reader = Counted { file, monitor: self.monitor, tally: &self.tally };
        let extent = Extent::Bytes(stat.size);
        let taken = self.with_hands(|hands| hands.take_content(&mut reader, extent, before));
        self.monitor.count(Counter::FilesRead, 1);
        self.tally.files_read.add(1);
        match taken {
            Ok(taken) => Ok(taken),
            Err(RepositoryError::Source(error)) => Err(Failed::Here(error)),
            Err(error) => Err(Failed::Repository(error)),
        }
    }

    /// Holes and inode flags go into the annex.
    fn note_extras(&self, found: Found<'_>, stat: &Stat, path: &dyn Fn() -> Option<TreePath>) {
        if !has_extras(stat) {
            return;
        }
        if stat.flags.any() {
            self.annex(|annex| {
                annex.flags.insert(path(), stat.flags);
            });
        }
        if !may_have_holes(stat) {
            return;
        }
        // It could be read a moment ago; if it cannot any more, its holes are not worth a word.
        let Ok(file) = found.dir.open_file(found.name) else { return };
        let ranges = meta::data_ranges(&file, stat.size).unwrap_or_default();
        if ranges != [(0, stat.size)] && Stat::of(&file).is_ok_and(|now| now.inode == stat.inode) {
            self.annex(|annex| {
                annex.data_ranges.insert(path(), ranges);
            });
        }
    }
}

/// Whether something about an inode is noted in the annex.
pub(super) const fn has_extras(stat: &Stat) -> bool {
    stat.flags.any() || may_have_holes(stat)
}

const fn may_have_holes(stat: &Stat) -> bool {
    matches!(stat.kind, FileKind::File) && stat.allocated < stat.size
}

/// Why an inode was not taken.
enum Failed {
    /// It could not be read.
    Here(io::Error),
    /// The repository failed: the whole scan ends.
    Repository(RepositoryError),
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Here(error)
    }
}

struct Counted<'a> {
    file: &'a File,
    monitor: &'a dyn Monitor,
    tally: &'a Tally,
}

impl Read for Counted<'_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(room)?;
        self.monitor.count(Counter::BytesRead, read as u64);
        self.tally.bytes_read.add(read as u64);
        Ok(read)
    }
}

fn file_entry(
    name: &[u8],
    file: &File,
    stat: &Stat,
    content: Stored,
    size: u64,
) -> io::Result<Entry> {
    let meta = meta_of(stat, At::Open(file.as_fd()).xattrs()?);
    Ok(Entry { name: name.into(), meta, kind: Kind::File { size, content }, link_group: None })
}

/// A link, FIFO, socket or device: never opened, only looked at.
fn read_other(found: Found<'_>) -> io::Result<(Entry, Stat)> {
    let handle = found.dir.handle(found.name)?;
    let stat = handle.stat()?;
    let kind = match stat.kind {
        FileKind::Symlink => Kind::Symlink { target: found.dir.read_link(found.name)? },
        FileKind::Fifo => Kind::Fifo,
        FileKind::Socket => Kind::Socket,
        FileKind::CharDevice => Kind::CharDevice { rdev: stat.rdev },
        FileKind::BlockDevice => Kind::BlockDevice { rdev: stat.rdev },
        FileKind::File | FileKind::Directory => {
            return Err(io::Error::other("it became something else while it was looked at"));
        }
    };
    let meta = meta_of(&stat, At::Handle(&handle).xattrs()?);
    Ok((Entry { name: found.name.into(), meta, kind, link_group: None }, stat))
}

pub(super) fn meta_of(stat: &Stat, xattrs: Vec<RawXattr>) -> Meta {
    let xattr = |(name, value)| Xattr { name, value };
    Meta {
        mode: stat.mode,
        uid: stat.uid,
        gid: stat.gid,
        mtime: stat.mtime.into(),
        xattrs: xattrs.into_iter().map(xattr).collect(),
    }
}
