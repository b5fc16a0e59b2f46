//! A damaged repository is made whole again from what is there; whatever is not there is said.
//! Killed anywhere, a repair has lost nothing, and the next one ends it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::arena::is_full;
use crate::nasty;
use crate::oracle::{Skip, same, tree};
use crate::retention::{all_restore, to_prune};
use crate::run::{Run, args, tool};
use crate::stage::{copy, write};
use crate::world::World;

/// Points that only repairs meet.
pub(crate) const POINTS: [&str; 5] =
    ["repair-stored", "repair-quarantined", "repair-indexed", "repair-removed", "repair-mended"];

/// A repository whose newest data pack is damaged in one frame.
struct Stage {
    world: World,
    source: PathBuf,
    first: String,
}

impl Stage {
    fn new() -> Self {
        let world = World::new();
        let source = world.path("tree");
        for n in 0..6 {
            write(source.join(format!("calm{n}")), nasty::noise(3000, n));
        }
        world.snap(args!["backup", source]).ok();
        let first = latest(&world);
        let before = packs(&world);
        // Frames of their own: half of them stay sound.
        for n in 0..4 {
            write(source.join(format!("dir/long{n}")), nasty::noise(900_000, 50 + n));
        }
        world.snap(args!["backup", source]).ok();
        let new = packs(&world).into_iter().find(|pack| !before.contains(pack));
        harm(&new.expect("a new pack"));
        world.snap(["check", "--read-data"]).exits(13);
        Self { world, source, first }
    }

    fn restores(&self, address: &str) -> Run {
        let target = self.world.path("restored");
        let _ = fs::remove_dir_all(&target);
        self.world.snap(args!["restore", address, "--target", target])
    }

    fn restored(&self) -> PathBuf {
        self.world.path("restored").join(self.source.strip_prefix("/").expect("absolute"))
    }

    /// Everything was had again.
    fn is_whole(&self, what: &str) {
        self.world.snap(["check", "--read-data"]).ok();
        self.restores("latest").ok();
        let (was, is) =
            (tree(&self.source, Skip::default()), tree(self.restored(), Skip::default()));
        same(&was.0, &is.0, what);
    }

    /// What is not hurt can be had, whenever.
    fn keeps_the_first(&self, what: &str) {
        let run = self.restores(&self.first);
        assert_eq!(run.code(), 0, "{what}: {run}");
    }
}

fn latest(world: &World) -> String {
    let listed = world.snap(["snapshots", "--json"]).ok().message("snapshots");
    let all = listed["snapshots"].as_array().expect("a list");
    all.last().expect("one")["id"].as_str().expect("an id").to_owned()
}

fn packs(world: &World) -> Vec<PathBuf> {
    let mut packs = below(&world.repository().join("packs"));
    packs.sort_by_key(|pack| std::cmp::Reverse(fs::metadata(pack).expect("ours").len()));
    packs
}

fn below(dir: &Path) -> Vec<PathBuf> {
    let files = walkdir::WalkDir::new(dir).sort_by_file_name().into_iter();
    let files = files.map(|entry| entry.expect("readable"));
    files.filter(|entry| entry.file_type().is_file()).map(walkdir::DirEntry::into_path).collect()
}

fn harm(part: &Path) {
    let mut bytes = fs::read(part).expect("ours");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    tool("chmod", &[&"u+w", &part]);
    fs::write(part, bytes).expect("ours");
}

/// Every byte of the repository.
fn image(world: &World) -> BTreeMap<PathBuf, Vec<u8>> {
    let read = |path: PathBuf| (path.clone(), fs::read(path).expect("ours"));
    below(&world.repository()).into_iter().map(read).collect()
}

#[test]
fn a_damaged_pack_is_refilled_from_files_that_are_still_the_same() {
    let stage = Stage::new();
    let before = image(&stage.world);
    stage.world.snap(["repair", "packs"]).ok().says("Nothing was changed").says("--yes");
    assert!(image(&stage.world) == before, "without --yes nothing is changed");
    stage.world.snap(["repair", "packs", "--yes"]).ok();
    stage.is_whole("refilled");
    let kept = below(&stage.world.repository().join("quarantine"));
    let kept = kept.iter().filter(|kept| kept.display().to_string().contains("/packs-")).count();
    assert_eq!(kept, 1, "the damaged pack is kept");
    stage.world.snap(["repair", "packs", "--yes"]).ok().says("nothing to do");
}

