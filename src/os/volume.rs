//! The file system under a path: what it is, whether it lies on this machine, what room it has.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// What `statfs` says of the file system under a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Volume {
    /// Its usual name, or `unknown`.
    pub name: &'static str,
    /// Whether what it acknowledged is on a disk of this machine, as far as its kind can tell.
    pub is_local: bool,
    /// Whether its rename and its sync are known to keep what the transaction builds on.
    pub is_known: bool,
    /// Bytes that this user may still write.
    pub free_bytes: u64,
    /// Files that may still be made; `None` where the file system makes inodes as needed.
    pub free_inodes: Option<u64>,
}

/// Looks at the file system that holds `path`.
pub fn at(path: &Path) -> io::Result<Volume> {
    let stat = rustix::fs::statfs(path)?;
    let (name, is_local, is_known) = kind(stat.f_type);
    let block = u64::try_from(stat.f_bsize).unwrap_or_default();
    Ok(Volume {
        name,
        is_local,
        is_known,
        free_bytes: stat.f_bavail.saturating_mul(block),
        // btrfs and others report no inodes at all.
        free_inodes: (stat.f_files > 0).then_some(stat.f_ffree),
    })
}

/// Whether this user may make something in the directory `path`, and its file system takes it.
pub fn may_write(path: &Path) -> io::Result<()> {
    use rustix::fs::Access;
    Ok(rustix::fs::access(path, Access::WRITE_OK | Access::EXEC_OK)?)
}

/// The mount points below `path`, itself apart: another file system begins there.
pub fn mounts_below(path: &Path) -> io::Result<Vec<PathBuf>> {
    let text = std::fs::read("/proc/self/mountinfo")?;
    let points = text.split(|byte| *byte == b'\n').filter_map(|line| {
        let point = line.split(|byte| *byte == b' ').nth(4)?;
        Some(PathBuf::from(OsString::from_vec(unescape(point))))
    });
    Ok(points.filter(|point| point.starts_with(path) && point != path).collect())
}

/// The kernel writes blanks and backslashes as `\ooo`.
fn unescape(raw: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((first, after)) = rest.split_first() {
        let octal = after.get(..3).filter(|_| *first == b'\\');
        let byte = octal
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        plain.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[3..] } else { after };
    }
    plain
}

/// Magic numbers of statfs(2).
fn kind(magic: i64) -> (&'static str, bool, bool) {
    match magic {
        0xef53 => ("ext4", true, true),
        0x5846_5342 => ("xfs", true, true),
        0x9123_683e => ("btrfs", true, true),
        0x0102_1994 => ("tmpfs", true, true),
        0x794c_7630 => ("overlay", true, false),
        0x2fc1_2fc1 => ("zfs", true, false),
        0xf2f5_2010 => ("f2fs", true, false),
        0xca45_1a4e => ("bcachefs", true, false),
        0x6969 => ("nfs", false, false),
        0xff53_4d42 => ("cifs", false, false),
        0xfe53_4d42 => ("smb2", false, false),
        0x6573_5546 => ("fuse", false, false),
        0x0102_1997 => ("9p", false, false),
        0x00c3_6400 => ("ceph", false, false),
        0x5346_414f => ("afs", false, false),
        0x0161_1970 => ("gfs2", false, false),
        0x7461_636f => ("ocfs2", false, false),
        // Not on the list of those that are elsewhere, nor of those that were tried.
        _ => ("unknown", true, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_directory_has_room_and_lies_here() {
        let dir = tempfile::tempdir().unwrap();
        let volume = at(dir.path()).unwrap();
        assert!(volume.is_local && volume.free_bytes > 0, "{volume:?}");
    }

    #[test]
    fn a_mount_point_is_named_as_it_is_and_not_as_the_kernel_writes_it() {
        assert_eq!(unescape(b"/a\\040b\\134"), b"/a b\\");
        assert_eq!(unescape(b"/a\\9"), b"/a\\9");
        let below = mounts_below(Path::new("/")).unwrap();
        assert!(below.contains(&PathBuf::from("/proc")), "{below:?}");
    }

    #[test]
    fn network_file_systems_are_elsewhere() {
        for magic in [0x6969, 0xff53_4d42, 0xfe53_4d42, 0x6573_5546] {
            assert!(!kind(magic).1);
        }
    }
}
