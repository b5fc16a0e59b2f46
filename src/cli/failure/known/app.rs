//! What goes wrong with applications and their profiles.

use crate::app::AppError;
use crate::app::profile::ProfileError;
use crate::app::release::ReleaseError;
use crate::cli::failure::Code;

use super::{Known, io_code};

impl Known for ProfileError {
    fn code(&self) -> Code {
        Code::E0303
    }
}

impl Known for AppError {
    fn code(&self) -> Code {
        match self {
            Self::Profile(error) => error.code(),
            Self::Release(error) => error.code(),
            Self::Repository(error) => error.code(),
            Self::Tree(error) => error.code(),
            Self::Snapshot(error) => error.code(),
            Self::Database(error) => error.code(),
            Self::Read { source, .. } => io_code(source),
            Self::ReadStored { source, .. } => source.code(),
            Self::LeadsOut { .. }
            | Self::NotAFile { .. }
            | Self::TooLarge { .. }
            | Self::NoLayout { .. } => Code::E0305,
            Self::AmbiguousLayout { .. } => Code::E0302,
            Self::BadPattern { .. }
            | Self::CircularVariable { .. }
            | Self::NoRoot { .. }
            | Self::BadDatabaseUrl { .. } => Code::E0303,
            Self::NoValue { .. }
            | Self::NotLiteral { .. }
            | Self::VariableNotFound { .. }
            | Self::AmbiguousVariable { .. }
            | Self::NoConfig { .. }
            | Self::ConfigsDisagree { .. }
            | Self::DatabaseNotOpen { .. }
            | Self::AddressLacks { .. } => Code::E0304,
            Self::SwitchFailed { .. } => Code::E0307,
            Self::NoMigrationId { .. } => Code::E0503,
            Self::UnsupportedDriver { .. } => Code::E0703,
            Self::Exposed { .. } => Code::E0003,
            Self::NoAccount { .. } | Self::WouldRunAsRoot { .. } | Self::CannotBecome { .. } => {
                Code::E0309
            }
        }
    }
}

impl Known for ReleaseError {
    fn code(&self) -> Code {
        match self {
            Self::NotFound { .. }
            | Self::Unreadable { .. }
            | Self::NoReference { .. }
            | Self::NoGit(_)
            | Self::Git { .. } => Code::E0501,
            Self::Checksum { .. } | Self::BadChecksum { .. } => Code::E0502,
            Self::UnknownArchive { .. }
            | Self::Malformed { .. }
            | Self::BadEntry { .. }
            | Self::TooMuch { .. } => Code::E0503,
            Self::NotOfApp { .. } => Code::E0504,
        }
    }
}
