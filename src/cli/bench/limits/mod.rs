//! What this machine can do at most: each thing that a backup is made of, done alone.
//!
//! What keeps a core busy is told in time on the core, so that neighbours on the machine do not
//! make a limit look lower than it is; what waits for the disk in time on the wall.

mod data;
mod disk;
mod files;

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::os::clock;

use super::scan::{Sample, Scan};

/// Times of the primitives on this machine, measured on a sample of one tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Primitives {
    /// To open, read and sort a directory, an entry.
    pub(super) list_ns: f64,
    /// To look at one entry's metadata.
    pub(super) stat_ns: f64,
    /// To open, look at, read and close one file of the sample.
    pub(super) read_ns: f64,
    /// BLAKE3, file by file, a byte.
    pub(super) hash_ns: f64,
    /// The level of zstd at which backups compress.
    #[serde(default)]
    pub(super) level: i32,
    /// zstd at that level over bundles of neighbours, a byte.
    pub(super) compress_ns: f64,
    /// How many bytes become one.
    pub(super) ratio: f64,
    /// AES-256-GCM, a byte.
    pub(super) seal_ns: f64,
    /// zstd the other way, a byte.
    pub(super) decode_ns: f64,
    /// To create, write, dress and close one file of the sample.
    pub(super) create_ns: f64,
    /// To give a file the name of another.
    pub(super) rename_ns: f64,
    /// To the disk and acknowledged by it, bytes a second.
    pub(super) write_rate: f64,
    /// From the disk, past the page cache, bytes a second.
    pub(super) disk_read_rate: f64,
    /// How many files the sample had.
    pub(super) sample_files: u64,
    /// How many bytes.
    pub(super) sample_bytes: u64,
}

/// Measures them on a sample of what `scan` has met; `scratch` is a directory on the disk that
/// the repository and the restored files lie on.
pub(super) fn measure(scan: &Scan, scratch: &Path) -> io::Result<Primitives> {
    let sample = scan.sample()?;
    let (list_ns, stat_ns) = files::walk(&sample)?;
    let read_ns = files::read(&sample)?;
    let (create_ns, rename_ns) = files::create(&sample, scratch)?;
    let (write_rate, disk_read_rate) = disk::measure(scratch)?;
    let data = data::measure(&sample)?;
    Ok(Primitives {
        list_ns,
        stat_ns,
        read_ns,
        hash_ns: data.hash_ns,
        level: data.level,
        compress_ns: data.compress_ns,
        ratio: data.ratio,
        seal_ns: data.seal_ns,
        decode_ns: data.decode_ns,
        create_ns,
        rename_ns,
        write_rate,
        disk_read_rate,
        sample_files: sample.files.len() as u64,
        sample_bytes: sample.bytes(),
    })
}

/// The least time on the core that `work` took in three runs, for each of `units`, in nanoseconds.
fn best(units: usize, mut work: impl FnMut() -> io::Result<()>) -> io::Result<f64> {
    let mut least = f64::INFINITY;
    for _ in 0..3 {
        let before = clock::thread_cpu();
        work()?;
        least = least.min(clock::thread_cpu().saturating_sub(before).as_secs_f64());
    }
    Ok(each(least, units))
}

/// Seconds for all, as nanoseconds for one.
#[expect(clippy::cast_precision_loss, reason = "a figure of three digits")]
fn each(seconds: f64, units: usize) -> f64 {
    seconds * 1e9 / units.max(1) as f64
}

impl Sample {
    /// All its bytes.
    fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.text.len() as u64).sum()
    }
}
