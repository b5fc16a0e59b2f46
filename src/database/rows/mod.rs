//! Rows of any database as bytes: how one is written, and where their stream is cut.
//!
//! A table is one stream of rows in key order. Each row is the bytes that the server spelled, so a
//! value that no client library can represent still comes back as it was.

mod codec;
mod cut;

pub use codec::{Cell, RowCodec, RowStream};
pub use cut::{CUT_TARGET, Cutter, PIECE_BYTES_MAX};
