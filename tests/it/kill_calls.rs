//! A backup killed at its k-th call that changes the disk, wherever that lies, by strace on the
//! shipped binary: named crash points are where we thought of it, these are everywhere else.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::process::Command;

use crate::arena::is_full;
use crate::oracle::{Skip, same, sqlite, tree};
use crate::run::{Run, args};
use crate::site::Notes;
use crate::site::notes::SKIP;
use crate::stage::{copy, read, write};
use crate::world::{World, binary};

/// Calls after which something is on the disk, or no longer is.
const CHANGING: &str =
    "write,pwrite64,fsync,fdatasync,syncfs,rename,renameat,renameat2,unlink,unlinkat,mkdir,linkat";

/// `snap ARGS` under strace with these options, its calls going to `log`.
fn under_strace(world: &World, options: &[String], args: Vec<OsString>) -> Run {
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-e", "signal=none", "-o"]).arg(world.path("calls"));
    command.args(["-e", &format!("trace={CHANGING}")]).args(options).arg(binary()).args(args);
    command.env_clear().envs(world.environment()).current_dir(world.path(""));
    world.start_command(command).end()
}

fn backup() -> Vec<OsString> {
    args!["backup", "--app", "notes", "--threads", "1"]
}

/// How many such calls the busiest thread makes: strace counts for each.
fn calls(world: &World) -> usize {
    under_strace(world, &[], backup()).ok();
    let mut each = BTreeMap::new();
    for line in read(world.path("calls")).lines() {
        let thread = line.split_whitespace().next().unwrap_or_default().to_owned();
        *each.entry(thread).or_insert(0) += 1;
    }
    each.into_values().max().unwrap_or(0)
}

fn snapshots(world: &World) -> usize {
    let run = world.snap(["snapshots", "--json"]).ok();
    run.stdout.matches("\"short_id\"").count()
}

/// The site as it is now, restored elsewhere from the newest snapshot, and compared.
fn comes_back(world: &World, site: &Notes, when: &str) {
    let target = world.path(format!("restored {when}"));
    world.snap(args!["restore", "latest", "--target", target]).ok();
    let restored = target.join(site.root.strip_prefix("/").expect("absolute"));
    same(&tree(&site.root, SKIP).0, &tree(&restored, SKIP).0, when);
    same(&sqlite(site.database()), &sqlite(restored.join("data/notes.db")), when);
    std::fs::remove_dir_all(target).expect("ours");
}

#[test]
#[ignore = "long; bash tests/all.sh runs it"]
fn a_backup_killed_at_any_call_leaves_a_sound_repository_and_the_next_one_works() {
    let (world, site) = World::with_notes();
    world.snap(["backup", "--app", "notes"]).ok();
    site.ask("UPDATE notes SET title = 'changed' WHERE id % 5 = 0");
    for n in 0..60 {
        write(site.root.join(format!("data/uploads/new{n}")), crate::nasty::noise(3_000, n));
    }
    let kept = ["repository", "cache", "state"]
        .map(|name| (world.path(name), world.path("kept").join(name)));
    for (live, copy_of) in &kept {
        copy(live, copy_of);
    }
    let total = calls(&world);
    let before = tree(&site.root, Skip::default());
    let step = if is_full() { 1 } else { total.div_ceil(8) };
    let (mut killed, mut complete) = (0, 0);
    for call in (1..=total).step_by(step.max(1)) {
        for (live, copy_of) in &kept {
            std::fs::remove_dir_all(live).expect("ours");
            copy(copy_of, live);
        }
        let order = format!("inject={CHANGING}:signal=KILL:when={call}");
        let run = under_strace(&world, &["-e".to_owned(), order], backup());
        if run.code() != 137 {
            // Threads may share the work another way, and none come so far.
            run.ok();
            continue;
        }
        killed += 1;
        let when = format!("killed at call {call} of {total}");
        world.snap(["check", "--read-data"]).ok();
        let there = snapshots(&world);
        assert!([1, 2].contains(&there), "{when}: {there} snapshots");
        if there == 2 {
            complete += 1;
            comes_back(&world, &site, &when);
        }
        world.snap(["backup", "--app", "notes"]).ok();
        comes_back(&world, &site, &when);
        world.snap(["check", "--read-data"]).ok();
        same(&before.0, &tree(&site.root, Skip::default()).0, "a backup only reads");
    }
    assert!(killed >= 3, "{killed} kills of {total} calls");
    crate::report(&format!(
        "backup killed at {killed} of {total} calls, {complete} after its record: all sound"
    ));
}
