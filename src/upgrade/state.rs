//! Where a transaction stands: a pure fold over the events of its journal.
//!
//! Running and recovering use the same function, so what one of them believes the other does too.
//! What is not listed is refused. No decision over states has a catch-all arm: a new state does not
//! compile until somebody has thought about it.

/// Where a transaction stands, judged only by what its journal says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// The plan is stored, nothing is touched.
    Planned,
    /// Maintenance may be on, writers may be stopped.
    Quiescing,
    /// Confirmed: this is T0, the state to come back to.
    Quiesced,
    /// The safety snapshot exists and was read back; content is untouched.
    Armed,
    /// Content is neither old nor new.
    Changing,
    /// Content is new; from here we only go forward.
    Committed,
    /// Content is being put back.
    RollingBack,
    /// Content is old again, and proved so.
    RolledBack,
    /// Neither old nor new, and the undo failed.
    Stuck,
    /// Settled.
    Closed,
}

/// What the journal may say next; one SQLite transaction each. Their bodies are in
/// [`super::event`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// The transaction exists: its plan is stored with it.
    Begun,
    /// The earlier state of maintenance, units and accounts is recorded; now they may change.
    Quiescing,
    /// Nothing writes any more.
    Quiesced,
    /// There is a way home.
    Armed,
    /// A step that changes content is about to.
    StepStarted,
    /// A child exists, and waits at its gate.
    ChildStarted,
    /// The step ended well. A hint: truth is read from the disk.
    StepFinished,
    /// The only decision: the new content stays.
    Committed,
    /// The old content is to come back.
    UndoStarted,
    /// One root or database is back.
    UndoStepFinished,
    /// All of it is back, and was proved equal.
    RolledBack,
    /// It could not be put back.
    UndoFailed,
    /// Nothing is left to do.
    Closed,
}

/// What `recover` does with a journal that ends in some state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resume {
    /// Settled: nothing.
    Nothing,
    /// Content is untouched: sweep what is ours, put services back as recorded, close.
    Reopen,
    /// Content is new: lift maintenance, retain, close.
    Finish,
    /// Content is old again and proved: put services back as recorded, close.
    CloseRolledBack,
    /// Content may be anything: put the old one back.
    RollBack,
}

/// An event that the journal must not hold where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("event {event:?} cannot follow {}", state.map_or("nothing".to_owned(), |s| format!("state {s:?}")))]
pub struct Illegal {
    /// Where the transaction stood; `None` before its first event.
    pub state: Option<State>,
    /// What was to follow.
    pub event: EventKind,
}

impl State {
    /// Every state, in the order of the protocol's table.
    pub const ALL: [Self; 10] = [
        Self::Planned,
        Self::Quiescing,
        Self::Quiesced,
        Self::Armed,
        Self::Changing,
        Self::Committed,
        Self::RollingBack,
        Self::RolledBack,
        Self::Stuck,
        Self::Closed,
    ];

    /// Where `event` leads from here. Every pair not listed is refused.
    pub fn next(self, event: EventKind) -> Result<Self, Illegal> {
        use {EventKind as E, State as S};
        let next = match (self, event) {
            (S::Planned, E::Quiescing) => S::Quiescing,
            (S::Quiescing, E::Quiesced) => S::Quiesced,
            (S::Quiesced, E::Armed) => S::Armed,
            (S::Armed | S::Changing, E::StepStarted) | (S::Changing, E::StepFinished) => {
                S::Changing
            }
            (S::Changing, E::Committed) => S::Committed,
            (S::Changing | S::RollingBack | S::Stuck, E::UndoStarted)
            | (S::RollingBack, E::UndoStepFinished) => S::RollingBack,
            (S::RollingBack, E::RolledBack) => S::RolledBack,
            (S::RollingBack, E::UndoFailed) => S::Stuck,
            (state, E::Closed) if state.may_close() => S::Closed,
            (state, E::ChildStarted) if state.may_run_children() => state,
            (state, event) => return Err(Illegal { state: Some(state), event }),
        };
        Ok(next)
    }

