//! What an inode says about itself, and how it is told to say something else.
//!
//! Everything goes through an open handle ([`At`]), so nothing here can be led elsewhere by a
//! link that somebody plants meanwhile.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;

use rustix::fs::{
    AtFlags, FileType, IFlags, Mode, SeekFrom, Statx, StatxAttributes, StatxFlags, Timespec,
    Timestamps, UTIME_OMIT, XattrFlags,
};
use rustix::io::Errno;

/// A point in time as the file system keeps it. Seconds may lie before 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    /// Whole seconds since 1970.
    pub secs: i64,
    /// Nanoseconds on top, below 10⁹.
    pub nanos: u32,
}

impl Stamp {
    /// The point in time so many nanoseconds after 1970 began, or before.
    pub fn from_nanos(nanos: i64) -> Self {
        let below = u32::try_from(nanos.rem_euclid(1_000_000_000)).expect("below 10⁹");
        Self { secs: nanos.div_euclid(1_000_000_000), nanos: below }
    }
}

/// What an inode is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
}

/// Which inode: unique on a machine while it lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Inode {
    /// The file system.
    pub dev: u64,
    /// The number on it.
    pub ino: u64,
}

/// All that one `statx` tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// What it is.
    pub kind: FileKind,
    /// The low 12 bits of the mode.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// In bytes, holes counted.
    pub size: u64,
    /// Bytes that take up room.
    pub allocated: u64,
    /// When the content changed.
    pub mtime: Stamp,
    /// When anything about the inode changed. Nobody can set it.
    pub ctime: Stamp,
    /// Which inode.
    pub inode: Inode,
    /// Names it has.
    pub links: u32,
    /// For devices.
    pub rdev: u64,
    /// A mount point of any sort, bind mounts of the same file system included.
    pub is_mount: bool,
    /// The inode flags `chattr +i` and `+a`.
    pub flags: InodeFlags,
}

/// The inode flags that are carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct InodeFlags {
    /// `chattr +i`
    pub immutable: bool,
    /// `chattr +a`
    pub append_only: bool,
}

impl InodeFlags {
    /// Whether any is set.
    pub const fn any(self) -> bool {
        self.immutable || self.append_only
    }
}

/// An extended attribute: its name with the namespace, and its value.
pub type RawXattr = (Box<[u8]>, Box<[u8]>);

