//! Puts one entry onto the disk exactly as it is written.
//!
//! Whoever may not do all of it (give a file away, make a device) gets a list of what was lost,
//! never silence.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use super::{Entry, Kind, Meta, Xattr};
use crate::os::beneath::Dir;
use crate::os::meta::{At, FileKind, Stat, own_ids};

/// What could not be put back, for want of a right or of a feature of the file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The owner or group. Setuid and setgid bits were left away with it.
    Owner,
    /// An extended attribute.
    Attribute(Box<[u8]>),
    /// A device, or another special file.
    Special,
    /// Immutable or append-only.
    Flags,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owner => f.write_str("its owner was not put back: not permitted"),
            Self::Attribute(name) => {
                write!(f, "its attribute {} was not put back: not permitted", name.escape_ascii())
            }
            Self::Special => f.write_str("it was not made: not permitted"),
            Self::Flags => f.write_str("its immutable or append-only flag was not put back"),
        }
    }
}

/// The bits that give away the rights of the owner.
pub const SET_ID_BITS: u32 = 0o6000;
/// Those and the sticky bit.
const SET_BITS: u32 = 0o7000;

/// Creates `entry` as `dir/name`, which must be free, with all of its metadata.
///
/// `fill` writes the bytes of a file. A directory is created for us alone: its metadata follows
/// once it is full, by [`put_meta`]. What is not covered (the inside of a skipped directory, a
/// mount point) comes to be empty.
pub fn create(
    dir: &Dir,
    name: &[u8],
    entry: &Entry,
    fill: impl FnOnce(&File) -> io::Result<()>,
) -> io::Result<Vec<Loss>> {
    match &entry.kind {
        Kind::File { .. } => Ok(create_file(dir, name, entry, fill)?.1),
        Kind::Directory { .. } | Kind::SkippedDirectory | Kind::MountPoint => {
            dir.create_dir(name)?;
            Ok(Vec::new())
        }
        Kind::Symlink { target } => {
            dir.create_symlink(name, target)?;
            put_link_meta(At::Handle(&dir.handle(name)?), &entry.meta)
        }
        Kind::Fifo => special(dir, name, entry, FileKind::Fifo, 0),
        Kind::Socket => special(dir, name, entry, FileKind::Socket, 0),
        Kind::CharDevice { rdev } => special(dir, name, entry, FileKind::CharDevice, *rdev),
        Kind::BlockDevice { rdev } => special(dir, name, entry, FileKind::BlockDevice, *rdev),
        Kind::Database { .. } => Ok(Vec::new()),
    }
}

/// The same for a file; also what stat says of it in the end.
pub fn create_file(
    dir: &Dir,
    name: &[u8],
    entry: &Entry,
    fill: impl FnOnce(&File) -> io::Result<()>,
) -> io::Result<(Stat, Vec<Loss>)> {
    let file = dir.create_file_with(name, first_mode(&entry.meta))?;
    fill(&file)?;
    let at = At::Open(file.as_fd());
    let losses = put_meta(at, &entry.meta)?;
    Ok((at.stat()?, losses))
}

/// The mode that a file has from the start: its own, if nobody is thereby given a right that they
/// are not to have. What an access list of the directory hands down is bounded by what the group
/// may: that must be no more than anybody may.
fn first_mode(meta: &Meta) -> u32 {
    let (group, others) = (meta.mode >> 3 & 0o7, meta.mode & 0o7);
    let is_safe = group & !others == 0 && (meta.uid, meta.gid) == own_ids();
    if is_safe { meta.mode & !SET_BITS } else { 0o600 }
}

fn special(
    dir: &Dir,
    name: &[u8],
    entry: &Entry,
    kind: FileKind,
    rdev: u64,
) -> io::Result<Vec<Loss>> {
    match dir.create_special(name, kind, rdev) {
        Err(error) if is_denied(&error) => return Ok(vec![Loss::Special]),
        other => other?,
    }
    put_meta(At::Handle(&dir.handle(name)?), &entry.meta)
}

