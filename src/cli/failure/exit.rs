//! The exit codes: which state the site is in, not what went wrong.

macro_rules! exits {
    ($($name:ident = $code:literal, $word:literal, $meaning:literal;)+) => {
        /// How a run ends. Stable: scripts and units rest on these numbers.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Exit { $(#[doc = $meaning] $name = $code,)+ }

        impl Exit {
            /// Every exit code, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The word for it, as JSON and `help exit-codes` show it.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $word,)+ }
            }

            /// What it says about the site.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => $meaning,)+ }
            }
        }
    };
}

exits! {
    Ok = 0, "ok", "done; also \"nothing to do\"";
    Error = 1, "error", "failed, not classified further; no app was changed";
    Usage = 2, "usage", "bad flag, argument or config file";
    Partial = 3, "partial", "done, with problems: unreadable files, owners not permitted, or clean-up after commit failed";
    Pending = 4, "pending", "only with --detailed-exitcode: there is something to do";
    Cancelled = 5, "cancelled", "the person said no, or a question was needed and none could be asked";
    NoRepo = 10, "no-repo", "the repository does not exist";
    Locked = 11, "locked", "repository or app locked; the message names who holds it";
    Password = 12, "password", "wrong or missing passphrase or key";
    Damaged = 13, "damaged", "repository damage found by check or restore";
    Space = 14, "space", "not enough space or inodes, found before anything was changed";
    Backend = 15, "backend", "storage unreachable or refused; upgrade: repository not on a local file system";
    RolledBack = 20, "rolled-back", "the upgrade failed; the app is back exactly as before, proved";
    NeedsHands = 21, "needs-hands", "the way back, or reopening, could not finish: the app is in maintenance; snap recover";
    Preflight = 22, "preflight", "refused before any change: major, hand-edited core file, downgrade, writers not quiet";
    StalePlan = 23, "stale-plan", "the saved plan no longer fits what is there";
    OpenTxn = 24, "open-txn", "an unfinished transaction exists: snap recover";
    Unhealthy = 25, "unhealthy", "probes fail, and the failed state was held on request";
    Source = 26, "source", "release not found, or its checksum is wrong";
    Db = 27, "db", "database unreachable, login refused, or no right to read or write it";
    Question = 28, "question", "a migration will ask what no answer is configured for";
    NoApp = 30, "no-app", "app unknown or ambiguous";
    Bug = 70, "bug", "a bug in snap, with a report file; no app was changed";
    Hangup = 129, "hangup", "stopped by SIGHUP; the app is as it was";
    Interrupted = 130, "interrupted", "stopped by Ctrl-C before commit; the app is untouched, or rolled back and proved";
    Terminated = 143, "terminated", "stopped by SIGTERM before commit; the app is untouched, or rolled back and proved";
}

impl Exit {
    /// The number that the process ends with.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// Which ending counts when several apps were worked on: the one that needs a person most.
    #[must_use]
    pub fn worst(self, other: Self) -> Self {
        if other.weight() > self.weight() { other } else { self }
    }

    const fn weight(self) -> u8 {
        match self {
            Self::NeedsHands => 8,
            Self::OpenTxn => 7,
            Self::RolledBack => 6,
            Self::Bug => 5,
            Self::Damaged => 4,
            Self::Partial => 2,
            Self::Pending => 1,
            Self::Ok => 0,
            Self::Error
            | Self::Usage
            | Self::Cancelled
            | Self::NoRepo
            | Self::Locked
            | Self::Password
            | Self::Space
            | Self::Backend
            | Self::Preflight
            | Self::StalePlan
            | Self::Unhealthy
            | Self::Source
            | Self::Db
            | Self::Question
            | Self::NoApp
            | Self::Hangup
            | Self::Interrupted
            | Self::Terminated => 3,
        }
    }

    /// What a failure with this exit says about the installation unless it knows better.
    pub const fn state(self) -> &'static str {
        match self {
            Self::RolledBack => "rolled back: the app is exactly as it was, and proved so",
            Self::NeedsHands => "the app stays in maintenance; nothing was deleted",
            Self::OpenTxn => "nothing was changed now; a transaction is still open",
            Self::Unhealthy => "the app was left as the failed run made it, shut for inspection",
            Self::Partial => "done, but not all of it",
            _ => "nothing was changed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needing_hands_outweighs_everything() {
        for exit in Exit::ALL {
            assert_eq!(exit.worst(Exit::NeedsHands), Exit::NeedsHands);
            assert_eq!(Exit::NeedsHands.worst(*exit), Exit::NeedsHands);
            assert_eq!(exit.worst(Exit::Ok), *exit);
        }
        let order = [
            Exit::NeedsHands,
            Exit::OpenTxn,
            Exit::RolledBack,
            Exit::Bug,
            Exit::Damaged,
            Exit::NoApp,
            Exit::Partial,
            Exit::Pending,
            Exit::Ok,
        ];
        for pair in order.windows(2) {
            assert_eq!(pair[1].worst(pair[0]), pair[0]);
            assert_eq!(pair[0].worst(pair[1]), pair[0]);
        }
    }

    #[test]
    fn a_signal_ends_with_its_number_plus_128() {
        assert_eq!(Exit::Hangup.code(), 128 + 1);
        assert_eq!(Exit::Interrupted.code(), 128 + 2);
        assert_eq!(Exit::Terminated.code(), 128 + 15);
    }
}
