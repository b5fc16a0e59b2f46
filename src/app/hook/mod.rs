//! Runs a command of the application's: heard, answered by rule, limited, and judged.
//!
//! ```text
//! start behind the gate; the caller makes the child's number durable; open the gate
//! until it ends:  output    -> transcript, monitor; a rule fits the question -> answer it
//!                 silence   -> it reads its terminal, or said half a line: an unknown question
//!                           -> nothing for too long: it hangs
//! what it left behind is ended, and fails the step
//! judge: exit code, required text, forbidden text
//! ```
//!
//! A blind "yes" is never given: passbolt v1 offers to record a failed migration as done.

mod redact;
mod screen;
mod transcript;
mod verdict;

use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::app::Account;
use crate::app::profile::{Expect, PromptRule};
use crate::monitor::{Monitor, News};
use crate::os::clock;
use crate::os::crash::{CrashPoint, reach};
use crate::os::process::{
    self, CaptureLimits, Captured, ChildMark, Heard, Launch, Running, Trampoline, Waiting, Wiring,
};

use screen::Screen;
use verdict::Watch;

pub use redact::Redactor;
pub use screen::plain_lines;
pub use transcript::Transcript;
pub use verdict::Failure;

/// What a step runs, and what is expected of it.
#[derive(Clone, Debug)]
pub struct Step<'a> {
    /// Program and arguments.
    pub argv: Vec<OsString>,
    /// Where it starts.
    pub dir: &'a Path,
    /// As whom. `None`: as the caller.
    pub account: Option<&'a Account>,
    /// What it finds in its environment, beside the path and the transaction.
    pub env: Vec<(OsString, OsString)>,
    /// What success is.
    pub expect: &'a Expect,
    /// The questions it may ask; with none it gets no terminal.
    pub prompts: &'a [PromptRule],
    /// Silent for so long, it hangs.
    pub idle_timeout: Duration,
    /// It may take no longer.
    pub timeout: Duration,
}

/// What a step needs of its caller.
#[derive(Clone, Copy)]
pub struct Around<'a> {
    /// How children are started.
    pub trampoline: &'a Trampoline,
    /// The transaction.
    pub token: &'a str,
    /// What must not be shown or kept.
    pub redactor: &'a Redactor,
    /// Hears every line.
    pub monitor: &'a dyn Monitor,
    /// Whether somebody wants it to end.
    pub cancelled: &'a dyn Fn() -> bool,
}

/// Makes a child's number durable, before the child does anything.
pub type Started<'a> =
    dyn FnMut(&ChildMark) -> Result<(), Box<dyn std::error::Error + Send + Sync>> + 'a;

/// A step that ran, or tried to.
#[derive(Debug)]
pub struct Ran {
    /// What it printed.
    pub transcript: Transcript,
    /// The exit code of a success, or why it is none.
    pub outcome: Result<i32, Failure>,
    /// How long it took.
    pub took: Duration,
}

/// How often silence is looked into.
const TICK: Duration = Duration::from_millis(200);

/// A child that reads its terminal and said nothing for so long waits for an answer.
const QUESTION_AFTER: Duration = Duration::from_secs(1);

/// How much of a child's output is passed on while it runs.
const TOLD_BYTES_MAX: usize = 1 << 20;

/// How long a child that was told to give up may take to do so.
const GRACE: Duration = Duration::from_secs(30);

/// How long what it left behind may take to end by itself.
const STRAYS_MAY_END: Duration = Duration::from_millis(500);

/// How long ending a stray may take.
const STRAYS_MUST_END: Duration = Duration::from_secs(20);

/// Runs `step` to its end, whatever that is. To be called from the main thread.
pub fn run(step: &Step<'_>, around: &Around<'_>, started: &mut Started<'_>) -> Ran {
    let since = clock::stopwatch();
    let mut talk = Talk {
        step,
        around,
        screen: Screen::default(),
        transcript: Transcript::default(),
        told_bytes: 0,
        watch: Watch::new(step.expect),
        asked: vec![0; step.prompts.len()],
        failure: None,
        since,
        heard: since,
        gave_up: None,
    };
    let outcome = match launch(step, around, started) {
        Err(failure) => Err(failure),
        Ok(mut running) => {
            let ended = talk.until_end(&mut running);
            let cleared = clear_strays(&running);
            talk.finish();
            // A process that cannot be ended matters more than how the step went.
            match (ended, cleared) {
                (_, Err(Failure::Outlived(left))) => Err(Failure::Outlived(left)),
                (Err(failure), _) | (Ok(_), Err(failure)) => Err(failure),
                (Ok(status), Ok(())) => talk.judge(status),
            }
        }
    };
    let outcome = outcome.map_err(|failure| failure.redacted(around.redactor));
    Ran { transcript: talk.transcript, outcome, took: since.elapsed() }
}

