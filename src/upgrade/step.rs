//! The twelve steps of a transaction, as they are numbered on every screen.

/// One step. The order of the variants is the order in which they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Takes the locks and stores the plan.
    Begin,
    /// Looks for every reason not to start.
    Preflight,
    /// Stores most of what the safety snapshot needs while the site is still up.
    WarmSnapshot,
    /// Shuts the site and checks that nothing writes any more.
    Quiesce,
    /// Stores the state to come back to.
    SafetySnapshot,
    /// Reads that snapshot back and computes what is wanted.
    Arm,
    /// Makes the files what the release and the preserved configuration want them to be.
    Overwrite,
    /// Runs the application's own migrations.
    Migrate,
    /// Compares with the state before.
    Verify,
    /// Decides: the new content stays.
    Commit,
    /// Puts services back as they were.
    Reopen,
    /// Retires what is no longer needed.
    Close,
}

impl Step {
    /// Every step, in order.
    pub const ALL: [Self; 12] = [
        Self::Begin,
        Self::Preflight,
        Self::WarmSnapshot,
        Self::Quiesce,
        Self::SafetySnapshot,
        Self::Arm,
        Self::Overwrite,
        Self::Migrate,
        Self::Verify,
        Self::Commit,
        Self::Reopen,
        Self::Close,
    ];

    /// 1 to 12.
    pub fn number(self) -> u8 {
        let index = Self::ALL.iter().position(|step| *step == self).expect("ALL holds every step");
        u8::try_from(index + 1).expect("there are twelve steps")
    }

    /// The name on the screen.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Begin => "lock, begin",
            Self::Preflight => "preflight",
            Self::WarmSnapshot => "warm snapshot",
            Self::Quiesce => "quiesce",
            Self::SafetySnapshot => "safety snapshot",
            Self::Arm => "read back, arm",
            Self::Overwrite => "overwrite files",
            Self::Migrate => "migrate",
            Self::Verify => "verify",
            Self::Commit => "commit",
            Self::Reopen => "maintenance off",
            Self::Close => "close",
        }
    }

    /// Whether the site is shut while it runs.
    pub const fn is_quiet(self) -> bool {
        match self {
            Self::Begin | Self::Preflight | Self::WarmSnapshot | Self::Close => false,
            Self::Quiesce
            | Self::SafetySnapshot
            | Self::Arm
            | Self::Overwrite
            | Self::Migrate
            | Self::Verify
            | Self::Commit
            | Self::Reopen => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steps_are_numbered_from_one_to_twelve_in_order() {
        let numbers: Vec<u8> = Step::ALL.iter().map(|step| step.number()).collect();
        assert_eq!(numbers, (1..=12).collect::<Vec<u8>>());
        assert!(Step::ALL.is_sorted());
    }
}
