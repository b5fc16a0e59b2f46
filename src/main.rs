//! The `snap` binary: parse, run, exit.

use std::process::ExitCode;

fn main() -> ExitCode {
    snap_backup::cli::run(std::env::args_os())
}