/// Gives an inode, not a link, its owner, attributes, mode and time.
///
/// In this order: giving a file away drops its setuid bits and capabilities, and the bits must not
/// be seen while the file still belongs to somebody else. Attributes it should not have go.
pub fn put_meta(at: At<'_>, meta: &Meta) -> io::Result<Vec<Loss>> {
    let mut losses = Vec::new();
    let before = at.stat()?;
    let owner = put_owner(at, &before, meta, &mut losses)?;
    let mode = match owner {
        Put::Refused => meta.mode & !SET_ID_BITS,
        Put::Already | Put::Done => meta.mode,
    };
    let xattrs = put_xattrs(at, &meta.xattrs, &mut losses)?;
    // Both change it: giving away drops bits, and an access list has some of them in it.
    if before.mode != mode || owner == Put::Done || xattrs == Put::Done {
        at.set_mode(mode)?;
    }
    at.set_mtime(meta.mtime.into())?;
    Ok(losses)
}

/// The same for a link, which has no mode of its own.
pub fn put_link_meta(at: At<'_>, meta: &Meta) -> io::Result<Vec<Loss>> {
    let mut losses = Vec::new();
    put_owner(at, &at.stat()?, meta, &mut losses)?;
    put_xattrs(at, &meta.xattrs, &mut losses)?;
    at.set_mtime(meta.mtime.into())?;
    Ok(losses)
}

/// What became of a part of the metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Put {
    /// It was as it is wanted.
    Already,
    Done,
    /// Not permitted.
    Refused,
}

fn put_owner(at: At<'_>, before: &Stat, meta: &Meta, losses: &mut Vec<Loss>) -> io::Result<Put> {
    if (before.uid, before.gid) == (meta.uid, meta.gid) {
        return Ok(Put::Already);
    }
    match at.set_owner(meta.uid, meta.gid) {
        Err(error) if is_denied(&error) => {
            losses.push(Loss::Owner);
            Ok(Put::Refused)
        }
        other => other.map(|()| Put::Done),
    }
}

fn put_xattrs(at: At<'_>, wanted: &[Xattr], losses: &mut Vec<Loss>) -> io::Result<Put> {
    let present = at.xattrs()?;
    let mut put = Put::Already;
    for (name, _) in &present {
        let is_wanted = wanted.iter().any(|xattr| xattr.name == *name);
        if is_wanted {
            continue;
        }
        put = Put::Done;
        if or_loss(at.remove_xattr(name))?.is_none() {
            losses.push(Loss::Attribute(name.clone()));
        }
    }
    for Xattr { name, value } in wanted {
        let is_there = present.iter().any(|(other, bytes)| other == name && bytes == value);
        if is_there {
            continue;
        }
        put = Put::Done;
        if or_loss(at.set_xattr(name, value))?.is_none() {
            losses.push(Loss::Attribute(name.clone()));
        }
    }
    Ok(put)
}

/// `None` if it was refused for want of a right or of a feature.
fn or_loss(done: io::Result<()>) -> io::Result<Option<()>> {
    match done {
        Err(error) if is_denied(&error) => Ok(None),
        other => other.map(Some),
    }
}

