//! Tables without transactions that the account may not lock: a backup says so, and an upgrade
//! starts only if the site is shut meanwhile, which is checked.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::passbolt_upgrade::{release, unchanged, upgrade};
use crate::run::args;
use crate::site::Passbolt;
use crate::world::World;

/// A switch that the profile of an administrator names.
const SWITCH: &str =
    "[[maintenance]]\nkind = \"file\"\nfile = \"app/webroot/shut.flag\"\ncontent = \"shut\"\n";

/// A site whose account has every right but to lock tables; `tags` is MyISAM.
fn without_locks(more: &str) -> (World, Passbolt) {
    let (world, site) = World::with_passbolt_and(more);
    let (server, user, name) = (&site.schema.server, &site.schema.user, &site.schema.name);
    for host in ["localhost", "127.0.0.1"] {
        server.ask(&format!("REVOKE LOCK TABLES ON `{name}`.* FROM '{user}'@'{host}'"));
    }
    (world, site)
}

#[test]
#[ignore = "needs MariaDB and PHP; bash tests/all.sh runs it"]
fn a_site_that_stays_open_is_not_upgraded_when_its_tables_are_not_of_one_instant() {
    let (world, site) = without_locks("");
    let before = site.fingerprint();
    world.snap(["backup", "--app", "passbolt"]).ok().says("one after the other");
    let (from, base) = (release("1.3.2"), release("1.1.0"));
    let plan = args!["plan", "--app", "passbolt", "--from-dir", from, "--base", base];
    world.snap(plan).exits(22).says("LOCK TABLES");
    world.snap(upgrade(release("1.3.2"))).exits(22).says("LOCK TABLES");
    unchanged(&site, &before, "refused");
    let user = &site.schema.user;
    let server = &site.schema.server;
    for host in ["localhost", "127.0.0.1"] {
        server.ask(&format!("GRANT LOCK TABLES ON `{}`.* TO '{user}'@'{host}'", site.schema.name));
    }
    world.snap(upgrade(release("1.3.2"))).ok();
}

#[test]
#[ignore = "needs MariaDB and PHP; bash tests/all.sh runs it"]
fn a_site_that_is_shut_meanwhile_is_upgraded_and_put_back_without_locks() {
    let (world, site) = without_locks(SWITCH);
    let before = site.fingerprint();
    let failing = crate::passbolt_upgrade::misbehaving(&world, "fails-asking");
    world.snap(upgrade(failing)).exits(20);
    unchanged(&site, &before, "put back");
    world.snap(upgrade(release("1.3.2"))).ok();
}

#[test]
#[ignore = "needs MariaDB and PHP; bash tests/all.sh runs it"]
fn a_backup_without_locks_beside_a_writer_is_one_and_says_what_it_is() {
    let (world, site) = without_locks("");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let busy = "INSERT INTO tags (name) VALUES ('late');".repeat(200);
            while !stop.load(Ordering::Relaxed) {
                site.schema.ask(&busy);
            }
        });
        let runs: Vec<_> = (0..5).map(|_| world.snap(["backup", "--app", "passbolt"])).collect();
        stop.store(true, Ordering::Relaxed);
        for run in runs {
            run.ok().says("one after the other");
        }
    });
    world.snap(["check", "--read-data"]).ok();
}

#[test]
#[ignore = "needs MariaDB and PHP; bash tests/all.sh runs it"]
fn whoever_writes_although_the_site_is_shut_stops_the_upgrade_before_any_change() {
    let (world, site) = without_locks(SWITCH);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Another account: no session of the application's shows it. One client writes all the
            // time, for on a busy machine a new one takes longer to start than anybody watches.
            let busy = "INSERT INTO tags (name) VALUES ('late'); DO SLEEP(0.01);".repeat(100);
            while !stop.load(Ordering::Relaxed) {
                site.schema.ask(&busy);
            }
        });
        let run = world.snap(upgrade(release("1.3.2")));
        stop.store(true, Ordering::Relaxed);
        assert_eq!(run.code(), 22, "{run}");
    });
    let version = crate::stage::read(site.root.join("app/Config/version.php"));
    assert!(version.contains("1.1.0"), "{version}");
    assert!(!site.root.join("app/webroot/shut.flag").exists(), "open again");
    world.snap(["recover"]).ok().says("nothing to do");
}
