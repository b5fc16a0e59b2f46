//! Sixteen writers and a pruner on one repository, some of them killed: nothing is lost.
//!
//! A sample by default; ten minutes of it:
//! `SNAP_TEST_CAMPAIGN=full cargo test --locked --test it crowd`

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::arena::is_full;
use crate::nasty::noise;
use crate::oracle::{Skip, same, tree};
use crate::run::{Run, args};
use crate::stage::write;
use crate::world::World;

const WRITERS: u64 = 16;

/// What a snapshot must restore to.
struct Taken {
    id: String,
    source: PathBuf,
    was: String,
}

/// What happened.
#[derive(Default)]
struct Counts {
    backups: AtomicU64,
    killed: AtomicU64,
    forgotten: AtomicU64,
    prunes: AtomicU64,
    purged: AtomicU64,
}

/// A number that looks like chance, and is the same each time.
fn chance(seed: u64, below: u64) -> u64 {
    let bytes = noise(8, seed);
    u64::from_le_bytes(bytes.try_into().expect("eight bytes")) % below
}

fn count(counter: &AtomicU64) -> u64 {
    counter.fetch_add(1, Ordering::Relaxed)
}

/// Runs `snap ARGS`; one in so many is killed after a while that differs. `None` if it was.
fn perhaps_killed(world: &World, args: Vec<std::ffi::OsString>, seed: u64) -> Option<Run> {
    let running = world.start(args);
    if chance(seed, 6) == 0 {
        std::thread::sleep(Duration::from_millis(chance(seed + 1, 400)));
        running.signal(9);
        let run = running.end();
        return (run.code() != 137).then_some(run);
    }
    Some(running.end())
}

/// Changes a tree, backs it up, forgets one of its snapshots now and then.
fn writes(world: &World, number: u64, end: Instant, taken: &Mutex<Vec<Taken>>, counts: &Counts) {
    let source = world.path(format!("tree{number}"));
    for round in 0.. {
        let seed = number * 1_000_003 + round * 101;
        for n in 0..6 {
            // Half of it is alike in all trees: writers meet in what they store.
            let content = if n % 2 == 0 { 7000 + round * 10 + n } else { seed * 7 + n };
            let size = 3_000 + usize::try_from(chance(content, 60_000)).expect("small");
            write(source.join(format!("dir{}/file{n}", n % 3)), noise(size, content));
        }
        let was = tree(&source, Skip::default()).0;
        match perhaps_killed(world, args!["backup", source, "--json"], seed) {
            None => drop(count(&counts.killed)),
            Some(run) => {
                let run = run.ok();
                count(&counts.backups);
                let id = run.snapshot_id();
                let one = Taken { id, source: source.clone(), was };
                taken.lock().expect("no holder panics").push(one);
            }
        }
        if round % 3 == 2 {
            let mut all = taken.lock().expect("no holder panics");
            let mine = all.iter().position(|one| one.source == source);
            // Never the newest: what it changed is compared with nothing else.
            let many = all.iter().filter(|one| one.source == source).count();
            let old = mine.filter(|_| many > 1).map(|at| all.remove(at));
            drop(all);
            if let Some(old) = old {
                world.snap(args!["forget", old.id, "--yes"]).ok();
                count(&counts.forgotten);
            }
        }
        if Instant::now() > end {
            return;
        }
    }
}

/// Prunes over and over.
fn prunes(world: &World, end: Instant, counts: &Counts) {
    for round in 0.. {
        let run = perhaps_killed(
            world,
            args!["prune", "--yes", "--json", "--lock-wait", "2s", "--max-unused", "0%"],
            900_000_007 + round * 13,
        );
        match run {
            None => drop(count(&counts.killed)),
            Some(run) => {
                let run = run.ok();
                count(&counts.prunes);
                let removed = run.message("summary")["packs_removed"].as_u64().unwrap_or(0);
                counts.purged.fetch_add(removed, Ordering::Relaxed);
            }
        }
        if Instant::now() > end {
            return;
        }
    }
}

fn restores(world: &World, one: &Taken) {
    let target = world.path(format!("restored-{}", &one.id[..12]));
    world.snap(args!["restore", one.id, "--target", target]).ok();
    let below = |target: &Path| target.join(one.source.strip_prefix("/").expect("absolute"));
    same(&one.was, &tree(below(&target), Skip::default()).0, &format!("snapshot {}", one.id));
    std::fs::remove_dir_all(&target).expect("ours");
}

#[test]
fn sixteen_writers_and_a_pruner_lose_nothing() {
    let world = World::new();
    let time = if is_full() { Duration::from_mins(10) } else { Duration::from_secs(8) };
    let end = Instant::now() + time;
    let (taken, counts) = (Mutex::new(Vec::new()), Counts::default());
    std::thread::scope(|scope| {
        for number in 0..WRITERS {
            let (world, taken, counts) = (&world, &taken, &counts);
            scope.spawn(move || writes(world, number, end, taken, counts));
        }
        scope.spawn(|| prunes(&world, end, &counts));
    });
    let taken = taken.into_inner().expect("no holder panics");
    world.snap(["check", "--read-data"]).ok();
    // The newest of each writer, and a few of the others.
    let every = (taken.len() / if is_full() { 200 } else { 12 }).max(1);
    for one in taken.iter().step_by(every) {
        restores(&world, one);
    }
    for number in 0..WRITERS {
        let source = world.path(format!("tree{number}"));
        if let Some(newest) = taken.iter().rfind(|one| one.source == source) {
            restores(&world, newest);
        }
    }
    world.snap(["prune", "--yes"]).ok();
    world.snap(["check", "--read-data"]).ok();
    taken.iter().step_by(every).for_each(|one| restores(&world, one));
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    crate::report(&format!(
        "crowd: {} backups, {} forgotten, {} prunes that deleted {} packs, {} killed, none lost",
        read(&counts.backups),
        read(&counts.forgotten),
        read(&counts.prunes),
        read(&counts.purged),
        read(&counts.killed),
    ));
    assert!(read(&counts.backups) > 0 && read(&counts.prunes) > 0);
}
