//! Damage to a repository is found, named, and never restored silently.

use std::fs;
use std::path::PathBuf;

use crate::nasty;
use crate::oracle::{Skip, same, tree};
use crate::run::{args, tool};
use crate::stage::write;
use crate::world::World;

/// Every plain file of the repository that says something, sorted.
fn parts(world: &World) -> Vec<PathBuf> {
    let all = walkdir::WalkDir::new(world.repository()).sort_by_file_name();
    let files = all.into_iter().map(|entry| entry.expect("readable"));
    let said = |entry: &walkdir::DirEntry| entry.file_name() != "reserve";
    files
        .filter(|entry| entry.file_type().is_file() && said(entry))
        .map(walkdir::DirEntry::into_path)
        .collect()
}

fn stored(world: &World) -> PathBuf {
    let source = world.path("tree");
    for n in 0..20 {
        write(source.join(format!("dir{}/file{n}", n % 3)), nasty::noise(3000, n));
    }
    world.snap(args!["backup", source]).ok();
    source
}

/// Saves a second snapshot, whose changed files are stored after what they were.
fn change(world: &World, source: &std::path::Path) {
    for n in 0..5 {
        let mut changed = nasty::noise(3000, n);
        changed[1000] ^= 1;
        write(source.join(format!("dir{}/file{n}", n % 3)), changed);
    }
    let run = world.snap(args!["backup", source, "--json"]).ok();
    let summary = run.message("summary");
    let added = summary["data_added_packed"].as_u64();
    assert!(added.is_some_and(|bytes| bytes < 5000), "{summary}");
}

#[test]
fn every_flipped_bit_is_found_by_a_check_that_reads_all_data() {
    let world = World::new();
    let source = stored(&world);
    change(&world, &source);
    let before = tree(&source, Skip::default());
    world.snap(["check", "--read-data"]).ok();
    let mut tried = 0;
    for part in parts(&world) {
        let bytes = fs::read(&part).expect("ours");
        let length = bytes.len();
        // Every part of every file: its head, its middle, its tail, and some between.
        let at = [
            0,
            1,
            7,
            16,
            length / 3,
            length / 2,
            length.saturating_sub(9),
            length.saturating_sub(1),
        ];
        for at in at.into_iter().filter(|at| *at < length) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            write_over(&part, &damaged);
            let run = world.snap(["check", "--read-data"]);
            let found = [10, 12, 13].contains(&run.code());
            assert!(found, "byte {at} of {} was flipped unseen: {run}", part.display());
            let target = world.path(format!("restored{tried}"));
            let restored = world.snap(args!["restore", "latest", "--target", target]);
            if restored.code() == 0 {
                let path = target.join(source.strip_prefix("/").expect("absolute"));
                same(
                    &before.0,
                    &tree(path, Skip::default()).0,
                    "what a restore calls good is good",
                );
            }
            write_over(&part, &bytes);
            tried += 1;
        }
    }
    assert!(tried > 20, "only {tried} places were tried");
    world.snap(["check", "--read-data"]).ok();
}

fn write_over(path: &std::path::Path, bytes: &[u8]) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("ours");
    fs::write(path, bytes).expect("ours");
}

#[test]
fn a_pack_that_is_cut_emptied_or_gone_is_damage() {
    let world = World::new();
    let source = stored(&world);
    change(&world, &source);
    let packs: Vec<PathBuf> = parts(&world)
        .into_iter()
        .filter(|part| part.display().to_string().contains("pack"))
        .collect();
    assert!(!packs.is_empty(), "the repository has packs: {:?}", parts(&world));
    for pack in packs {
        let bytes = fs::read(&pack).expect("ours");
        for cut in [bytes.len() - 1, bytes.len() / 2, 0] {
            write_over(&pack, &bytes[..cut]);
            world.snap(["check"]).exits(13).says("pack");
        }
        fs::remove_file(&pack).expect("ours");
        world.snap(["check"]).exits(13);
        fs::write(&pack, &bytes).expect("ours");
    }
    world.snap(["check", "--read-data"]).ok();
}

