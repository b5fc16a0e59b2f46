//! Single files that matter alone: written so that a reader, or a crash, finds all of them or none.
//!
//! Trees are not written through here: they are written aside and made durable by one `syncfs`.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use super::crash::{CrashPoint, reach};

/// Puts `bytes` at `dir/name` so that a reader, or a crash, finds all of them or none.
///
/// A crash may leave a `.snap-*` file beside it.
pub fn replace(dir: &Path, name: &str, bytes: &[u8], mode: u32) -> io::Result<()> {
    static SERIAL: AtomicU64 = AtomicU64::new(0);
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    // Not made from `name`: a name may already be as long as the file system allows.
    let temp = dir.join(format!(".snap-{}-{serial}", process::id()));
    let mut file = File::options().write(true).create_new(true).mode(mode).open(&temp)?;
    file.write_all(bytes)?;
    reach(CrashPoint::TempWritten);
    file.sync_all()?;
    reach(CrashPoint::TempSynced);
    fs::rename(&temp, dir.join(name))?;
    reach(CrashPoint::Renamed);
    sync_dir(dir)
}

/// Makes the names in `dir` durable. A rename lasts only once its directory does.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
