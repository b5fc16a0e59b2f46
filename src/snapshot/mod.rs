//! Takes, restores, compares and verifies a point in time: files and databases under one id.

mod address;
mod annex;
pub mod converge;
pub mod diff;
mod digest;
mod error;
mod examine;
mod export;
mod find;
mod import;
mod keep;
mod label;
mod list;
mod live;
mod mend;
mod needs;
mod prune;
mod reach;
mod record;
mod refill;
pub mod retain;
mod scan;
mod source;
mod stats;
mod stored;
mod take;
#[cfg(test)]
mod testing;
#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests build their own worlds")]
mod tests;
mod tidy;
mod verify;
mod written;

pub use address::{Found, resolve, split_path};
pub use annex::{Annex, Guarded, RootAnnex};
pub use digest::files_digest;
pub use error::SnapshotError;
pub use examine::{Examined, Hurt, examine, lost_by_reading};
pub use export::{EXPORT_DIR, Exported, export};
pub use find::{Finder, Sighting, Wanted};
pub use import::{Import, import};
pub use keep::{KEPT_ROOT, Told, keep_tree};
pub use label::{drop_labels, relabel};
pub use list::{Listed, Unreadable, list, list_forgotten, list_readable, open, read_back};
pub use live::{LiveDigest, digest_like, live_digest, survey};
pub use mend::{Remedy, UnreadableKind, remedies, remedy};
pub use needs::{Lack, Lost, Needs, Part};
pub use prune::{PruneReport, PruneRequest, prune};
pub use record::{AppMark, BadRecord, Class, Counts, DatabaseMark, Root, Snapshot};
pub use refill::{OnDisk, on_disk, refill};
pub use source::{Memory, Source, Trust};
pub use stats::{Share, Stats, stats};
pub use take::{Prepared, Request, StoredTrees, prepare, prepare_stored, take};
pub use tidy::{tidy, tidy_directories};
pub use verify::{Verification, verify};
pub use written::Proved;
