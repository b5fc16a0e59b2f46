//! Directory handles: whatever lies below a root is reached from an open directory, name by name.
//!
//! No path from `/` is ever used below a root, so a link that somebody plants while we work leads
//! nowhere. Every function takes one name in this directory, but for those called `…_beneath`.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{
    AtFlags, FileType, FlockOperation, Mode, OFlags, RawDir, RenameFlags, ResolveFlags, SeekFrom,
};
use rustix::io::Errno;

use super::meta::{self, At, FileKind, Handle, Inode, Stat};
use super::names::Names;
use super::usage::count_sync;

/// An open directory.
#[derive(Debug)]
pub struct Dir(OwnedFd);

const OPEN_DIR: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const OPEN_FILE: OFlags =
    OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// Longer relative paths are opened in pieces: the kernel refuses 4,096 bytes and more.
const PATH_PIECE_MAX: usize = 4000;

/// Set once the kernel, or a sandbox around us, has refused `openat2`.
static NO_OPENAT2: AtomicBool = AtomicBool::new(false);

impl Dir {
    /// Opens the root of a tree. Links in `path` are followed: this is the one place.
    pub fn open_root(path: &Path) -> io::Result<Self> {
        let flags = OPEN_DIR.difference(OFlags::NOFOLLOW);
        Ok(Self(rustix::fs::open(path, flags, Mode::empty())?))
    }

    /// Opens the directory `name`; a link is refused.
    pub fn open_dir(&self, name: &[u8]) -> io::Result<Self> {
        Ok(Self(rustix::fs::openat(&self.0, name, OPEN_DIR, Mode::empty())?))
    }

    /// The same directory once more.
    pub fn again(&self) -> io::Result<Self> {
        Ok(Self(rustix::io::fcntl_dupfd_cloexec(&self.0, 0)?))
    }