#[test]
fn a_deleted_index_is_rebuilt_from_the_packs() {
    let world = World::new();
    let source = stored(&world);
    change(&world, &source);
    let before = tree(&source, Skip::default());
    let index: Vec<PathBuf> = parts(&world)
        .into_iter()
        .filter(|part| part.display().to_string().contains("index"))
        .collect();
    assert!(!index.is_empty(), "the repository has an index: {:?}", parts(&world));
    for part in index {
        fs::remove_file(part).expect("ours");
    }
    fs::remove_dir_all(world.path("cache")).expect("ours");
    fs::create_dir(world.path("cache")).expect("ours");
    world.snap(["repair", "index", "--yes"]).ok();
    world.snap(["check", "--read-data"]).ok();
    let target = world.path("restored");
    world.snap(args!["restore", "latest", "--target", target]).ok();
    let restored = target.join(source.strip_prefix("/").expect("absolute"));
    same(&before.0, &tree(restored, Skip::default()).0, "restored");
}

/// The packs, the largest first: the first holds the content of files.
fn packs(world: &World) -> Vec<PathBuf> {
    let is_pack = |part: &PathBuf| part.starts_with(world.repository().join("packs"));
    let mut packs: Vec<PathBuf> = parts(world).into_iter().filter(is_pack).collect();
    packs.sort_by_key(|pack| std::cmp::Reverse(fs::metadata(pack).expect("ours").len()));
    packs
}

/// Harms one byte in the middle of a file.
fn harm(part: &std::path::Path) {
    let mut bytes = fs::read(part).expect("ours");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    write_over(part, &bytes);
}

#[test]
fn damage_is_named_with_the_snapshots_and_paths_that_it_hurts_and_the_rest_comes_back() {
    let world = World::new();
    let source = world.path("tree");
    write(source.join("safe"), "safe");
    world.snap(args!["backup", source]).ok();
    let calm: Vec<PathBuf> = packs(&world);
    let long = nasty::noise(400_000, 1);
    write(source.join("dir/hurt"), &long);
    write(source.join("dir/twin"), &long);
    world.snap(args!["backup", source]).ok();
    let pack = packs(&world).into_iter().find(|pack| !calm.contains(pack)).expect("a new pack");
    harm(&pack);

    let name = pack.file_name().expect("a name").to_string_lossy().into_owned();
    let run = world.snap(["check", "--read-data", "--json"]).exits(13);
    let json = run.json();
    let finding = json
        .iter()
        .find(|line| line["message_type"] == "finding" && line["object"] == format!("packs/{name}"))
        .unwrap_or_else(|| panic!("the pack is not named\n{run}"));
    let hurts = finding["hurts"].as_array().expect("a list");
    assert_eq!(hurts.len(), 1, "only the second snapshot is hurt: {finding}");
    let paths: Vec<&str> =
        hurts[0]["paths"].as_array().expect("a list").iter().filter_map(|p| p.as_str()).collect();
    let path = |below: &str| source.join(below).display().to_string();
    assert_eq!(paths, [path("dir/hurt"), path("dir/twin")], "{finding}");
    world.snap(["check", "--read-data"]).exits(13).says("dir/hurt").says("repair packs");

    let target = world.path("refused");
    world.snap(args!["restore", "latest", "--target", target]).exits(13).says("--partial");
    let target = world.path("partial");
    let run = world.snap(args!["restore", "latest", "--target", target, "--partial"]).exits(3);
    let run = run.says("lost").says("dir/twin");
    assert!(!run.stdout.contains("/safe is lost"), "{run}");
    let restored = target.join(source.strip_prefix("/").expect("absolute"));
    assert!(!restored.join("dir/hurt").exists() && !restored.join("dir/twin").exists());
    fs::remove_file(source.join("dir/hurt")).expect("ours");
    fs::remove_file(source.join("dir/twin")).expect("ours");
    tool("touch", &[&"-r", &restored.join("dir"), &source.join("dir")]);
    let (wanted, found) = (tree(&source, Skip::default()), tree(restored, Skip::default()));
    same(&wanted.0, &found.0, "all but what was lost");
}

