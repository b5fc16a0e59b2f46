//! Short commands: run to their end, heard in whole; and one that is spoken with.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};

use crate::os::clock;

use super::running::poll;
use super::{Heard, Launch, LaunchError, Running, Stream, Waiting, start, strays_of};

/// How long a command may take, and how much it may say.
#[derive(Clone, Copy, Debug)]
pub struct CaptureLimits {
    /// From start to end.
    pub timeout: Duration,
    /// Of each of its two outputs; what goes beyond ends it.
    pub bytes_max: usize,
}

/// What a command said, and how it ended.
#[derive(Clone, Debug)]
pub struct Captured {
    /// How it ended by itself; `None` if it was ended for taking too long or saying too much.
    pub status: Option<ExitStatus>,
    /// Its standard output.
    pub out: Vec<u8>,
    /// Its standard error.
    pub err: Vec<u8>,
}

impl Captured {
    /// Its exit code; `None` if it has none: it was ended, by us or a signal.
    pub fn code(&self) -> Option<i32> {
        self.status.and_then(|status| status.code())
    }
}

/// Runs a command to its end. Whatever it leaves behind is ended too.
pub fn capture(launch: &Launch<'_>, limits: CaptureLimits) -> Result<Captured, LaunchError> {
    finish(start(launch)?, limits)
}

/// Lets a command through its gate and runs it to its end, as [`capture`] does.
pub fn finish(waiting: Waiting, limits: CaptureLimits) -> Result<Captured, LaunchError> {
    let mut running = waiting.open()?;
    let heard = hear_all(&mut running, limits);
    if !matches!(heard, Ok(Captured { status: Some(_), .. })) {
        running.kill();
    }
    let left = strays_of(&running);
    let cleared = super::kill_all(&left, Duration::from_secs(10));
    let captured = heard.map_err(LaunchError::Start)?;
    cleared.map_err(|outlived| LaunchError::Start(io::Error::other(outlived)))?;
    Ok(captured)
}

fn hear_all(running: &mut Running, limits: CaptureLimits) -> io::Result<Captured> {
    let since = clock::stopwatch();
    let mut captured = Captured { status: None, out: Vec::new(), err: Vec::new() };
    loop {
        let left = limits.timeout.saturating_sub(since.elapsed());
        if left.is_zero() {
            return Ok(captured);
        }
        match running.hear(left.min(Duration::from_millis(500)))? {
            Heard::Output(stream, bytes) => {
                let kept = match stream {
                    Stream::Out => &mut captured.out,
                    Stream::Err => &mut captured.err,
                };
                let room = limits.bytes_max.saturating_sub(kept.len());
                kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
                if bytes.len() > room {
                    return Ok(captured);
                }
            }
            Heard::Nothing => {}
            Heard::Ended(status) => {
                captured.status = Some(status);
                return Ok(captured);
            }
        }
    }
}

/// A command that is written to and answers.
#[derive(Debug)]
pub struct Fed {
    running: Running,
    /// What it reads.
    pub input: UnixStream,
    /// What it answers.
    pub output: Answers,
    errors: File,
}

/// What a command answers. Silence for two minutes is an error, not patience.
#[derive(Debug)]
pub struct Answers(File);

const ANSWER_MAX: Duration = Duration::from_mins(2);

impl Read for Answers {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let since = clock::stopwatch();
        loop {
            let left = ANSWER_MAX.saturating_sub(since.elapsed());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            if poll(&mut [PollFd::new(&self.0, PollFlags::IN)], left)? {
                return self.0.read(buffer);
            }
        }
    }
}

/// Starts a command that is spoken with; its launch must be wired as [`super::Wiring::Fed`].
pub fn feed(launch: &Launch<'_>) -> Result<Fed, LaunchError> {
    let mut running = start(launch)?.open()?;
    let missing = || LaunchError::Start(io::ErrorKind::InvalidInput.into());
    let input = running.take_feed().ok_or_else(missing)?;
    let (mut output, mut errors) = (None, None);
    for (stream, file) in running.take_outputs() {
        match stream {
            Stream::Out => output = Some(file),
            Stream::Err => errors = Some(file),
        }
    }
    let output = Answers(output.ok_or_else(missing)?);
    Ok(Fed { running, input, output, errors: errors.ok_or_else(missing)? })
}

impl Fed {
    /// Ends the conversation: the command sees the end of its input and is waited for.
    pub fn finish(mut self) -> io::Result<ExitStatus> {
        self.input.flush()?;
        self.input.shutdown(std::net::Shutdown::Write)?;
        drop(self.output);
        drop(self.errors);
        self.running.wait_for_end()
    }

    /// The same, with what it complained of: no more than a few lines.
    pub fn finish_heard(mut self) -> io::Result<(ExitStatus, String)> {
        const COMPLAINT_MAX: u64 = 4096;
        // Whoever is gone already hears nothing any more.
        let _ = self.input.shutdown(std::net::Shutdown::Write);
        drop(self.output);
        let mut complaint = Vec::new();
        Read::by_ref(&mut self.errors).take(COMPLAINT_MAX).read_to_end(&mut complaint)?;
        drop(self.errors);
        let status = self.running.wait_for_end()?;
        Ok((status, String::from_utf8_lossy(&complaint).into_owned()))
    }

    /// Ends it at once.
    pub fn kill(mut self) {
        self.running.kill();
    }
}
