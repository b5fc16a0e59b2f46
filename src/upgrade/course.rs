//! One transaction under way: its journal, its numbered steps, and who wants it to stop.

use std::time::Instant;

use crate::monitor::News;
use crate::os::clock;
use crate::os::crash::{CrashPoint, reach};

use super::context::Ground;
use super::event::{Cause, CauseKind, Event, StepFinished, StepStarted};
use super::journal::{Header, Journal, JournalError, Number};
use super::signals::Stage;
use super::state::State;
use super::step::Step;
use super::{UpgradeError, chain};

/// What a step came to, beside what it returns.
pub(super) struct Done<T> {
    pub(super) value: T,
    /// In one line, as the screen shows it.
    pub(super) note: String,
}

/// Says what came of a step.
pub(super) fn done<T>(value: T, note: impl Into<String>) -> Done<T> {
    Done { value, note: note.into() }
}

/// An open transaction.
pub(super) struct Course<'a> {
    pub(super) ground: Ground<'a>,
    pub(super) journal: Journal,
    pub(super) header: Header,
    /// Where the journal says that it stands.
    pub(super) state: State,
    /// The step that runs, for whoever asks why it ended.
    pub(super) step: Option<Step>,
    /// Since when the site is shut.
    pub(super) shut_since: Option<Instant>,
}

impl<'a> Course<'a> {
    pub(super) fn new(ground: Ground<'a>, journal: Journal, header: Header, state: State) -> Self {
        let course = Self { ground, journal, header, state, step: None, shut_since: None };
        course.tell_stage();
        course
    }

    pub(super) fn number(&self) -> Number {
        self.header.number
    }

    /// Writes an event; durable on return.
    pub(super) fn record(&mut self, event: &Event) -> Result<(), UpgradeError> {
        self.state = self.journal.append(self.header.number, event)?;
        self.tell_stage();
        Ok(())
    }

    /// Writes an event that must not be lost because another process is slow: waits on.
    pub(super) fn record_patiently(&mut self, event: &Event) -> Result<(), UpgradeError> {
        loop {
            match self.record(event) {
                Err(UpgradeError::Journal(JournalError::Busy(_))) => {}
                written => return written,
            }
        }
    }

    fn tell_stage(&self) {
        self.ground.signals.enter(match self.state {
            State::Planned | State::Quiescing | State::Quiesced | State::Armed => Stage::Untouched,
            State::Changing | State::RollingBack | State::Stuck => Stage::Changing,
            State::Committed | State::RolledBack => Stage::Committed,
            State::Closed => Stage::Free,
        });
    }

    /// Stops here if somebody asked for it.
    pub(super) fn heed_signals(&self) -> Result<(), UpgradeError> {
        match self.ground.signals.asked() {
            Some(signal) => Err(UpgradeError::Stopped { signal }),
            None => Ok(()),
        }
    }

    /// Runs a step that the journal's states already frame.
    pub(super) fn step<T>(
        &mut self,
        step: Step,
        work: impl FnOnce(&mut Self) -> Result<Done<T>, UpgradeError>,
    ) -> Result<T, UpgradeError> {
        self.heed_signals()?;
        let heeding =
            |course: &mut Self| work(course).and_then(|done| course.heed_signals().map(|()| done));
        self.run_step(step, heeding).map(|(value, _, _)| value)
    }

    /// Runs a step that nobody can stop any more.
    pub(super) fn last_step<T>(
        &mut self,
        step: Step,
        work: impl FnOnce(&mut Self) -> Result<Done<T>, UpgradeError>,
    ) -> Result<T, UpgradeError> {
        self.run_step(step, work).map(|(value, _, _)| value)
    }

    /// Runs a step that changes content: its intent is durable before its first effect.
    pub(super) fn changing_step<T>(
        &mut self,
        step: Step,
        inputs: &[&[u8]],
        work: impl FnOnce(&mut Self) -> Result<Done<T>, UpgradeError>,
    ) -> Result<T, UpgradeError> {
        self.heed_signals()?;
        let key = self.key_of(step, inputs);
        let started = StepStarted { number: step.number(), name: step.name().to_owned(), key };
        self.record(&Event::StepStarted(started))?;
        let heeding =
            |course: &mut Self| work(course).and_then(|done| course.heed_signals().map(|()| done));
        let (value, note, took_ms) = self.run_step(step, heeding)?;
        self.record(&Event::StepFinished(StepFinished {
            number: step.number(),
            name: step.name().to_owned(),
            took_ms,
            note,
            transcript: None,
        }))?;
        Ok(value)
    }

    fn run_step<T>(
        &mut self,
        step: Step,
        work: impl FnOnce(&mut Self) -> Result<Done<T>, UpgradeError>,
    ) -> Result<(T, String, u64), UpgradeError> {
        self.step = Some(step);
        let (number, name) = (step.number(), step.name().to_owned());
        self.ground.monitor.tell(News::StepStarted { number, name: name.clone() });
        reach(CrashPoint::StepBegins);
        let watch = clock::stopwatch();
        let worked = work(self);
        let took = watch.elapsed();
        match worked {
            Ok(Done { value, note }) => {
                reach(CrashPoint::StepEnds);
                self.ground.monitor.tell(News::StepDone { number, name, took, note: note.clone() });
                Ok((value, note, u64::try_from(took.as_millis()).unwrap_or(u64::MAX)))
            }
            Err(error) => {
                let cause = chain(&error).join(": ");
                self.ground.monitor.tell(News::StepFailed { number, name, took, cause });
                Err(error)
            }
        }
    }

    fn key_of(&self, step: Step, inputs: &[&[u8]]) -> super::stored::Digest {
        let mut hasher = blake3::Hasher::new_derive_key("snap-backup step v1 key");
        hasher.update(&self.header.token);
        hasher.update(&[step.number()]);
        for input in inputs {
            hasher.update(&(input.len() as u64).to_le_bytes());
            hasher.update(input);
        }
        hasher.finalize().into()
    }

    /// Why it ends here.
    pub(super) fn cause_of(&self, error: &UpgradeError) -> Cause {
        let kind = match error {
            UpgradeError::Stopped { signal } => CauseKind::Signal(*signal),
            UpgradeError::Panicked { .. } => CauseKind::Panic,
            _ => CauseKind::Failed,
        };
        let mut links = chain(error);
        let what = links.remove(0);
        Cause { kind, step: self.step.map_or(0, Step::number), what, chain: links }
    }

    /// For how long the site has been shut.
    pub(super) fn quiet_ms(&self) -> Option<u64> {
        let since = self.shut_since?.elapsed();
        Some(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    pub(super) fn warn(&self, what: impl Into<String>) {
        self.ground.monitor.tell(News::Warning { what: what.into() });
    }
}

/// Runs `work`, and makes a panic of ours an error like any other: what is open must be closed.
pub(super) fn catch<T>(work: impl FnOnce() -> Result<T, UpgradeError>) -> Result<T, UpgradeError> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let what = panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "without a message".to_owned());
        Err(UpgradeError::Panicked { what })
    })
}
