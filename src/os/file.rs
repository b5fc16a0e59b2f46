//! Single files that matter alone: written so that a reader, or a crash, finds all of them or none.
//!
//! Trees are not written through here: they are written aside and made durable by one `syncfs`.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::num::NonZeroU64;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{Advice, CWD, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::crash::{CrashPoint, reach};
use super::usage::count_sync;

/// Puts `bytes` at `dir/name` so that a reader, or a crash, finds all of them or none.
///
/// A crash may leave a `.snap-*` file beside it.
pub fn replace(dir: &Path, name: &str, bytes: &[u8], mode: u32) -> io::Result<()> {
    static SERIAL: AtomicU64 = AtomicU64::new(0);
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    // Not made from `name`: a name may already be as long as the file system allows.
    let temp = dir.join(format!(".snap-{}-{serial}", process::id()));
    let mut file = File::options().write(true).create_new(true).mode(mode).open(&temp)?;
    file.write_all(bytes)?;
    reach(CrashPoint::TempWritten);
    sync(&file)?;
    reach(CrashPoint::TempSynced);
    fs::rename(&temp, dir.join(name))?;
    reach(CrashPoint::Renamed);
    sync_dir(dir)
}

/// Creates `path` for reading and writing; fails if anything is there, a dangling link too.
pub fn create_new(path: &Path, mode: u32) -> io::Result<File> {
    File::options().read(true).write(true).create_new(true).mode(mode).open(path)
}

/// A file without a name, in memory: it goes with its last holder.
pub fn anonymous() -> io::Result<File> {
    let flags = rustix::fs::MemfdFlags::CLOEXEC;
    Ok(File::from(rustix::fs::memfd_create("snap-backup", flags)?))
}

/// A file without a name on the disk of `dir`, for its owner alone: it goes with its last holder.
pub fn nameless_in(dir: &Path) -> io::Result<File> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    // Nor can it be given a name later.
    Ok(File::from(rustix::fs::open(dir, flags | OFlags::EXCL, Mode::RUSR | Mode::WUSR)?))
}

/// Gives `from` the name `to`; fails if `to` exists. Durable once the directory of `to` is synced.
pub fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // File systems without the flag (NFS, old FUSE): a link never replaces either.
        Err(Errno::INVAL | Errno::NOSYS) => {
            fs::hard_link(from, to)?;
            fs::remove_file(from)
        }
        done => Ok(done?),
    }
}

/// Gives `from` the name `to`, in the place of what was there. Durable once the directory is.
pub fn rename_over(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)
}

/// Removes the file at `path`; whether there was one.
pub fn remove(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Err(gone) if gone.kind() == io::ErrorKind::NotFound => Ok(false),
        done => done.map(|()| true),
    }
}

/// Takes `bytes` of room on the disk for the file at `path`, so that they can be given back later.
///
/// A file that is there already is made to hold that much.
pub fn reserve(path: &Path, bytes: u64) -> io::Result<()> {
    let file = File::options().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    take_room(&file, bytes)
}

/// Makes `file` hold `bytes` of the disk.
pub fn take_room(mut file: &File, bytes: u64) -> io::Result<()> {
    match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, bytes) {
        // Some file systems cannot promise room; written zeros take it all the same.
        Err(Errno::OPNOTSUPP) => {
            let zeros = vec![0; 1 << 16];
            let mut left = bytes;
            while left > 0 {
                let now = left.min(1 << 16);
                file.write_all(&zeros[..usize::try_from(now).unwrap_or(zeros.len())])?;
                left -= now;
            }
            sync(file)
        }
        done => Ok(done?),
    }
}

/// Creates one directory; fails if anything is there.
pub fn create_dir(path: &Path, mode: u32) -> io::Result<()> {
    DirBuilder::new().mode(mode).create(path)
}

/// Creates `path` and the parents it lacks, all with `mode`. A directory that exists is fine.
pub fn create_dirs(path: &Path, mode: u32) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(mode).create(path)
}

