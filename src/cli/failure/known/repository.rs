//! What goes wrong with the repository.

use crate::cli::failure::Code;
use crate::repository::RepositoryError;

use super::{Known, io_code};

impl Known for RepositoryError {
    fn code(&self) -> Code {
        match self {
            Self::NotFound { .. } => Code::E0110,
            Self::AlreadyExists { .. } => Code::E0113,
            Self::NoKey => Code::E0121,
            Self::WrongKey { .. } => Code::E0120,
            Self::KeyFile { .. } => Code::E0122,
            Self::KeySlot { .. } => Code::E0124,
            Self::Locked { .. } => Code::E0140,
            Self::LeaseLost => Code::E0141,
            Self::UnknownFeature { .. } | Self::TooNew { .. } => Code::E0131,
            Self::Damaged { .. } | Self::ChunkTooLong { .. } => Code::E0130,
            Self::MissingChunk { .. } | Self::UnsoundIndex { .. } => Code::E0132,
            Self::Source(source) => io_code(source),
            Self::NoSpace { .. } => Code::E0603,
            // Storage that refuses is another state of affairs than a file of the app that does.
            Self::RunFailed { .. } | Self::Io { .. } => Code::E0150,
        }
    }
}
