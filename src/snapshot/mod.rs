//! Takes, restores, compares and verifies a point in time: files and databases under one id.

mod address;
mod error;
mod record;
mod stored;
#[cfg(test)]
mod testing;

pub use address::{Found, resolve, split_path};
pub use error::SnapshotError;
pub use record::{AppMark, BadRecord, Class, Counts, DatabaseMark, Root, Snapshot};
