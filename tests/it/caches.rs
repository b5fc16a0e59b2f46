//! What is remembered of trees beside the repository: it goes when nobody asks for it any more, and
//! whatever becomes of its bytes, what is recorded and restored is right.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::oracle::{Skip, same, tree};
use crate::run::{args, put_back, until};
use crate::stage::{set_time, write};
use crate::world::{World, binary};

const DAY_SECS: i64 = 24 * 60 * 60;

/// The files that remember trees.
fn caches(world: &World) -> Vec<PathBuf> {
    let listing = fs::read_dir(world.path("cache")).expect("ours");
    let paths = listing.map(|entry| entry.expect("ours").path());
    let is_cache = |path: &PathBuf| {
        path.file_name().is_some_and(|it| it.as_encoded_bytes().starts_with(b"stat-"))
    };
    let mut caches: Vec<PathBuf> = paths.filter(is_cache).collect();
    caches.sort();
    caches
}

/// Makes a file as old as if nobody had used it for so many days.
fn age(path: &Path, days: i64) {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("later");
    set_time(path, now.as_secs().cast_signed() - days * DAY_SECS - 60, 0);
}

/// The one that came since `before`.
fn new_one(world: &World, before: &[PathBuf]) -> PathBuf {
    let mut new = caches(world);
    new.retain(|path| !before.contains(path));
    let [new] = &new[..] else { panic!("{new:?}") };
    new.clone()
}

/// Where the tree lies below a target.
fn placed(world: &World, target: &Path) -> PathBuf {
    target.join(world.path("tree").strip_prefix("/").expect("absolute"))
}

fn restored(world: &World, name: &str) -> PathBuf {
    let before = caches(world);
    world.snap(args!["restore", "latest", "--target", world.path(name)]).ok();
    new_one(world, &before)
}

#[test]
fn what_is_remembered_of_trees_that_nobody_uses_goes_with_the_next_run() {
    let world = World::new();
    write(world.path("tree/file"), "file");
    let backup = || world.snap(args!["backup", world.path("tree")]).ok();
    backup();
    let own = caches(&world);
    let [fresh, gone_today, gone, unused, unreadable, held] =
        ["fresh", "gone-today", "gone", "unused", "unreadable", "held"]
            .map(|name| restored(&world, name));
    for name in ["gone-today", "gone", "held"] {
        fs::remove_dir_all(world.path(name)).expect("ours");
    }
    age(&gone_today, 1);
    age(&gone, 9);
    age(&unused, 46);
    write(&unreadable, "of another version");
    age(&unreadable, 2);
    age(&held, 100);
    let holder = File::open(&held).expect("ours");
    holder.lock_shared().expect("nobody else has it");
    // Neither is what it looks like.
    let linked = world.path("cache/stat-000000000000000000000000");
    let aim = world.path("aim");
    write(&aim, "stays");
    age(&aim, 100);
    symlink(&aim, &linked).expect("ours");
    let dir = world.path("cache/stat-111111111111111111111111");
    fs::create_dir(&dir).expect("ours");
    age(&dir, 100);

    world.snap(["prune", "--dry-run"]).ok();
    assert!(gone.exists() && unused.exists(), "a dry run removes nothing");
    world.snap(["prune", "--yes"]).ok();
    let mut stay = [own, vec![fresh, gone_today, held.clone(), linked, dir]].concat();
    stay.sort();
    assert_eq!(caches(&world), stay);
    assert!(aim.exists());

    drop(holder);
    backup();
    assert!(!held.exists(), "nobody holds it any more");
    let last = restored(&world, "last");
    age(&last, 60);
    restored(&world, "other");
    assert!(!last.exists());
}

/// The files that a backup read.
fn files_read(world: &World) -> u64 {
    let run = world.snap(args!["backup", world.path("tree"), "--json"]).ok();
    run.message("summary")["files_read"].as_u64().expect("a figure")
}

fn flip(path: &Path, seed: u64) {
    let mut bytes = fs::read(path).expect("ours");
    let noise = crate::nasty::noise(64, seed);
    for place in noise.chunks_exact(8) {
        let place = u64::from_le_bytes(place.try_into().expect("eight"));
        let length = bytes.len() as u64;
        let at = usize::try_from(place % length).expect("within the file");
        bytes[at] ^= 1 << (place >> 61);
    }
    fs::write(path, bytes).expect("ours");
}

