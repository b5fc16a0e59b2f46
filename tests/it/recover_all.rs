//! Two applications were cut off at once: `recover` settles both, and killed on the way, the next
//! one does.

use std::fs;
use std::path::PathBuf;

use crate::arena::is_full;
use crate::busy::in_migration;
use crate::notes_upgrade::unchanged;
use crate::oracle::Tree;
use crate::run::args;
use crate::site::Notes;
use crate::site::notes::release;
use crate::stage::{copy, read};
use crate::world::World;

/// What a transaction writes beside the site.
const WRITTEN: [&str; 5] = ["config", "state", "cache", "run", "repository"];

struct Two {
    world: World,
    sites: [Notes; 2],
    before: [(Tree, String); 2],
    cut_off: PathBuf,
}

fn upgrade(app: &str, version: &str) -> Vec<std::ffi::OsString> {
    let (from, base) = (release(version), release("1.1.0"));
    args!["upgrade", "--app", app, "--from-dir", from, "--base", base, "--yes"]
}

impl Two {
    /// Two sites whose upgrades died, each at its point.
    fn cut_off(died: [(&str, &str); 2]) -> Self {
        let world = World::new();
        let sites = ["one", "two"].map(|name| {
            fs::create_dir(world.path(name)).expect("a fresh directory");
            let site = Notes::install(&world.path(name));
            let switch = "[[maintenance]]\nkind = \"file\"\nfile = \"maintenance.flag\"\ncontent = \"shut\"\n";
            world.register(name, "sql-files", &site.root, switch);
            site
        });
        let before = [sites[0].fingerprint(), sites[1].fingerprint()];
        for (app, (version, point)) in ["one", "two"].into_iter().zip(died) {
            world.snap_dying_at(point, upgrade(app, version)).killed();
        }
        let cut_off = world.path("cut-off");
        let two = Self { world, sites, before, cut_off };
        for (from, to) in two.kept() {
            copy(from, to);
        }
        two
    }

    /// What the dead transactions left, and where a copy of it lies.
    fn kept(&self) -> Vec<(PathBuf, PathBuf)> {
        let written = WRITTEN.iter().map(|name| (self.world.path(name), self.cut_off.join(name)));
        let sites = ["one", "two"].iter().zip(&self.sites);
        let sites = sites.map(|(name, site)| (site.root.clone(), self.cut_off.join(name)));
        written.chain(sites).collect()
    }

    /// Both as their transactions left them.
    fn again(&self) {
        for (live, copy_of) in self.kept() {
            fs::remove_dir_all(&live).expect("ours");
            copy(copy_of, live);
        }
    }

    /// Where an unhurt `recover` could die.
    fn points(&self) -> Vec<String> {
        let log = self.world.path("met");
        let mut command = self.world.command(["recover", "--all"]);
        command.env("SNAP_CRASH_LOG", &log);
        self.world.start_command(command).end().ok();
        let mut met = std::collections::BTreeMap::new();
        let mut points = Vec::new();
        for name in read(&log).lines() {
            let hit = met.entry(name.to_owned()).or_insert(0);
            *hit += 1;
            points.push(format!("{name}:{hit}"));
        }
        points
    }
}

#[test]
#[ignore = "long; bash tests/all.sh runs it"]
fn wherever_the_recovery_of_two_applications_dies_the_next_one_settles_both() {
    let cases = [
        // Both must be put back.
        ([("1.3.2", "after-child-started"), ("1.3.2", "before-committed")], [true, true]),
        // One is put back, the other was decided and goes forward.
        ([("1.4.0", "undo-database-back"), ("1.3.2", "after-committed")], [true, false]),
        // One was not changed yet.
        ([("1.3.2", "before-armed"), ("1.4.0", "converge-renamed:2")], [true, true]),
    ];
    let kills: usize = cases.into_iter().map(|(died, old)| campaign(died, old)).sum();
    crate::report(&format!("recover of two applications: {kills} kills, 0 bad ends"));
}

#[test]
fn an_application_that_somebody_works_on_does_not_keep_the_others_from_being_settled() {
    let (world, site) = World::with_notes();
    let before = site.fingerprint();
    fs::create_dir(world.path("other")).expect("a fresh directory");
    let other = Notes::install(&world.path("other"));
    world.register("other", "sql-files", &other.root, "");
    let other_before = other.fingerprint();
    let running = in_migration(&world, &site);
    world.snap_dying_at("after-undo-started", upgrade("other", "1.4.0")).killed();
    world.snap(["recover"]).exits(11).says(&running.pid().to_string());
    unchanged(&other, &other_before, "settled beside a running upgrade");
    running.signal(15);
    running.end().exits(143);
    unchanged(&site, &before, "stopped");
    world.snap_dying_at("after-undo-started", upgrade("other", "1.4.0")).killed();
    world.snap(args!["recover", "--app", "notes"]).ok().says("of other is");
    world.snap(args!["recover", "--app", "notes", "--app", "other"]).ok();
    unchanged(&other, &other_before, "settled by name");
}

/// Kills `recover` at its points; how many deaths there were.
fn campaign(died: [(&str, &str); 2], old: [bool; 2]) -> usize {
    let two = Two::cut_off(died);
    let met = two.points();
    let settled = [two.sites[0].fingerprint(), two.sites[1].fingerprint()];
    for index in 0..2 {
        if old[index] {
            unchanged(&two.sites[index], &two.before[index], "settled");
        } else {
            assert_ne!(settled[index].1, two.before[index].1, "went forward");
        }
    }
    let step = if is_full() { 1 } else { met.len().div_ceil(4) };
    let mut kills = 0;
    for point in met.iter().step_by(step) {
        two.again();
        let run = two.world.snap_dying_at(point, args!["recover", "--all"]);
        kills += usize::from(run.code() == 137);
        two.world.snap(["recover", "--all"]).ok();
        for (site, wanted) in two.sites.iter().zip(&settled) {
            unchanged(site, wanted, &format!("{died:?}, killed at {point}"));
        }
        two.world.snap(["recover"]).ok().says("nothing to do");
    }
    kills
}