fn launch(
    step: &Step<'_>,
    around: &Around<'_>,
    started: &mut Started<'_>,
) -> Result<Running, Failure> {
    let wiring = if step.prompts.is_empty() { Wiring::Pipes } else { Wiring::Terminal };
    let order = Order { argv: &step.argv, dir: step.dir, account: step.account, env: &step.env };
    waiting(&order, wiring, around, started)?.open().map_err(Failure::NotStarted)
}

/// A short command of the application's, whose output is wanted as it is.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    /// Program and arguments.
    pub argv: &'a [OsString],
    /// Where it starts.
    pub dir: &'a Path,
    /// As whom. `None`: as the caller.
    pub account: Option<&'a Account>,
    /// What it finds in its environment, beside the path and the transaction.
    pub env: &'a [(OsString, OsString)],
}

/// Runs a short command to its end: nothing to read, no terminal, output and errors apart.
pub fn ask(
    order: &Order<'_>,
    limits: CaptureLimits,
    around: &Around<'_>,
    started: &mut Started<'_>,
) -> Result<Captured, Failure> {
    let waiting = waiting(order, Wiring::Pipes, around, started)?;
    process::finish(waiting, limits).map_err(Failure::NotStarted)
}

/// A child behind its gate, whose start is recorded.
fn waiting(
    order: &Order<'_>,
    wiring: Wiring,
    around: &Around<'_>,
    started: &mut Started<'_>,
) -> Result<Waiting, Failure> {
    let identity = order.account.map(Account::identity);
    let mut env = order.env.to_vec();
    env.push(("TERM".into(), "dumb".into()));
    if let Some(account) = order.account {
        env.push(("HOME".into(), account.home.clone().into()));
        env.extend(account.name.iter().map(|name| ("USER".into(), name.into())));
        env.extend(account.name.iter().map(|name| ("LOGNAME".into(), name.into())));
    }
    let waiting = process::start(&Launch {
        trampoline: around.trampoline,
        argv: order.argv,
        dir: order.dir,
        env: &env,
        identity: identity.as_ref(),
        wiring,
        token: around.token,
    })
    .map_err(Failure::NotStarted)?;
    if let Err(error) = started(waiting.mark()) {
        waiting.abandon();
        return Err(Failure::NotRecorded(error));
    }
    Ok(waiting)
}

/// Ends what the child left behind. Anything left is a failure of the step.
fn clear_strays(running: &Running) -> Result<(), Failure> {
    let since = clock::stopwatch();
    let mut strays = process::strays_of(running);
    while !strays.is_empty() && since.elapsed() < STRAYS_MAY_END {
        clock::pause(Duration::from_millis(20));
        strays = process::strays_of(running);
    }
    if strays.is_empty() {
        return Ok(());
    }
    let names: Vec<_> =
        strays.iter().filter_map(|mark| crate::os::host::describe(mark.pid)).collect();
    loop {
        let left = STRAYS_MUST_END.saturating_sub(since.elapsed());
        process::kill_all(&strays, left).map_err(Failure::Outlived)?;
        strays = process::strays_of(running);
        if strays.is_empty() {
            return Err(Failure::Strays { left: names });
        }
    }
}

/// The conversation with one child.
struct Talk<'a> {
    step: &'a Step<'a>,
    around: &'a Around<'a>,
    screen: Screen,
    transcript: Transcript,
    /// How much of it was told while it ran.
    told_bytes: usize,
    watch: Watch<'a>,
    /// How often each rule was used.
    asked: Vec<u32>,
    /// Why the step has failed already, while the child still runs.
    failure: Option<Failure>,
    since: Instant,
    heard: Instant,
    /// When it was told to end itself.
    gave_up: Option<Instant>,
}

