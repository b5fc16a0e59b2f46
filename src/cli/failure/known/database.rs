//! What goes wrong with databases.

use crate::cli::failure::Code;
use crate::database::{BadUrl, DatabaseError};

use super::{Known, io_code};

impl Known for DatabaseError {
    fn code(&self) -> Code {
        match self {
            Self::LoginRefused { .. } => Code::E0701,
            Self::Unreachable { .. }
            | Self::NotLocal { .. }
            | Self::NoSchema { .. }
            | Self::NoFile { .. } => Code::E0702,
            Self::Refused { .. }
            | Self::TooManyRows { .. }
            | Self::SharedSchema { .. }
            | Self::RowTooLarge { .. }
            | Self::NotMappable { .. } => Code::E0703,
            Self::MissingRight { .. } | Self::Blind { .. } | Self::UnreadableDefinition { .. } => {
                Code::E0710
            }
            Self::Mismatch { .. } | Self::LoadWarning { .. } => Code::E0705,
            Self::Statement { .. }
            | Self::FileInTheWay { .. }
            | Self::Sqlite { .. }
            | Self::Stopped => Code::E0706,
            Self::OtherKind { .. } => Code::E0707,
            Self::LockTimeout { .. } | Self::Held { .. } => Code::E0708,
            Self::ChangedMeanwhile { .. } => Code::E0405,
            Self::DamagedState { .. } => Code::E0130,
            Self::TooNew { .. } => Code::E0131,
            Self::Corrupt { .. } => Code::E0709,
            Self::Repository(error) => error.code(),
            Self::Io { source, .. } => io_code(source),
        }
    }
}

impl Known for BadUrl {
    fn code(&self) -> Code {
        Code::E0707
    }
}
