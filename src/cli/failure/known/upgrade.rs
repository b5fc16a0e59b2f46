//! What goes wrong with transactions.

use crate::app::hook::Failure as ChildFailure;
use crate::cli::failure::Code;
use crate::upgrade::UpgradeError;
use crate::upgrade::journal::JournalError;
use crate::upgrade::plan::RefusalKind;

use super::{Known, io_code};

impl Known for JournalError {
    fn code(&self) -> Code {
        match self {
            Self::Lost { .. }
            | Self::TooNew { .. }
            | Self::Damaged { .. }
            | Self::Illegal { .. }
            | Self::Body { .. }
            | Self::Uncertain { .. } => Code::E0421,
            Self::NotLocal { .. } => Code::E0433,
            Self::Open { .. } | Self::Read(_) | Self::Busy(_) => Code::E0432,
            Self::Unknown(_) => Code::E0407,
            Self::StillOpen(_) => Code::E0401,
            Self::Full(_) => Code::E0603,
        }
    }
}

impl Known for UpgradeError {
    fn code(&self) -> Code {
        match self {
            Self::Journal(error) => error.code(),
            Self::Repository(error) => error.code(),
            Self::Snapshot(error) => error.code(),
            Self::Tree(error) => error.code(),
            Self::Database(error) => error.code(),
            Self::App(error) | Self::NotReopened(error) => error.code(),
            Self::Plan(_) => Code::E0418,
            Self::NoRelease { .. } => Code::E0501,
            Self::NoMigrator { .. } => Code::E0303,
            Self::Refused(refusals) => {
                let gravest = refusals.iter().map(|refusal| refusal.kind).min();
                gravest.map_or(Code::E0403, refusal_code)
            }
            Self::StalePlan { .. } => Code::E0404,
            Self::Locked { .. } => Code::E0402,
            Self::OpenTransaction { .. } => Code::E0401,
            Self::NotQuiet { .. } | Self::ChangedUnderQuiesce { .. } => Code::E0405,
            Self::FateChanged { .. } => Code::E0406,
            Self::Unplaceable(_) => Code::E0403,
            Self::PartialSafety { .. } | Self::NoWayBack { .. } => Code::E0409,
            Self::Child { source, .. } => match source {
                ChildFailure::UnknownQuestion { .. }
                | ChildFailure::Asked { .. }
                | ChildFailure::AskedTooOften { .. } => Code::E0414,
                ChildFailure::Hung { .. } | ChildFailure::TooSlow { .. } => Code::E0415,
                _ => Code::E0412,
            },
            Self::VerifyFailed { .. } => Code::E0413,
            Self::Stopped { .. } => Code::E0430,
            Self::Panicked { .. } => Code::E0901,
            Self::Outlived(_) | Self::ProofFailed { .. } | Self::StillMissing { .. } => Code::E0420,
            Self::OtherMachine { .. } => Code::E0421,
            Self::OtherServer { .. } => Code::E0704,
            Self::NotUndoable { .. } => Code::E0408,
            Self::Io { source, .. } => io_code(source),
        }
    }
}

/// The code of a reason not to start.
pub(crate) const fn refusal_code(kind: RefusalKind) -> Code {
    match kind {
        RefusalKind::OpenTransaction => Code::E0401,
        RefusalKind::Locked => Code::E0402,
        RefusalKind::Database => Code::E0702,
        RefusalKind::Storage => Code::E0151,
        RefusalKind::Source => Code::E0501,
        RefusalKind::Space => Code::E0160,
        RefusalKind::Question => Code::E0416,
        RefusalKind::Edited => Code::E0411,
        RefusalKind::Jump => Code::E0417,
        RefusalKind::Preflight => Code::E0403,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_exits_alike_from_the_plan_and_from_the_catalogue() {
        for kind in [
            RefusalKind::OpenTransaction,
            RefusalKind::Locked,
            RefusalKind::Database,
            RefusalKind::Storage,
            RefusalKind::Source,
            RefusalKind::Space,
            RefusalKind::Question,
            RefusalKind::Edited,
            RefusalKind::Jump,
            RefusalKind::Preflight,
        ] {
            assert_eq!(refusal_code(kind).page().exit.code(), kind.exit_code(), "{kind:?}");
        }
    }
}
