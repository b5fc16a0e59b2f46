//! Keeps bytes by their hash: encrypted, deduplicated, immutable.
//!
//! This module does not know what a file is. Where to begin reading: the format below, then
//! `run` for how bytes come in, `reading` for how they come out.
//!
#![doc = include_str!("FORMAT.md")]

mod backend;
mod base_frames;
mod check;
mod chunker;
mod condemned;
mod content;
mod delta;
mod error;
mod format;
mod frame;
mod hashing;
mod id;
mod index;
mod key;
mod lately;
mod lease;
mod media;
mod object;
mod open;
mod own_place;
mod pack;
mod pieces;
mod prune;
mod reading;
mod record;
mod repair;
#[expect(clippy::module_inception, reason = "the folder is named for what this type is")]
mod repository;
mod reserve;
mod run;
mod scan;
mod seal;
mod seen;
mod slots;
mod spread;
mod usage;
mod verify;
mod window;
mod zeros;

#[cfg(test)]
pub(crate) mod tests;

pub use backend::{Backend, Freshness, Local, ObjectWriter, Range, Traits};
pub use base_frames::BaseFrames;
pub use check::{CheckDepth, CheckReport, Finding, Sample, Severity};
pub use content::{Extent, Piece, Stored};
pub use error::RepositoryError;
pub use format::{CHUNK_BYTES_MAX, FeatureClass};
pub use hashing::ContentHasher;
pub use id::{ChunkId, ObjectId, RepositoryId};
pub use index::Place;
pub use key::{Argon, SlotInfo, SlotKind};
pub use object::ObjectKind;
pub use open::{InitOptions, Unlock};
pub use own_place::is_own_place;
pub use pack::PackClass;
pub use pieces::Pieces;
pub use prune::{PruneMode, PrunePlan, Pruned, Pruner, Thrift};
pub use reading::Frame;
pub use record::{Mark, RecordKind};
pub use repair::packs::{Diagnosis, Mended, Mending};
pub use repair::{RebuiltIndex, RepairMode};
pub use repository::Repository;
pub use run::{Bundle, Compression, Totals, VerifyWrites, WriteOptions, Writer, Written};
pub use seen::Seen;
pub use usage::Usage;
