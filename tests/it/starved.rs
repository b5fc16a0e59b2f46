//! Disks that fill up, or fail, in the middle of a transaction: whatever then ends, ends proved.

use std::process::{Command, Stdio};

use crate::busy::in_migration;
use crate::is_root;
use crate::notes_upgrade::{leftovers, unchanged, upgrade};
use crate::own_server::OwnServer;
use crate::passbolt_upgrade::{self, misbehaving};
use crate::server_dies::in_its_statement;
use crate::site::{Notes, Passbolt};
use crate::stage::{Small, read};
use crate::world::{World, binary};

fn skipped() -> bool {
    if !is_root() {
        eprintln!("skipped: mounting a small file system needs root");
    }
    !is_root()
}

/// Fills a disk in the middle of a migration, then stops the upgrade in either way: all is put back.
/// `then` looks at what came of it.
fn put_back_on_a_full_disk(
    stage: impl Fn() -> (World, Notes, Small),
    then: impl Fn(&World, &Small),
) {
    for kills in [false, true] {
        let (world, site, disk) = stage();
        let before = site.fingerprint();
        let running = in_migration(&world, &site);
        disk.fill();
        if kills {
            running.signal(9);
            running.end().killed();
            world.snap(["recover"]).ok();
        } else {
            running.signal(2);
            running.end().exits(130);
        }
        unchanged(&site, &before, "put back");
        assert_eq!(leftovers(&site), [""; 0]);
        then(&world, &disk);
    }
}

#[test]
fn a_disk_that_is_full_under_the_journal_hinders_neither_rollback_nor_recovery() {
    if skipped() {
        return;
    }
    let stage = || {
        let (world, site) = World::with_notes();
        let state = Small::mount(world.path("state"), "size=24m,mode=700");
        (world, site, state)
    };
    put_back_on_a_full_disk(stage, |world, state| {
        world.snap(["history"]).ok().says("T1");
        state.free();
        world.snap(upgrade("1.3.2")).ok();
    });
}

#[test]
fn a_disk_that_is_full_under_the_database_hinders_neither_rollback_nor_recovery() {
    if skipped() {
        return;
    }
    let stage = || {
        let world = World::new();
        let small = Small::mount(world.path("small"), "size=16m,mode=755");
        let site = Notes::install(&world.path("small"));
        world.register("notes", "sql-files", &site.root, "");
        (world, site, small)
    };
    put_back_on_a_full_disk(stage, |_, _| {});
}

#[test]
#[ignore = "needs MariaDB and PHP; bash tests/all.sh runs it"]
fn a_server_whose_disk_is_full_is_put_back_once_it_can_write() {
    if skipped() {
        return;
    }
    let world = World::new();
    let disk = Small::mount(world.path("server"), "size=300m,mode=755");
    let server = OwnServer::start(&world.path("server"));
    let site = Passbolt::install_on(&world.path(""), &server.server());
    world.register("passbolt", "passbolt-v1", &site.root, "");
    let before = site.fingerprint();
    let release = misbehaving(&world, "waits-for-server");
    let mut running = world.start(passbolt_upgrade::upgrade(release));
    in_its_statement(&mut running, &site);
    disk.fill();
    running.signal(2);
    let run = running.end();
    if run.code() == 130 {
        passbolt_upgrade::unchanged(&site, &before, "put back on a full disk");
        return;
    }
    // The server itself could not go on; nothing is lost, and once there is room it ends proved.
    run.exits(21).says("snap recover");
    disk.free();
    world.snap(["recover"]).ok();
    passbolt_upgrade::unchanged(&site, &before, "put back once there was room");
}

/// The syncs that one commit makes of the journal, and how many its thread made before, of these
/// files.
fn syncs_of_the_commit(world: &World) -> (usize, usize) {
    let hits = world.path("hits");
    let log = world.path("calls");
    let mut command = under_strace(world, &["-P"], "fsync,fdatasync,write");
    command.arg(&hits).arg("-o").arg(&log).arg(binary()).args(upgrade("1.3.2"));
    command.env("SNAP_CRASH_LOG", &hits);
    world.start_command(command).end().ok();
    let calls = read(&log);
    let syncs = |text: &str| text.lines().filter(|line| line.contains("sync(")).count();
    let (before, rest) = calls.split_once("\"before-committed").expect("it commits");
    let (during, _) = rest.split_once("\"after-committed").expect("it commits");
    (syncs(before), syncs(during))
}

/// `strace` of what touches the journal; its own options and the program are still to come.
fn under_strace(world: &World, more: &[&str], calls: &str) -> Command {
    let mut command = Command::new("strace");
    command.args(["-D", "-f", "-qq", "-y", "-e", "signal=none", "-e", &format!("trace={calls}")]);
    let state = world.path("state");
    for path in [state.clone(), state.join("journal.db"), state.join("journal.db-journal")] {
        command.arg("-P").arg(path);
    }
    command.args(more).env_clear().envs(world.environment()).stdin(Stdio::null());
    command.current_dir(world.path(""));
    command
}

#[test]
fn an_error_of_the_disk_at_the_commit_goes_neither_way_until_recover_has_looked() {
    let (unhurt, _site) = World::with_notes();
    let (before, during) = syncs_of_the_commit(&unhurt);
    assert!(during >= 3, "{during}");
    let mut borne = 0;
    for nth in before + 1..=before + during {
        let (world, site) = World::with_notes();
        let old = site.fingerprint();
        let inject = format!("inject=fsync,fdatasync:error=EIO:when={nth}");
        let mut command = under_strace(&world, &["-e", &inject], "fsync,fdatasync");
        command.arg("-o").arg(world.path("calls")).arg(binary()).args(upgrade("1.3.2"));
        let run = world.start_command(command).end();
        let calls = read(world.path("calls"));
        let failed = calls.lines().find(|line| line.contains("(INJECTED)"));
        let failed = failed.unwrap_or_else(|| panic!("sync {nth} failed nowhere: {run}"));
        if run.code() == 0 && failed.contains("/state>)") {
            // SQLite bears that the name of its rollback journal cannot be synced: some file systems
            // sync no directory. The commit itself was synced after it.
            borne += 1;
            assert_eq!(read(site.root.join("VERSION")), "1.3.2\n", "{run}");
            continue;
        }
        let run = run.exits(21).says("snap recover");
        assert!(site.root.join("maintenance.flag").exists(), "opened: {run}");
        world.snap(upgrade("1.3.2")).exits(24);
        world.snap(["recover"]).ok();
        assert!(!site.root.join("maintenance.flag").exists(), "sync {nth}: still shut");
        assert_eq!(leftovers(&site), [""; 0]);
        if read(site.root.join("VERSION")) == "1.3.2\n" {
            world.snap(["rollback", "--app", "notes", "--yes", "--confirm", "notes"]).ok();
        }
        unchanged(&site, &old, &format!("sync {nth}"));
    }
    assert!(borne <= 1, "{borne} of {during} syncs failed and the commit was believed");
}
