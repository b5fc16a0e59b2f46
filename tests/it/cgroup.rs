//! A control group of a test's own: the kernel's limits on memory and on processes.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limited {
    /// Bytes of memory; who takes more is killed.
    Memory,
    /// Processes and threads; one more cannot be started.
    Tasks,
}

impl Limited {
    /// The controller's name, and the file of the limit in either version.
    const fn files(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Memory => ("memory", "memory.limit_in_bytes", "memory.max"),
            Self::Tasks => ("pids", "pids.max", "pids.max"),
        }
    }
}

/// A group that is gone with this.
pub(crate) struct Group {
    dir: PathBuf,
    limit: PathBuf,
}

impl Group {
    /// Makes one in whichever hierarchy the machine has; says why if it cannot.
    pub(crate) fn new(limited: Limited) -> Result<Self, String> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let (controller, old, new) = limited.files();
        let root = Path::new("/sys/fs/cgroup");
        let first = root.join(controller);
        let (parent, limit) = if first.join("cgroup.procs").exists() {
            (first, old)
        } else {
            let offered = fs::read_to_string(root.join("cgroup.controllers")).unwrap_or_default();
            if !offered.split_whitespace().any(|one| one == controller) {
                return Err(format!("this machine has no control groups for {controller}"));
            }
            let _ = fs::write(root.join("cgroup.subtree_control"), format!("+{controller}"));
            (root.to_owned(), new)
        };
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = parent.join(format!("snap-it-{}-{number}", std::process::id()));
        fs::create_dir(&dir).map_err(|e| format!("cannot make {}: {e}", dir.display()))?;
        let group = Self { limit: dir.join(limit), dir };
        if !group.limit.exists() {
            return Err(format!("{} has no {limit}", group.dir.display()));
        }
        Ok(group)
    }

    /// Allows so much from now on, and no swap instead.
    pub(crate) fn allow(&self, amount: u64) {
        fs::write(&self.limit, amount.to_string()).expect("root sets limits");
        // Where swap is not counted there is none to deny.
        let _ = fs::write(self.dir.join("memory.swap.max"), "0");
    }

    /// The line of a shell that enters it.
    pub(crate) fn enter(&self) -> String {
        format!("echo $$ >{}", self.dir.join("cgroup.procs").display())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The kernel lets it go once it has buried the last process.
        for _ in 0..500 {
            if fs::remove_dir(&self.dir).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
}