    /// Where the events lead, from the first on.
    pub fn fold(events: impl IntoIterator<Item = EventKind>) -> Result<Option<Self>, Illegal> {
        events.into_iter().try_fold(None, |state, event| after(state, event).map(Some))
    }

    /// What `recover` does with a journal that ends here.
    pub const fn resume(self) -> Resume {
        match self {
            Self::Closed => Resume::Nothing,
            Self::Planned | Self::Quiescing | Self::Quiesced | Self::Armed => Resume::Reopen,
            Self::Committed => Resume::Finish,
            Self::RolledBack => Resume::CloseRolledBack,
            // A step with no end may have half happened. Undo restores a state instead of
            // reversing a change, so how far the step got does not matter.
            Self::Changing | Self::RollingBack | Self::Stuck => Resume::RollBack,
        }
    }

    /// Whether content may differ from T0, or was decided to.
    pub const fn has_changed(self) -> bool {
        match self {
            Self::Planned | Self::Quiescing | Self::Quiesced | Self::Armed => false,
            Self::Changing
            | Self::Committed
            | Self::RollingBack
            | Self::RolledBack
            | Self::Stuck
            | Self::Closed => true,
        }
    }

    /// Content must be as at T0, or new by a durable decision.
    const fn may_close(self) -> bool {
        match self {
            Self::Planned
            | Self::Quiescing
            | Self::Quiesced
            | Self::Armed
            | Self::Committed
            | Self::RolledBack => true,
            Self::Changing | Self::RollingBack | Self::Stuck | Self::Closed => false,
        }
    }

    /// Probes, maintenance commands and migrations run in every state that still works.
    const fn may_run_children(self) -> bool {
        match self {
            Self::Planned
            | Self::Quiescing
            | Self::Quiesced
            | Self::Armed
            | Self::Changing
            | Self::Committed
            | Self::RollingBack
            | Self::RolledBack => true,
            Self::Stuck | Self::Closed => false,
        }
    }

    /// What is true of the content here, for the protocol's table and for `show`.
    pub const fn truth(self) -> &'static str {
        match self {
            Self::Planned => "the plan is stored, nothing is touched",
            Self::Quiescing => "maintenance may be on, writers may be stopped",
            Self::Quiesced => "confirmed quiet: T0",
            Self::Armed => "the safety snapshot was read back; content is untouched",
            Self::Changing => "content is neither old nor new",
            Self::Committed => "content is new",
            Self::RollingBack => "content is being put back",
            Self::RolledBack => "content is old again, and proved",
            Self::Stuck => "neither old nor new, and the undo failed",
            Self::Closed => "settled",
        }
    }
}

/// Where `event` leads from `state`, where `None` is before the first event.
pub fn after(state: Option<State>, event: EventKind) -> Result<State, Illegal> {
    match (state, event) {
        (None, EventKind::Begun) => Ok(State::Planned),
        (None, event) => Err(Illegal { state: None, event }),
        (Some(state), event) => state.next(event),
    }
}

impl Resume {
    /// The same for a reader of the protocol.
    pub const fn says(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Reopen => "sweep what is ours, services as recorded, close as untouched",
            Self::Finish => "**forward**: services as recorded, retain, close as committed",
            Self::CloseRolledBack => "services as recorded, close as rolled back",
            Self::RollBack => "**roll back**",
        }
    }
}

impl EventKind {
    /// Every event, in the order of the protocol's table.
    pub const ALL: [Self; 13] = [
        Self::Begun,
        Self::Quiescing,
        Self::Quiesced,
        Self::Armed,
        Self::StepStarted,
        Self::ChildStarted,
        Self::StepFinished,
        Self::Committed,
        Self::UndoStarted,
        Self::UndoStepFinished,
        Self::RolledBack,
        Self::UndoFailed,
        Self::Closed,
    ];

