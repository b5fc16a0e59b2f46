//! Odd surroundings: nobody listens, disks are full or read-only, roots have strange names.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::is_root;
use crate::notes_upgrade::{leftovers, plan, unchanged, upgrade};
use crate::run::{Run, args, tool};
use crate::site::Notes;
use crate::stage::{copy, read, write};
use crate::world::{World, binary};

/// `snap ARGS` as a shell starts it with these redirections.
fn redirected(world: &World, redirections: &str, args: Vec<OsString>) -> Run {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("exec \"$@\" {redirections}"), "sh"]).arg(binary()).args(args);
    command.env_clear().envs(world.environment()).current_dir(world.path(""));
    world.start_command(command).end()
}

#[test]
fn an_upgrade_that_nobody_hears_ends_as_any_other() {
    for redirections in ["<&- >&-", "<&- >&- 2>&-", ">/dev/full 2>/dev/full", "| head -c 1"] {
        let (world, site) = World::with_notes();
        let before = site.fingerprint();
        let run = redirected(&world, redirections, upgrade("1.4.0"));
        if !redirections.contains('|') {
            run.exits(20);
        }
        unchanged(&site, &before, redirections);
        world.snap(["recover"]).ok().says("nothing to do");
        redirected(&world, redirections, upgrade("1.3.2")).ok();
        assert_eq!(read(site.root.join("VERSION")), "1.3.2\n", "{redirections}");
    }
}

#[test]
fn a_dump_that_did_not_arrive_is_no_success() {
    let world = World::new();
    let file = world.path("tree/file");
    write(&file, crate::nasty::noise(3_000_000, 4));
    world.snap(args!["backup", world.path("tree")]).ok();
    let dump = || args!["dump", format!("latest:{}", file.display())];
    redirected(&world, ">/dev/full", dump()).exits(14);
    redirected(&world, "| head -c 10 >/dev/null", dump()).ok();
}

#[test]
fn an_answer_that_did_not_arrive_is_no_success() {
    let (world, _site) = World::with_notes();
    world.snap(["backup", "--app", "notes"]).ok();
    world.snap(upgrade("1.3.2")).ok();
    for words in [
        "",
        "help",
        "help exit-codes",
        "backup --help",
        "explain E0110",
        "version",
        "snapshots",
        "ls latest -R",
        "find *",
        "stats",
        "diff latest latest --stat",
        "diff latest --live",
        "history",
        "show T1",
        "key list",
        "app list",
        "app show notes",
        "check",
        "plan --app notes --from-dir RELEASE",
        "forget --keep-last 1 --dry-run",
        "prune --dry-run",
        "recover --dry-run",
    ] {
        let release = crate::site::notes::release("1.4.0");
        let typed = words.split_whitespace();
        let args: Vec<OsString> = typed
            .map(|word| if word == "RELEASE" { release.clone().into() } else { word.into() })
            .collect();
        world.snap(&args).ok();
        redirected(&world, ">/dev/full", args.clone()).exits(14).says("standard output");
        let enough = redirected(&world, "| head -c 1", args.clone()).ok();
        assert!(!enough.stderr.contains("error"), "{enough}");
        let json = [args, args!["--json"]].concat();
        if !world.snap(&json).ok().stdout.is_empty() {
            redirected(&world, ">/dev/full", json).exits(14).says("standard output");
        }
    }
}

