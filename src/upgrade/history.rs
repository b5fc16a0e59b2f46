//! What was done to the applications of this machine, as the journal tells it.

use std::path::Path;

use super::event::{ArmedRecord, Begun, Cause, Closed, Ending, Event, Label, Proof, StepFinished};
use super::journal::{Header, Journal, JournalError, Number, Recorded, Transaction};
use super::plan::Plan;
use super::state::State;

/// One transaction, for a list or in full.
#[derive(Debug)]
pub struct Told {
    /// What it is.
    pub header: Header,
    /// Its plan; `None` if a later version wrote it.
    pub plan: Option<Plan>,
    /// Where it stands.
    pub state: State,
    /// Every event, oldest first.
    pub events: Vec<Recorded>,
}

/// Every transaction, newest first.
///
/// One whose chain is damaged ends the list with an error: nothing older is believed in silence.
pub fn history(state_dir: &Path) -> Result<Vec<Told>, JournalError> {
    let Some(journal) = Journal::open(state_dir)? else { return Ok(Vec::new()) };
    let mut told = Vec::new();
    for number in journal.numbers()?.into_iter().rev() {
        told.push(tell(&journal, number)?);
    }
    Ok(told)
}

/// One transaction.
pub fn show(state_dir: &Path, number: Number) -> Result<Told, JournalError> {
    let journal = Journal::open(state_dir)?.ok_or(JournalError::Unknown(number))?;
    tell(&journal, number)
}

/// The transactions that are not settled, oldest first.
pub fn unfinished(state_dir: &Path) -> Result<Vec<Told>, JournalError> {
    let Some(journal) = Journal::open(state_dir)? else { return Ok(Vec::new()) };
    let open = journal.unfinished()?;
    open.into_iter().map(|header| tell(&journal, header.number)).collect()
}

pub(super) fn tell(journal: &Journal, number: Number) -> Result<Told, JournalError> {
    let Transaction { header, events, state } = journal.transaction(number)?;
    let plan = Plan::decode(&journal.plan(&header)?).ok();
    Ok(Told { header, plan, state, events })
}

impl Told {
    /// When it began, in nanoseconds since 1970.
    pub fn began(&self) -> i64 {
        self.events.first().map_or(0, |event| event.at)
    }

    /// When its last event was written.
    pub fn latest(&self) -> i64 {
        self.events.last().map_or(0, |event| event.at)
    }

    /// Who began it and how.
    pub fn begun(&self) -> Option<&Begun> {
        self.find(|event| if let Event::Begun(begun) = event { Some(&**begun) } else { None })
    }

    /// The way back, once there was one.
    pub fn armed(&self) -> Option<&ArmedRecord> {
        self.find(|event| if let Event::Armed(armed) = event { Some(&**armed) } else { None })
    }

    /// How far the copy was tried, once it was.
    pub fn label(&self) -> Option<Label> {
        self.armed().map(|armed| armed.label)
    }

    /// Why it was, or is being, rolled back.
    pub fn cause(&self) -> Option<&Cause> {
        let undo = self
            .find(|event| if let Event::UndoStarted(cause) = event { Some(cause) } else { None });
        undo.or_else(|| self.closed().and_then(|closed| closed.cause.as_ref()))
    }

    /// What was compared at the end of its rollback.
    pub fn proof(&self) -> Option<&Proof> {
        self.find(|event| if let Event::RolledBack(proof) = event { Some(proof) } else { None })
    }

    /// Its end.
    pub fn closed(&self) -> Option<&Closed> {
        self.find(|event| if let Event::Closed(closed) = event { Some(closed) } else { None })
    }

    /// How it ended, if it did.
    pub fn ending(&self) -> Option<Ending> {
        self.closed().map(|closed| closed.ending)
    }

    /// The steps that ended well, in order.
    pub fn steps(&self) -> impl Iterator<Item = &StepFinished> {
        self.events.iter().filter_map(|recorded| match &recorded.event {
            Event::StepFinished(step) => Some(step),
            _ => None,
        })
    }

    /// Whether another process than the one that began it wrote to it: it was recovered.
    pub fn was_recovered(&self) -> bool {
        self.cause().is_some_and(|cause| cause.kind == super::event::CauseKind::CutOff)
    }

    fn find<'a, T: ?Sized>(&'a self, pick: impl Fn(&'a Event) -> Option<&'a T>) -> Option<&'a T> {
        self.events.iter().find_map(|recorded| pick(&recorded.event))
    }
}
