//! The database server is killed while a migration or an undo is at work, on a server of the test's
//! own. What the server forgets is the server's; what `snap` does about it is looked at here.

use std::collections::BTreeMap;
use std::path::Path;

use crate::own_server::OwnServer;
use crate::passbolt_upgrade::{misbehaving, unchanged, upgrade};
use crate::run::{Run, Running, args, until};
use crate::site::Passbolt;
use crate::stage::read;
use crate::undo_fails::POINTS;
use crate::world::World;

/// A site on a server that only it uses.
fn on_its_own_server() -> (World, OwnServer, Passbolt) {
    let world = World::new();
    let server = OwnServer::start(&world.path("server"));
    let site = Passbolt::install_on(&world.path(""), &server.server());
    world.register("passbolt", "passbolt-v1", &site.root, "");
    (world, server, site)
}

/// Waits until the migration has changed what it will change, and sits in one long statement.
pub(crate) fn in_its_statement(running: &mut Running, site: &Passbolt) {
    let waits = "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'DO SLEEP%'";
    until("the migration is in its long statement", || {
        assert!(!running.ended(), "the upgrade ended: {}", running.said());
        site.schema.ask(waits).trim() == "1"
    });
}

#[test]
#[ignore = "needs MariaDB and PHP; bash tests/all.sh runs it"]
fn a_server_restarted_under_a_migration_is_a_failure_that_is_put_back() {
    let (world, mut server, site) = on_its_own_server();
    let before = site.fingerprint();
    let mut running = world.start(upgrade(misbehaving(&world, "waits-for-server")));
    in_its_statement(&mut running, &site);
    server.kill();
    server.start_again();
    running.end().exits(20);
    unchanged(&site, &before, "put back");
    let tried = read(world.path("state/T1/step-8.log"));
    assert_eq!(tried.matches("Running migrations").count(), 1, "never a second try: {tried}");
}

#[test]
#[ignore = "needs MariaDB and PHP; bash tests/all.sh runs it"]
fn a_server_that_stays_away_leaves_the_transaction_stuck_until_it_is_back() {
    let (world, mut server, site) = on_its_own_server();
    let before = site.fingerprint();
    let mut command = world.command(upgrade(misbehaving(&world, "waits-for-server")));
    command.env("SNAP_CRASH_AT", "after-undo-started");
    let mut running = world.start_command(command);
    in_its_statement(&mut running, &site);
    server.kill();
    running.end().killed();
    let recover = || args!["recover", "--wait", "1"];
    for point in POINTS {
        world.snap_dying_at(point, recover()).killed();
    }
    let run = world.snap(recover()).exits(21);
    assert!(run.to_string().contains(&server.server().socket), "the server is named: {run}");
    server.start_again();
    world.snap(recover()).ok();
    unchanged(&site, &before, "recovered");
}

/// A server that dies while it makes a table may leave its file for good, which is in the way of it.
fn is_told_of(run: Run, file: &Path) {
    let said = run.exits(21).to_string();
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("a file of no table is in the way of"), "{said}");
    assert!(said.contains(&*file.parent().expect("it lies in one").to_string_lossy()), "{said}");
}

#[test]
#[ignore = "needs MariaDB and PHP; bash tests/all.sh runs it"]
fn a_file_that_a_dead_server_left_is_told_of_and_once_it_is_moved_away_the_way_back_goes_on() {
    let (world, server, site) = on_its_own_server();
    let before = site.fingerprint();
    world
        .snap_dying_at("after-undo-started", upgrade(misbehaving(&world, "empties-logs")))
        .killed();
    // As if it had died in the middle of making the table again.
    let file = server.file_of("controller_logs");
    site.schema.ask("DROP TABLE controller_logs");
    std::fs::write(&file, "").unwrap();
    is_told_of(world.snap(args!["recover"]), &file);
    std::fs::rename(&file, world.path("moved-away")).unwrap();
    world.snap(args!["recover"]).ok();
    unchanged(&site, &before, "the file was moved away");
}

/// Kills the server each time `recover` meets one more of these points, and starts it again.
#[test]
#[ignore = "needs MariaDB and PHP; bash tests/all.sh runs it"]
fn a_server_killed_while_it_is_put_back_is_waited_for_and_the_part_is_done_again() {
    let (world, mut server, site) = on_its_own_server();
    // Enough that putting it back takes a while.
    site.schema.ask("INSERT INTO controller_logs SELECT UUID(), NULL, 'info', NULL, REPEAT('y', 400), NOW() FROM seq_1_to_60000");
    let before = site.fingerprint();
    let rounds = if crate::arena::is_full() { 30 } else { 4 };
    let points = ["object-dropped", "table-created", "rows-loaded", "views-created"];
    let (mut hit, mut left) = (BTreeMap::new(), 0);
    for round in 0..rounds {
        let go = upgrade(misbehaving(&world, "empties-logs"));
        world.snap_dying_at("after-undo-started", go).killed();
        let point = points[round % points.len()];
        let log = world.path("met");
        let _ = std::fs::remove_file(&log);
        let mut command = world.command(["recover"]);
        command.env("SNAP_CRASH_LOG", &log);
        let mut running = world.start_command(command);
        let met = || std::fs::read_to_string(&log).unwrap_or_default().contains(point);
        until(point, || running.ended() || met());
        server.kill();
        let in_time = !running.ended();
        *hit.entry((point, in_time)).or_insert(0) += 1;
        server.start_again();
        let run = running.end();
        if let Some(file) = (run.code() != 0).then(|| server.file_of_no_table()).flatten() {
            is_told_of(run, &file);
            std::fs::remove_file(file).unwrap();
            world.snap(args!["recover"]).ok();
            left += 1;
        } else {
            run.ok();
        }
        unchanged(&site, &before, point);
    }
    crate::report(&format!(
        "server killed under {rounds} rollbacks, (point, before its end): {hit:?}; {left} left a file in the way"
    ));
}
