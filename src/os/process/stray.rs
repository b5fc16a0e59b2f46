//! Processes that outlive the child they came from: found, ended, and waited for.
//!
//! Nothing is undone while one of them may still write. They are known by what they inherited:
//! the transaction's variable in their environment, or the session of a recorded child.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions};

use crate::os::clock;
use crate::os::host::{self, ProcessMark};

use super::running::poll;
use super::table::{self, Seen};
use super::{ChildMark, Running, TXN_VARIABLE};

static ADOPTING: AtomicBool = AtomicBool::new(false);

/// Processes that could not be ended in the time given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} still running: {}", counted(left.len()), shown(left))]
pub struct Outlived {
    /// They.
    pub left: Vec<ProcessMark>,
}

fn counted(count: usize) -> String {
    if count == 1 { "1 process is".to_owned() } else { format!("{count} processes are") }
}

fn shown(left: &[ProcessMark]) -> String {
    let name = |mark: &ProcessMark| {
        host::describe(mark.pid).unwrap_or_else(|| format!("pid {}", mark.pid))
    };
    left.iter().map(name).collect::<Vec<_>>().join(", ")
}

/// Makes this process the parent of whatever its children leave behind, so that a daemon which
/// has dropped its environment and session is found too. For programs with no other children.
pub fn adopt_orphans() {
    // Refused only where the kernel does not know it; then the other two ways must do.
    if rustix::process::set_child_subreaper(Some(rustix::process::getpid())).is_ok() {
        ADOPTING.store(true, Ordering::Relaxed);
    }
}

/// What is left of a child that has ended.
pub fn strays_of(running: &Running) -> Vec<ProcessMark> {
    let child = running.mark();
    let adopted = |seen: &Seen| {
        ADOPTING.load(Ordering::Relaxed)
            && seen.parent == std::process::id()
            && seen.mark.started_ticks >= child.process.started_ticks
    };
    let mut found = living(|seen| {
        if seen.session == child.session() || adopted(seen) {
            return Some(true);
        }
        table::was_given(seen.mark.pid, TXN_VARIABLE, running.token())
    });
    found.retain(|mark| *mark != child.process);
    found
}

/// The processes of a transaction that are still there, whoever started them.
///
/// `recorded` are the children that its journal names; those of another boot mean nothing.
pub fn find_orphans(token: &str, recorded: &[ChildMark]) -> Vec<ProcessMark> {
    let boot = host::boot_id();
    let sessions: Vec<_> = recorded.iter().filter(|child| child.boot_id == boot).collect();
    living(|seen| {
        let of_session = sessions.iter().any(|child| {
            seen.mark == child.process
                || (seen.session == child.session() && still_its_session(child, seen))
        });
        if of_session {
            return Some(true);
        }
        table::was_given(seen.mark.pid, TXN_VARIABLE, token)
    })
}

/// The number of a session is free for others once nobody is in it: a leader with another start
/// time, or a member older than the child, means that it was.
fn still_its_session(child: &ChildMark, seen: &Seen) -> bool {
    let leader = table::one(child.session());
    seen.mark.started_ticks >= child.process.started_ticks
        && leader.is_none_or(|leader| leader.mark == child.process)
}

/// So often the table is read where none of those wanted is met, and that may be chance.
const LOOKS_MAX: u32 = 10;

/// The table is no snapshot: a process that ends after it has started another, whose number was
/// passed already, hides both. So one look tells that there is none only if meanwhile no process came
/// on this machine, and all that are there could be seen; else several do.
fn living(mut wanted: impl FnMut(&Seen) -> Option<bool>) -> Vec<ProcessMark> {
    let own = std::process::id();
    for _ in 0..LOOKS_MAX {
        let (before, mut all_seen) = (table::started(), true);
        let mut found = table::all();
        found.retain(|seen| {
            let is_living = !seen.dead && seen.mark.pid != own;
            let is_wanted = if is_living { wanted(seen) } else { Some(false) };
            all_seen &= is_wanted.is_some();
            is_wanted == Some(true)
        });
        let none_came = before.is_some() && table::started() == before;
        if !found.is_empty() || none_came && all_seen {
            return found.into_iter().map(|seen| seen.mark).collect();
        }
    }
    Vec::new()
}

/// Ends every process of a transaction, again and again until none is found.
pub fn kill_orphans(
    token: &str,
    recorded: &[ChildMark],
    patience: Duration,
) -> Result<usize, Outlived> {
    let since = clock::stopwatch();
    let mut ended = BTreeSet::new();
    loop {
        let found = find_orphans(token, recorded);
        if found.is_empty() {
            return Ok(ended.len());
        }
        let left = patience.saturating_sub(since.elapsed());
        if left.is_zero() {
            return Err(Outlived { left: found });
        }
        ended.extend(found.iter().map(|mark| (mark.pid, mark.started_ticks)));
        // One that was forked meanwhile is met in the next round.
        kill_all(&found, left)?;
    }
}

/// Ends these processes and waits until they are gone.
pub fn kill_all(marks: &[ProcessMark], patience: Duration) -> Result<(), Outlived> {
    let since = clock::stopwatch();
    let open: Vec<_> = marks.iter().filter_map(|mark| Some((*mark, end(*mark)?))).collect();
    let mut left = Vec::new();
    for (mark, pidfd) in &open {
        let patience = patience.saturating_sub(since.elapsed());
        let mut polled = [PollFd::new(pidfd, PollFlags::IN)];
        if !poll(&mut polled, patience).unwrap_or(false) && !host::is_gone(*mark) {
            left.push(*mark);
        }
        reap(*mark);
    }
    if left.is_empty() { Ok(()) } else { Err(Outlived { left }) }
}

/// Sends the signal through a handle that cannot come to mean another process.
fn end(mark: ProcessMark) -> Option<std::os::fd::OwnedFd> {
    let pid = Pid::from_raw(i32::try_from(mark.pid).ok()?)?;
    let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok()?;
    // Only now the number is held: is it still the one we mean?
    if host::is_gone(mark) {
        return None;
    }
    // Gone meanwhile is as good; not permitted shows as a process that stays.
    let _ = rustix::process::pidfd_send_signal(&pidfd, Signal::KILL);
    Some(pidfd)
}

/// Lets an adopted process vanish from the table.
fn reap(mark: ProcessMark) {
    if !ADOPTING.load(Ordering::Relaxed) {
        return;
    }
    if let Some(pid) = i32::try_from(mark.pid).ok().and_then(Pid::from_raw) {
        // Not a child of ours: then somebody else does this.
        let _ = rustix::process::waitpid(Some(pid), WaitOptions::NOHANG);
    }
}
