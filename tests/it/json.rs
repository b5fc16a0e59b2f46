//! `--json` is one ordered stream on standard output, errors too.

use serde_json::Value;

use crate::notes_upgrade::upgrade;
use crate::run::{Run, args};
use crate::site::notes::release;
use crate::stage::write;
use crate::world::World;

/// What every stream keeps to.
#[track_caller]
fn ordered(run: &Run) -> Vec<Value> {
    assert_eq!(run.stderr, "", "everything is in the stream: {run}");
    let lines = run.json();
    assert_eq!(lines[0]["message_type"], "version", "{run}");
    assert_eq!(lines[0]["repo_format"], 1, "{run}");
    let mut last = None;
    for line in &lines {
        assert!(line["message_type"].is_string(), "{line}");
        let seq = line["seq"].as_u64().unwrap_or_else(|| panic!("no seq: {line}"));
        assert!(last.is_none_or(|last| seq > last), "seq does not grow: {line}");
        last = Some(seq);
        let ts = line["ts"].as_str().unwrap_or_else(|| panic!("no ts: {line}"));
        assert!(ts.ends_with('Z') && ts.contains('T'), "RFC 3339 in UTC: {line}");
    }
    lines
}

#[test]
fn a_backup_streams_and_ends_with_its_summary() {
    let world = World::new();
    write(world.path("tree/file"), "1");
    let run = world.snap(args!["backup", "--json", world.path("tree")]).ok();
    ordered(&run);
    let summary = run.message("summary");
    assert!(summary["snapshot_id"].as_str().is_some_and(|id| id.len() >= 8), "{summary}");
    assert_eq!(summary["files_new"], 1, "{summary}");
}

#[test]
fn an_error_is_the_last_line_of_the_stream_with_code_state_and_fix() {
    let world = World::bare();
    let run = world.snap(["snapshots", "--json"]).exits(10);
    let lines = ordered(&run);
    let last = lines.last().expect("a stream has lines");
    assert_eq!(last["message_type"], "exit_error", "{run}");
    assert_eq!(last["code"], 10, "{run}");
    assert!(last["error_code"].as_str().is_some_and(|code| code.starts_with('E')), "{run}");
}

#[test]
fn a_rolled_back_upgrade_tells_its_proof_in_the_stream() {
    let (world, _site) = World::with_notes();
    let run = world
        .snap(args![
            "upgrade",
            "--app",
            "notes",
            "--from-dir",
            release("1.4.0"),
            "--base",
            release("1.1.0"),
            "--yes",
            "--json"
        ])
        .exits(20);
    ordered(&run);
    for kind in [
        "txn_start",
        "step_start",
        "step_done",
        "armed",
        "step_failed",
        "rollback_done",
        "exit_error",
    ] {
        run.message(kind);
    }
    assert_eq!(run.message("armed")["label"], "proved", "{run}");
    let proof = run.message("rollback_done");
    assert_eq!(proof["identical"], true, "{proof}");
    assert_eq!(proof["digest"]["before"], proof["digest"]["after"], "{proof}");
    assert_eq!(run.message("exit_error")["code"], 20);
}

#[test]
fn every_listing_is_json_too() {
    let (world, _site) = World::with_notes();
    world.snap(["backup", "--app", "notes"]).ok();
    world.snap(upgrade("1.3.2")).ok();
    for listing in [
        args!["snapshots", "--json"],
        args!["ls", "latest", "--json"],
        args!["history", "--json"],
        args!["show", "T1", "--json"],
        args!["key", "list", "--json"],
        args!["app", "list", "--json"],
        args!["app", "show", "notes", "--json"],
        args!["check", "--json"],
        args!["plan", "--app", "notes", "--from-dir", release("1.4.0"), "--json"],
        args!["recover", "--json"],
    ] {
        let run = world.snap(&listing).ok();
        assert_eq!(run.stderr, "", "{run}");
        assert!(!run.json().is_empty(), "{run}");
    }
}
