//! A run: everything that one writer adds before it commits.
//!
//! ```text
//! worker, with a bundle of its own:  hash, look up, append; when full: compress,
//!     reserve number and place in the open pack, seal, decode and compare, write there
//! closer, one thread:  footer, sync, rename of packs that are full; index segments; lease
//! caller:  sync = close all, sync directories, publish the index;  commit = sync, then the record
//! ```

mod bundle;
mod closer;
mod copied;
mod delta;
mod feed;
mod helpers;
mod made;
mod open_pack;
mod recent;
mod state;
mod writer;

pub use bundle::Bundle;
pub(super) use copied::CopiedFrame;
pub use writer::{Compression, Totals, VerifyWrites, WriteOptions, Writer, Written};
