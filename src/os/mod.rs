//! The one door to disk, processes, clock and locks; and the named crash points.
//!
//! Nothing outside this module creates, renames or deletes a file, spawns a process or reads the
//! clock (SQLite's own files, which its library writes, apart).

#![expect(clippy::disallowed_methods, reason = "this module is the door")]

pub mod beneath;
pub mod clock;
pub mod crash;
pub mod crew;
pub mod file;
pub mod host;
pub mod limits;
pub mod lock;
pub mod meta;
pub mod names;
pub mod process;
mod pty;
pub mod random;
pub mod usage;
pub mod volume;
