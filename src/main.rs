//! The `snap` binary: parse, run, exit.

fn main() {}
