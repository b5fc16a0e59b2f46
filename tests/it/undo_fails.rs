//! An undo that fails for real: nothing is thrown away, the site stays shut, and whenever `recover`
//! is called once the reason is gone, it ends with the site as it was. Killed while it says that it
//! failed, it ends the same.

use std::process::{Child, Command};

use crate::busy::in_migration;
use crate::is_root;
use crate::notes_upgrade::{leftovers, unchanged, upgrade};
use crate::run::{args, tool};
use crate::site::Notes;
use crate::world::World;

/// Where these tests kill, beside the campaigns of `crash_upgrade`.
pub(crate) const POINTS: [&str; 2] = ["before-undo-failed", "after-undo-failed"];

/// `snap recover` that does not wait for what stays away.
fn recover() -> Vec<std::ffi::OsString> {
    args!["recover", "--wait", "1"]
}

fn is_shut(site: &Notes) -> bool {
    site.root.join("maintenance.flag").exists()
}

/// Kills a failing upgrade as its undo begins, lets `spoil` make that undo impossible, kills
/// `recover` around the words that it failed, and sees that `mend` is all that it takes.
#[track_caller]
fn stays_stuck_until_mended<S>(spoil: impl FnOnce(&Notes) -> S, mend: impl FnOnce(&Notes, S)) {
    let (world, site) = World::with_notes();
    let before = site.fingerprint();
    world.snap_dying_at("after-undo-started", upgrade("1.4.0")).killed();
    let spoiled = spoil(&site);
    for point in POINTS {
        world.snap_dying_at(point, recover()).killed();
        assert!(is_shut(&site), "opened although killed at {point}");
    }
    let run = world.snap(recover()).exits(21);
    assert!(run.to_string().contains("snap recover"), "it says what to do: {run}");
    assert!(is_shut(&site), "a site that is neither old nor new stays shut");
    world.snap(upgrade("1.3.2")).exits(24).says("recover");
    let told = world.snap(["history"]).ok();
    assert!(told.stdout.contains("T1"), "{told}");
    mend(&site, spoiled);
    world.snap(recover()).ok();
    unchanged(&site, &before, "recovered");
    assert_eq!(leftovers(&site), [""; 0]);
    // Settled: a good upgrade works again.
    world.snap(upgrade("1.3.2")).ok();
}

#[test]
fn an_undo_that_meets_an_immutable_directory_is_stuck_and_goes_on_once_it_is_not() {
    if !is_root() {
        eprintln!("skipped: only root can make a directory immutable");
        return;
    }
    stays_stuck_until_mended(
        |site| {
            // What the release put there must go, and cannot.
            tool("chattr", &[&"+i", &site.root.join("public")]);
        },
        |site, ()| {
            tool("chattr", &[&"-i", &site.root.join("public")]);
        },
    );
}

#[test]
fn an_undo_that_cannot_have_the_database_to_itself_is_stuck_and_goes_on_once_it_can() {
    stays_stuck_until_mended(hold, |_, holder| let_go(holder));
}

/// A program that has the site's database open.
fn hold(site: &Notes) -> Child {
    let open = std::fs::File::open(site.database()).expect("the database is there");
    Command::new("sleep").arg("600").stdin(open).spawn().expect("sleep runs")
}

fn let_go(mut holder: Child) {
    holder.kill().expect("ours");
    holder.wait().expect("ours");
}

#[test]
fn an_upgrade_that_cannot_be_undone_says_so_and_leaves_the_site_shut() {
    let (world, site) = World::with_notes();
    let before = site.fingerprint();
    let running = in_migration(&world, &site);
    let holder = hold(&site);
    running.signal(2);
    let run = running.end().exits(21);
    assert!(run.to_string().contains("snap recover"), "it says what to do: {run}");
    assert!(run.to_string().contains("sleep"), "it names who is in the way: {run}");
    assert!(is_shut(&site));
    let_go(holder);
    world.snap(recover()).ok();
    unchanged(&site, &before, "recovered");
}
