//! Memory is bounded by configuration, not by what a directory or a repository holds: measured on
//! the real binary, each stage of `snap bench` being a process of its own.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

use crate::arena::is_full;
use crate::run::args;
use crate::stage::write;
use crate::world::World;

const MIB: u64 = 1 << 20;

/// Files of their own content, so many in each of some directories.
fn plant(root: &Path, directories: usize, files: usize) {
    let mut text = String::new();
    for dir in 0..directories {
        for file in 0..files {
            text.clear();
            let _ = write!(text, "file {file} of directory {dir}");
            write(root.join(format!("dir-{dir}/a-name-as-they-are-{file:07}.txt")), &text);
        }
    }
}

/// The peak of memory of each stage, by its name.
fn peaks(directories: usize, files: usize) -> impl Fn(&str) -> u64 {
    let world = World::bare();
    let source = world.path("tree");
    plant(&source, directories, files);
    let told = world.snap(args!["bench", source, "--runs", "1", "--json"]).ok();
    let last = told.stdout.lines().last().expect("a stream has lines");
    let report = serde_json::from_str::<Value>(last).expect("each line is JSON")["report"].take();
    move |name| {
        let stages = report["stages"].as_array().expect("a list");
        let stage = stages.iter().find(|stage| stage["name"] == name).expect("a stage of bench");
        stage["peak_bytes"].as_u64().expect("a figure")
    }
}

#[test]
fn a_wide_directory_takes_little_more_memory_than_a_narrow_one() {
    const WIDE: u64 = 40_000;
    let (narrow, wide) = (peaks(1, 100), peaks(1, 40_000));
    // What an entry cost when all of a directory was held: 600 to 720 bytes. A first backup also
    // fills its share of the index, which is bounded on its own.
    let per_entry = [("first-backup", 700), ("unchanged-backup", 200), ("restore", 300)];
    for (stage, bytes) in per_entry.into_iter().chain([("check", 300)]) {
        let (narrow, wide) = (narrow(stage), wide(stage));
        assert!(wide < narrow + WIDE * bytes, "{stage}: {narrow} bytes of few, {wide} of many");
    }
}

#[test]
fn a_million_files_take_a_hundred_mebibytes() {
    let (directories, files, most) = if is_full() { (1_000, 1_000, 100) } else { (20, 1_000, 64) };
    let peak = peaks(directories, files);
    for stage in ["first-backup", "unchanged-backup", "restore", "check"] {
        assert!(peak(stage) < most * MIB, "{stage}: {} MiB", peak(stage) / MIB);
    }
    if is_full() {
        let peak = peaks(1, 1_000_000);
        for stage in ["first-backup", "unchanged-backup", "restore", "check"] {
            assert!(peak(stage) < most * MIB, "one directory, {stage}: {} MiB", peak(stage) / MIB);
        }
    }
}