    /// Opens the directory at a relative path of any length, no part of which may be a link.
    pub fn open_beneath(&self, path: &[u8]) -> io::Result<Self> {
        if NO_OPENAT2.load(Ordering::Relaxed) {
            return self.open_by_parts(path);
        }
        let mut at: Option<Self> = None;
        let mut rest = path;
        loop {
            let (piece, after) = split_piece(rest)?;
            let from = at.as_ref().unwrap_or(self);
            let resolve = ResolveFlags::BENEATH
                .union(ResolveFlags::NO_SYMLINKS)
                .union(ResolveFlags::NO_MAGICLINKS);
            match rustix::fs::openat2(&from.0, piece, OPEN_DIR, Mode::empty(), resolve) {
                Ok(fd) => at = Some(Self(fd)),
                Err(Errno::NOSYS | Errno::PERM) => {
                    NO_OPENAT2.store(true, Ordering::Relaxed);
                    return self.open_by_parts(path);
                }
                // The kernel saw a rename race and gave up for now.
                Err(Errno::AGAIN) => return self.open_by_parts(path),
                Err(error) => return Err(error.into()),
            }
            match after {
                Some(after) => rest = after,
                None => break,
            }
        }
        at.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))
    }

    /// As safe as `openat2`, one call a part.
    fn open_by_parts(&self, path: &[u8]) -> io::Result<Self> {
        let mut at = self.again()?;
        for part in path.split(|byte| *byte == b'/') {
            at = at.open_dir(part)?;
        }
        Ok(at)
    }

    /// Opens a file for reading; never a link, and a FIFO does not block. The caller checks by
    /// [`Stat::of`] that it is the file it saw.
    pub fn open_file(&self, name: &[u8]) -> io::Result<File> {
        // Not touching the access time is allowed to owners and root only.
        match rustix::fs::openat(&self.0, name, OPEN_FILE | OFlags::NOATIME, Mode::empty()) {
            Err(Errno::PERM) => {}
            other => return Ok(File::from(other?)),
        }
        Ok(File::from(rustix::fs::openat(&self.0, name, OPEN_FILE, Mode::empty())?))
    }

    /// Opens any inode for its metadata alone.
    pub fn handle(&self, name: &[u8]) -> io::Result<Handle> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(Handle::new(rustix::fs::openat(&self.0, name, flags, Mode::empty())?))
    }

    /// Looks at `name` without following a link.
    pub fn stat(&self, name: &[u8]) -> io::Result<Stat> {
        meta::stat_at(self.0.as_fd(), name, AtFlags::SYMLINK_NOFOLLOW)
    }

    /// As [`stat`](Self::stat), but a missing name is no error.
    pub fn stat_if_any(&self, name: &[u8]) -> io::Result<Option<Stat>> {
        match self.stat(name) {
            Ok(stat) => Ok(Some(stat)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Looks at the directory itself.
    pub fn stat_self(&self) -> io::Result<Stat> {
        Stat::of(&self.0)
    }

    /// The directory itself, for its metadata.
    pub fn at(&self) -> At<'_> {
        At::Open(self.0.as_fd())
    }

    /// The names in it, but for `.` and `..`, in no order.
    pub fn names(&self) -> io::Result<Vec<Box<[u8]>>> {
        Ok(self.list()?.iter().map(Into::into).collect())
    }

    /// The same, in one block of memory.
    pub fn list(&self) -> io::Result<Names> {
        rustix::fs::seek(&self.0, SeekFrom::Start(0))?;
        let mut room = [MaybeUninit::uninit(); 16 * 1024];
        let mut listing = RawDir::new(&self.0, &mut room);
        let mut names = Names::default();
        while let Some(entry) = listing.next() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(name, entry.file_type() == FileType::RegularFile);
            }
        }
        Ok(names)
    }

    /// Where the link `name` points.
    pub fn read_link(&self, name: &[u8]) -> io::Result<Box<[u8]>> {
        let target: CString = rustix::fs::readlinkat(&self.0, name, Vec::new())?;
        Ok(target.into_bytes().into_boxed_slice())
    }

    /// Creates a file that only its owner may read; the name must be free.
    pub fn create_file(&self, name: &[u8]) -> io::Result<File> {
        self.create_file_with(name, 0o600)
    }

    /// Creates a file with `mode`, of which the process may take something away; the name must be
    /// free.
    pub fn create_file_with(&self, name: &[u8], mode: u32) -> io::Result<File> {
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(mode);
        Ok(File::from(rustix::fs::openat(&self.0, name, flags, mode)?))
    }

    /// Creates a directory that only its owner may enter; the name must be free.
    pub fn create_dir(&self, name: &[u8]) -> io::Result<()> {
        Ok(rustix::fs::mkdirat(&self.0, name, Mode::RWXU)?)
    }

    /// Creates a symbolic link; the name must be free.
    pub fn create_symlink(&self, name: &[u8], target: &[u8]) -> io::Result<()> {
        Ok(rustix::fs::symlinkat(target, &self.0, name)?)
    }

    /// Creates a FIFO, socket or device that only its owner may use; the name must be free.
    pub fn create_special(&self, name: &[u8], kind: FileKind, rdev: u64) -> io::Result<()> {
        let file_type = match kind {
            FileKind::Fifo => FileType::Fifo,
            FileKind::Socket => FileType::Socket,
            FileKind::CharDevice => FileType::CharacterDevice,
            FileKind::BlockDevice => FileType::BlockDevice,
            FileKind::File | FileKind::Directory | FileKind::Symlink => {
                return Err(io::Error::from(io::ErrorKind::InvalidInput));
            }
        };
        Ok(rustix::fs::mknodat(&self.0, name, file_type, Mode::RUSR | Mode::WUSR, rdev)?)
    }

    /// Gives the inode `from/name` another name here, which must be free. Links are not followed.
    pub fn link_from(&self, from: &Self, name: &[u8], new_name: &[u8]) -> io::Result<()> {
        Ok(rustix::fs::linkat(&from.0, name, &self.0, new_name, AtFlags::empty())?)
    }

    /// Moves `name` to `to/new_name`, over whatever file is there.
    pub fn rename_over(&self, name: &[u8], to: &Self, new_name: &[u8]) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.0, name, &to.0, new_name)?)
    }

    /// Moves `name` to `to/new_name`, which must be free.
    pub fn rename_to_free(&self, name: &[u8], to: &Self, new_name: &[u8]) -> io::Result<()> {
        let flags = RenameFlags::NOREPLACE;
        Ok(rustix::fs::renameat_with(&self.0, name, &to.0, new_name, flags)?)
    }

    /// Removes `name`, an empty directory or anything else, if it still is `expected`.
    ///
    /// Another inode under that name is left alone: `ResourceBusy`.
    pub fn remove(&self, name: &[u8], expected: Inode) -> io::Result<()> {
        let stat = self.stat(name)?;
        if stat.inode != expected {
            return Err(io::Error::from(io::ErrorKind::ResourceBusy));
        }
        let is_dir = stat.kind == FileKind::Directory;
        let flags = if is_dir { AtFlags::REMOVEDIR } else { AtFlags::empty() };
        Ok(rustix::fs::unlinkat(&self.0, name, flags)?)
    }

    /// Writes everything of this file system to the disk. Errors of earlier writes surface here
    /// since kernel 5.8.
    pub fn sync_file_system(&self) -> io::Result<()> {
        count_sync();
        Ok(rustix::fs::syncfs(&self.0)?)
    }

    /// Makes the names in this directory durable.
    pub fn sync(&self) -> io::Result<()> {
        count_sync();
        Ok(rustix::fs::fsync(&self.0)?)
    }

    /// Locks the directory against others for as long as it is open; whether nobody else has it.
    /// Where there are no locks, nobody has.
    pub fn try_lock(&self) -> io::Result<bool> {
        match rustix::fs::flock(&self.0, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) | Err(Errno::NOLCK | Errno::NOSYS | Errno::OPNOTSUPP) => Ok(true),
            Err(Errno::WOULDBLOCK) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// A path that leads to this very directory while it is open, for libraries that want one.
    pub fn magic_path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/.", self.0.as_raw_fd()))
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Cuts a relative path between parts so that the first piece is short enough for the kernel.
fn split_piece(path: &[u8]) -> io::Result<(&[u8], Option<&[u8]>)> {
    if path.len() <= PATH_PIECE_MAX {
        return Ok((path, None));
    }
    let cut = path[..PATH_PIECE_MAX].iter().rposition(|byte| *byte == b'/');
    let cut = cut.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidFilename))?;
    Ok((&path[..cut], Some(&path[cut + 1..])))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch() -> (tempfile::TempDir, Dir) {
        let place = tempfile::tempdir().unwrap();
        let dir = Dir::open_root(place.path()).unwrap();
        (place, dir)
    }

    #[test]
    fn a_planted_link_leads_nowhere() {
        let (_place, dir) = scratch();
        dir.create_dir(b"real").unwrap();
        dir.create_symlink(b"link", b"real").unwrap();
        dir.open_dir(b"real").unwrap().create_dir(b"inside").unwrap();
        assert!(dir.open_beneath(b"real/inside").is_ok());
        assert!(dir.open_beneath(b"link/inside").is_err());
        assert!(dir.open_beneath(b"../").is_err());
        assert!(dir.open_by_parts(b"link/inside").is_err());
        assert!(dir.open_file(b"link").is_err());
    }

    #[test]
    fn a_path_longer_than_the_kernel_takes_is_opened_in_pieces() {
        let (_place, dir) = scratch();
        let part = [b'x'; 200];
        let mut at = dir.again().unwrap();
        let mut path = Vec::new();
        for _ in 0..60 {
            at.create_dir(&part).unwrap();
            at = at.open_dir(&part).unwrap();
            path.extend_from_slice(&part);
            path.push(b'/');
        }
        path.pop();
        let reached = dir.open_beneath(&path).unwrap();
        assert_eq!(reached.stat_self().unwrap().inode, at.stat_self().unwrap().inode);
    }

    #[test]
    fn only_the_inode_that_was_meant_is_removed() {
        let (_place, dir) = scratch();
        dir.create_file(b"a").unwrap();
        dir.create_file(b"b").unwrap();
        let other = dir.stat(b"b").unwrap().inode;
        let refused = dir.remove(b"a", other).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ResourceBusy);
        let own = dir.stat(b"a").unwrap().inode;
        dir.remove(b"a", own).unwrap();
        assert!(dir.stat_if_any(b"a").unwrap().is_none());
    }

    #[test]
    fn a_file_that_nobody_may_read_still_takes_metadata() {
        let (_place, dir) = scratch();
        dir.create_file(b"locked").unwrap();
        let handle = dir.handle(b"locked").unwrap();
        At::Handle(&handle).set_mode(0o000).unwrap();
        let mtime = meta::Stamp { secs: -5, nanos: 123_456_789 };
        At::Handle(&handle).set_mtime(mtime).unwrap();
        let stat = dir.stat(b"locked").unwrap();
        assert_eq!((stat.mode, stat.mtime), (0, mtime));
    }

    #[test]
    fn attributes_of_a_link_are_its_own() {
        let (_place, dir) = scratch();
        dir.create_file(b"target").unwrap();
        dir.create_symlink(b"link", b"target").unwrap();
        let handle = dir.handle(b"link").unwrap();
        At::Handle(&handle).set_mtime(meta::Stamp { secs: 7, nanos: 9 }).unwrap();
        assert_eq!(dir.stat(b"link").unwrap().mtime.secs, 7);
        assert_ne!(dir.stat(b"target").unwrap().mtime.secs, 7);
        assert!(At::Handle(&handle).xattrs().unwrap().is_empty());
    }
}
