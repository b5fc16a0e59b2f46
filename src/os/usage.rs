//! What this process has taken from the machine so far.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};

/// How often something was waited for to be durable.
static SYNCS: AtomicU64 = AtomicU64::new(0);

/// What a process has used since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// On a core, in the program.
    pub user: Duration,
    /// On a core, in the kernel for the program.
    pub system: Duration,
    /// The most memory it ever held at once.
    pub peak_bytes: u64,
    /// Handed to `write`, whatever became of it.
    pub written_bytes: u64,
    /// Syncs of files, directories and file systems; those of SQLite are not counted.
    pub syncs: u64,
    /// How often it was put aside although it could go on: the machine was busy.
    pub switched_out: u64,
}

impl Usage {
    /// What was used since `before`; the peak is the whole process's.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            user: self.user.saturating_sub(before.user),
            system: self.system.saturating_sub(before.system),
            peak_bytes: self.peak_bytes,
            written_bytes: self.written_bytes.saturating_sub(before.written_bytes),
            syncs: self.syncs.saturating_sub(before.syncs),
            switched_out: self.switched_out.saturating_sub(before.switched_out),
        }
    }
}

/// One more sync was asked for.
pub(super) fn count_sync() {
    SYNCS.fetch_add(1, Ordering::Relaxed);
}

/// What this process has used; what the kernel does not tell is 0.
pub fn so_far() -> Usage {
    let mut usage = Usage {
        // The resident peak that `getrusage` tells is that of the process before `exec` too.
        peak_bytes: field("/proc/self/status", "VmHWM:").saturating_mul(1024),
        written_bytes: field("/proc/self/io", "wchar:"),
        syncs: SYNCS.load(Ordering::Relaxed),
        ..Usage::default()
    };
    if let Ok(told) = getrusage(UsageWho::RUSAGE_SELF) {
        let time = |value: nix::sys::time::TimeVal| {
            let secs = u64::try_from(value.tv_sec()).unwrap_or_default();
            Duration::from_secs(secs)
                + Duration::from_micros(u64::try_from(value.tv_usec()).unwrap_or_default())
        };
        usage.user = time(told.user_time());
        usage.system = time(told.system_time());
        usage.switched_out = u64::try_from(told.involuntary_context_switches()).unwrap_or_default();
    }
    usage
}

/// The number after `name` in a file of the kernel's.
fn field(file: &str, name: &str) -> u64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    value.and_then(|v| v.split_ascii_whitespace().next()?.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::file;

    #[test]
    fn work_shows_in_what_was_used() {
        let before = so_far();
        let dir = tempfile::tempdir().unwrap();
        file::replace(dir.path(), "f", &vec![7; 1 << 20], 0o600).unwrap();
        let used = so_far().since(before);
        assert!(used.written_bytes >= 1 << 20);
        assert!(used.syncs >= 2, "the file, and its directory");
        assert!(used.peak_bytes > 1 << 20);
    }
}
