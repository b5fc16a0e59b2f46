//! A restore by somebody who may not put everything back: what is missing is named, all else is
//! compared, and nothing more is claimed.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::json;

use crate::files::as_nobody;
use crate::oracle::{Skip, tree};
use crate::run::args;
use crate::stage::write;
use crate::world::World;
use crate::{is_root, run::tool};

/// The tree as an ordinary user can have it: without owners, set-id bits and devices.
fn possible(fingerprint: &str) -> String {
    let lines = fingerprint.lines().filter(|line| !line.contains("\"null\""));
    let bare = |line: &str| {
        let mut words = line.split(' ');
        let (path, kind, mode, _owner) =
            (words.next(), words.next(), words.next().unwrap_or_default(), words.next());
        let mode = u32::from_str_radix(mode, 8).expect("a mode") & !0o6000;
        let rest: Vec<&str> = words.collect();
        format!("{path:?} {kind:?} {mode:o} {rest:?}\n")
    };
    lines.map(bare).collect()
}

#[test]
fn what_an_ordinary_user_may_not_put_back_is_named_and_all_else_is_proved() {
    if !is_root() {
        eprintln!("skipped: only root can give files away");
        return;
    }
    let world = World::new();
    let source = world.path("tree");
    for name in ["foreign", "plain", "setuid", "dir/inside"] {
        write(source.join(name), name);
    }
    fs::hard_link(source.join("foreign"), source.join("second")).expect("ours");
    symlink("plain", source.join("link")).expect("ours");
    tool("chown", &[&"-hR", &"nobody:nogroup", &source]);
    tool("chown", &[&"-h", &"12:34", &source.join("foreign"), &source.join("link")]);
    tool("chown", &[&"12:34", &source.join("setuid"), &source.join("dir")]);
    tool("chmod", &[&"4755", &source.join("setuid")]);
    tool("mknod", &[&source.join("null"), &"c", &"1", &"3"]);
    let before = tree(&source, Skip::default());
    world.snap(args!["backup", source]).ok();
    tool("chown", &[&"-R", &"nobody:nogroup", &world.path("")]);

    let restore = |target: &str, more: &[&str]| {
        let target = world.path(target);
        let words = args!["restore", "latest", "--target", target];
        let more: Vec<_> = more.iter().map(Into::into).collect();
        as_nobody(&world, [words, more].concat()).exits(3)
    };
    let names = ["foreign", "link", "setuid", "dir", "null"];
    let placed =
        |target: &str| world.path(target).join(source.strip_prefix("/").expect("absolute path"));
    for (target, more) in [("a", &[][..]), ("a", &["--overwrite"]), ("b", &["--json"])] {
        let run = restore(target, more);
        let said = format!("{}{}", run.stdout, run.stderr);
        if target == "b" {
            let summary = run.message("summary");
            let lacks = json!({ "owners": 4, "attributes": 0, "specials": 1, "flags": 0 });
            assert_eq!(summary["not_put_back"], lacks, "{run}");
            assert_eq!(
                (&summary["verified"], &summary["content_verified"]),
                (&json!(false), &json!(true))
            );
            assert_eq!(summary["problems"], 5);
            let errors = run.json().into_iter().filter(|line| line["message_type"] == "error");
            assert_eq!(errors.count(), names.len(), "{run}");
        } else {
            let run =
                run.says(", content verified").says("compared without: 4 owners, 1 special file");
            assert!(!run.stdout.contains(", verified"), "{run}");
            assert!(run.stdout.lines().skip(1).all(|line| line.chars().count() <= 80), "{run}");
            for name in names {
                let line = format!("tree/{name}: it");
                assert_eq!(said.matches(&line).count(), 1, "{name} is named once: {run}");
            }
        }
        let after = tree(placed(target), Skip::default());
        assert_eq!(possible(&after.0), possible(&before.0), "{target} {more:?}");
    }
    // Root has the right, and its restore over the same target is whole.
    let target = world.path("a");
    world
        .snap(args!["restore", "latest", "--target", target, "--overwrite"])
        .ok()
        .says(", verified");
    assert_eq!(tree(placed("a"), Skip::default()), before);
}

#[test]
fn what_is_closed_to_whoever_restores_it_is_not_said_to_be_compared() {
    if !is_root() {
        eprintln!("skipped: only root can save what is closed to its owner");
        return;
    }
    let world = World::new();
    let source = world.path("tree");
    for name in ["plain", "shut/inside"] {
        write(source.join(name), name);
    }
    tool("chmod", &[&"000", &source.join("shut")]);
    tool("chown", &[&"-hR", &"nobody:nogroup", &source]);
    let before = tree(&source, Skip::default());
    world.snap(args!["backup", source]).ok();
    tool("chown", &[&"-R", &"nobody:nogroup", &world.path("")]);
    let target = world.path("target");
    let run = as_nobody(&world, args!["restore", "latest", "--target", target]).exits(3);
    let run = run.says(", not all of it verified").says("not looked at again: 1 path");
    let json = as_nobody(&world, args!["restore", "latest", "--target", world.path("b"), "--json"]);
    let summary = json.exits(3).message("summary");
    assert_eq!(
        (&summary["content_verified"], &summary["not_compared"]),
        (&json!(false), &json!(1))
    );
    assert!(run.stderr.contains("tree/shut"), "{run}");
    let placed = target.join(source.strip_prefix("/").expect("absolute path"));
    assert_eq!(tree(placed, Skip::default()), before);
}