/// Removes an empty directory.
pub fn remove_dir(path: &Path) -> io::Result<()> {
    fs::remove_dir(path)
}

/// Removes a directory that is ours alone, and all in it; whether there was one.
///
/// Never for a tree that another user may write: use `os::beneath` there.
pub fn remove_dir_all(path: &Path) -> io::Result<bool> {
    match fs::remove_dir_all(path) {
        Err(gone) if gone.kind() == io::ErrorKind::NotFound => Ok(false),
        done => done.map(|()| true),
    }
}

/// Makes the names in `dir` durable, where that can be done. A rename lasts only once its directory
/// does.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    sync_names(dir).map(|_| ())
}

/// Makes the names in `dir` durable; whether its file system can. Some network and FUSE file systems
/// cannot sync a directory, and nothing better exists there.
pub fn sync_names(dir: &Path) -> io::Result<bool> {
    const CANNOT: [Errno; 3] = [Errno::INVAL, Errno::NOSYS, Errno::OPNOTSUPP];
    match sync(&File::open(dir)?) {
        Err(error) if CANNOT.iter().any(|one| error.raw_os_error() == Some(one.raw_os_error())) => {
            Ok(false)
        }
        done => done.map(|()| true),
    }
}

/// Makes the file durable, bytes and metadata. An error is final: it is never tried again.
pub fn sync(file: &File) -> io::Result<()> {
    count_sync();
    file.sync_all()
}

/// Makes the bytes of the file durable, and its length.
pub fn sync_data(file: &File) -> io::Result<()> {
    count_sync();
    file.sync_data()
}

/// Makes everything written to the file system that holds `file` durable.
pub fn syncfs(file: &File) -> io::Result<()> {
    count_sync();
    Ok(rustix::fs::syncfs(file)?)
}

/// Begins to write `bytes` from `offset` on to the medium, and does not wait for it.
///
/// Advice only: if the kernel does not take it, a later sync has more to do.
pub fn begin_writeback(file: &File, offset: u64, bytes: u64) {
    // Linux answers this advice by starting the writing of dirty pages; only clean ones, which
    // these are not yet, are dropped.
    let _ = rustix::fs::fadvise(file, offset, NonZeroU64::new(bytes), Advice::DontNeed);
}

/// Forgets what the page cache holds of `bytes` from `offset` on, so that the next read of them
/// comes from the medium.
///
/// Only clean pages go: the caller has synced the file before. The kernel spares pages that are
/// covered in part, so the range is widened to whole ones, of the largest size there is.
pub fn drop_cached_pages(file: &File, offset: u64, bytes: u64) -> io::Result<()> {
    const PAGE: u64 = 64 << 10;
    let start = offset / PAGE * PAGE;
    let length = (offset + bytes).next_multiple_of(PAGE) - start;
    Ok(rustix::fs::fadvise(file, start, NonZeroU64::new(length), Advice::DontNeed)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_room_is_taken_from_the_disk() {
        use std::os::unix::fs::MetadataExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("reserve");
        reserve(&path, 1 << 20).unwrap();
        let meta = fs::metadata(&path).unwrap();
        assert!(meta.blocks() * 512 >= 1 << 20);
        assert_eq!(meta.mode() & 0o777, 0o600);
        assert!(remove(&path).unwrap());
    }

    #[test]
    fn a_new_name_never_takes_the_place_of_an_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        fs::write(&a, "a").unwrap();
        fs::write(&b, "b").unwrap();
        assert_eq!(rename_new(&a, &b).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(create_new(&b, 0o600).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&b).unwrap(), b"b");
        assert!(remove(&b).unwrap() && !remove(&b).unwrap());
        rename_new(&a, &b).unwrap();
        assert_eq!(fs::read(&b).unwrap(), b"a");
    }

    #[test]
    fn a_replaced_file_is_whole_and_leaves_nothing_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        replace(dir.path(), "f", b"old", 0o600).unwrap();
        replace(dir.path(), "f", b"new", 0o600).unwrap();
        assert_eq!(fs::read(dir.path().join("f")).unwrap(), b"new");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
