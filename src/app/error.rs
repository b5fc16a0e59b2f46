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
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A link leads out of the tree, or in circles.
    #[error("{path} leads out of {place}")]
    LeadsOut {
        /// From the root.
        path: String,
        /// Which tree.
        place: String,
    },
    /// Something else stands where a file should.
    #[error("{path} in {place} is no regular file")]
    NotAFile {
        /// From the root.
        path: String,
        /// Which tree.
        place: String,
    },
    /// A file is larger than such a file can be.
    #[error("{path} in {place} is larger than {max_bytes} bytes")]
    TooLarge {
        /// From the root.
        path: String,
        /// Which tree.
        place: String,
        /// The limit.
        max_bytes: u64,
    },
    /// A pattern became none once its variables were filled in.
    #[error("{pattern:?} is no pattern")]
    BadPattern {
        /// The pattern.
        pattern: String,
        /// Why.
        source: globset::Error,
    },
    /// A template names a variable for which nothing was found.
    #[error("nothing gives {{{name}}} a value, which {template:?} needs")]
    NoValue {
        /// The variable.
        name: String,
        /// Where it is used.
        template: String,
    },
    /// A configuration value is not written literally, so what it is cannot be known.
    #[error("{file}:{line}: {} is not literal: {what}", key.as_deref().unwrap_or("the file"))]
    NotLiteral {
        /// From the root.
        file: String,
        /// Counted from 1.
        line: usize,
        /// The value that was asked for; `None` if the whole file cannot be read.
        key: Option<String>,
        /// What stands there instead.
        what: String,
    },
}
