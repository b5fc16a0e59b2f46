//! What each error of the library means: its one code of the catalogue.

mod app;
mod database;
mod repository;
mod snapshot;
mod upgrade;

use std::io;

use super::{Code, Failure};
pub(crate) use upgrade::refusal_code;

/// An error of the library, which has its place in the catalogue.
pub(crate) trait Known: std::error::Error {
    /// The one code that it is printed under.
    fn code(&self) -> Code;
}

impl<E: Known> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::of(error.code(), &error)
    }
}

/// A failure of the operating system, by what would mend it.
pub(crate) fn io_code(error: &io::Error) -> Code {
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Code::E0602,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Code::E0603,
        _ => Code::E0601,
    }
}