#[test]
fn a_damaged_memory_of_a_tree_is_dropped_and_made_anew_and_records_nothing_wrong() {
    let world = World::new();
    for dir in 0..20 {
        for file in 0..20 {
            write(world.path(format!("tree/{dir}/{file}")), format!("{file} of {dir}"));
        }
    }
    // One directory that is remembered in parts.
    for file in 0..4_500 {
        write(world.path(format!("tree/wide/{file}")), format!("{file}"));
    }
    let truth = tree(world.path("tree"), Skip::default()).0;
    // What was written in the tick of the clock in which it was read is read again.
    until("nothing is read again", || files_read(&world) == 0);
    let [cache] = &caches(&world)[..] else { panic!("{:?}", caches(&world)) };
    for seed in 0..12 {
        flip(cache, seed);
        assert!(files_read(&world) > 0, "seed {seed}: damage was not seen");
        let target = world.path(format!("target-{seed}"));
        world.snap(args!["restore", "latest", "--target", target]).ok();
        same(
            &truth,
            &tree(placed(&world, &target), Skip::default()).0,
            &format!("restored, seed {seed}"),
        );
        assert_eq!(files_read(&world), 0, "seed {seed}: it was not made anew");
        fs::remove_dir_all(&target).expect("ours");
    }
    // The same for what a restore believes of its target.
    let target = world.path("target");
    let memory = restored(&world, "target");
    let placed = placed(&world, &target);
    let converge = put_back(&target, "target");
    for seed in 100..112 {
        flip(&memory, seed);
        world.snap(args!["diff", "latest", "--live"]).ok();
        write(placed.join("7/7"), "7 OF 7");
        write(placed.join("wide/777"), "778");
        fs::remove_file(placed.join("3/3")).expect("ours");
        world.snap(&converge).ok();
        same(&truth, &tree(&placed, Skip::default()).0, &format!("converged, seed {seed}"));
    }
}

/// A tree of which nothing is young any more.
fn some_directories(world: &World) {
    for dir in 0..6 {
        for file in 0..5 {
            write(world.path(format!("tree/{dir}/below/{file}")), format!("{file} of {dir}"));
        }
    }
    until("nothing is read again", || files_read(world) == 0);
}

#[test]
fn what_is_remembered_of_a_tree_stays_as_it_is_while_nothing_in_it_changes() {
    let world = World::new();
    some_directories(&world);
    files_read(&world);
    let [cache] = &caches(&world)[..] else { panic!("{:?}", caches(&world)) };
    let inode = || fs::metadata(cache).expect("it is there").ino();
    let before = inode();
    assert_eq!((files_read(&world), inode()), (0, before), "it was written again");
    // All snapshots but the newest go, the one among them that it was written with.
    let snapshots = || {
        let said = world.snap(["snapshots", "--json"]).ok().message("snapshots");
        said["snapshots"].as_array().expect("some").len()
    };
    world.snap(["forget", "--keep-last", "1", "--yes"]).ok();
    assert_eq!(snapshots(), 1);
    // What is used is not what nobody used for long.
    age(cache, 44);
    assert_eq!((files_read(&world), inode()), (0, before), "the same tree is in the newest");
    age(cache, 44);
    assert_eq!(files_read(&world), 0);
    let modified = fs::metadata(cache).and_then(|meta| meta.modified()).expect("it is there");
    assert!(modified.elapsed().is_ok_and(|age| age.as_secs() < 3600), "{modified:?}");
    // One that somebody took away is written again.
    let copy = world.path("copy");
    fs::copy(cache, &copy).expect("ours");
    fs::rename(&copy, cache).expect("ours");
    write(world.path("tree/3/below/2"), "new");
    assert_eq!(files_read(&world), 1);
    assert_ne!(inode(), before);
    until("nothing is read again", || files_read(&world) == 0);
    let id = world.snap(args!["backup", world.path("tree"), "--json"]).ok().snapshot_id();
    world.snap(["forget", "--keep-last", "1", "--yes"]).ok();
    assert_eq!(snapshots(), 1);
    world.snap(args!["forget", id, "--yes"]).ok();
    assert_eq!(files_read(&world), 30, "no snapshot has the tree");
}

/// The directories below the tree that a backup lists, as the kernel saw it.
fn listed(world: &World) -> Vec<String> {
    let log = world.path("strace.log");
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-y", "-e", "trace=getdents64", "-o"]).arg(&log);
    command.arg(binary()).args(args!["backup", world.path("tree")]);
    command.env_clear().envs(world.environment()).current_dir(world.path(""));
    world.start_command(command).end().ok();
    let text = fs::read_to_string(&log).expect("ours");
    let tree = format!("{}/", world.path("tree").display());
    let mut listed: Vec<String> = text
        .lines()
        .filter_map(|line| line.split_once(&tree)?.1.split_once('>'))
        .map(|(path, _)| path.to_owned())
        .collect();
    listed.sort();
    listed.dedup();
    listed
}

