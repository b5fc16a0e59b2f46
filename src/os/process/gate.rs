//! The child's side of the gate: our binary, until it becomes the program.

use std::ffi::{CString, OsStr, OsString};
use std::fmt::Display;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::unistd::{Gid, Uid};
use rustix::fs::Mode;
use rustix::process::{Signal, getppid};

use super::{Launch, Wiring};

/// The byte that opens the gate; any would do.
pub(super) const OPEN: u8 = b'!';

/// How the gate ends when it does not become the program.
const NEVER_OPENED: u8 = 124;
const CANNOT_RUN: u8 = 125;

/// `PARENT UID GID NAME DIR WIRING PROGRAM ARGUMENT…`; a `-` stands for what is not set.
pub(super) fn arguments(launch: &Launch<'_>) -> Vec<OsString> {
    let number = |id: Option<u32>| id.map_or_else(|| "-".to_owned(), |id| id.to_string());
    let name = launch.identity.and_then(|identity| identity.name.clone());
    let wiring = match launch.wiring {
        Wiring::Terminal => "terminal",
        Wiring::Pipes => "pipes",
        Wiring::Fed => "fed",
    };
    let mut arguments: Vec<OsString> = vec![
        std::process::id().to_string().into(),
        number(launch.identity.map(|identity| identity.uid)).into(),
        number(launch.identity.map(|identity| identity.gid)).into(),
        name.unwrap_or_else(|| "-".to_owned()).into(),
        launch.dir.into(),
        wiring.into(),
    ];
    arguments.extend(launch.argv.iter().cloned());
    arguments
}

struct Order<'a> {
    parent: &'a OsStr,
    account: Option<(u32, u32, Option<&'a str>)>,
    dir: &'a Path,
    wiring: &'a OsStr,
    program: &'a OsStr,
    arguments: &'a [OsString],
}

/// The hidden verb: takes what stands behind it on the command line, and becomes the program.
///
/// It returns only if it does not, with the code to end with.
pub fn gate(arguments: &[OsString]) -> u8 {
    let Some(order) = parse(arguments) else { return CANNOT_RUN };
    // Gone on exec: the other side sees its end and knows that the program runs.
    let Ok(told) = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3) else {
        return CANNOT_RUN;
    };
    let mut told = File::from(told);
    let prepared = prepare(&order);
    // Also before a complaint: a byte that nobody took would make the other side hear of a reset
    // connection instead.
    let is_open = matches!(told.read(&mut [0]), Ok(1));
    let end = match prepared {
        _ if !is_open => return NEVER_OPENED,
        Ok(Parent::Gone) => return NEVER_OPENED,
        Ok(Parent::There) => become_program(&order),
        Err(what) => what,
    };
    // Nobody may be left to hear it.
    let _ = told.write_all(end.as_bytes());
    CANNOT_RUN
}

fn parse(arguments: &[OsString]) -> Option<Order<'_>> {
    let [parent, uid, gid, name, dir, wiring, program, arguments @ ..] = arguments else {
        return None;
    };
    let number = |text: &OsString| text.to_str()?.parse().ok();
    let account = if uid == "-" {
        None
    } else {
        Some((number(uid)?, number(gid)?, name.to_str().filter(|name| *name != "-")))
    };
    Some(Order { parent, account, dir: Path::new(dir), wiring, program, arguments })
}

/// Whether whoever started us is still there.
enum Parent {
    There,
    Gone,
}

/// Everything that can be done before the program is allowed to run.
fn prepare(order: &Order<'_>) -> Result<Parent, String> {
    rustix::process::setsid().map_err(saying("cannot lead a session"))?;
    if order.wiring == "terminal" {
        rustix::process::ioctl_tiocsctty(rustix::stdio::stdout())
            .map_err(saying("cannot take the terminal"))?;
    }
    if let Some((uid, gid, name)) = order.account {
        take(uid, gid, name)?;
    }
    // After the account: taking one clears it. Then look whether the parent is still the one that
    // started us; if it died before, no signal will come.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(saying("cannot tie this process to its parent"))?;
    let parent = getppid().map(|pid| pid.as_raw_nonzero().to_string());
    if parent.as_deref().map(OsStr::new) != Some(order.parent) {
        return Ok(Parent::Gone);
    }
    rustix::thread::set_no_new_privs(true).map_err(saying("cannot renounce privileges"))?;
    rustix::process::umask(Mode::from_raw_mode(0o022));
    be_ordinary_prey();
    std::env::set_current_dir(order.dir)
        .map_err(saying(format_args!("cannot enter {}", order.dir.display())))?;
    Ok(Parent::There)
}

/// Comes back only with the reason why it could not.
fn become_program(order: &Order<'_>) -> String {
    let wired = if order.wiring == "terminal" {
        rustix::stdio::dup2_stdin(rustix::stdio::stdout())
            .map_err(saying("cannot read the terminal"))
    } else if order.wiring == "fed" {
        Ok(())
    } else {
        File::open("/dev/null")
            .and_then(|nothing| Ok(rustix::stdio::dup2_stdin(nothing)?))
            .map_err(saying("cannot close standard input"))
    };
    match wired {
        Ok(()) => Command::new(order.program).args(order.arguments).exec().to_string(),
        Err(what) => what,
    }
}

/// Takes an account for good: groups first, then the group, then the user.
fn take(uid: u32, gid: u32, name: Option<&str>) -> Result<(), String> {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    if Uid::effective() == uid && Gid::effective() == gid && !uid.is_root() {
        return Ok(()); // already so, and without the right to say so again
    }
    match name.and_then(|name| CString::new(name).ok()) {
        Some(name) => nix::unistd::initgroups(&name, gid),
        None => nix::unistd::setgroups(&[gid]),
    }
    .map_err(saying("cannot take the account's groups"))?;
    nix::unistd::setgid(gid).map_err(saying("cannot take the account's group"))?;
    nix::unistd::setuid(uid).map_err(saying("cannot take the account"))
}

/// We may be protected from the kernel's out-of-memory killer; a child of ours is not.
fn be_ordinary_prey() {
    let score = Path::new("/proc/self/oom_score_adj");
    if std::fs::read_to_string(score).is_ok_and(|score| score.trim().starts_with('-')) {
        // Best effort: it makes the child easier to kill, not the upgrade safer.
        let _ = std::fs::write(score, "0");
    }
}

fn saying<E: Display>(what: impl Display) -> impl FnOnce(E) -> String {
    move |error| format!("{what}: {error}")
}
