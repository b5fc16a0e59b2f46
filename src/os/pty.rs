//! A terminal for a child that wants one.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags};
use rustix::pty::OpenptFlags;
use rustix::termios::{LocalModes, OptionalActions, OutputModes, Winsize};

/// Both ends of a terminal.
#[derive(Debug)]
pub(super) struct Pty {
    /// Ours: what the child writes is read here, what is written here it reads.
    pub(super) master: File,
    /// The child's.
    pub(super) slave: OwnedFd,
    /// The child's end by name, as `/proc/PID/fd` shows it.
    pub(super) name: PathBuf,
}

/// Wide enough that nobody wraps a line that a rule should match.
const SIZE: Winsize = Winsize { ws_row: 50, ws_col: 250, ws_xpixel: 0, ws_ypixel: 0 };

/// Opens a terminal that adds nothing of its own: newlines stay newlines, answers are not echoed.
pub(super) fn open() -> io::Result<Pty> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = rustix::pty::openpt(flags)?;
    rustix::pty::grantpt(&master)?;
    rustix::pty::unlockpt(&master)?;
    let name = rustix::pty::ptsname(&master, Vec::new())?;
    let open = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let slave = rustix::fs::open(&name, open, Mode::empty())?;
    let mut modes = rustix::termios::tcgetattr(&slave)?;
    modes.output_modes.remove(OutputModes::OPOST);
    modes.local_modes.remove(LocalModes::ECHO | LocalModes::ECHONL);
    rustix::termios::tcsetattr(&slave, OptionalActions::Now, &modes)?;
    rustix::termios::tcsetwinsize(&slave, SIZE)?;
    let name = PathBuf::from(name.to_string_lossy().into_owned());
    Ok(Pty { master: File::from(master), slave, name })
}
