//! The `snap` binary: parse, run, exit.

use std::process::ExitCode;

use snap_backup::app::sql_files;
use snap_backup::os::process;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    if let [_, verb, rest @ ..] = &arguments[..] {
        // Children of ours, before anything else is set up: one on its way to become another
        // program, and one that is an application's migrator.
        if verb == process::GATE_VERB {
            return ExitCode::from(process::gate(rest));
        }
        if verb == sql_files::MIGRATE_VERB {
            let (mut input, mut output) = (std::io::stdin().lock(), std::io::stdout().lock());
            return ExitCode::from(sql_files::migrate(rest, &mut input, &mut output));
        }
    }
    snap_backup::cli::run(arguments)
}
