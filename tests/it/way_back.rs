//! The way back over a tree that is remembered: what stat tells decides what is read, and nothing
//! that was changed escapes it. The judge reads every byte and shares nothing with us.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::is_root;
use crate::oracle::{Skip, same, tree};
use crate::run::{Run, args, put_back, until};
use crate::stage::{set_time, write};
use crate::world::{World, binary};

/// A tree that was restored to a target, and is remembered there.
struct Restored {
    world: World,
    target: PathBuf,
    /// Where the tree lies in the target.
    root: PathBuf,
    /// What it is, to the last byte.
    wanted: String,
}

impl Restored {
    fn new() -> Self {
        let world = World::new();
        let source = world.path("tree");
        for n in 0..60 {
            write(
                source.join(format!("dir{}/sub{}/file{n}", n % 5, n % 3)),
                format!("file {n:04}"),
            );
        }
        write(source.join("dir0/big"), crate::nasty::noise(700_000, 7));
        world.snap(args!["backup", source]).ok();
        let target = world.path("back");
        world.snap(args!["restore", "latest", "--target", target]).ok();
        let root = target.join(source.strip_prefix("/").expect("absolute"));
        let wanted = tree(&root, Skip::default()).0;
        same(&tree(&source, Skip::default()).0, &wanted, "restored");
        Self { world, target, root, wanted }
    }

    fn back(&self) -> Vec<std::ffi::OsString> {
        put_back(&self.target, "back")
    }

    #[track_caller]
    fn go_back(&self) -> Run {
        let run = self.world.snap(self.back()).ok();
        same(&self.wanted, &tree(&self.root, Skip::default()).0, "back");
        run
    }

    /// The plain files of the tree that the way back opens, as the kernel saw it.
    fn opened(&self, more: &[&str]) -> Vec<String> {
        let log = self.world.path("strace.log");
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-y", "-e", "trace=open,openat,openat2", "-o"]).arg(&log);
        command.arg(binary()).args(self.back()).args(more);
        command.env_clear().envs(self.world.environment()).current_dir(self.world.path(""));
        self.world.start_command(command).end().ok();
        let text = fs::read_to_string(&log).expect("ours");
        let lines = text.lines().filter(|line| !line.contains("= -1"));
        let targets =
            lines.filter_map(|line| line.rsplit_once("= ")?.1.split_once('<')?.1.split_once('>'));
        let mut found: Vec<String> = targets
            .map(|(path, _)| Path::new(path))
            .filter(|path| path.starts_with(&self.root) && path.is_file())
            .map(|path| path.strip_prefix(&self.root).expect("below").display().to_string())
            .collect();
        found.sort();
        found.dedup();
        found
    }

    /// Waits until nothing is young any more: what was written right before a look is read again.
    fn settle(&self) {
        until("a way back over what is as wanted reads nothing", || self.opened(&[]).is_empty());
    }

    /// The stat cache of the target: the one that was changed last.
    fn cache(&self) -> PathBuf {
        let names = fs::read_dir(self.world.path("cache")).expect("ours");
        let caches = names.map(|name| name.expect("ours").path());
        let is_one = |path: &PathBuf| {
            path.file_name().expect("a file").as_encoded_bytes().starts_with(b"stat-")
        };
        let age = |path: &PathBuf| fs::metadata(path).expect("ours").modified().expect("ours");
        caches.filter(is_one).max_by_key(age).expect("a cache")
    }
}

/// Changes a file's bytes, and puts back everything that may be put back: size, mode and time.
fn forge(path: &Path, bytes: &[u8]) {
    let before = fs::metadata(path).expect("ours");
    assert_eq!(before.len(), bytes.len() as u64);
    fs::write(path, bytes).expect("ours");
    set_time(path, before.mtime(), before.mtime_nsec());
}

#[test]
fn what_is_as_wanted_is_not_read_again_and_the_next_backup_reads_nothing() {
    let restored = Restored::new();
    restored.settle();
    let told = restored.go_back();
    assert!(told.stdout.contains("restored 0 files"), "{told}");
    let backup = restored.world.snap(args!["backup", "--json", restored.root]).ok();
    let summary = backup.message("summary");
    assert_eq!(summary["files_read"], 0, "{backup}");
}