impl Talk<'_> {
    /// Listens and answers until the child has ended, by itself or by us.
    fn until_end(&mut self, running: &mut Running) -> Result<std::process::ExitStatus, Failure> {
        loop {
            match running.hear(TICK) {
                Ok(Heard::Ended(status)) => return Ok(status),
                Ok(Heard::Output(_, bytes)) => {
                    self.heard = clock::stopwatch();
                    self.output(&bytes);
                    self.answer(running)?;
                }
                Ok(Heard::Nothing) => {}
                Err(error) => {
                    running.kill();
                    return Err(Failure::Unheard(error));
                }
            }
            if let Some(failure) = self.overdue(running) {
                running.kill();
                return Err(failure);
            }
        }
    }

    fn output(&mut self, bytes: &[u8]) {
        let lines = self.screen.write(bytes, self.around.redactor.longest());
        self.keep(&lines);
    }

    fn keep(&mut self, lines: &[String]) {
        if lines.is_empty() {
            return;
        }
        self.watch.lines(lines);
        for line in lines {
            let line = self.around.redactor.redact(line);
            self.transcript.line(&line);
            self.tell(line);
            reach(CrashPoint::MigrationLine);
        }
    }

    /// Nobody reads a megabyte as it passes, and a log that is full helps nobody.
    fn tell(&mut self, line: String) {
        let before = self.told_bytes;
        self.told_bytes = before.saturating_add(line.len());
        if self.told_bytes <= TOLD_BYTES_MAX {
            self.around.monitor.tell(News::ChildOutput { line });
        } else if before <= TOLD_BYTES_MAX {
            let line = "… and more: the transcript keeps its beginning and its end".to_owned();
            self.around.monitor.tell(News::ChildOutput { line });
        }
    }

    /// Answers the question on the screen, if it is a known one.
    fn answer(&mut self, running: &mut Running) -> Result<(), Failure> {
        let window = self.screen.since_answer();
        let known = self.step.prompts.iter().position(|rule| rule.pattern.is_match(window));
        let Some(index) = known else { return Ok(()) };
        let rule = &self.step.prompts[index];
        let question = self.screen.question();
        self.asked[index] += 1;
        if self.asked[index] > rule.max {
            running.kill();
            return Err(Failure::AskedTooOften { question });
        }
        if rule.fails {
            self.failure.get_or_insert(Failure::Asked { question });
            self.gave_up.get_or_insert_with(clock::stopwatch);
        }
        if let Err(error) = running.answer(&rule.answer) {
            running.kill();
            return Err(Failure::Unheard(error));
        }
        // The terminal does not echo; the transcript shows what was typed.
        let line = self.screen.take_open_line().unwrap_or_default();
        self.keep(&[format!("{line}{}", rule.answer)]);
        self.screen.answered();
        Ok(())
    }

    /// Why the child must not go on.
    fn overdue(&mut self, running: &Running) -> Option<Failure> {
        if (self.around.cancelled)() {
            return Some(Failure::Cancelled);
        }
        if self.since.elapsed() >= self.step.timeout {
            return Some(Failure::TooSlow { limit: self.step.timeout });
        }
        if self.gave_up.is_some_and(|since| since.elapsed() >= GRACE) {
            return self.failure.take();
        }
        let silent = self.heard.elapsed();
        let half_a_line = !self.screen.open_line().trim().is_empty();
        if silent >= self.step.idle_timeout {
            let question = self.screen.question();
            return Some(if half_a_line && !self.step.prompts.is_empty() {
                Failure::UnknownQuestion { question }
            } else {
                Failure::Hung { limit: self.step.idle_timeout }
            });
        }
        // Silence alone may be work. Standing still in a read of the terminal is not.
        (silent >= QUESTION_AFTER && running.wants_input())
            .then(|| Failure::UnknownQuestion { question: self.screen.question() })
    }

    fn finish(&mut self) {
        let line = self.screen.take_open_line();
        self.keep(line.as_slice());
    }

    fn judge(&mut self, status: std::process::ExitStatus) -> Result<i32, Failure> {
        match self.failure.take() {
            Some(failure) => Err(failure),
            None => self.watch.judge(status),
        }
    }
}
