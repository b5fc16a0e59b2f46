//! What an operator should know about a stored state.

use std::fmt;

use super::ObjectKind;
use super::state::StoredFact;

/// What an operator should know about a state before relying on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// Rows of a SQLite table refer to rows that are not there; SQLite itself is content.
    BrokenReference {
        /// The table.
        table: String,
    },
    /// A view or trigger runs as an account that does not exist.
    OrphanDefiner {
        /// What it is.
        kind: ObjectKind,
        /// Its name.
        name: String,
        /// The account.
        definer: String,
    },
    /// The server may lose the last second of committed transactions in a crash.
    CommitsNotFlushed,
    /// The server is a replica or read-only: a restore would be refused, or would diverge.
    NotWritable {
        /// `replica` or `read_only`.
        why: String,
    },
}

impl Fact {
    /// As it is stored in a state.
    pub(super) fn stored(&self) -> StoredFact {
        let (name, values) = match self {
            Self::BrokenReference { table } => ("broken-reference", vec![table.clone()]),
            Self::OrphanDefiner { kind, name, definer } => {
                ("orphan-definer", vec![kind.to_string(), name.clone(), definer.clone()])
            }
            Self::CommitsNotFlushed => ("commits-not-flushed", vec![]),
            Self::NotWritable { why } => ("not-writable", vec![why.clone()]),
        };
        StoredFact { name: name.to_owned(), values }
    }
}

/// In one line, as an operator reads it.
impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BrokenReference { table } => {
                write!(f, "rows of table {table} refer to rows that are not there")
            }
            Self::OrphanDefiner { kind, name, definer } => {
                write!(f, "{kind} {name} runs as {definer}, an account that does not exist")
            }
            Self::CommitsNotFlushed => {
                f.write_str("the server may lose the last second of commits in a crash")
            }
            Self::NotWritable { why } => write!(f, "the server is not writable ({why})"),
        }
    }
}
