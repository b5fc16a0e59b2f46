//! Two at once, interruptions, and children that outlive their parent.

use std::process::Command;

use crate::notes_upgrade::{unchanged, upgrade, upgrade_to};
use crate::run::{Running, args, until};
use crate::site::Notes;
use crate::site::notes::release;
use crate::stage::{copy, write};
use crate::world::World;

/// An upgrade whose migration computes for hours after it has changed rows.
pub(crate) fn endless(world: &World) -> Vec<std::ffi::OsString> {
    let staged = world.path("endless");
    if !staged.exists() {
        copy(release("1.3.2"), &staged);
        write(
            staged.join("migrations/0005_endless.sql"),
            "DELETE FROM notes WHERE id % 3 = 0;
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000000000)
INSERT INTO notes (title, changed) SELECT 'never', '' FROM n WHERE i < 0;
",
        );
    }
    upgrade_to(&staged)
}

/// Starts the endless upgrade and waits until its migration has begun to change rows.
pub(crate) fn in_migration(world: &World, site: &Notes) -> Running {
    in_migration_by(world, site, world.command(endless(world)))
}

/// The same, started by `command`, which may have more to it.
pub(crate) fn in_migration_by(world: &World, site: &Notes, command: Command) -> Running {
    let mut running = world.start_command(command);
    until("the migration deletes rows", || {
        assert!(!running.ended(), "the upgrade ended: {}", running.said());
        site.ask_if_free("SELECT COUNT(*) FROM notes").is_some_and(|count| count != "400\n")
    });
    running
}

#[test]
fn of_two_upgrades_at_once_the_second_is_refused_and_told_by_whom() {
    let (world, site) = World::with_notes();
    let before = site.fingerprint();
    let running = in_migration(&world, &site);
    let second = world.snap(endless(&world)).exits(11);
    assert!(
        second.to_string().contains(&running.pid().to_string()),
        "the holder is named: {second}"
    );
    // A backup of the same application must not take a state that may be undone.
    let backup = world.snap(["backup", "--app", "notes"]);
    assert!([11, 24].contains(&backup.code()), "{backup}");
    running.signal(2);
    running.end().exits(130);
    unchanged(&site, &before, "interrupted");
}

#[test]
fn an_interrupted_upgrade_puts_everything_back_and_says_by_what_it_was_stopped() {
    for (signal, code) in [(2, 130), (15, 143)] {
        let (world, site) = World::with_notes();
        let before = site.fingerprint();
        let running = in_migration(&world, &site);
        running.signal(signal);
        running.end().exits(code);
        unchanged(&site, &before, "interrupted");
        world.snap(["recover"]).ok();
    }
}

#[test]
fn a_lost_terminal_does_not_stop_an_upgrade() {
    let (world, site) = World::with_notes();
    let before = site.fingerprint();
    let mut running = in_migration(&world, &site);
    running.signal(1);
    // It goes on: the next signal is the one that ends it.
    assert!(!running.ended());
    running.signal(15);
    running.end().exits(143);
    unchanged(&site, &before, "ended by the second signal");
}

#[test]
fn a_second_signal_stops_at_once_and_recover_settles() {
    let (world, site) = World::with_notes();
    let before = site.fingerprint();
    let running = in_migration(&world, &site);
    running.signal(2);
    running.signal(2);
    let run = running.end();
    // Whichever of the two it was in time for.
    assert!([24, 130].contains(&run.code()), "{run}");
    if run.code() == 24 {
        world
            .snap(args!["upgrade", "--app", "notes", "--from-dir", release("1.3.2"), "--yes"])
            .exits(24)
            .says("recover");
    }
    world.snap(["recover"]).ok();
    unchanged(&site, &before, "recovered");
}

#[test]
fn while_a_transaction_is_open_whatever_changes_the_application_is_refused() {
    let (world, site) = World::with_notes();
    let before = site.fingerprint();
    let running = in_migration(&world, &site);
    running.signal(9);
    running.end().killed();
    world.snap(endless(&world)).exits(24).says("snap recover");
    world.snap(["backup", "--app", "notes"]).exits(24);
    world.snap(args!["plan", "--app", "notes", "--from-dir", release("1.3.2")]).exits(24);
    world.snap(["history"]).ok();
    world.snap(["recover", "-n"]).ok();
    world.snap(["recover"]).ok();
    unchanged(&site, &before, "recovered");
    world.snap(["recover"]).ok();
    world.snap(upgrade("1.3.2")).ok();
}

#[test]
fn no_question_blocks_without_a_terminal() {
    let (world, site) = World::with_notes();
    let before = site.fingerprint();
    world.snap(["backup", "--app", "notes"]).ok();
    let questions = [
        args![
            "upgrade",
            "--app",
            "notes",
            "--from-dir",
            release("1.3.2"),
            "--base",
            release("1.1.0")
        ],
        args!["restore", "latest", "--app", "notes", "--in-place", "--delete"],
        args!["restore", "latest", "--app", "notes", "--in-place", "--delete", "--yes"],
    ];
    for question in questions {
        let run = world.snap(&question);
        assert_eq!(run.code(), 5, "{run}");
        assert!(run.took.as_secs() < 5, "it waited: {run}");
        unchanged(&site, &before, "refused");
    }
    // The same with a closed standard input and no session.
    let mut command = std::process::Command::new("setsid");
    command.args(["--wait", "sh", "-c", "exec \"$@\" <&-", "sh"]).arg(crate::world::binary());
    command.args(args![
        "upgrade",
        "--app",
        "notes",
        "--from-dir",
        release("1.3.2"),
        "--base",
        release("1.1.0")
    ]);
    command.env_clear().envs(world.environment()).current_dir(world.path(""));
    world.start_command(command).end().exits(5);
    let bare = World::bare();
    let run = bare.snap(["init"]);
    assert!([2, 5].contains(&run.code()), "init asks for a passphrase: {run}");
}