    /// The name stored in the journal. It never changes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::Quiescing => "quiescing",
            Self::Quiesced => "quiesced",
            Self::Armed => "armed",
            Self::StepStarted => "step-started",
            Self::ChildStarted => "child-started",
            Self::StepFinished => "step-finished",
            Self::Committed => "committed",
            Self::UndoStarted => "undo-started",
            Self::UndoStepFinished => "undo-step-finished",
            Self::RolledBack => "rolled-back",
            Self::UndoFailed => "undo-failed",
            Self::Closed => "closed",
        }
    }

    /// The event of that stored name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    #[test]
    fn nothing_changes_before_the_snapshot_is_read_back() {
        for state in [State::Planned, State::Quiescing, State::Quiesced] {
            assert!(state.next(EventKind::StepStarted).is_err());
        }
    }

    #[test]
    fn a_committed_upgrade_is_never_rolled_back() {
        for event in [EventKind::UndoStarted, EventKind::RolledBack, EventKind::UndoFailed] {
            assert!(State::Committed.next(event).is_err());
        }
        assert_eq!(State::Committed.resume(), Resume::Finish);
    }

    #[test]
    fn a_change_is_closed_only_by_a_commit_or_a_proved_rollback() {
        for state in [State::Changing, State::RollingBack, State::Stuck] {
            assert!(state.next(EventKind::Closed).is_err());
            assert_eq!(state.resume(), Resume::RollBack);
        }
    }

    #[test]
    fn nothing_follows_the_end() {
        for event in EventKind::ALL {
            assert!(State::Closed.next(event).is_err());
        }
    }

    #[test]
    fn only_a_beginning_comes_first_and_only_once() {
        for event in EventKind::ALL {
            assert_eq!(after(None, event).is_ok(), event == EventKind::Begun);
        }
        for state in State::ALL {
            assert!(state.next(EventKind::Begun).is_err());
        }
    }

    #[test]
    fn a_stored_name_leads_back_to_its_event() {
        for event in EventKind::ALL {
            assert_eq!(EventKind::parse(event.name()), Some(event));
        }
        assert_eq!(EventKind::parse("Begun"), None);
    }

    fn events() -> impl Strategy<Value = Vec<EventKind>> {
        prop::collection::vec(prop::sample::select(&EventKind::ALL[..]), 0..200)
    }

    proptest! {
        /// Drives a random walk that skips what is refused, as the journal does.
        #[test]
        fn a_legal_history_cut_anywhere_can_be_settled(events in events()) {
            let mut state = after(None, EventKind::Begun).expect("a beginning is legal");
            let (mut armed, mut committed, mut undone) = (false, false, false);
            for event in events {
                let Ok(next) = state.next(event) else { continue };
                armed |= event == EventKind::Armed;
                committed |= event == EventKind::Committed;
                undone |= event == EventKind::UndoStarted;
                state = next;
                prop_assert!(!(committed && undone), "both ways were taken");
                match state.resume() {
                    Resume::Finish => prop_assert!(committed),
                    Resume::RollBack | Resume::CloseRolledBack => prop_assert!(armed && !committed),
                    Resume::Reopen => prop_assert!(!committed && !undone),
                    Resume::Nothing => prop_assert_eq!(state, State::Closed),
                }
            }
        }

        /// What recover does from any state ends in `Closed` by legal events alone.
        #[test]
        fn every_state_has_a_legal_way_to_the_end(events in events()) {
            let mut state = State::Planned;
            for event in events {
                state = state.next(event).unwrap_or(state);
            }
            let way: &[EventKind] = match state.resume() {
                Resume::Nothing => &[],
                Resume::Reopen | Resume::Finish | Resume::CloseRolledBack => &[EventKind::Closed],
                Resume::RollBack =>
                    &[EventKind::UndoStarted, EventKind::RolledBack, EventKind::Closed],
            };
            let end = way.iter().try_fold(state, |state, event| state.next(*event));
            prop_assert_eq!(end, Ok(State::Closed));
        }
    }
}
