//! A stored state in the database's own form: SQL text for a server, the file itself for SQLite.

use std::io::{self, Write};
use std::path::PathBuf;

use super::DatabaseError;
use super::mysql;
use super::state::{Root, decode_refs};
use crate::repository::{ChunkId, Repository};

/// What a state becomes outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Native {
    /// A script for the server's client.
    Script,
    /// A file that SQLite opens.
    File {
        /// Permission bits.
        mode: u32,
        /// The owner's number.
        uid: u32,
        /// The group's number.
        gid: u32,
        /// Extended attributes: name and value.
        xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    },
}

/// What form a state has outside.
pub fn native(repository: &Repository, state: &ChunkId) -> Result<Native, DatabaseError> {
    let root = Root::decode(&repository.get(state)?)?;
    Ok(match root.image {
        None => Native::Script,
        Some(image) => Native::File {
            mode: image.mode,
            uid: image.uid,
            gid: image.gid,
            xattrs: image.xattrs.into_iter().map(|one| (one.name, one.value)).collect(),
        },
    })
}

/// Writes a state in that form; the same bytes for the same state.
pub fn write_native(
    repository: &Repository,
    state: &ChunkId,
    out: &mut dyn Write,
) -> Result<(), DatabaseError> {
    let root = Root::decode(&repository.get(state)?)?;
    let Some(image) = root.image else { return mysql::write_script(repository, state, out) };
    for list in &image.lists {
        for one in decode_refs(&repository.get(&ChunkId::from_bytes(list.0))?)? {
            out.write_all(&repository.get(&one.id)?).map_err(unwritten)?;
        }
    }
    Ok(())
}

/// The writer that we were given refused.
pub(super) fn unwritten(source: io::Error) -> DatabaseError {
    DatabaseError::Io { doing: "write", path: PathBuf::from("the export"), source }
}
