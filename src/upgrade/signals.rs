//! What somebody outside wants while a transaction runs.
//!
//! The first INT or TERM asks: stop, or put everything back, and say so. The second insists: stop
//! now, the journal stays, `recover` settles it. Once the new content is decided nobody can stop it
//! any more. `cli` listens and calls [`Signals::note`]; the library looks at its safe points.

use std::sync::atomic::{AtomicI32, AtomicU8, AtomicU32, Ordering};

/// How far a transaction is, for whoever receives a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// No transaction is open.
    Free,
    /// One is open and nothing is changed yet: to stop is to close it.
    Untouched,
    /// Content is being changed or put back.
    Changing,
    /// The new content stays: what is left is done to the end.
    Committed,
}

/// Shared between the listener and the transaction.
#[derive(Debug, Default)]
pub struct Signals {
    first: AtomicI32,
    count: AtomicU32,
    stage: AtomicU8,
}

impl Signals {
    /// Nobody has asked for anything.
    pub const fn new() -> Self {
        Self { first: AtomicI32::new(0), count: AtomicU32::new(0), stage: AtomicU8::new(0) }
    }

    /// INT or TERM has come, by number. Safe to call from a signal handler.
    ///
    /// Returns how often one has come: from the second on the listener ends the process, unless
    /// [`stage`](Self::stage) is [`Stage::Committed`].
    pub fn note(&self, signal: i32) -> u32 {
        let _ = self.first.compare_exchange(0, signal, Ordering::SeqCst, Ordering::SeqCst);
        self.count.fetch_add(1, Ordering::SeqCst).saturating_add(1)
    }

    /// The first signal that asked to stop.
    pub fn asked(&self) -> Option<i32> {
        Some(self.first.load(Ordering::SeqCst)).filter(|signal| *signal != 0)
    }

    /// How far the transaction is.
    pub fn stage(&self) -> Stage {
        match self.stage.load(Ordering::SeqCst) {
            0 => Stage::Free,
            1 => Stage::Untouched,
            2 => Stage::Changing,
            _ => Stage::Committed,
        }
    }

    /// Says how far the transaction is.
    pub fn enter(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_signal_is_remembered_and_the_second_counted() {
        let signals = Signals::new();
        assert_eq!(signals.asked(), None);
        assert_eq!(signals.note(15), 1);
        assert_eq!(signals.note(2), 2);
        assert_eq!(signals.asked(), Some(15));
    }

    #[test]
    fn every_stage_is_seen_as_it_was_entered() {
        let signals = Signals::new();
        for stage in [Stage::Free, Stage::Untouched, Stage::Changing, Stage::Committed] {
            signals.enter(stage);
            assert_eq!(signals.stage(), stage);
        }
    }
}
