//! Point-in-time snapshots of installed web applications, and upgrades that can always be undone.
//!
//! Each module may use only those listed below it; `tests/tidy.rs` holds us to that.

/// Knows what an installed application is made of.
pub mod app;
/// Speaks with a person: arguments in, tables, JSON and exit codes out.
pub mod cli;
/// Dumps, loads and fingerprints databases.
pub mod database;
/// Hears how the work is going.
pub mod monitor;
/// Changes the disk, runs programs, reads the clock. Nothing else does.
pub mod os;
/// Keeps bytes by their hash.
pub mod repository;
/// Takes, restores, compares and verifies a point in time.
pub mod snapshot;
/// Reads and writes files, in one fixed order.
pub mod tree;
/// Changes an application so that it can always be put back.
pub mod upgrade;
