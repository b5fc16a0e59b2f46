//! Keeps bytes by their hash: encrypted, deduplicated, immutable.
//!
//! This module does not know what a file is.

mod id;

pub use id::{ChunkId, ObjectId};
