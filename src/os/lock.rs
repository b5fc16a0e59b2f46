//! Locks that the kernel lets go when their holder dies.
//!
//! A lock is `flock` on an opened directory or file: no lock file to leave behind, nothing to
//! judge stale. It is close-on-exec, so that no child keeps it alive.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

/// Held until dropped, or until the process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    // `File` opens close-on-exec, so the lock cannot outlive us in a child.
    opened: File,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing would do, but for a child that another thread has just forked and that has not
        // yet come to its exec: it shares the open file, and would keep the lock a moment longer.
        let _ = self.opened.unlock();
    }
}

impl Lock {
    /// Takes the lock on `path` together with other sharers; `None` while somebody has it alone.
    pub fn shared(path: &Path) -> io::Result<Option<Self>> {
        let opened = File::open(path)?;
        let taken = opened.try_lock_shared();
        Self::held(opened, taken)
    }

    /// Takes the lock on `path` alone; `None` while anybody else has it.
    pub fn exclusive(path: &Path) -> io::Result<Option<Self>> {
        let opened = File::open(path)?;
        let taken = opened.try_lock();
        Self::held(opened, taken)
    }

    fn held(opened: File, taken: Result<(), TryLockError>) -> io::Result<Option<Self>> {
        match taken {
            Ok(()) => Ok(Some(Self { opened })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

/// The process that holds `path` locked against us, as far as the kernel's list tells.
pub fn holder(path: &Path) -> Option<u32> {
    let stat = rustix::fs::stat(path).ok()?;
    let (major, minor) = (rustix::fs::major(stat.st_dev), rustix::fs::minor(stat.st_dev));
    let locked = format!("{major:02x}:{minor:02x}:{}", stat.st_ino);
    let list = std::fs::read_to_string("/proc/locks").ok()?;
    list.lines().find_map(|line| {
        // `1: FLOCK ADVISORY WRITE 12678 fe:00:10665994 0 EOF`; waiters have a `->` before FLOCK.
        let mut fields = line.split_ascii_whitespace().skip(1);
        let is_flock = fields.next() == Some("FLOCK");
        let pid = fields.nth(2)?.parse().ok()?;
        (is_flock && fields.next() == Some(&locked)).then_some(pid)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_alone_or_many_together() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path();
        let first = Lock::shared(path).unwrap().expect("nobody holds it");
        let second = Lock::shared(path).unwrap().expect("sharers do not exclude each other");
        assert!(Lock::exclusive(path).unwrap().is_none());
        drop((first, second));

        let alone = Lock::exclusive(path).unwrap().expect("the sharers let go");
        assert!(Lock::shared(path).unwrap().is_none());
        assert!(Lock::exclusive(path).unwrap().is_none());
        drop(alone);
        assert!(Lock::exclusive(path).unwrap().is_some());
    }

    #[test]
    fn the_holder_of_a_lock_is_found() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(holder(dir.path()), None);
        let _lock = Lock::exclusive(dir.path()).unwrap().expect("nobody holds it");
        assert_eq!(holder(dir.path()), Some(std::process::id()));
    }

    #[test]
    fn no_child_inherits_a_lock() {
        let dir = tempfile::tempdir().unwrap();
        let lock = Lock::exclusive(dir.path()).unwrap().expect("nobody holds it");
        let mut child = std::process::Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        drop(lock);
        assert!(Lock::exclusive(dir.path()).unwrap().is_some(), "the child still runs");
        drop(child.stdin.take());
        child.wait().unwrap();
    }

    #[test]
    fn what_is_not_there_cannot_be_locked() {
        let dir = tempfile::tempdir().unwrap();
        let gone = Lock::shared(&dir.path().join("gone")).unwrap_err();
        assert_eq!(gone.kind(), io::ErrorKind::NotFound);
    }
}
