//! What goes wrong with files and snapshots.

use crate::cli::failure::Code;
use crate::snapshot::SnapshotError;
use crate::tree::TreeError;

use super::{Known, io_code};

impl Known for TreeError {
    fn code(&self) -> Code {
        match self {
            Self::Io { source, .. } => io_code(source),
            Self::BadDirectory { .. } => Code::E0208,
            Self::NoSuchDirectory { .. } => Code::E0207,
            Self::Repository(error) => error.code(),
            Self::BadPattern { .. } => Code::E0001,
        }
    }
}

impl Known for SnapshotError {
    fn code(&self) -> Code {
        match self {
            Self::Tree(error) => error.code(),
            Self::Repository(error) => error.code(),
            Self::Database(error) => error.code(),
            Self::Incomplete { source, .. } => source.code(),
            Self::RootUnreadable { .. } | Self::LiveUnreadable { .. } => Code::E0602,
            Self::BadRecord { .. } | Self::BadAnnex => Code::E0208,
            Self::BadArchive { .. } => Code::E0211,
            Self::NotFound { .. } => Code::E0201,
            Self::Ambiguous { .. } => Code::E0202,
            Self::BadAddress { .. } => Code::E0001,
            Self::RootChanged { .. } | Self::ChangedMeanwhile { .. } => Code::E0207,
            Self::WrittenWrong { .. } => Code::E0206,
        }
    }
}