#[test]
fn what_was_built_on_a_lost_version_is_refilled_from_the_live_one() {
    let world = World::new();
    let source = world.path("tree");
    let version = |n, release: u8| {
        let mut bytes = nasty::noise(100_000, n);
        bytes[5000] ^= release;
        bytes
    };
    for n in 0..8 {
        write(source.join(format!("file{n}")), version(n, 0));
    }
    world.snap(args!["backup", source]).ok();
    let first = latest(&world);
    let base = packs(&world).remove(0);
    for n in 0..8 {
        write(source.join(format!("file{n}")), version(n, 1));
    }
    world.snap(args!["backup", source]).ok();
    fs::remove_file(base).expect("ours");
    world.snap(["check", "--read-data"]).exits(13);
    let target = world.path("refused");
    world.snap(args!["restore", "latest", "--target", target]).exits(13);
    // What they were is nowhere any more, and the first snapshot stays hurt.
    world.snap(["repair", "packs", "--yes"]).exits(13).says("file0");
    let target = world.path("restored");
    world.snap(args!["restore", "latest", "--target", target]).ok();
    let restored = target.join(source.strip_prefix("/").expect("absolute"));
    same(&tree(&source, Skip::default()).0, &tree(restored, Skip::default()).0, "refilled");
    world.snap(["forget", &first, "--yes"]).ok();
    world.snap(["repair", "packs", "--yes"]).ok();
    world.snap(["check", "--read-data"]).ok();
}

#[test]
fn a_pack_that_is_gone_is_refilled_too() {
    let stage = Stage::new();
    fs::remove_file(&packs(&stage.world)[0]).expect("ours");
    stage.world.snap(["repair", "packs", "--yes"]).ok();
    stage.is_whole("refilled");
}

#[test]
fn lost_directories_come_back_from_the_live_tree() {
    let world = World::new();
    let source = world.path("tree");
    for n in 0..20 {
        write(source.join(format!("dir{}/deep/file{n}", n % 4)), nasty::noise(2000, n));
    }
    world.snap(args!["backup", source]).ok();
    let metadata = packs(&world).pop().expect("the smallest holds the directories");
    harm(&metadata);
    world.snap(["check", "--read-data"]).exits(13).says("and all in it");
    world.snap(["repair", "packs", "--yes"]).ok();
    world.snap(["check", "--read-data"]).ok();
    let target = world.path("restored");
    world.snap(args!["restore", "latest", "--target", target]).ok();
    let restored = target.join(source.strip_prefix("/").expect("absolute"));
    same(&tree(&source, Skip::default()).0, &tree(restored, Skip::default()).0, "directories");
}

#[test]
fn what_no_file_has_any_more_is_said_and_the_snapshot_goes_on_without_it() {
    let stage = Stage::new();
    // Whichever of them is hurt has changed since.
    for n in 0..4 {
        write(stage.source.join(format!("dir/long{n}")), nasty::noise(500, 70 + n));
    }
    stage.world.snap(["repair", "packs", "--yes"]).exits(13).says("dir/long");
    stage.keeps_the_first("after the repair");
    stage.world.snap(["check", "--read-data"]).exits(13);
    let before = image(&stage.world);
    stage.world.snap(["repair", "snapshots"]).ok().says("--yes");
    assert!(image(&stage.world) == before, "without --yes nothing is changed");
    stage.world.snap(["repair", "snapshots", "--yes"]).ok();
    stage.world.snap(["check", "--read-data"]).ok();
    let listed = stage.world.snap(["snapshots", "--json"]).ok().message("snapshots");
    let all = listed["snapshots"].as_array().expect("a list");
    let partial: Vec<bool> = all.iter().map(|one| one["partial"] == true).collect();
    assert_eq!(partial, [false, true], "{listed}");
    stage.restores(all[1]["id"].as_str().expect("an id")).ok();
    let names: Vec<_> = below(&stage.restored());
    assert!(names.len() < 10 && names.len() >= 6, "{names:?}");
    // The next backup stores again what was lost, should it come back.
    stage.world.snap(args!["backup", stage.source]).ok();
    stage.world.snap(["check", "--read-data"]).ok();
}

#[test]
fn a_record_that_cannot_be_read_is_set_aside_and_the_others_are_listed_again() {
    let stage = Stage::new();
    stage.world.snap(["repair", "packs", "--yes"]).ok();
    let second = latest(&stage.world);
    harm(&stage.world.repository().join("snapshots").join(&second));
    stage.world.snap(["snapshots"]).exits(13);
    stage.world.snap(["repair", "snapshots", "--yes"]).ok();
    stage.world.snap(["check", "--read-data"]).ok();
    assert_eq!(latest(&stage.world), stage.first);
    stage.restores("latest").ok();
}

/// The points that `repair WHAT --yes` meets, each as often as it does; of those that every write
/// meets a sample, unless the whole campaign is wanted.
fn kills(stage: &Stage, what: &str) -> Vec<String> {
    let log = stage.world.path("points");
    let mut command = stage.world.command(["repair", what, "--yes"]);
    command.env("SNAP_CRASH_LOG", &log);
    stage.world.start_command(command).end();
    let mut hits: BTreeMap<String, u64> = BTreeMap::new();
    for line in fs::read_to_string(&log).expect("points were met").lines() {
        *hits.entry(line.to_owned()).or_default() += 1;
    }
    let all =
        hits.iter().flat_map(|(point, hits)| (1..=*hits).map(move |n| format!("{point}:{n}")));
    let mut others = 0;
    let chosen = all.filter(|crash| {
        others += 1;
        is_full() || POINTS.iter().any(|point| crash.starts_with(point)) || others % 4 == 0
    });
    chosen.collect()
}

