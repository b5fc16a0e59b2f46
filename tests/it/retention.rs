//! `forget`, `tag` and `prune` as an administrator meets them.

use std::path::{Path, PathBuf};

use serde_json::Value;
use snap_backup::os::clock::Moment;
use snap_backup::repository::{Repository, Unlock, WriteOptions};
use snap_backup::snapshot::{self, Snapshot};

use crate::nasty::noise;
use crate::oracle::{Skip, same, tree};
use crate::run::{Run, args};
use crate::stage::write;
use crate::world::World;

const DAY_NS: i64 = 24 * 3600 * 1_000_000_000;

/// The repository, opened past the command line.
fn open(world: &World) -> Repository {
    let keys = std::fs::read_dir(world.path("config/keys")).expect("init made a key");
    let key = keys.map(|key| key.expect("ours").path()).next().expect("init made a key");
    Repository::open(&world.repository(), &Unlock::KeyFile(&key), None).expect("it opens")
}

/// Takes the newest snapshot again with another date and number, as a backup of that day would.
fn dated(world: &World, sequence: u64, time: i64) -> String {
    let repository = open(world);
    let newest = snapshot::list(&repository).expect("a list").pop().expect("a snapshot");
    let writer = repository.begin(&WriteOptions::default()).expect("a lease");
    let record = Snapshot { sequence, time: Moment(time), ..newest };
    writer.commit(&record.encode()).expect("a record").to_string()
}

fn now() -> i64 {
    snap_backup::os::clock::now().0
}

/// A world with one snapshot a day, `days` of them besides the one just taken.
fn daily(days: u64) -> (World, PathBuf, Vec<String>) {
    let world = World::new();
    let source = world.path("tree");
    write(source.join("file"), "one file");
    world.snap(args!["backup", source]).ok();
    let now = now();
    let mut ids = Vec::new();
    for day in 1..=days {
        let back = i64::try_from(days - day).expect("few");
        ids.push(dated(&world, day + 1, now - back * DAY_NS));
    }
    // The one taken to begin with goes, so that there is one a day.
    let first = listed(&world).into_iter().find(|id| !ids.contains(id)).expect("it is there");
    world.snap(args!["forget", first, "--yes"]).ok();
    (world, source, ids)
}

/// The ids that are listed.
fn listed(world: &World) -> Vec<String> {
    ids_in(&world.snap(["snapshots", "--class", "all", "--json"]).ok().message("snapshots"))
}

fn ids_in(message: &Value) -> Vec<String> {
    let all = message["snapshots"].as_array().expect("a list");
    all.iter().map(|one| one["id"].as_str().expect("an id").to_owned()).collect()
}

pub(crate) fn checks_clean(world: &World) {
    world.snap(["check", "--read-data"]).ok();
}

#[test]
fn a_policy_keeps_what_it_says_with_reasons_and_a_dry_run_forgets_nothing() {
    let (world, _, ids) = daily(10);
    let dry = world.snap(["forget", "--keep-last", "2", "--keep-daily", "4", "-n"]).ok();
    let dry = dry.says("last 1, daily 1").says("keep 4, remove 6.").says("Nothing done");
    assert!(dry.stdout.lines().filter(|line| line.starts_with(" remove")).count() == 6, "{dry}");
    assert_eq!(listed(&world).len(), 10);

    let run = world.snap(["forget", "--keep-daily", "4", "--yes", "--json"]).ok();
    let said = run.message("forget");
    assert_eq!((said["keep"].as_u64(), said["remove"].as_u64()), (Some(4), Some(6)), "{run}");
    assert_eq!(said["groups"][0]["reasons"][0]["matches"][0], "daily 1");
    assert_eq!(listed(&world), ids[6..]);
    world.snap(["forget", "--keep-daily", "4", "--yes"]).ok().says("keep 4, remove 0.");
}

#[test]
fn what_was_forgotten_is_taken_back_until_it_is_pruned() {
    let (world, source, ids) = daily(3);
    world.snap(args!["forget", ids[0], ids[1], "--yes"]).ok();
    let shown = world.snap(["forget", "--undo"]).ok();
    assert!(shown.stdout.contains(&ids[0][..6]) && shown.stdout.contains(&ids[1][..6]), "{shown}");
    world.snap(args!["forget", "--undo", ids[0][..12]]).ok();
    assert_eq!(listed(&world), [ids[0].clone(), ids[2].clone()]);
    world.snap(["prune", "--yes"]).ok();
    assert_eq!(listed(&world), [ids[0].clone(), ids[2].clone()]);
    world.snap(args!["forget", "--undo", ids[1]]).exits(1);
    restores(&world, &ids[0], &source);
    checks_clean(&world);
}

