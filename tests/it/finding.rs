//! Which snapshots hold a file, and what all of them cost.

use crate::nasty;
use crate::run::{Run, args, tool};
use crate::stage::write;
use crate::world::World;

/// Three snapshots of a tree: one file changes, one comes, one goes.
fn three() -> (World, std::path::PathBuf, Vec<String>) {
    let world = World::new();
    let source = world.path("tree");
    write(source.join("conf/config.php"), "one");
    write(source.join("conf/config.dist.php"), "dist");
    write(source.join("data/large.bin"), nasty::noise(300_000, 1));
    write(source.join("gone"), "gone");
    world.snap(args!["backup", source]).ok();
    write(source.join("conf/config.php"), "two, and longer");
    std::fs::remove_file(source.join("gone")).expect("ours");
    world.snap(args!["backup", source]).ok();
    write(source.join("new"), "new");
    tool("touch", &[&"-d", &"2001-02-03 04:05:06", &source.join("new")]);
    world.snap(args!["backup", source]).ok();
    let listed = world.snap(["snapshots", "--json"]).ok().message("snapshots");
    let ids = listed["snapshots"].as_array().expect("a list").iter();
    let ids = ids.map(|one| one["id"].as_str().expect("an id").to_owned()).collect();
    (world, source, ids)
}

/// What was found: the path below the tree, its size, and the snapshots by their number.
fn found(run: &Run, source: &std::path::Path, ids: &[String]) -> Vec<(String, u64, Vec<usize>)> {
    let matches = run.json().into_iter().filter(|line| line["message_type"] == "match");
    let one = |line: serde_json::Value| {
        let path = line["path"].as_str().expect("a path").to_owned();
        let below = path.strip_prefix(&format!("{}/", source.display())).unwrap_or("").to_owned();
        let holders = line["snapshots"].as_array().expect("a list").iter();
        let holders = holders.map(|id| ids.iter().position(|known| id == known).expect("known"));
        (below, line["size"].as_u64().unwrap_or(0), holders.collect())
    };
    matches.map(one).collect()
}

#[test]
fn a_file_is_found_by_its_name_with_every_version_and_every_snapshot_that_holds_it() {
    let (world, source, ids) = three();
    let look = |more: &[&str]| {
        let run = world.snap([&["find", "--json"], more].concat()).ok();
        found(&run, &source, &ids)
    };
    let version = |path: &str, size, holders: &[usize]| (path.to_owned(), size, holders.to_vec());
    let (old, new) = (version("conf/config.php", 3, &[0]), version("conf/config.php", 15, &[1, 2]));
    let dist = version("conf/config.dist.php", 4, &[0, 1, 2]);
    assert_eq!(look(&["config*.php"]), [dist.clone(), old.clone(), new.clone()]);
    assert_eq!(look(&["config.php", "--newest"]), std::slice::from_ref(&new));
    assert_eq!(look(&["config.php", "--oldest"]), std::slice::from_ref(&old));
    assert_eq!(look(&["CONFIG.PHP"]), []);
    assert_eq!(look(&["-i", "CONFIG.PHP"]), [old, new]);
    assert_eq!(look(&["gone"]), [version("gone", 4, &[0])]);
    assert_eq!(look(&["*", "--larger", "100K"]), [version("data/large.bin", 300_000, &[0, 1, 2])]);
    let small = look(&["*", "--type", "f", "--smaller", "3"]);
    assert_eq!(small, [version("conf/config.php", 3, &[0]), version("new", 3, &[2])]);
    assert_eq!(look(&["*", "--type", "f", "--older", "2002-01-01"]), [version("new", 3, &[2])]);
    assert_eq!(look(&["new", "--newer", "1d"]), []);
    assert_eq!(look(&["conf/*.dist.php"]), std::slice::from_ref(&dist));
    let whole = format!("{}/**/*.dist.php", source.display());
    assert_eq!(look(&[&whole]), [dist]);
    assert_eq!(look(&["config.php", "-s", "latest"]), [version("conf/config.php", 15, &[2])]);
    world.snap(["find", "[a"]).exits(2);
    world.snap(["find", "a", "--newer", "soon"]).exits(2);
    world.snap(["find", "config.php"]).ok().says("2 versions of 1 path in 3 snapshots");
}

#[test]
fn stats_add_up() {
    let (world, source, ids) = three();
    let run = world.snap(["stats", "--json"]).ok();
    let summary = run.message("summary");
    let number = |name: &str| summary[name].as_u64().unwrap_or_else(|| panic!("{name}: {summary}"));
    let sizes = [300_000 + 3 + 4 + 4, 300_000 + 15 + 4, 300_000 + 15 + 4 + 3];
    assert_eq!(number("restore_bytes"), sizes.iter().sum::<u64>());
    let shares: Vec<_> =
        run.json().into_iter().filter(|line| line["message_type"] == "share").collect();
    let restores: Vec<_> = shares.iter().map(|one| one["restore_bytes"].as_u64()).collect();
    assert_eq!(restores, sizes.map(Some));
    let added: Vec<u64> =
        shares.iter().map(|one| one["added_bytes"].as_u64().expect("a number")).collect();
    assert!(added[0] > 300_000 && added[1] > 15 && added[1] < 3_000, "{added:?}");
    assert_eq!(added.iter().sum::<u64>(), number("unique_bytes"));
    assert_eq!((number("dead_chunks"), number("dead_bytes")), (0, 0));
    // As `du` counts the packs.
    let packs = world.repository().join("packs");
    let counted = walkdir::WalkDir::new(&packs).into_iter().map(|entry| entry.expect("readable"));
    let files: Vec<_> = counted.filter(|entry| entry.file_type().is_file()).collect();
    let bytes: u64 = files.iter().map(|file| file.metadata().expect("ours").len()).sum();
    assert_eq!((number("packs"), number("raw_bytes")), (files.len() as u64, bytes));
    assert!(summary["dedup_ratio"].as_f64().is_some_and(|ratio| ratio > 2.5), "{summary}");
    // A snapshot whose record is gone leaves what only it needed.
    let record = world.repository().join("snapshots").join(&ids[0]);
    std::fs::remove_file(record).expect("ours");
    let summary = world.snap(["stats", "--json"]).ok().message("summary");
    assert!(summary["dead_chunks"].as_u64() >= Some(3), "{summary}");
    world.snap(["stats"]).ok().says("deduplication").says("a prune can free");
    drop(source);
}
