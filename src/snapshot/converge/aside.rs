//! The aside directory: what is to come is written here first, and what is in the way goes here.
//!
//! It lies in the root, so on the same file system (a mount below is never crossed), is for its
//! owner only, and carries the token of the transaction: a later run knows it as ours.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::os::beneath::Dir;
use crate::os::meta::{FileKind, Inode};

/// The token of runs that no transaction stands behind: whoever comes next removes what they left.
pub const LONE: &str = "00000000";

/// The aside directory of one run, locked while it is at work.
pub(super) struct Aside {
    name: Vec<u8>,
    inode: Inode,
    /// Holds the lock.
    _dir: Dir,
    /// One for each worker, for creating names serialises on a directory.
    lanes: Vec<Dir>,
    next: AtomicU32,
}

/// What was written aside, and where.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot {
    lane: u32,
    number: u32,
}

/// The name of everything that a transaction leaves: its first eight digits tell whose it is.
pub(super) fn prefix(token: &str) -> Vec<u8> {
    let digits = token.get(..8).unwrap_or(token);
    format!(".snap-{digits}").into_bytes()
}

impl Aside {
    /// Makes the aside directory in `root`; one that an earlier run left is removed first.
    pub(super) fn create(root: &Dir, token: &str, lanes: usize) -> io::Result<Self> {
        Self::clear(root, token)?;
        let name = Self::name(token);
        root.create_dir(&name)?;
        let dir = root.open_dir(&name)?;
        if !dir.try_lock()? {
            return Err(io::Error::from(io::ErrorKind::ResourceBusy));
        }
        let lane = |number: usize| {
            let name = number.to_string();
            dir.create_dir(name.as_bytes())?;
            dir.open_dir(name.as_bytes())
        };
        let lanes = (0..lanes).map(lane).collect::<io::Result<_>>()?;
        let inode = dir.stat_self()?.inode;
        Ok(Self { name, inode, _dir: dir, lanes, next: AtomicU32::new(0) })
    }

    fn name(token: &str) -> Vec<u8> {
        [&prefix(token)[..], b"-aside"].concat()
    }

    /// Removes what an earlier run left in `root`; whether it left anything. One that is still at
    /// work is not disturbed: busy.
    pub(super) fn clear(root: &Dir, token: &str) -> io::Result<bool> {
        let name = Self::name(token);
        let Some(there) = root.stat_if_any(&name)? else { return Ok(false) };
        if there.kind == FileKind::Directory && !root.open_dir(&name)?.try_lock()? {
            return Err(io::Error::from(io::ErrorKind::ResourceBusy));
        }
        remove_if_any(root, &name)?;
        Ok(true)
    }

    /// A place for something new.
    pub(super) fn spot(&self) -> Spot {
        let lane = rayon::current_thread_index().unwrap_or(0) % self.lanes.len();
        let lane = u32::try_from(lane).expect("a lane for each core");
        Spot { lane, number: self.next.fetch_add(1, Ordering::Relaxed) }
    }

    pub(super) fn dir(&self, spot: Spot) -> &Dir {
        &self.lanes[spot.lane as usize]
    }

    /// Moves what is in the way out of it.
    pub(super) fn displace(&self, from: &Dir, name: &[u8]) -> io::Result<()> {
        let spot = self.spot();
        from.rename_to_free(name, self.dir(spot), &spot.name())
    }

    /// Removes the aside directory, and all that was moved there.
    pub(super) fn remove(self, root: &Dir) -> io::Result<()> {
        let stat = root.stat(&self.name)?;
        if stat.inode != self.inode {
            return Err(io::Error::from(io::ErrorKind::ResourceBusy));
        }
        remove_if_any(root, &self.name)
    }
}

impl Spot {
    pub(super) fn name(self) -> Vec<u8> {
        self.number.to_string().into_bytes()
    }
}

/// Removes `name` in `dir` with all below it; never crosses a mount, follows no link, and does not
/// recurse on the stack. Nothing there is fine.
pub(in crate::snapshot) fn remove_if_any(dir: &Dir, name: &[u8]) -> io::Result<()> {
    let Some(top) = dir.stat_if_any(name)? else { return Ok(()) };
    if top.kind != FileKind::Directory {
        return dir.remove(name, top.inode);
    }
    let mut open: Vec<(Dir, Vec<u8>, Inode)> =
        vec![(dir.open_dir(name)?, name.to_vec(), top.inode)];
    while let Some((here, _, inode)) = open.last() {
        let mut below = None;
        for name in here.names()? {
            let stat = here.stat(&name)?;
            let is_dir = stat.kind == FileKind::Directory;
            // On an overlay the files of lower layers have another device than the directories.
            if stat.is_mount || is_dir && stat.inode.dev != inode.dev {
                return Err(io::Error::from(io::ErrorKind::ResourceBusy));
            }
            if is_dir {
                below = Some((here.open_dir(&name)?, name.to_vec(), stat.inode));
                break;
            }
            here.remove(&name, stat.inode)?;
        }
        if let Some(below) = below {
            open.push(below);
            continue;
        }
        let (_, name, inode) = open.pop().expect("it was there a moment ago");
        let parent = open.last().map_or(dir, |(parent, _, _)| parent);
        parent.remove(&name, inode)?;
    }
    Ok(())
}