fn is_denied(error: &io::Error) -> bool {
    use io::ErrorKind::{PermissionDenied, Unsupported};
    // EOPNOTSUPP and EINVAL: a file system, or a namespace of users, that does not know the value.
    matches!(error.kind(), PermissionDenied | Unsupported | io::ErrorKind::InvalidInput)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::Command;

    use super::*;
    use crate::os::meta;
    use crate::tree::{Content, Mtime};

    fn world() -> (tempfile::TempDir, Dir) {
        let place = tempfile::tempdir().unwrap();
        let dir = Dir::open_root(place.path()).unwrap();
        (place, dir)
    }

    fn entry(kind: Kind) -> Entry {
        let meta = Meta {
            mode: 0o6751,
            uid: if meta::is_root() { 1234 } else { rustix::process::getuid().as_raw() },
            gid: if meta::is_root() { 4321 } else { rustix::process::getgid().as_raw() },
            mtime: Mtime { secs: 1_111_111_111, nanos: 123_456_789 },
            xattrs: vec![Xattr {
                name: b"user.note".as_slice().into(),
                value: b"a\0b".as_slice().into(),
            }],
        };
        Entry { name: b"x".as_slice().into(), meta, kind, link_group: None }
    }

    /// What `stat(1)` says, which is not ours.
    fn oracle(place: &std::path::Path, format: &str) -> String {
        #[expect(clippy::disallowed_methods, reason = "an oracle that is not ours")]
        let out = Command::new("stat").arg("-c").arg(format).arg(place.join("x")).output();
        String::from_utf8(out.unwrap().stdout).unwrap().trim().to_owned()
    }

    #[test]
    fn a_file_gets_bytes_owner_mode_time_and_attributes() {
        let (place, dir) = world();
        let file = entry(Kind::File { size: 5, content: Content::Empty });
        let losses = create(&dir, b"x", &file, |mut out| out.write_all(b"hello")).unwrap();
        assert_eq!(losses, []);
        let expected = format!("6751 {} {} 5", file.meta.uid, file.meta.gid);
        assert_eq!(oracle(place.path(), "%a %u %g %s"), expected);
        assert!(oracle(place.path(), "%y").contains(".123456789"));
        assert_eq!(oracle(place.path(), "%Y"), "1111111111");
        let handle = dir.handle(b"x").unwrap();
        let xattrs = At::Handle(&handle).xattrs().unwrap();
        assert!(xattrs.iter().any(|(name, value)| &**name == b"user.note" && &**value == b"a\0b"));
    }

    #[test]
    fn a_link_keeps_its_own_owner_and_time() {
        let (place, dir) = world();
        let mut link = entry(Kind::Symlink { target: b"/nowhere/\xff".as_slice().into() });
        link.meta.xattrs.clear();
        assert_eq!(create(&dir, b"x", &link, |_| Ok(())).unwrap(), []);
        assert_eq!(&*dir.read_link(b"x").unwrap(), b"/nowhere/\xff");
        assert_eq!(oracle(place.path(), "%u %Y"), format!("{} 1111111111", link.meta.uid));
    }

    #[test]
    fn specials_come_back() {
        let (place, dir) = world();
        let mut kinds = vec![(Kind::Fifo, "fifo"), (Kind::Socket, "socket")];
        if meta::is_root() {
            kinds.push((
                Kind::CharDevice { rdev: rustix::fs::makedev(1, 3) },
                "character special file",
            ));
            kinds.push((
                Kind::BlockDevice { rdev: rustix::fs::makedev(7, 200) },
                "block special file",
            ));
        }
        for (kind, name) in kinds {
            let mut special = entry(kind);
            special.meta.xattrs.clear();
            assert_eq!(create(&dir, b"x", &special, |_| Ok(())).unwrap(), []);
            assert_eq!(oracle(place.path(), "%F %a %Y"), format!("{name} 6751 1111111111"));
            dir.remove(b"x", dir.stat(b"x").unwrap().inode).unwrap();
        }
    }

    #[test]
    fn attributes_that_are_not_wanted_go() {
        let (_place, dir) = world();
        let file = dir.create_file(b"x").unwrap();
        let at = At::Open(file.as_fd());
        at.set_xattr(b"user.old", b"1").unwrap();
        put_meta(at, &Meta { mode: 0o600, ..entry(Kind::Fifo).meta }).unwrap();
        let names: Vec<_> = at.xattrs().unwrap().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, [b"user.note".as_slice().into()]);
    }
}
