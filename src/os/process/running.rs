//! A child that runs: heard, answered, and ended.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags};

use super::{ChildMark, table};
use crate::os::pty::Pty;

/// Which of a child's outputs something came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output, or the terminal.
    Out,
    /// Standard error.
    Err,
}

/// What was heard of a child.
#[derive(Debug)]
pub enum Heard {
    /// It wrote this.
    Output(Stream, Vec<u8>),
    /// Nothing, in the time given.
    Nothing,
    /// It has ended, and all that it wrote was heard.
    Ended(ExitStatus),
}

/// How long a child's output is waited for after it ended, while somebody else holds it open.
const AFTERMATH: Duration = Duration::from_millis(100);

/// A child that has become its program.
#[derive(Debug)]
pub struct Running {
    child: Child,
    mark: ChildMark,
    token: String,
    /// Where its output comes from; closed ones are gone.
    outputs: Vec<(Stream, File)>,
    terminal: Option<PathBuf>,
    input: Option<File>,
    feed: Option<UnixStream>,
    pidfd: Option<OwnedFd>,
    ended: Option<(ExitStatus, Instant)>,
}

impl Running {
    pub(super) fn new(mut child: Child, pty: Option<Pty>, mark: ChildMark, token: String) -> Self {
        let pid = Pid::from_child(&child);
        let mut outputs = Vec::new();
        outputs
            .extend(child.stdout.take().map(|out| (Stream::Out, File::from(OwnedFd::from(out)))));
        outputs
            .extend(child.stderr.take().map(|err| (Stream::Err, File::from(OwnedFd::from(err)))));
        let (mut terminal, mut input) = (None, None);
        if let Some(Pty { master, name, slave }) = pty {
            drop(slave); // or its end would never be seen
            input = master.try_clone().ok();
            outputs.push((Stream::Out, master));
            terminal = Some(name);
        }
        // Without one (before Linux 5.3) its end is noticed at the next look instead of at once.
        let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok();
        Self { child, mark, token, outputs, terminal, input, feed: None, pidfd, ended: None }
    }

    pub(super) fn fed_by(mut self, feed: UnixStream) -> Self {
        self.feed = Some(feed);
        self
    }

    /// How this child is recorded.
    pub const fn mark(&self) -> &ChildMark {
        &self.mark
    }

    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// Where a fed child's input is written.
    pub(super) fn take_feed(&mut self) -> Option<UnixStream> {
        self.feed.take()
    }

    /// Where its standard output and error come from, to be read without [`hear`](Self::hear).
    pub(super) fn take_outputs(&mut self) -> Vec<(Stream, File)> {
        std::mem::take(&mut self.outputs)
    }

    /// Waits for what comes first: output, the end, or `patience` running out.
    pub fn hear(&mut self, patience: Duration) -> io::Result<Heard> {
        if let Some((status, since)) = self.ended {
            let left = AFTERMATH.saturating_sub(since.elapsed());
            if left.is_zero() || self.outputs.is_empty() || !self.wait(left.min(patience))? {
                return Ok(Heard::Ended(status));
            }
        } else if !self.wait(patience)? {
            self.notice_end()?;
            return Ok(Heard::Nothing);
        }
        for index in 0..self.outputs.len() {
            if let Some(bytes) = self.read_from(index)? {
                return Ok(Heard::Output(self.outputs[index].0, bytes));
            }
        }
        self.outputs.retain(|(_, file)| !is_over(file));
        self.notice_end()?;
        Ok(Heard::Nothing)
    }

    /// Whether something is to be read, or the child has ended, before `patience` runs out.
    fn wait(&self, patience: Duration) -> io::Result<bool> {
        let mut polled: Vec<PollFd<'_>> =
            self.outputs.iter().map(|(_, file)| PollFd::new(file, PollFlags::IN)).collect();
        if self.ended.is_none() {
            polled.extend(self.pidfd.as_ref().map(|fd| PollFd::new(fd, PollFlags::IN)));
        }
        poll(&mut polled, patience)
    }

    /// What lies ready in one output; `None` if nothing does.
    fn read_from(&mut self, index: usize) -> io::Result<Option<Vec<u8>>> {
        let file = &mut self.outputs[index].1;
        let mut polled = [PollFd::new(&*file, PollFlags::IN)];
        poll(&mut polled, Duration::ZERO)?;
        if !polled[0].revents().contains(PollFlags::IN) {
            return Ok(None);
        }
        let mut bytes = vec![0; 64 * 1024];
        match file.read(&mut bytes) {
            Ok(0) => Ok(None),
            Ok(length) => {
                bytes.truncate(length);
                Ok(Some(bytes))
            }
            // A terminal that nobody holds open any more.
            Err(gone) if gone.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => {
                Ok(None)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn notice_end(&mut self) -> io::Result<()> {
        if self.ended.is_none()
            && let Some(status) = self.child.try_wait()?
        {
            self.ended = Some((status, crate::os::clock::stopwatch()));
        }
        Ok(())
    }

    /// Types `line` and a newline on its terminal.
    pub fn answer(&mut self, line: &str) -> io::Result<()> {
        let input = self.input.as_mut().ok_or(io::ErrorKind::Unsupported)?;
        input.write_all(format!("{line}\n").as_bytes())
    }

    /// Whether it, or another of its session, provably stands still to read from its terminal.
    pub fn wants_input(&self) -> bool {
        let Some(name) = &self.terminal else { return false };
        let session = self.mark.session();
        let mut of_session = table::all().into_iter().filter(|seen| seen.session == session);
        of_session.any(|seen| table::reads_from(seen.mark.pid, name))
    }

    /// Ends it at once, and notices its end. Its children are not touched: see [`super::strays_of`].
    pub fn kill(&mut self) {
        // It may have ended by itself a moment ago.
        let _ = self.child.kill();
        if let Ok(status) = self.child.wait() {
            self.ended = Some((status, crate::os::clock::stopwatch()));
        }
    }

    /// Waits for its end.
    pub(super) fn wait_for_end(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait()?;
        self.ended = Some((status, crate::os::clock::stopwatch()));
        Ok(status)
    }
}

/// Whether the other side has closed and nothing is left to read.
fn is_over(file: &File) -> bool {
    let mut polled = [PollFd::new(file, PollFlags::IN)];
    poll(&mut polled, Duration::ZERO).is_ok() && {
        let seen = polled[0].revents();
        !seen.contains(PollFlags::IN) && seen.intersects(PollFlags::HUP | PollFlags::ERR)
    }
}

/// Whether any of `polled` has something to say before `patience` runs out.
pub(super) fn poll(polled: &mut [PollFd<'_>], patience: Duration) -> io::Result<bool> {
    let timeout = Timespec {
        tv_sec: i64::try_from(patience.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(patience.subsec_nanos()),
    };
    match rustix::event::poll(polled, Some(&timeout)) {
        Ok(ready) => Ok(ready > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