/// Fails unless the snapshot is, byte for byte, what lies at `source`.
pub(crate) fn restores(world: &World, id: &str, source: &Path) {
    let target = world.path(format!("restored-{}", &id[..12]));
    let _ = std::fs::remove_dir_all(&target);
    world.snap(args!["restore", id, "--target", target]).ok();
    let there = target.join(source.strip_prefix("/").expect("absolute"));
    let (old, new) = (tree(source, Skip::default()), tree(there, Skip::default()));
    same(&old.0, &new.0, &format!("snapshot {id}"));
}

#[test]
fn nothing_is_forgotten_without_a_policy_a_yes_or_the_right() {
    let (world, _, ids) = daily(3);
    world.snap(["forget"]).exits(2).says("empty policy");
    world.snap(["forget", "--keep-last", "0", "--yes"]).exits(2);
    world.snap(["forget", "--keep-last", "1"]).exits(5).says("refusing to forget");
    world.snap(args!["forget", ids[0], "--keep-last", "1", "--yes"]).exits(2);
    world.snap(args!["tag", "pin", ids[0]]).ok();
    world.snap(args!["forget", ids[0], "--yes"]).exits(1).says("pinned");
    world.snap(["forget", "--keep-last", "1", "--yes"]).ok().says("pinned");
    assert_eq!(listed(&world), [ids[0].clone(), ids[2].clone()]);
    world.snap(args!["tag", "unpin", ids[0]]).ok();
    world.snap(["forget", "--keep-last", "1", "--yes"]).ok();
    assert_eq!(listed(&world), [ids[2].clone()], "the newest always stays");
}

#[test]
fn a_clock_that_jumped_stops_it_until_it_is_confirmed() {
    let (world, _, ids) = daily(5);
    // A backup dated into the future: the clock is, or was, wrong by years.
    let future = dated(&world, 7, now() + 3000 * DAY_NS);
    let refused = world.snap(["forget", "--keep-within", "7d", "--yes"]).exits(5);
    refused.says("the clock stands").says("--confirm clock");
    world.snap(["forget", "--keep-last", "2", "-n"]).exits(5);
    assert_eq!(listed(&world).len(), 6);
    let confirm = ["forget", "--keep-last", "2", "--yes", "--confirm", "clock"];
    world.snap(confirm).ok();
    assert_eq!(listed(&world), [ids[4].clone(), future], "by number, whatever the date says");
}

#[test]
fn words_and_notes_are_given_and_taken_and_the_id_stays() {
    let (world, _, ids) = daily(2);
    let one = &ids[0];
    world.snap(args!["tag", "add", one, "keep", "year-end"]).ok();
    world.snap(args!["tag", "note", one, "before the theme was changed"]).ok();
    world.snap(args!["tag", "remove", one, "year-end"]).ok();
    let listed = world.snap(["snapshots", "--json", "--tag", "keep"]).ok().message("snapshots");
    assert_eq!(ids_in(&listed), std::slice::from_ref(one));
    assert_eq!(listed["snapshots"][0]["note"], "before the theme was changed");
    assert_eq!(listed["snapshots"][0]["tags"], serde_json::json!(["keep"]));
    world.snap(["forget", "--keep-tag", "keep", "--yes"]).ok().says("tag keep");
    world.snap(args!["tag", "note", one, ""]).ok();
    world.snap(args!["tag", "add", one, "a,b"]).exits(2);
    checks_clean(&world);
}

#[test]
fn a_pin_that_a_transaction_needs_stays() {
    let (world, site) = World::with_notes();
    let release = crate::site::notes::release("1.3.2");
    let base = crate::site::notes::release("1.1.0");
    let upgrade =
        args!["upgrade", "--app", "notes", "--from-dir", release, "--base", base, "--yes"];
    world.snap(upgrade).ok();
    let all = world.snap(["snapshots", "--class", "all", "--json"]).ok().message("snapshots");
    let of_class = |class: &str| {
        let all = all["snapshots"].as_array().expect("a list");
        let one = all.iter().find(|one| one["class"] == class).expect("one of that class");
        one["id"].as_str().expect("an id").to_owned()
    };
    let (safety, installed) = (of_class("safety"), of_class("release"));
    world.snap(args!["tag", "unpin", safety]).exits(24).says("way back of T1");
    world.snap(args!["forget", safety, "--yes"]).exits(24);
    world.snap(args!["forget", installed, "--yes"]).exits(24);
    let kept = world.snap(["forget", "--keep-upgrades", "0", "--yes"]).ok();
    kept.says("the way back of T1").says("remove 0.");
    world.snap(["prune", "--yes"]).ok();
    world.snap(["rollback", "T1", "--yes", "--confirm", "notes"]).ok();
    assert!(site.root.join("VERSION").exists());
    checks_clean(&world);
}

