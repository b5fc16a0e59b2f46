//! A plan looks and touches nothing.

use std::process::Command;

use crate::oracle::{Skip, same, tree};
use crate::run::{args, tool};
use crate::site::notes::release;
use crate::stage::write;
use crate::world::{World, binary};
use crate::{is_root, nasty, notes_upgrade};

#[test]
fn a_plan_changes_nothing_and_starts_nothing_of_the_application() {
    let (world, site) = World::with_notes();
    // Anything the application could be made to run leaves a mark.
    let canary = world.path("canary-was-started");
    let script = format!("#!/bin/sh\necho started >> {}\n", canary.display());
    write(site.root.join("bin/notes"), &script);
    let staged = world.path("staged");
    crate::stage::copy(release("1.3.2"), &staged);
    write(staged.join("bin/notes"), &script);
    let before = (tree(&site.root, Skip::default()), site.fingerprint().1);
    let plan = args![
        "plan",
        "--app",
        "notes",
        "--from-dir",
        staged,
        "--base",
        release("1.1.0"),
        "--take",
        "bin/notes",
        "--files"
    ];
    let run = world.snap(&plan).ok();
    // Not even what the product itself would skip has changed.
    same(&before.0.0, &tree(&site.root, Skip::default()).0, "planned: files");
    same(&before.1, &site.fingerprint().1, "planned: database");
    assert!(!canary.exists(), "the plan started something of the application");
    for said in [
        "1.1.0",
        "1.3.2",
        "MINOR",
        "config.php.default",
        "0003_uri",
        "0004_statistics",
        "lib/old.php",
    ] {
        assert!(run.stdout.contains(said), "the plan does not say {said:?}: {run}");
    }
}

#[test]
fn a_plan_works_where_the_application_cannot_be_written() {
    if !is_root()
        || Command::new("unshare").args(["-m", "true"]).status().map_or(true, |s| !s.success())
    {
        eprintln!("skipped: a mount namespace needs root");
        return;
    }
    let (world, site) = World::with_notes();
    let plan = notes_upgrade::plan("1.3.2");
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-ec", "mount --bind \"$1\" \"$1\"; mount -o remount,bind,ro \"$1\"; shift; ! touch \"$ROOT/x\" 2>/dev/null; exec \"$@\"", "sh"]);
    command.arg(&site.root).arg(binary()).args(plan);
    command.env_clear().envs(world.environment()).env("ROOT", &site.root);
    world.start_command(command).end().ok().says("1.3.2");
}

#[test]
fn a_plan_exits_with_the_code_the_upgrade_would_be_refused_with() {
    let (world, site) = World::with_notes();
    let plan = |more: &[&str]| {
        let mut plan = args!["plan", "--app", "notes", "--from-dir", release("1.3.2")];
        plan.extend(more.iter().map(Into::into));
        plan
    };
    world.snap(plan(&[])).exits(22);
    let base = release("1.1.0").display().to_string();
    world.snap(plan(&["--base", &base])).ok();
    world.snap(plan(&["--base", &base, "--detailed-exitcode"])).exits(4);
    write(site.root.join("data/notes.db"), nasty::noise(9000, 1));
    world.snap(plan(&["--base", &base])).exits(27);
    world.snap(args!["plan", "--app", "notes", "--from-dir", world.path("nowhere")]).exits(26);
    tool("true", &[]);
}
