//! What the kernel tells about other processes.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::os::host::ProcessMark;

/// One process, as `/proc/PID/stat` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) mark: ProcessMark,
    pub(super) parent: u32,
    pub(super) session: u32,
    /// It has ended and only waits to be noticed.
    pub(super) dead: bool,
}

/// All processes that can be looked at. Some may have ended since.
pub(super) fn all() -> Vec<Seen> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pid = |name: &std::ffi::OsStr| name.to_str()?.parse().ok();
    entries.flatten().filter_map(|entry| one(pid(&entry.file_name())?)).collect()
}

/// How many processes were started on this machine until now.
pub(super) fn started() -> Option<u64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("processes "))?.parse().ok()
}

pub(super) fn one(pid: u32) -> Option<Seen> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses, and may hold spaces and parentheses.
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = String::from_utf8_lossy(&stat[end + 1..]).into_owned();
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    Some(Seen {
        mark: ProcessMark { pid, started_ticks: fields.get(19)?.parse().ok()? },
        parent: fields.get(1)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        dead: matches!(*fields.first()?, "Z" | "X" | "x"),
    })
}

/// Whether the process was started with `variable=value`; `None` if that is not to be seen: it may
/// become its program right now.
pub(super) fn was_given(pid: u32, variable: &str, value: &str) -> Option<bool> {
    let Ok(environment) = fs::read(format!("/proc/{pid}/environ")) else { return Some(false) };
    // Threads of the kernel have no program and no environment.
    if environment.is_empty() && fs::read_link(format!("/proc/{pid}/exe")).is_ok() {
        return None;
    }
    Some(environment.split(|byte| *byte == 0).any(|entry| {
        let rest = entry.strip_prefix(variable.as_bytes());
        rest.and_then(|rest| rest.strip_prefix(b"=")) == Some(value.as_bytes())
    }))
}

/// Whether the process stands still in reading from the terminal `name`.
///
/// The kernel tells this only to root and the process's own account, and only of a few machines'
/// system calls do we know the number. `false` is no proof.
pub(super) fn reads_from(pid: u32, name: &Path) -> bool {
    const READ: &str = if cfg!(target_arch = "aarch64") { "63" } else { "0" };
    if !cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) {
        return false;
    }
    let Ok(call) = fs::read_to_string(format!("/proc/{pid}/syscall")) else { return false };
    let mut fields = call.split_ascii_whitespace();
    if fields.next() != Some(READ) {
        return false;
    }
    let fd = fields.next().and_then(|fd| u32::from_str_radix(fd.strip_prefix("0x")?, 16).ok());
    fd.and_then(|fd| fs::read_link(format!("/proc/{pid}/fd/{fd}")).ok())
        .is_some_and(|file| file == name || (file.as_os_str().as_bytes() == b"/dev/tty"))
}