#[test]
fn a_file_edited_under_its_size_and_time_is_put_right() {
    let restored = Restored::new();
    restored.settle();
    forge(&restored.root.join("dir1/sub1/file1"), b"evil 0001");
    restored.go_back();
    // As soon as the work is done, again and again: within whatever tick the clock is in.
    for round in 0..20 {
        let bytes = format!("evil {round:04}");
        forge(&restored.root.join("dir1/sub1/file1"), bytes.as_bytes());
        forge(&restored.root.join("dir3/sub0/file3"), bytes.as_bytes());
        restored.go_back();
    }
}

#[test]
fn a_file_edited_right_after_a_restore_to_an_empty_place_is_put_right() {
    for round in 0..5 {
        let restored = Restored::new();
        forge(&restored.root.join("dir2/sub2/file2"), format!("fast {round:04}").as_bytes());
        restored.go_back();
    }
}

#[test]
fn another_inode_under_the_name_is_seen() {
    let restored = Restored::new();
    restored.settle();
    let (old, new) = (restored.root.join("dir4/sub1/file4"), restored.root.join("dir4/sub1/new"));
    let before = fs::metadata(&old).expect("ours");
    fs::write(&new, b"twin 0004").expect("ours");
    fs::set_permissions(&new, fs::Permissions::from_mode(before.mode() & 0o7777)).expect("ours");
    set_time(&new, before.mtime(), before.mtime_nsec());
    fs::rename(&new, &old).expect("ours");
    restored.go_back();
}

#[test]
fn a_file_swapped_with_another_of_its_size_is_seen() {
    let restored = Restored::new();
    restored.settle();
    let dir = restored.root.join("dir0/sub0");
    fs::rename(dir.join("file0"), dir.join("aside")).expect("ours");
    fs::rename(dir.join("file15"), dir.join("file0")).expect("ours");
    fs::rename(dir.join("aside"), dir.join("file15")).expect("ours");
    restored.go_back();
}

#[test]
fn a_whole_directory_put_in_place_of_another_is_seen() {
    let restored = Restored::new();
    restored.settle();
    let (old, away) = (restored.root.join("dir1"), restored.world.path("away"));
    fs::rename(&old, &away).expect("ours");
    crate::run::tool("cp", &[&"-a", &away, &old]);
    fs::write(old.join("sub1/file1"), b"evil 0001").expect("ours");
    restored.go_back();
    // The very inodes that are remembered, in another place.
    fs::rename(restored.root.join("dir2"), restored.world.path("two")).expect("ours");
    fs::rename(restored.root.join("dir3"), restored.root.join("dir2")).expect("ours");
    fs::rename(restored.world.path("two"), restored.root.join("dir3")).expect("ours");
    restored.go_back();
}

#[test]
fn a_rehash_reads_everything() {
    let restored = Restored::new();
    restored.settle();
    assert_eq!(restored.opened(&["--rehash"]).len(), 61);
    assert_eq!(restored.opened(&[]), [""; 0]);
}

#[test]
fn what_was_remembered_with_a_forgotten_snapshot_is_not_believed() {
    let restored = Restored::new();
    let world = &restored.world;
    restored.settle();
    let first = world.snap(["snapshots", "--json"]).ok().stdout;
    let source = world.path("tree");
    write(source.join("dir0/new"), "1");
    world.snap(args!["backup", source]).ok();
    let id = first.split("\"id\":\"").nth(1).expect("one snapshot").split('"').next().expect("id");
    world.snap(args!["forget", id, "--yes"]).ok();
    assert!(restored.opened(&["--dry-run"]).len() >= 61, "everything is read");
    world.snap(restored.back()).ok();
    same(&tree(&source, Skip::default()).0, &tree(&restored.root, Skip::default()).0, "back");
}

