//! How fast bytes reach the disk and come back.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use crate::cli::bench::corpus::Random;
use crate::os::clock;
use crate::os::file;

const PIECE_BYTES: usize = 1 << 20;
const PIECES: u32 = 192;

/// Bytes a second: written and acknowledged, and read back past the page cache.
pub(super) fn measure(scratch: &Path) -> io::Result<(f64, f64)> {
    let path = scratch.join("disk");
    // Noise, for a disk below may compress; filled before the clock starts, for memory that is
    // touched for the first time costs more than writing it.
    let mut piece = vec![0; PIECE_BYTES];
    Random::new(2).fill(&mut piece);
    let mut opened = file::create_new(&path, 0o600)?;
    let watch = clock::stopwatch();
    for _ in 0..PIECES {
        opened.write_all(&piece)?;
    }
    file::sync_data(&opened)?;
    let written = watch.elapsed().as_secs_f64();
    let bytes = u64::from(PIECES) * PIECE_BYTES as u64;
    file::drop_cached_pages(&opened, 0, bytes)?;
    opened.seek(SeekFrom::Start(0))?;
    let watch = clock::stopwatch();
    for _ in 0..PIECES {
        opened.read_exact(&mut piece)?;
    }
    let read = watch.elapsed().as_secs_f64();
    file::remove(&path)?;
    let rate = |seconds: f64| f64::from(PIECES) * 1_048_576.0 / seconds.max(1e-9);
    Ok((rate(written), rate(read)))
}