/// An open inode, as its metadata is reached.
#[derive(Clone, Copy, Debug)]
pub enum At<'a> {
    /// A file or directory opened for reading or writing.
    Open(BorrowedFd<'a>),
    /// Any inode opened with [`Handle`]: it need not be readable.
    Handle(&'a Handle),
}

/// An inode opened without any right to its content: links, sockets, mode 000 and all.
#[derive(Debug)]
pub struct Handle {
    fd: OwnedFd,
    /// `/proc/self/fd/N`: the way to change a mode or an attribute without such a right.
    magic: String,
}

impl Handle {
    pub(super) fn new(fd: OwnedFd) -> Self {
        let magic = format!("/proc/self/fd/{}", fd.as_raw_fd());
        Self { fd, magic }
    }

    /// Looks at the inode.
    pub fn stat(&self) -> io::Result<Stat> {
        stat_at(self.fd.as_fd(), b"", AtFlags::EMPTY_PATH)
    }
}

pub(super) fn stat_at(dir: BorrowedFd<'_>, name: &[u8], flags: AtFlags) -> io::Result<Stat> {
    let wanted = StatxFlags::BASIC_STATS;
    let raw = rustix::fs::statx(dir, name, flags | AtFlags::NO_AUTOMOUNT, wanted)?;
    Stat::from_statx(&raw)
}

impl Stat {
    /// Looks at an open file.
    pub fn of(file: impl AsFd) -> io::Result<Self> {
        stat_at(file.as_fd(), b"", AtFlags::EMPTY_PATH)
    }

    fn from_statx(raw: &Statx) -> io::Result<Self> {
        let kind = match FileType::from_raw_mode(raw.stx_mode.into()) {
            FileType::RegularFile => FileKind::File,
            FileType::Directory => FileKind::Directory,
            FileType::Symlink => FileKind::Symlink,
            FileType::Fifo => FileKind::Fifo,
            FileType::Socket => FileKind::Socket,
            FileType::CharacterDevice => FileKind::CharDevice,
            FileType::BlockDevice => FileKind::BlockDevice,
            FileType::Unknown => return Err(io::Error::from(io::ErrorKind::Unsupported)),
        };
        let stamp = |t: rustix::fs::StatxTimestamp| Stamp { secs: t.tv_sec, nanos: t.tv_nsec };
        let has = |flag| raw.stx_attributes.contains(flag);
        Ok(Self {
            kind,
            mode: u32::from(raw.stx_mode) & 0o7777,
            uid: raw.stx_uid,
            gid: raw.stx_gid,
            size: raw.stx_size,
            allocated: raw.stx_blocks.saturating_mul(512),
            mtime: stamp(raw.stx_mtime),
            ctime: stamp(raw.stx_ctime),
            inode: Inode {
                dev: rustix::fs::makedev(raw.stx_dev_major, raw.stx_dev_minor),
                ino: raw.stx_ino,
            },
            links: raw.stx_nlink,
            rdev: rustix::fs::makedev(raw.stx_rdev_major, raw.stx_rdev_minor),
            is_mount: has(StatxAttributes::MOUNT_ROOT),
            flags: InodeFlags {
                immutable: has(StatxAttributes::IMMUTABLE),
                append_only: has(StatxAttributes::APPEND),
            },
        })
    }
}

impl At<'_> {
    /// Looks at the inode.
    pub fn stat(self) -> io::Result<Stat> {
        match self {
            Self::Open(fd) => stat_at(fd, b"", AtFlags::EMPTY_PATH),
            Self::Handle(handle) => handle.stat(),
        }
    }

    /// Sets the low 12 bits of the mode. Links have none to set: `Unsupported`.
    pub fn set_mode(self, mode: u32) -> io::Result<()> {
        let mode = Mode::from_raw_mode(mode);
        let done = match self {
            Self::Open(fd) => rustix::fs::fchmod(fd, mode),
            Self::Handle(handle) => rustix::fs::chmod(&*handle.magic, mode),
        };
        Ok(done?)
    }

    /// Gives the inode away. The kernel drops setuid, setgid and capabilities: set those after.
    pub fn set_owner(self, uid: u32, gid: u32) -> io::Result<()> {
        let (uid, gid) = (rustix::fs::Uid::from_raw(uid), rustix::fs::Gid::from_raw(gid));
        let done = match self {
            Self::Open(fd) => rustix::fs::fchown(fd, Some(uid), Some(gid)),
            Self::Handle(handle) => {
                rustix::fs::chownat(&handle.fd, "", Some(uid), Some(gid), AtFlags::EMPTY_PATH)
            }
        };
        Ok(done?)
    }

    /// Sets the time of modification; the time of access stays.
    pub fn set_mtime(self, mtime: Stamp) -> io::Result<()> {
        let times = Timestamps {
            last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
            last_modification: Timespec { tv_sec: mtime.secs, tv_nsec: i64::from(mtime.nanos) },
        };
        let done = match self {
            Self::Open(fd) => rustix::fs::futimens(fd, &times),
            Self::Handle(handle) => {
                let flags = AtFlags::empty();
                rustix::fs::utimensat(rustix::fs::CWD, &*handle.magic, &times, flags)
            }
        };
        Ok(done?)
    }

    /// All extended attributes, sorted by name. None where the file system knows none.
    pub fn xattrs(self) -> io::Result<Vec<RawXattr>> {
        let names = match self.sized(Self::list_into) {
            Ok(names) => names,
            Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let mut found = Vec::new();
        for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
            match self.sized(|at, room| at.get_into(name, room)) {
                Ok(value) => found.push((name.into(), value.into_boxed_slice())),
                // Removed between the two calls.
                Err(Errno::NODATA) => {}
                Err(error) => return Err(error.into()),
            }
        }
        found.sort();
        Ok(found)
    }

    /// Sets one extended attribute, new or not.
    pub fn set_xattr(self, name: &[u8], value: &[u8]) -> io::Result<()> {
        let flags = XattrFlags::empty();
        let done = match self {
            Self::Open(fd) => rustix::fs::fsetxattr(fd, name, value, flags),
            Self::Handle(handle) => rustix::fs::setxattr(&*handle.magic, name, value, flags),
        };
        Ok(done?)
    }

    /// Removes one extended attribute.
    pub fn remove_xattr(self, name: &[u8]) -> io::Result<()> {
        let done = match self {
            Self::Open(fd) => rustix::fs::fremovexattr(fd, name),
            Self::Handle(handle) => rustix::fs::removexattr(&*handle.magic, name),
        };
        Ok(done?)
    }

    fn list_into(self, room: &mut [u8]) -> Result<usize, Errno> {
        match self {
            Self::Open(fd) => rustix::fs::flistxattr(fd, room),
            Self::Handle(handle) => rustix::fs::listxattr(&*handle.magic, room),
        }
    }

    fn get_into(self, name: &[u8], room: &mut [u8]) -> Result<usize, Errno> {
        match self {
            Self::Open(fd) => rustix::fs::fgetxattr(fd, name, room),
            Self::Handle(handle) => rustix::fs::getxattr(&*handle.magic, name, room),
        }
    }

    /// Calls `fill` with more and more room: first little, for most answers are short or empty.
    fn sized(
        self,
        fill: impl Fn(Self, &mut [u8]) -> Result<usize, Errno>,
    ) -> Result<Vec<u8>, Errno> {
        let mut small = [0; 256];
        match fill(self, &mut small) {
            Ok(filled) => return Ok(small[..filled].to_vec()),
            Err(Errno::RANGE) => {}
            Err(error) => return Err(error),
        }
        let mut room = vec![0; XATTR_BYTES_MAX];
        let filled = fill(self, &mut room)?;
        room.truncate(filled);
        Ok(room)
    }
}