#[test]
fn a_directory_that_no_name_came_to_or_went_from_is_not_listed_and_what_changed_is_seen() {
    let world = World::new();
    some_directories(&world);
    assert_eq!(listed(&world), [""; 0], "no time of a directory changed");
    let at = |name: &str| world.path("tree").join(name);
    write(at("0/below/new"), "new");
    fs::remove_file(at("1/below/1")).expect("ours");
    fs::rename(at("2/below/1"), at("2/below/other")).expect("ours");
    // A name that stays and is another inode, of another kind, with the directory's time put back.
    let time = fs::metadata(at("3/below")).expect("ours");
    fs::remove_file(at("3/below/1")).expect("ours");
    symlink("2", at("3/below/1")).expect("ours");
    set_time(&at("3/below"), time.mtime(), time.mtime_nsec());
    // What is in a file shows though its directory is as it was.
    write(at("4/below/1"), "other");
    let changed = ["0/below", "1/below", "2/below", "3/below"];
    assert_eq!(listed(&world), changed);
    let target = world.path("target");
    world.snap(args!["restore", "latest", "--target", target]).ok();
    let both = [world.path("tree"), placed(&world, &target)];
    let [truth, found] = both.map(|root| tree(root, Skip::default()).0);
    same(&truth, &found, "restored");
}

#[test]
fn names_that_were_left_out_are_looked_for_again() {
    let world = World::new();
    some_directories(&world);
    let backup = |more: &[&str]| {
        let mut words = args!["backup", world.path("tree"), "--json"];
        words.extend(more.iter().map(Into::into));
        world.snap(words).ok().message("summary")["total_files_processed"]
            .as_u64()
            .expect("a figure")
    };
    for _ in 0..3 {
        assert_eq!(backup(&["--exclude", "2"]), 20);
        assert_eq!(backup(&[]), 30);
    }
}

/// The directories in which this machine keeps the indexes of repositories.
fn places(world: &World) -> Vec<PathBuf> {
    let listing = fs::read_dir(world.path("cache")).expect("ours");
    let paths = listing.map(|entry| entry.expect("ours").path());
    let is_place = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.len() == 16 && name.bytes().all(|digit| digit.is_ascii_hexdigit())
    };
    let mut places: Vec<PathBuf> = paths.filter(is_place).collect();
    places.sort();
    places
}

#[test]
fn the_index_of_a_repository_that_nobody_uses_goes_with_the_next_run() {
    let world = World::new();
    write(world.path("tree/file"), "file");
    let backup_to = |repository: &Path| {
        let before = places(&world);
        world.snap(args!["-r", repository, "backup", world.path("tree")]).ok();
        let mut new = places(&world);
        new.retain(|path| !before.contains(path));
        new.pop()
    };
    let own = backup_to(&world.repository()).expect("it has an index");
    let [long_gone, away, held, again] = ["long-gone", "away", "held", "again"].map(|name| {
        let repository = world.path(name);
        world.snap(args!["-r", repository, "init", "--no-recovery"]).ok();
        let place = backup_to(&repository).expect("it has an index");
        fs::rename(&repository, world.path(format!("{name}.away"))).expect("ours");
        place
    });
    age(&own, 200);
    for (place, days) in [(&long_gone, 96), (&away, 94), (&held, 300), (&again, 300)] {
        age(place, days);
    }
    let holder = File::open(&held).expect("ours");
    holder.lock_shared().expect("nobody else has it");
    // Not ours, whatever its age.
    let other = world.path("cache/somebody-elses");
    fs::create_dir(&other).expect("ours");
    age(&other, 900);
    let target = world.path("aim");
    write(target.join("stays"), "stays");
    age(&target, 900);
    symlink(&target, world.path("cache/0123456789abcdef")).expect("ours");

    // Who uses it says so, before anybody looks.
    fs::rename(world.path("again.away"), world.path("again")).expect("ours");
    world.snap(args!["-r", world.path("again"), "snapshots"]).ok();
    assert_eq!(backup_to(&world.repository()), None);
    let is_there = |place: &PathBuf| place.join("index").exists();
    assert!(is_there(&own) && is_there(&away) && is_there(&held) && is_there(&again));
    assert!(!long_gone.exists(), "unused for longer than a quarter of a year");
    assert!(other.exists() && target.join("stays").exists());

    drop(holder);
    world.snap(["prune", "--yes"]).ok();
    assert!(!held.exists(), "nobody holds it any more");
    // Whoever comes back after all finds everything again.
    for name in ["long-gone", "held"] {
        fs::rename(world.path(format!("{name}.away")), world.path(name)).expect("ours");
        world.snap(args!["-r", world.path(name), "check", "--read-data"]).ok();
    }
    assert!(is_there(&long_gone) && is_there(&held));
}
