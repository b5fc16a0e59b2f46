//! The `snap` binary: parse, run, exit.

use std::process::ExitCode;

use snap_backup::os::process;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    if let [_, verb, rest @ ..] = &arguments[..]
        && verb == process::GATE_VERB
    {
        // A child of ours on its way to become another program: before anything else is set up.
        return ExitCode::from(process::gate(rest));
    }
    snap_backup::cli::run(arguments)
}
