//! Somebody who may write a tree swaps its directories and files for links to elsewhere while root
//! saves it, restores over it or imports: nothing outside is read into a snapshot or changed.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::arena::is_full;
use crate::nasty::noise;
use crate::oracle::{Skip, same, tree};
use crate::run::args;
use crate::stage::{copy, write};
use crate::world::World;

const CANARY: &str = "canary-of-what-is-outside";

/// A tree whose parts are swapped for links that lead out of it.
struct Race {
    world: World,
    tree: PathBuf,
    outside: PathBuf,
    /// What of the tree is swapped, and the link that takes its place.
    swaps: Vec<(PathBuf, PathBuf)>,
    was: String,
}

impl Race {
    fn new() -> Self {
        let world = World::new();
        let (root, outside) = (world.path("tree"), world.path("outside"));
        let links = world.path("links");
        let mut swaps = Vec::new();
        for dir in 0..4 {
            for n in 0..6_u64 {
                // Of everything that is in the tree there is a namesake outside.
                let name = format!("dir{dir}/sub/file{n}");
                write(root.join(&name), noise(3_000, n));
                write(outside.join(&name), format!("{CANARY} {n}"));
            }
            for swapped in [format!("dir{dir}"), format!("dir{}/sub", (dir + 1) % 4)] {
                swaps.push((swapped.clone().into(), links.join(swapped.replace('/', "-"))));
            }
            let file = format!("dir{dir}/sub/file0");
            swaps.push((file.clone().into(), links.join(file.replace('/', "-"))));
        }
        let was = tree(&outside, Skip::default()).0;
        Self { world, tree: root, outside, swaps, was }
    }

    /// Lays all links ready anew.
    fn lay_links(&self) {
        let links = self.world.path("links");
        let _ = fs::remove_dir_all(&links);
        fs::create_dir(&links).expect("ours");
        for (swapped, link) in &self.swaps {
            symlink(self.outside.join(swapped), link).expect("ours");
        }
    }

    /// Swaps one part of the tree; not below a link of ours, for that would be outside.
    fn exchange(&self, (swapped, link): &(PathBuf, PathBuf)) -> bool {
        let mut above = swapped.ancestors().skip(1);
        let leads_out = above.any(|above| self.tree.join(above).is_symlink());
        let place = self.tree.join(swapped);
        !leads_out && renameat_with(CWD, &place, CWD, link, RenameFlags::EXCHANGE).is_ok()
    }

    /// Runs `work` while the swaps go on; the tree is as it was afterwards, but for what `work` did.
    fn during<T>(&self, work: impl FnOnce() -> T) -> T {
        self.lay_links();
        let (stop, swapped) = (AtomicBool::new(false), AtomicU64::new(0));
        let done = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    for swap in &self.swaps {
                        if self.exchange(swap) && self.exchange(swap) {
                            swapped.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
            });
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            stop.store(true, Ordering::Relaxed);
            done
        });
        assert!(swapped.load(Ordering::Relaxed) > 10, "the racer did not come to its turn");
        same(&self.was, &tree(&self.outside, Skip::default()).0, "outside");
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    fn snapshots(&self) -> Vec<String> {
        let listed = self.world.snap(["snapshots", "--json"]).ok().message("snapshots");
        let all = listed["snapshots"].as_array().expect("a list").iter();
        all.map(|one| one["id"].as_str().expect("an id").to_owned()).collect()
    }
}

/// The files below `dir` that hold the canary.
fn holding_the_canary(dir: &Path) -> Vec<PathBuf> {
    let all = walkdir::WalkDir::new(dir).into_iter().map(|entry| entry.expect("readable"));
    let files = all.filter(|entry| entry.file_type().is_file()).map(walkdir::DirEntry::into_path);
    let holds = |path: &PathBuf| {
        let bytes = fs::read(path).expect("readable");
        bytes.windows(CANARY.len()).any(|part| part == CANARY.as_bytes())
    };
    files.filter(holds).collect()
}

fn rounds() -> usize {
    if is_full() { 400 } else { 12 }
}

/// Whether the race can be lost at all.
#[test]
fn who_trusts_paths_is_led_outside_by_the_same_race() {
    let race = Race::new();
    let file = race.tree.join("dir0/sub/file3");
    let seen = |_| fs::read(&file).is_ok_and(|bytes| bytes.starts_with(CANARY.as_bytes()));
    assert!(race.during(|| (0..1_000_000).any(seen)), "never led outside");
}

#[test]
fn links_that_are_swapped_in_during_a_backup_lead_nowhere() {
    let race = Race::new();
    for _ in 0..rounds() {
        let run = race.during(|| race.world.snap(args!["backup", race.tree, "--force"]));
        assert!([0, 3].contains(&run.code()), "{run}");
    }
    race.world.snap(["check", "--read-data"]).ok();
    for id in race.snapshots() {
        let target = race.world.path("restored");
        race.world.snap(args!["restore", id, "--target", target]).ok();
        assert!(holding_the_canary(&target).is_empty(), "{id}: {:?}", holding_the_canary(&target));
        fs::remove_dir_all(target).expect("ours");
    }
}

#[test]
fn links_that_are_swapped_in_during_a_restore_lead_nowhere() {
    let race = Race::new();
    race.world.snap(args!["backup", race.tree]).ok();
    let wanted = tree(&race.tree, Skip::default()).0;
    let back = || {
        let words = ["restore", "latest", "--target", "/", "--overwrite", "--delete", "--yes"];
        let mut back: Vec<std::ffi::OsString> = words.map(Into::into).to_vec();
        back.extend(args!["--confirm", "/"]);
        race.world.snap(back)
    };
    let spoilt = race.world.path("spoilt");
    copy(&race.tree, &spoilt);
    for dir in 0..4 {
        write(spoilt.join(format!("dir{dir}/sub/file3")), "changed");
        write(spoilt.join(format!("dir{dir}/sub/more/intruder")), "to be deleted");
        fs::remove_file(spoilt.join(format!("dir{dir}/sub/file1"))).expect("ours");
    }
    let mut refused = 0;
    for _ in 0..rounds() {
        fs::remove_dir_all(&race.tree).expect("ours");
        copy(&spoilt, &race.tree);
        let run = race.during(back);
        // What moved under its hands it may refuse; it is no bug, and the next one ends it.
        assert!(run.code() < 70, "{run}");
        refused += usize::from(run.code() != 0);
    }
    back().ok();
    same(&wanted, &tree(&race.tree, Skip::default()).0, "restored once nobody races");
    crate::report(&format!("restores raced by links: {}, {refused} refused", rounds()));
}

#[test]
fn links_that_are_swapped_in_during_an_import_lead_nowhere() {
    let race = Race::new();
    let archive = race.world.path("tree.tar");
    crate::run::tool("tar", &[&"-C", &race.world.path(""), &"-cf", &archive, &"tree"]);
    for _ in 0..rounds() / 2 {
        race.during(|| race.world.snap(args!["import", archive])).ok();
    }
    let target = race.world.path("restored");
    race.world.snap(args!["restore", "latest", "--target", target]).ok();
    assert!(holding_the_canary(&target).is_empty(), "{:?}", holding_the_canary(&target));
}