/// Kills `repair WHAT --yes` wherever it can be; `ended` says what must be so after a second one.
fn killed_everywhere(stage: &Stage, what: &str, ended: &dyn Fn(&str)) -> Vec<String> {
    let pristine = stage.world.path("pristine");
    copy(stage.world.repository(), &pristine);
    let mut met = Vec::new();
    for crash in kills(stage, what) {
        fs::remove_dir_all(stage.world.repository()).expect("ours");
        copy(&pristine, stage.world.repository());
        let run = stage.world.snap_dying_at(&crash, ["repair", what, "--yes"]);
        if run.code() != 137 {
            // Threads may share work another way this time.
            continue;
        }
        let said = format!("repair {what} killed at {crash}");
        stage.keeps_the_first(&said);
        let again = stage.world.snap(["repair", what, "--yes"]);
        assert!([0, 13].contains(&again.code()), "{said}: {again}");
        ended(&said);
        met.push(crash);
    }
    met
}

#[test]
fn wherever_a_repair_of_packs_dies_nothing_is_lost_and_the_next_one_ends_it() {
    let stage = Stage::new();
    let met = killed_everywhere(&stage, "packs", &|said| stage.is_whole(said));
    for point in &POINTS[..4] {
        assert!(met.iter().any(|met| met.starts_with(point)), "{point} is not among {met:?}");
    }
}

#[test]
fn wherever_a_repair_of_snapshots_dies_nothing_is_lost_and_the_next_one_ends_it() {
    let stage = Stage::new();
    for n in 0..4 {
        write(stage.source.join(format!("dir/long{n}")), nasty::noise(500, 70 + n));
    }
    stage.world.snap(["repair", "packs", "--yes"]).exits(13);
    let met = killed_everywhere(&stage, "snapshots", &|said| {
        let run = stage.world.snap(["check", "--read-data"]);
        assert_eq!(run.code(), 0, "{said}: {run}");
        let listed = stage.world.snap(["snapshots", "--json"]).ok().message("snapshots");
        let count = listed["snapshots"].as_array().expect("a list").len();
        assert_eq!(count, 2, "{said}: each snapshot is there once\n{listed}");
    });
    assert!(met.iter().any(|met| met.starts_with("repair-mended")), "{met:?}");
}

#[test]
fn wherever_a_repair_of_the_index_dies_nothing_is_lost_and_the_next_one_ends_it() {
    let world = World::new();
    let source = world.path("tree");
    write(source.join("one"), nasty::noise(3000, 1));
    world.snap(args!["backup", source]).ok();
    let first = latest(&world);
    write(source.join("two"), nasty::noise(3000, 2));
    world.snap(args!["backup", source]).ok();
    // A duplicate under another name: the index is wrong, and everything can still be had.
    let segment = below(&world.repository().join("index")).remove(0);
    let other = segment.with_file_name("ab".repeat(32));
    fs::copy(&segment, other).expect("ours");
    let stage = Stage { world, source, first };
    let met = killed_everywhere(&stage, "index", &|said| stage.is_whole(said));
    assert!(met.len() >= 2, "{met:?}");
}

#[test]
fn a_damaged_record_of_a_prune_stops_backups_and_prunes_until_it_is_put_aside() {
    let (world, source, taken) = to_prune();
    world.snap_dying_at("prune-condemned", args!["prune", "--yes"]).killed();
    let dir = world.repository().join("condemned");
    let record = below(&dir).pop().expect("the prune condemned something");
    let mut bytes = fs::read(&record).expect("ours");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&record, bytes).expect("ours");
    world.snap(args!["backup", source]).exits(13);
    world.snap(["prune", "--yes"]).exits(13);
    world.snap(["repair", "index"]).ok().says("would put 1 record");
    assert!(record.exists(), "a dry run changes nothing");
    world.snap_dying_at("repair-quarantined", args!["repair", "index", "--yes"]).killed();
    world.snap(["repair", "index", "--yes"]).ok().says("quarantine");
    assert_eq!(below(&dir), [""; 0].map(PathBuf::from));
    let kept = below(&world.repository().join("quarantine"));
    assert!(kept.iter().any(|path| path.ends_with(format!(
        "condemned-{}",
        record.file_name().expect("it has one").to_string_lossy()
    ))));
    world.snap(["check", "--read-data"]).ok();
    all_restore(&world, &source, &taken, "put aside");
    world.snap(args!["backup", source]).ok();
    world.snap(["prune", "--yes"]).ok();
    world.snap(["check", "--read-data"]).ok();
    all_restore(&world, &source, &taken, "put aside, then pruned");
    world.snap(["repair", "index"]).ok().says("nothing to do");
}
