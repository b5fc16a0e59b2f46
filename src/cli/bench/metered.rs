//! A run of `snap` that tells what it has used: a child of `snap bench`.
//!
//! Only a process of its own can tell its peak of memory, so every measured command is one. It
//! does what the command does and writes the figures to a file when it is done.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use serde::{Deserialize, Serialize};

use crate::os::{clock, file, usage};

/// The hidden verb: a file for the figures, then what would be typed after `snap`.
pub(in crate::cli) const VERB: &str = "__metered";

/// What a command has used.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Metered {
    pub(super) seconds: f64,
    pub(super) cpu_seconds: f64,
    pub(super) peak_bytes: u64,
    pub(super) written_bytes: u64,
    pub(super) syncs: u64,
    pub(super) switched_out: u64,
}

/// Runs the command, and returns its exit code.
pub(in crate::cli) fn run(rest: &[OsString]) -> ExitCode {
    let [figures, typed @ ..] = rest else { return ExitCode::from(2) };
    let before = usage::so_far();
    let watch = clock::stopwatch();
    let exit = crate::cli::run(std::iter::once("snap".into()).chain(typed.iter().cloned()));
    let seconds = watch.elapsed().as_secs_f64();
    let used = usage::so_far().since(before);
    let told = Metered {
        seconds,
        cpu_seconds: (used.user + used.system).as_secs_f64(),
        peak_bytes: used.peak_bytes,
        written_bytes: used.written_bytes,
        syncs: used.syncs,
        switched_out: used.switched_out,
    };
    let path = Path::new(figures);
    let (Some(dir), Some(name)) = (path.parent(), path.file_name().and_then(|n| n.to_str())) else {
        return ExitCode::from(2);
    };
    let text = serde_json::to_vec(&told).unwrap_or_default();
    match file::replace(dir, name, &text, 0o600) {
        Ok(()) => exit,
        Err(_) => ExitCode::FAILURE,
    }
}