/// The kernel's own bound on a list of names and on a value.
const XATTR_BYTES_MAX: usize = 64 * 1024;

/// The ranges of a file that hold data, in order, as `(offset, length)`; what lies between are
/// holes. One range over all where the file system keeps no holes.
pub fn data_ranges(file: impl AsFd, size: u64) -> io::Result<Vec<(u64, u64)>> {
    let mut ranges = Vec::new();
    let mut at = 0;
    while at < size {
        let data = match rustix::fs::seek(&file, SeekFrom::Data(at)) {
            Ok(data) => data,
            Err(Errno::NXIO) => break,
            Err(error) => return Err(error.into()),
        };
        let hole = rustix::fs::seek(&file, SeekFrom::Hole(data))?.min(size);
        if hole <= data {
            break;
        }
        ranges.push((data, hole - data));
        at = hole;
    }
    rustix::fs::seek(&file, SeekFrom::Start(0))?;
    Ok(ranges)
}

/// Sets or clears `chattr +i` and `+a`; other flags stay. Needs the right to do so.
pub fn set_flags(file: impl AsFd, wanted: InodeFlags) -> io::Result<()> {
    let mut flags = rustix::fs::ioctl_getflags(&file)?;
    flags.set(IFlags::IMMUTABLE, wanted.immutable);
    flags.set(IFlags::APPEND, wanted.append_only);
    Ok(rustix::fs::ioctl_setflags(&file, flags)?)
}

/// The name of a user, if the machine knows one.
pub fn user_name(uid: u32) -> Option<String> {
    let user = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid)).ok()??;
    Some(user.name)
}

/// The name of a group, if the machine knows one.
pub fn group_name(gid: u32) -> Option<String> {
    let group = nix::unistd::Group::from_gid(nix::unistd::Gid::from_raw(gid)).ok()??;
    Some(group.name)
}

/// The user and group that a file belongs to which this process makes, in most directories.
pub fn own_ids() -> (u32, u32) {
    static OWN: OnceLock<(u32, u32)> = OnceLock::new();
    *OWN.get_or_init(|| (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw()))
}

/// Whether this process may give files away and make devices.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