/// Runs `snap` as after another start of the machine; the lines in which the kernel saw it open
/// something.
fn after_a_restart(world: &World, words: Vec<std::ffi::OsString>) -> Vec<String> {
    let (boot, log) = (world.path("boot_id"), world.path("strace.log"));
    write(&boot, "00000000-1111-2222-3333-444444444444\n");
    let script = "mount --bind \"$1\" /proc/sys/kernel/random/boot_id && shift && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", script, "sh"]).arg(&boot);
    command.args(["strace", "-f", "-qq", "-y", "-e", "trace=openat,openat2", "-o"]).arg(&log);
    command.arg(binary()).args(words);
    command.env_clear().envs(world.environment()).current_dir(world.path(""));
    world.start_command(command).end().ok();
    let text = fs::read_to_string(&log).expect("ours");
    text.lines().filter(|line| !line.contains("= -1")).map(str::to_owned).collect()
}

fn times(opened: &[String], file: &Path) -> usize {
    let file = format!("<{}>", file.display());
    opened.iter().filter(|line| line.contains(&file)).count()
}

#[test]
fn what_was_remembered_before_the_machine_started_is_not_believed() {
    if !is_root() {
        return;
    }
    let restored = Restored::new();
    restored.settle();
    let opened = after_a_restart(&restored.world, restored.back());
    let read = times(&opened, &restored.root.join("dir2/sub2/file2"));
    assert_eq!(read, 1, "read, for nothing of this boot is known");
    same(&restored.wanted, &tree(&restored.root, Skip::default()).0, "back");
}

#[test]
fn the_first_backup_after_a_start_of_the_machine_reads_what_it_cannot_know() {
    if !is_root() {
        return;
    }
    let restored = Restored::new();
    let (world, source) = (&restored.world, restored.world.path("tree"));
    // Once nothing is young any more, a backup reads nothing.
    until("a backup of what is unchanged reads nothing", || {
        let backup = world.snap(args!["backup", "--json", source]).ok();
        backup.message("summary")["files_read"] == 0
    });
    let file = source.join("dir2/sub2/file2");
    let opened = after_a_restart(world, args!["backup", source]);
    assert_eq!(times(&opened, &file), 1, "after a power cut a file may be what it was");
    let words = ["--overwrite", "--yes", "--confirm", "/"];
    let mut back = args!["restore", "latest", "--target", "/"];
    back.extend(words.map(Into::into));
    let opened = after_a_restart(world, back);
    assert_eq!(times(&opened, &file), 0, "it was read since");
}

#[test]
fn a_cache_that_was_damaged_changes_nothing_but_the_time_it_takes() {
    let restored = Restored::new();
    restored.settle();
    let cache = restored.cache();
    let whole = fs::read(&cache).expect("ours");
    let step = (whole.len() / 60).max(1);
    for at in (0..whole.len()).step_by(step) {
        let mut hurt = whole.clone();
        hurt[at] ^= 0x41;
        fs::write(&cache, &hurt).expect("ours");
        forge(&restored.root.join("dir1/sub1/file1"), b"evil 0001");
        restored.go_back();
    }
    for length in [0, 7, whole.len() / 2, whole.len() - 1] {
        fs::write(&cache, &whole[..length]).expect("ours");
        forge(&restored.root.join("dir1/sub1/file1"), b"evil 0001");
        restored.go_back();
    }
}

#[test]
fn what_a_restore_that_died_left_lying_about_goes_with_the_next_one() {
    let restored = Restored::new();
    let ours = || {
        let names = fs::read_dir(&restored.root).expect("ours").map(|e| e.expect("ours"));
        names.filter(|entry| entry.file_name().to_string_lossy().starts_with(".snap-")).count()
    };
    for point in ["converge-written", "converge-renamed", "converge-deleted"] {
        fs::remove_file(restored.root.join("dir2/sub2/file2")).expect("ours");
        write(restored.root.join("dir3/intruder"), "?");
        restored.world.snap_dying_at(point, restored.back()).killed();
        assert_eq!(ours(), 1, "{point}");
        restored.go_back();
        assert_eq!(ours(), 0, "{point}");
    }
    // Also when there is nothing else to do.
    fs::create_dir_all(restored.root.join(".snap-00000000-aside/0")).expect("ours");
    restored.go_back();
    assert_eq!(ours(), 0);
}
