//! What `snap` knows about a kind of application: a TOML file, checked once at the door.
//!
//! A key that is not in the schema is refused with its nearest neighbour; a key of the schema that
//! this version cannot honour is refused too. Nothing is ignored.

mod model;
mod node;
mod parse;
mod probes;
mod reader;
mod sections;
mod sources;
mod steps;
mod template;

#[cfg(test)]
mod tests;

pub use model::*;
pub use template::{Template, Vars};

/// What is wrong with a profile, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {what}{}", meant(.nearest.as_deref()))]
pub struct ProfileError {
    /// The file's path, or `builtin:NAME`.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// In bytes, counted from 1.
    pub column: usize,
    /// What is wrong there.
    pub what: String,
    /// The valid word closest to the one that was written.
    pub nearest: Option<String>,
}

fn meant(nearest: Option<&str>) -> String {
    nearest.map(|nearest| format!("; nearest: {nearest:?}")).unwrap_or_default()
}
