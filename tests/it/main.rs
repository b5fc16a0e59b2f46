//! The tests that look from outside: the real binary, real databases, and an oracle that shares
//! nothing with it. One file a kind; `World` is the stage that each test gets to itself.
//!
//! What needs a server says so and is ignored by a plain `cargo test`; `bash tests/all.sh` runs it.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "the bans protect the product; a test sets its stage by hand and may talk"
)]

mod arena;
mod cgroup;
mod memory;
mod nasty;
mod oracle;
mod own_server;
mod run;
mod server;
mod site;
mod stage;
mod syscalls;
mod world;

mod apps;
mod bench;
mod busy;
mod caches;
mod children;
mod crash_backup;
mod crash_prune;
mod crash_upgrade;
mod crowd;
mod damage;
mod databases;
mod exits;
mod exporting;
mod faults;
mod files;
mod finding;
mod formats;
mod full_disk;
mod git_checkout;
mod hostile;
mod injected;
mod json;
mod keys;
mod kill_calls;
mod large;
mod not_permitted;
mod notes_upgrade;
mod odd;
mod one_instant;
mod oracle_sees;
mod passbolt_upgrade;
mod plan;
mod power_cut;
mod racer;
mod readme;
mod real_trees;
mod recover_all;
mod recovering;
mod refusals;
mod releases;
mod repairing;
mod retention;
mod scarce;
mod secrets;
mod server_dies;
mod stand_ins;
mod starved;
mod switches;
mod sync_order;
mod two_users;
mod undo_fails;
mod way_back;

/// Whether this run may change owners, make devices and mount.
fn is_root() -> bool {
    nix::unistd::Uid::effective().is_root()
}

/// Tells a figure: on the spot, and in the file that `tests/all.sh` shows at its end.
fn report(line: &str) {
    eprintln!("{line}");
    if let Some(path) = std::env::var_os("SNAP_TEST_REPORT") {
        let file = std::fs::File::options().create(true).append(true).open(path);
        let _ = file.and_then(|mut file| {
            std::io::Write::write_all(&mut file, format!("{line}\n").as_bytes())
        });
    }
}
