//! Small things every stage is set with.

use std::ffi::CString;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::tool;

/// Writes a file and what directories it needs.
pub(crate) fn write(path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) {
    let path = path.as_ref();
    fs::create_dir_all(path.parent().expect("a file is in a directory")).expect("ours");
    fs::write(path, bytes).unwrap_or_else(|e| panic!("cannot write {}: {e}", path.display()));
}

/// Reads a file as text.
pub(crate) fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    let bytes = fs::read(path).unwrap_or_else(|e| panic!("cannot read {}: {e}", path.display()));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Changes a file's text.
pub(crate) fn edit(path: impl AsRef<Path>, from: &str, to: &str) {
    let path = path.as_ref();
    let text = read(path);
    assert!(text.contains(from), "{} does not hold {from:?}", path.display());
    fs::write(path, text.replace(from, to)).expect("ours");
}

/// Copies a tree with all that it is made of, over what is there.
pub(crate) fn copy(from: impl AsRef<Path>, to: impl AsRef<Path>) {
    fs::create_dir_all(&to).expect("ours");
    tool("cp", &[&"-a", &"-T", &from.as_ref(), &to.as_ref()]);
}

/// Gives a tree to a user, as root may.
pub(crate) fn give(path: impl AsRef<Path>, user: &str) {
    tool("chown", &[&"-hR", &format!("{user}:"), &path.as_ref()]);
}

/// Where a fixture of the repository lies.
pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

/// Gives one file its times, in nanoseconds since 1970, without following a link.
pub(crate) fn set_time(path: &Path, seconds: i64, nanoseconds: i64) {
    let name = CString::new(path.as_os_str().as_bytes()).expect("no NUL in a path");
    let time = rustix::fs::Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
    let link = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::utimensat(rustix::fs::CWD, name.as_c_str(), &times, link).expect("ours");
}

/// A small file system of a test's own, in memory, mounted as long as this lives. Needs root.
pub(crate) struct Small(PathBuf);

impl Small {
    /// Mounts it at `path`, over what is there.
    pub(crate) fn mount(path: impl AsRef<Path>, options: &str) -> Self {
        let path = path.as_ref();
        fs::create_dir_all(path).expect("ours");
        tool("mount", &[&"-t", &"tmpfs", &"-o", &options, &"none", &path]);
        Self(path.to_owned())
    }

    /// Leaves no room at all in it.
    pub(crate) fn fill(&self) {
        let mut file = fs::File::options()
            .create(true)
            .append(true)
            .open(self.filler())
            .expect("an inode is left");
        // The last bytes of the last page too.
        for piece in [1 << 20, 1 << 12, 1] {
            while file.write_all(&vec![1; piece]).is_ok() {}
        }
    }

    /// Makes room again.
    pub(crate) fn free(&self) {
        fs::remove_file(self.filler()).expect("it was filled");
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // Whoever still has a file open in it does not keep the test's directory from going.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