#[test]
fn a_lost_record_loses_its_snapshot_and_no_other() {
    let world = World::new();
    let source = stored(&world);
    let before = tree(&source, Skip::default());
    let first = world.snap(["snapshots", "--json"]).ok().message("snapshots");
    let first = first["snapshots"][0]["id"].as_str().expect("an id").to_owned();
    write(source.join("more"), "more");
    world.snap(args!["backup", source]).ok();
    let records = parts(&world);
    let record = records
        .iter()
        .find(|part| {
            part.starts_with(world.repository().join("snapshots")) && !part.ends_with(&first)
        })
        .expect("the second record");
    harm(record);
    world.snap(["check"]).exits(13).says("loses snapshot").says("repair snapshots");
    // Whatever is the latest is not known: only an id says what is meant.
    let target = world.path("restored");
    world.snap(args!["restore", "latest", "--target", target]).exits(13);
    world.snap(args!["restore", first, "--target", target]).ok();
    let restored = target.join(source.strip_prefix("/").expect("absolute"));
    same(&before.0, &tree(restored, Skip::default()).0, "the other snapshot");
    world.snap(args!["backup", source]).ok();
}

#[test]
fn a_sampled_check_begins_with_what_was_read_longest_ago() {
    let world = World::new();
    for n in 0..4 {
        write(world.path("tree").join(format!("file{n}")), nasty::noise(30_000, n));
        world.snap(args!["backup", world.path("tree")]).ok();
    }
    let count = packs(&world).len();
    assert!(count >= 8, "{count} packs");
    let one = |depth: &[&str]| {
        let run = world.snap([&["check", "--json"], depth].concat());
        let summary = run.message("summary");
        (run.code(), summary["packs_read"].as_u64().expect("a number"))
    };
    assert_eq!(one(&["--read-data-subset", "1"]), (0, 1));
    for pack in packs(&world) {
        let bytes = fs::read(&pack).expect("ours");
        harm(&pack);
        // Never more runs than packs until each was looked at.
        let found = (0..count).find(|_| one(&["--read-data-subset", "1"]).0 == 13);
        assert!(found.is_some(), "{} was never looked at", pack.display());
        write_over(&pack, &bytes);
    }
    assert_eq!(one(&["--read-data-subset", "100%"]), (0, count as u64));
    let parts: u64 = ["1/3", "2/3", "3/3"].map(|n| one(&["--read-data-subset", n]).1).iter().sum();
    assert_eq!(parts, count as u64);
    world.snap(["check", "--read-data-subset", "none"]).exits(2);
}

#[test]
fn a_damaged_config_keeps_nothing_from_being_opened() {
    let world = World::new();
    stored(&world);
    for number in ["1", "2"] {
        let config = world.repository().join("config").join(number);
        let bytes = fs::read(&config).expect("ours");
        harm(&config);
        world.snap(["check"]).exits(13).says(&format!("config/{number}"));
        world.snap(args!["restore", "latest", "--target", world.path(number)]).ok();
        write_over(&config, &bytes);
    }
    world.snap(["check", "--read-data"]).ok();
}

#[test]
fn an_older_copy_put_back_is_told_from_the_repository_that_this_machine_knows() {
    let world = World::new();
    stored(&world);
    let older = world.path("older");
    tool("cp", &[&"-a", &world.repository(), &older]);
    write(world.path("tree/more"), "more");
    world.snap(args!["backup", world.path("tree")]).ok();
    let run = world.snap(["check"]).ok();
    assert!(!run.to_string().contains("older copy"), "{run}");
    fs::remove_dir_all(world.repository()).expect("ours");
    fs::rename(&older, world.repository()).expect("ours");
    world.snap(["check"]).ok().says("older copy");
    world.snap(["snapshots"]).ok().says("older copy");
    // Whatever is taken now is the newest that is known.
    world.snap(args!["backup", world.path("tree")]).ok();
    let run = world.snap(["check"]).ok();
    assert!(!run.to_string().contains("older copy"), "{run}");
    // Nor is missed what was let go on purpose.
    world.snap(["forget", "latest", "--prune", "--yes"]).ok();
    let run = world.snap(["check"]).ok();
    assert!(!run.to_string().contains("older copy"), "{run}");
}
