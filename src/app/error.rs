//! What can go wrong with an application.

use std::path::PathBuf;

use crate::app::profile::ProfileError;

/// What happened, and to what. The source is left to `source()`.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// A profile is not valid.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// A file could not be read.
    #[error("cannot read {path}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A template names a variable for which nothing was found.
    #[error("nothing gives {{{name}}} a value, which {template:?} needs")]
    NoValue {
        /// The variable.
        name: String,
        /// Where it is used.
        template: String,
    },
}
