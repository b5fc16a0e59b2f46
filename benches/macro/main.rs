//! Times `snap` and the backup programs found on PATH on the same trees, in alternating runs.
//!
//! `bash benches/macro.sh --quick` calls it; README.md beside this directory says how to read what
//! it writes. Every restore is compared with its source by an oracle that shares nothing with any
//! of the programs: speed counts only where the result is right.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::cast_precision_loss,
    reason = "the bans protect the product; a benchmark sets its stage by hand and may talk"
)]

mod corpora;
mod days;
mod measure;
mod options;
mod oracle;
mod picture;
mod play;
mod results;
mod scale;
mod table;
mod tools;

use std::process::ExitCode;

use options::Options;
use results::Results;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [verb, rest @ ..] = &*words
        && verb == measure::VERB
    {
        return measure::child(rest);
    }
    if let [verb, rest @ ..] = &*words
        && verb == scale::VERB
    {
        return scale::child(rest);
    }
    match Options::parse(&words).and_then(|options| run(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("macro: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), String> {
    if options.draw_only {
        let results = Results::read(&options.out)?;
        return table::write(&results, &options.out);
    }
    let tools = tools::found(options)?;
    let mut results = Results::new(options, &tools);
    for tool in &tools {
        println!("{:<8} {}", tool.name(), tool.version);
    }
    for workload in corpora::workloads(options) {
        println!("== {}: {}", workload.name, workload.told);
        let trees = workload.prepare(options)?;
        play::workload(options, &tools, &workload, &trees, &mut results)?;
        workload.done(options)?;
        results.write(&options.out)?;
    }
    if options.wants("W9") {
        println!("== W9: a snapshot a day");
        days::play(options, &tools, &mut results)?;
    }
    if options.wants("index") {
        println!("== an index of many chunks");
        scale::play(options, &mut results)?;
    }
    results.write(&options.out)?;
    table::write(&results, &options.out)
}
