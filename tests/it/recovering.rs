//! `recover` looks at what is there, and where it cannot tell it touches nothing.

use std::fs;

use crate::notes_upgrade::{leftovers, unchanged, upgrade};
use crate::run::{args, tool};
use crate::site::Notes;
use crate::world::World;

/// A site whose failing upgrade died as soon as it began to be undone.
fn cut_off() -> (World, Notes, (crate::oracle::Tree, String)) {
    let (world, site) = World::with_notes();
    let before = site.fingerprint();
    world.snap_dying_at("after-undo-started", upgrade("1.4.0")).killed();
    (world, site, before)
}

fn journal(world: &World) -> std::path::PathBuf {
    world.path("state/journal.db")
}

#[test]
fn recover_without_its_profile_uses_what_the_plan_kept() {
    let (world, site, before) = cut_off();
    fs::remove_file(world.path("config/apps.d/notes.toml")).expect("ours");
    fs::write(site.root.join("config.php"), "").expect("ours");
    world.snap(["recover"]).ok();
    unchanged(&site, &before, "recovered");
}

#[test]
fn recover_told_to_look_only_touches_nothing() {
    let (world, site, _) = cut_off();
    let damaged = site.fingerprint();
    let run = world.snap(["recover", "-n"]);
    assert!(run.to_string().contains("T1"), "{run}");
    unchanged(&site, &damaged, "only looked");
}

#[test]
fn a_missing_journal_beside_our_leftovers_is_not_taken_for_no_transaction() {
    let (world, site) = World::with_notes();
    world.snap_dying_at("renamed:2", upgrade("1.3.2"));
    if leftovers(&site).is_empty() {
        // The point lies where nothing of ours is in the tree; then there is nothing to find.
        return;
    }
    let damaged = site.fingerprint();
    fs::remove_file(journal(&world)).expect("ours");
    world.snap(["recover"]).exits(21).says(".snap-");
    unchanged(&site, &damaged, "nothing swept");
}

#[test]
fn a_journal_that_was_edited_is_refused() {
    let (world, site, before) = cut_off();
    let kept = fs::read(journal(&world)).expect("ours");
    let damaged = site.fingerprint();
    for edit in [
        "UPDATE event SET body = replace(body, '1', '2') WHERE seq = 2",
        "DELETE FROM event WHERE seq = (SELECT max(seq) - 1 FROM event)",
        "UPDATE event SET kind = 'committed' WHERE seq = (SELECT max(seq) FROM event)",
    ] {
        tool("sqlite3", &[&journal(&world), &edit]);
        let run = world.snap(["recover"]);
        assert_eq!(run.code(), 21, "{edit}: {run}");
        unchanged(&site, &damaged, edit);
        fs::write(journal(&world), &kept).expect("ours");
    }
    world.snap(["recover"]).ok();
    unchanged(&site, &before, "recovered");
}

#[test]
fn history_tells_how_each_transaction_ended() {
    let (world, site, before) = cut_off();
    world.snap(["recover"]).ok();
    unchanged(&site, &before, "recovered");
    world.snap(upgrade("1.3.2")).ok();
    let run = world.snap(args!["history"]).ok();
    let lines: Vec<&str> = run.stdout.lines().filter(|line| line.contains("notes")).collect();
    assert_eq!(lines.len(), 2, "{run}");
    assert!(
        lines.iter().any(|line| line.contains("T1"))
            && lines.iter().any(|line| line.contains("T2")),
        "{run}"
    );
}