/// Runs `work` on a small file system below the world that `fill` has filled to its end.
fn on_a_full_disk(world: &World, work: impl FnOnce(&Path)) {
    let small = world.path("small");
    fs::create_dir(&small).expect("ours");
    tool("mount", &[&"-t", &"tmpfs", &"-o", &"size=1m,mode=755", &"none", &small]);
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        fs::create_dir(small.join("cache")).expect("there is room yet");
        let _ = fs::write(small.join("fill"), vec![0; 2 << 20]);
        let _ = fs::write(small.join("fill.rest"), vec![0; 1 << 16]);
        work(&small);
    }));
    tool("umount", &[&"-l", &small]);
    if let Err(panic) = ended {
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn a_full_disk_under_the_cache_hinders_neither_upgrade_nor_rollback_nor_recovery() {
    if !is_root() {
        eprintln!("skipped: mounting a small file system needs root");
        return;
    }
    let (world, site) = World::with_notes();
    on_a_full_disk(&world, |small| {
        let snap = |args: Vec<OsString>| {
            let mut command = world.command(args);
            command.env("SNAP_CACHE_DIR", small.join("cache"));
            command
        };
        let before = site.fingerprint();
        world.start_command(snap(args!["backup", "--app", "notes"])).end().ok();
        world.start_command(snap(upgrade("1.4.0"))).end().exits(20);
        unchanged(&site, &before, "put back");
        let mut dying = snap(upgrade("1.4.0"));
        dying.env("SNAP_CRASH_AT", "after-undo-started");
        world.start_command(dying).end().killed();
        world.start_command(snap(args!["recover"])).end().ok();
        unchanged(&site, &before, "recovered");
        world.start_command(snap(upgrade("1.3.2"))).end().ok();
    });
}

#[test]
fn a_state_directory_that_takes_nothing_is_found_by_the_plan() {
    if !is_root() {
        eprintln!("skipped: a read-only mount needs root");
        return;
    }
    let (world, site) = World::with_notes();
    let before = site.fingerprint();
    for args in [plan("1.3.2"), upgrade("1.3.2")] {
        let mut command = Command::new("unshare");
        let script =
            "mount --bind \"$1\" \"$1\"; mount -o remount,bind,ro \"$1\"; shift; exec \"$@\"";
        command.args(["-m", "sh", "-ec", script, "sh"]);
        command.arg(world.path("state")).arg(binary()).args(args);
        command.env_clear().envs(world.environment());
        world.start_command(command).end().exits(15).says("state directory");
    }
    unchanged(&site, &before, "refused");
}

#[test]
fn roots_of_every_spelling_are_upgraded_and_put_back() {
    for name in ["slash/", "a link", "Ünïcode 日本 'q\"\t x", "-rf *"] {
        let world = World::new();
        let site = Notes::install(&world.path(""));
        let home = world.path("homes");
        fs::create_dir(&home).expect("ours");
        let named = home.join(name.trim_end_matches('/'));
        let root = if name == "a link" {
            std::os::unix::fs::symlink(&site.root, &named).expect("ours");
            site.root.clone()
        } else {
            fs::rename(&site.root, &named).expect("ours");
            named.clone()
        };
        let site = Notes { root };
        let typed = home.join(name);
        let quoted = serde_json::to_string(&typed.display().to_string()).expect("text");
        let profile = format!("extends = \"builtin:sql-files\"\nroot = {quoted}\n");
        write(world.path("config/apps.d/notes.toml"), profile);
        tool("chmod", &[&"600", &world.path("config/apps.d/notes.toml")]);
        let before = site.fingerprint();
        world.snap(plan("1.3.2")).ok();
        world.snap(upgrade("1.4.0")).exits(20);
        unchanged(&site, &before, name);
        assert_eq!(leftovers(&site), [""; 0], "{name}");
        world.snap(["backup", "--app", "notes"]).ok();
        world.snap(upgrade("1.3.2")).ok();
        let back = args!["restore", "latest", "--app", "notes", "--in-place", "--delete", "--yes"];
        let back = back.into_iter().chain(args!["--confirm", "notes"]);
        world.snap(back.collect::<Vec<_>>()).ok();
        unchanged(&site, &before, &format!("{name}: restored in place"));
        if name == "a link" {
            assert!(fs::symlink_metadata(&named).expect("it is there").is_symlink());
        }
    }
}

#[test]
fn an_odd_environment_changes_nothing() {
    let (world, site) = World::with_notes();
    let before = site.fingerprint();
    let kept = world.path("kept");
    copy(&site.root, &kept);
    for (zone, locale) in
        [("Foo/Bar", "xx_YY"), (":/etc/passwd", "tr_TR.UTF-8"), ("UTC+99", "C"), ("", "")]
    {
        let with = |args: Vec<OsString>| {
            let mut command = world.command(args);
            command.envs([("TZ", zone), ("LANG", locale), ("LC_ALL", locale), ("COLUMNS", "3")]);
            command.envs([("TERM", "dumb"), ("HOME", "relative")]);
            world.start_command(command).end()
        };
        with(upgrade("1.4.0")).exits(20);
        unchanged(&site, &before, zone);
        for args in [args!["snapshots"], args!["history"], args!["app", "show", "notes"]] {
            with(args).ok();
        }
    }
}