/// A world whose repository has something of everything for a prune to do: unneeded and sparse
/// packs, small ones, forgotten snapshots; with what each snapshot that stays must restore to.
pub(crate) fn to_prune() -> (World, PathBuf, Vec<(String, String)>) {
    let world = World::new();
    let (source, taken) = fill_to_prune(&world);
    (world, source, taken)
}

/// The same in a world that is there.
pub(crate) fn fill_to_prune(world: &World) -> (PathBuf, Vec<(String, String)>) {
    let source = world.path("tree");
    let mut taken = Vec::new();
    for round in 0..6_u64 {
        for n in 0..12 {
            if round == 0 || (n + round) % 3 == 0 {
                let bytes = noise(20_000 + usize::try_from(n).expect("few") * 700, 100 * round + n);
                write(source.join(format!("dir{}/file{n}", n % 4)), bytes);
            }
        }
        write(source.join("big"), noise(900_000, round / 2));
        let run = world.snap(args!["backup", source, "--json"]).ok();
        let id = run.snapshot_id();
        taken.push((id, tree(&source, Skip::default()).0));
    }
    for number in [3, 1, 0] {
        let (id, _) = taken.remove(number);
        world.snap(args!["forget", id, "--yes"]).ok();
    }
    (source, taken)
}

/// Fails unless every snapshot restores to what it was.
pub(crate) fn all_restore(world: &World, source: &Path, taken: &[(String, String)], when: &str) {
    for (id, was) in taken {
        let target = world.path(format!("restored-{}", &id[..12]));
        let _ = std::fs::remove_dir_all(&target);
        world.snap(args!["restore", id, "--target", target]).ok();
        let there = target.join(source.strip_prefix("/").expect("absolute"));
        same(was, &tree(there, Skip::default()).0, &format!("{when}: snapshot {id}"));
    }
}

pub(crate) fn repository_bytes(world: &World) -> u64 {
    let files = walkdir::WalkDir::new(world.repository()).into_iter().map(|e| e.expect("ours"));
    files
        .map(|entry| entry.metadata().expect("ours"))
        .filter(std::fs::Metadata::is_file)
        .map(|m| m.len())
        .sum()
}

#[test]
fn a_prune_makes_room_and_every_snapshot_that_stays_restores() {
    let (world, source, taken) = to_prune();
    let before = repository_bytes(&world);
    let dry = world.snap(["prune", "-n"]).ok();
    let dry = dry.says("Nothing done").says("are not needed");
    assert_eq!(repository_bytes(&world), before, "{dry}");
    world.snap(["prune"]).exits(5).says("for good");
    assert_eq!(repository_bytes(&world), before);
    let run = world.snap(["prune", "--yes", "--json"]).ok();
    let summary = run.message("summary");
    assert_eq!(summary["snapshots_removed"], 3, "{run}");
    assert_eq!(summary["awaiting"], false, "{run}");
    assert!(summary["packs_removed"].as_u64() > Some(0), "{run}");
    let after = repository_bytes(&world);
    assert!(after < before * 9 / 10, "{before} -> {after}: {run}");
    let check = world.snap(["check", "--read-data"]).ok();
    assert!(!check.stdout.contains(" - "), "nothing is left behind: {check}");
    all_restore(&world, &source, &taken, "pruned");
    world.snap(args!["backup", source]).ok();
    world.snap(["prune", "--yes"]).ok();
    all_restore(&world, &source, &taken, "pruned again");
    for name in ["condemned", "leases", "forgotten"] {
        let left = std::fs::read_dir(world.repository().join(name)).expect("ours").count();
        assert_eq!(left, 0, "{name}");
    }
}

#[test]
fn a_prune_that_misses_something_deletes_nothing() {
    let (world, _, _) = to_prune();
    let packs: Vec<PathBuf> = walkdir::WalkDir::new(world.repository().join("packs"))
        .into_iter()
        .map(|entry| entry.expect("ours").into_path())
        .filter(|path| path.is_file())
        .collect();
    // The newest snapshot needs the newest pack.
    let newest = packs.iter().max_by_key(|path| path.metadata().unwrap().modified().unwrap());
    std::fs::rename(newest.expect("packs"), world.path("taken")).expect("ours");
    let before = repository_bytes(&world);
    let run: Run = world.snap(["prune", "--yes"]).exits(13);
    assert_eq!(repository_bytes(&world), before, "{run}");
    let mut segments = std::fs::read_dir(world.repository().join("index")).expect("ours");
    let segment = segments.next().expect("a segment").expect("ours").path();
    let mut bytes = std::fs::read(&segment).expect("ours");
    bytes[40] ^= 1;
    std::fs::write(&segment, bytes).expect("ours");
    let _ = std::fs::remove_dir_all(world.path("cache"));
    world.snap(["prune", "--yes"]).exits(13);
}
