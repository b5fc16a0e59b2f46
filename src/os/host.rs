//! Who we are on this machine: what tells one process, boot or host from another.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;

/// A process that can be told from a later one with the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessMark {
    /// Its number.
    pub pid: u32,
    /// When it started, in clock ticks since boot.
    pub started_ticks: u64,
}

/// The machine's name.
pub fn name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// The kernel's release.
pub fn kernel() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

/// What the processor calls itself; its architecture where it has no name.
pub fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let named = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    named.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.trim().to_owned())
}

/// How much memory the machine has; 0 where the kernel does not say.
pub fn memory_bytes() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = kib.and_then(|kib| kib.split_ascii_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or_default() * 1024
}

/// Tells this boot from every other; empty where the kernel does not say.
pub fn boot_id() -> String {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}

/// Tells this machine from its clones; empty where the system has given it no id.
pub fn machine_id() -> String {
    let id = fs::read_to_string("/etc/machine-id")
        .or_else(|_| fs::read_to_string("/var/lib/dbus/machine-id"))
        .unwrap_or_default();
    id.trim().to_owned()
}

/// Tells the process numbers of this container from those of another on the same host; 0 where the
/// kernel does not say.
pub fn pid_namespace() -> u64 {
    fs::metadata("/proc/self/ns/pid").map_or(0, |meta| meta.ino())
}

/// Process `pid`, as it is now.
pub fn mark(pid: u32) -> io::Result<ProcessMark> {
    let started_ticks = started_ticks(pid)?.ok_or(io::ErrorKind::NotFound)?;
    Ok(ProcessMark { pid, started_ticks })
}

/// This process.
pub fn this_process() -> ProcessMark {
    let pid = std::process::id();
    ProcessMark { pid, started_ticks: started_ticks(pid).ok().flatten().unwrap_or_default() }
}

/// Whether whoever started this process had it ignore a signal, as `nohup` does. Asked before
/// anything listens for it.
pub fn ignores(signal: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal - 1) & 1 == 1
}

/// What another process is called and who runs it, for a message; `None` once it is gone.
pub fn describe(pid: u32) -> Option<String> {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let uid = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    let uid = uid.split_ascii_whitespace().next()?.parse().ok()?;
    let user = super::meta::user_name(uid).unwrap_or_else(|| format!("uid {uid}"));
    Some(format!("{} (pid {pid}, {user})", name.trim()))
}

/// Whether `mark` is provably gone; a process we may not look at counts as running.
pub fn is_gone(mark: ProcessMark) -> bool {
    match started_ticks(mark.pid) {
        Ok(Some(ticks)) => ticks != mark.started_ticks,
        Ok(None) => true,
        Err(_) => false,
    }
}

/// When process `pid` started; `None` if there is none.
fn started_ticks(pid: u32) -> io::Result<Option<u64>> {
    let stat = match fs::read(format!("/proc/{pid}/stat")) {
        Ok(stat) => stat,
        Err(gone) if gone.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    // The second field is the program's name in parentheses, and may hold spaces and parentheses.
    let end = stat.iter().rposition(|b| *b == b')').ok_or(io::ErrorKind::InvalidData)?;
    let rest = String::from_utf8_lossy(&stat[end + 1..]).into_owned();
    let ticks = rest.split_ascii_whitespace().nth(19).and_then(|field| field.parse().ok());
    ticks.map(Some).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_gone_once_it_was_waited_for() {
        let here = this_process();
        assert!(here.started_ticks > 0 && !is_gone(here));
        assert!(is_gone(ProcessMark { started_ticks: here.started_ticks + 1, ..here }));

        let mut child = std::process::Command::new("true").spawn().unwrap();
        let mark = ProcessMark {
            pid: child.id(),
            started_ticks: started_ticks(child.id()).unwrap().unwrap_or_default(),
        };
        child.wait().unwrap();
        assert!(is_gone(mark));
    }
}
