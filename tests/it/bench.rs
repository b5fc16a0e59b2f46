//! `snap bench`: every stage is measured, nothing is left, and a slower run is told from noise.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::nasty::noise;
use crate::oracle::{Skip, same, tree};
use crate::run::{args, tool};
use crate::stage::write;
use crate::world::World;

const STAGES: [&str; 6] =
    ["first-backup", "unchanged-backup", "restore", "changed-backup", "converge", "check"];

fn plant(root: &Path) {
    for number in 0..200 {
        let text = format!("<?php return {number};\n").repeat(20 + number);
        write(root.join(format!("part{}/file{number}.php", number % 13)), text);
    }
    write(root.join("noise.bin"), noise(400_000, 1));
    std::os::unix::fs::symlink("noise.bin", root.join("link")).expect("a fresh name");
}

/// The report in the last line of a JSON stream.
fn report(stream: &str) -> Value {
    let last = stream.lines().last().expect("a stream has lines");
    serde_json::from_str::<Value>(last).expect("each line is JSON")["report"].take()
}

#[test]
fn every_stage_is_measured_and_the_tree_is_only_read() {
    let world = World::bare();
    let source = world.path("tree");
    plant(&source);
    let before = tree(&source, Skip::default());
    let page = world.path("bench.html");
    let told = world.snap(args!["bench", source, "--runs", "1", "--html", page]).ok();
    for words in ["first backup", "converge back", "of the limit", "ideal"] {
        assert!(told.stdout.contains(words), "{words}: {told}");
    }
    assert!(told.stdout.lines().all(|line| line.chars().count() <= 80), "{told}");
    same(&before.0, &tree(&source, Skip::default()).0, "measured");
    assert_eq!(fs::read_dir(world.path("tmp")).expect("it is there").count(), 0);
    let page = fs::read_to_string(page).expect("it was written");
    assert!(page.contains("<svg") && page.contains("default-src 'none'") && page.len() < 300_000);
}

#[test]
fn a_slower_run_fails_and_an_equal_one_does_not() {
    let world = World::bare();
    let source = world.path("tree");
    plant(&source);
    let told = world.snap(args!["bench", source, "--runs", "1", "--json"]).ok();
    let mut then = report(&told.stdout);
    let names: Vec<&str> = then["stages"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|s| s["name"].as_str())
        .collect();
    assert_eq!(names, STAGES);
    for stage in then["stages"].as_array().expect("a list") {
        for figure in ["cpu_seconds", "peak_bytes"] {
            assert!(stage[figure].as_f64() > Some(0.0), "{figure} of {stage}");
        }
        assert!(stage["limit"]["seconds"].as_f64() > Some(0.0), "{stage}");
    }
    assert!(then["stages"][0]["syncs"].as_u64() > Some(2), "a backup waits for the disk");
    let old = world.path("old.json");
    let against = |then: &Value, above: &str| {
        write(&old, then.to_string());
        world.snap(args!["bench", source, "--runs", "1", "--compare", old, "--fail-above", above])
    };
    against(&then, "100000%").ok();
    // What the same tree takes in the repository is the same on a busy machine too.
    then["stages"][0]["stored_bytes"] = 1_000.into();
    let slower = against(&then, "50%").exits(3);
    assert!(slower.stderr.contains("E0903") && slower.stderr.contains("stored"), "{slower}");
    then["machine"]["cores"] = 4096.into();
    against(&then, "50%").exits(2);
}

#[test]
fn what_is_no_report_or_no_tree_is_refused_before_any_work() {
    let world = World::bare();
    write(world.path("no.json"), "{}");
    world.snap(["bench", "--compare", "no.json"]).exits(2);
    world.snap(["bench", "no.json"]).exits(2);
    // The temporary directory would lie in what is measured.
    world.snap(["bench", "."]).exits(2);
    assert_eq!(fs::read_dir(world.path("tmp")).expect("it is there").count(), 0);
}

#[test]
fn the_limits_of_a_machine_are_told_alone() {
    let world = World::bare();
    let told = world.snap(["bench", "limits", "--json"]).ok();
    let last: Value = serde_json::from_str(told.stdout.lines().last().expect("a stream has lines"))
        .expect("JSON");
    for primitive in ["list_ns", "stat_ns", "read_ns", "hash_ns", "compress_ns", "create_ns"] {
        assert!(last["limits"][primitive].as_f64() > Some(0.0), "{primitive}: {last}");
    }
}

#[test]
fn five_hundred_copies_of_a_release_cost_little_more_than_one() {
    let world = World::new();
    let (one, all) = (world.path("one"), world.path("all"));
    for number in 0..24u64 {
        let mut bytes = noise(9_000, number);
        bytes.extend_from_slice(&b"function same() {}\n".repeat(300));
        write(one.join(format!("lib{}/file{number}.php", number % 5)), bytes);
    }
    fs::create_dir(&all).expect("a fresh directory");
    for number in 0..500 {
        tool("cp", &[&"-a", &one, &all.join(format!("site-{number}"))]);
    }
    let stored = |source: &Path| {
        let used = || {
            let told = tool("du", &[&"-sb", &world.repository()]);
            let told = String::from_utf8_lossy(&told).into_owned();
            told.split_whitespace().next().and_then(|n| n.parse::<u64>().ok()).expect("a number")
        };
        let before = used();
        world.snap(args!["backup", source]).ok();
        used() - before
    };
    let single = stored(&one);
    // The copies are backed up where nothing of the release is known yet.
    fs::remove_dir_all(world.repository()).expect("ours");
    fs::remove_dir_all(world.path("cache")).expect("ours");
    fs::remove_dir_all(world.path("config")).expect("ours");
    world.snap(["init", "--no-recovery"]).ok();
    let many = stored(&all);
    crate::report(&format!("500 copies of one release: {many} bytes stored, one: {single}"));
    // A name of its own for each copy is no cost of the release; one of real size hides it.
    assert!(many * 100 <= single * 105 + 500 * 100 * 64, "{many} for 500, {single} for one");
    assert!(many < single * 2, "{many} for 500, {single} for one");
}
