//! One thing in a tree, with all of its metadata that is proved.

use crate::os::meta::FileKind;
use crate::repository::ChunkId;
/// Where a file's bytes are.
pub use crate::repository::Stored as Content;

use super::TreePath;

/// A modification time. Seconds may lie before 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mtime {
    /// Whole seconds since 1970.
    pub secs: i64,
    /// Nanoseconds on top, below 10⁹.
    pub nanos: u32,
}

/// An extended attribute, raw: ACLs, capabilities and labels are such attributes too.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Xattr {
    /// With its namespace, as `security.capability`.
    pub name: Box<[u8]>,
    /// Any bytes.
    pub value: Box<[u8]>,
}

/// What an entry has whatever its kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// Permission, setuid, setgid and sticky bits: the low 12 bits of `st_mode`.
    pub mode: u32,
    /// Owner, by number.
    pub uid: u32,
    /// Group, by number.
    pub gid: u32,
    /// When its content last changed. Zero for a directory that directly holds something the
    /// digest leaves out: its time then lies in the snapshot's annex.
    pub mtime: Mtime,
    /// Sorted by name.
    pub xattrs: Vec<Xattr>,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File {
        /// In bytes, holes counted.
        size: u64,
        /// Where they are.
        content: Content,
    },
    /// A directory, and the object that holds its entries.
    Directory {
        /// The directory object: its id proves everything below.
        object: ChunkId,
    },
    /// A directory whose inside is not covered (`skip_content`): itself only.
    SkippedDirectory,
    /// A mount point: listed, not crossed.
    MountPoint,
    /// A symbolic link.
    Symlink {
        /// Raw bytes; never followed.
        target: Box<[u8]>,
    },
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A character device.
    CharDevice {
        /// As `st_rdev`.
        rdev: u64,
    },
    /// A block device.
    BlockDevice {
        /// As `st_rdev`.
        rdev: u64,
    },
    /// A declared SQLite file: it belongs to the database of that name, not to the tree.
    Database {
        /// The database's name in the snapshot.
        name: String,
    },
}

/// One file, directory, link or special, under its name in its directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// One path part.
    pub name: Box<[u8]>,
    /// Mode, owner, time, attributes.
    pub meta: Meta,
    /// What it is.
    pub kind: Kind,
    /// For a file with several names inside its root: the first of them in path order, from the
    /// root. `None` for every other entry.
    pub link_group: Option<TreePath>,
}

impl Kind {
    /// The size of a file.
    pub const fn size(&self) -> Option<u64> {
        match self {
            Self::File { size, .. } => Some(*size),
            _ => None,
        }
    }

    /// What `stat` calls it; `None` where it stands for something that is not looked at.
    pub const fn file_kind(&self) -> Option<FileKind> {
        Some(match self {
            Self::File { .. } => FileKind::File,
            Self::Directory { .. } | Self::SkippedDirectory => FileKind::Directory,
            Self::Symlink { .. } => FileKind::Symlink,
            Self::Fifo => FileKind::Fifo,
            Self::Socket => FileKind::Socket,
            Self::CharDevice { .. } => FileKind::CharDevice,
            Self::BlockDevice { .. } => FileKind::BlockDevice,
            Self::MountPoint | Self::Database { .. } => return None,
        })
    }
}
