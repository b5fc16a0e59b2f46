//! The system refuses, once, at the first call, the second, and so on: a backup of the real binary
//! under `strace` that injects. Success is never said falsely, and what was saved before stays.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::arena::is_full;
use crate::nasty;
use crate::oracle::{Skip, same, tree};
use crate::run::{Run, args};
use crate::stage::{copy, write};
use crate::world::{World, binary};

/// `snap ARGS` whose `when`-th call (in each thread) of those fails with `error`; whether one did.
fn injected(world: &World, calls: &str, error: &str, when: &str, args: &[OsString]) -> (Run, bool) {
    let trace = world.path("trace");
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-e", "signal=none", "-o"]).arg(&trace);
    command.arg("-e").arg(format!("trace={calls}"));
    command.arg("-e").arg(format!("inject={calls}:error={error}:when={when}"));
    command.arg(binary()).args(args);
    command.env_clear().envs(world.environment()).stdin(Stdio::null());
    command.current_dir(world.path(""));
    let run = world.start_command(command).end();
    let fired = fs::read_to_string(&trace).expect("a trace").contains("(INJECTED)");
    (run, fired)
}

/// A repository with one snapshot of a tree that has changed since.
struct Stage {
    world: World,
    source: PathBuf,
    first: String,
    before: String,
    now: String,
    pristine: PathBuf,
}

impl Stage {
    fn new() -> Self {
        let world = World::new();
        let source = world.path("tree");
        for n in 0..6 {
            write(source.join(format!("dir{}/file{n}", n % 2)), nasty::noise(4000, n));
        }
        world.snap(args!["backup", source]).ok();
        let before = tree(&source, Skip::default()).0;
        let listed = world.snap(["snapshots", "--json"]).ok().message("snapshots");
        let first = listed["snapshots"][0]["id"].as_str().expect("an id").to_owned();
        write(source.join("dir0/new"), nasty::noise(600_000, 77));
        let now = tree(&source, Skip::default()).0;
        let pristine = world.path("pristine");
        copy(world.repository(), &pristine);
        Self { world, source, first, before, now, pristine }
    }

    fn restores(&self, address: &str, as_it_was: &str, what: &str) {
        let target = self.world.path("restored");
        let _ = fs::remove_dir_all(&target);
        let run = self.world.snap(args!["restore", address, "--target", target]);
        assert_eq!(run.code(), 0, "{what}: {run}");
        let restored = target.join(self.source.strip_prefix("/").expect("absolute"));
        same(as_it_was, &tree(restored, Skip::default()).0, what);
    }

    /// Lets backups meet `error` at one call after the other; how many did.
    fn meets(&self, calls: &str, error: &str, must_succeed: bool) -> usize {
        let step = if is_full() { 1 } else { 3 };
        for (met, when) in (1..500).step_by(step).enumerate() {
            fs::remove_dir_all(self.world.repository()).expect("ours");
            copy(&self.pristine, self.world.repository());
            let backup = args!["backup", self.source, "--threads", "1"];
            let (run, fired) = injected(&self.world, calls, error, &when.to_string(), &backup);
            let what = format!("{error} at call {when} of {calls}");
            assert!(run.code() < 128, "{what}: {run}");
            if must_succeed || !fired {
                assert_eq!(run.code(), 0, "{what}: {run}");
            }
            let check = self.world.snap(["check", "--read-data"]);
            assert_eq!(check.code(), 0, "{what}: {check}");
            self.restores(&self.first, &self.before, &what);
            if run.code() == 0 {
                self.restores("latest", &self.now, &what);
            }
            if !fired {
                return met;
            }
        }
        panic!("{error} of {calls} never ends");
    }
}

#[test]
fn a_sync_that_fails_is_the_end_of_that_backup_and_of_nothing_else() {
    let met = Stage::new().meets("fsync,fdatasync,syncfs", "EIO", false);
    assert!(met >= 1, "{met}");
}

#[test]
fn a_disk_that_is_full_at_any_write_costs_that_backup_and_nothing_else() {
    let met = Stage::new().meets("pwrite64", "ENOSPC", false);
    assert!(met >= 1, "{met}");
}

#[test]
fn a_repository_that_turns_read_only_costs_that_backup_and_nothing_else() {
    let stage = Stage::new();
    let met = stage.meets("renameat2,linkat,mkdir,mkdirat,unlink,unlinkat", "EROFS", false);
    assert!(met >= 1, "{met}");
}

#[test]
fn calls_that_a_signal_interrupts_are_made_again() {
    let met = Stage::new().meets("pwrite64,write", "EINTR", true);
    assert!(met >= 1, "{met}");
}

#[test]
fn a_file_system_that_can_sync_no_directory_is_borne_and_told() {
    let stage = Stage::new();
    // Only directories are synced whole: of files the data is.
    for error in ["EINVAL", "EOPNOTSUPP"] {
        let backup = args!["backup", stage.source];
        let (run, fired) = injected(&stage.world, "fsync", error, "1+", &backup);
        assert!(fired, "{run}");
        let said = run.ok().says("power cut").to_string();
        assert!(said.contains("cannot sync directories"), "{said}");
        stage.world.snap(["check", "--read-data"]).ok();
        stage.restores("latest", &stage.now, error);
    }
    let calm = stage.world.snap(args!["backup", stage.source]).ok();
    assert!(!calm.to_string().contains("power cut"), "{calm}");
}

#[test]
fn a_directory_that_cannot_be_listed_is_never_taken_for_an_empty_one() {
    let met = Stage::new().meets("getdents64", "EIO", false);
    assert!(met >= 1, "{met}");
}

#[test]
fn what_changes_its_kind_under_a_backup_is_never_followed_and_never_hangs_it() {
    let world = World::new();
    let source = world.path("tree");
    let secret = world.path("outside");
    write(&secret, "what nobody asked to be saved");
    for n in 0..50 {
        write(source.join(format!("calm{n}")), nasty::noise(2000, n));
    }
    let racy = source.join("racy");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let aside = world.path("aside");
            while !stop.load(Ordering::Relaxed) {
                write(&aside, "a file");
                fs::rename(&aside, &racy).expect("ours");
                std::os::unix::fs::symlink(&secret, &aside).expect("ours");
                fs::rename(&aside, &racy).expect("ours");
                fs::remove_file(&racy).expect("ours");
                fs::create_dir(&racy).expect("ours");
                fs::remove_dir(&racy).expect("ours");
            }
        });
        for _ in 0..12 {
            let run = world.snap(args!["backup", source]);
            let is_honest = [0, 3].contains(&run.code());
            if !is_honest {
                stop.store(true, Ordering::Relaxed);
            }
            assert!(is_honest, "{run}");
        }
        stop.store(true, Ordering::Relaxed);
    });
    world.snap(["check", "--read-data"]).ok();
    let listed = world.snap(["snapshots", "--json"]).ok().message("snapshots");
    for one in listed["snapshots"].as_array().expect("a list") {
        let id = one["id"].as_str().expect("an id");
        let target = world.path("restored");
        let _ = fs::remove_dir_all(&target);
        world.snap(args!["restore", id, "--target", target]).ok();
        let restored = target.join(source.strip_prefix("/").expect("absolute"));
        let racy = restored.join("racy");
        if racy.symlink_metadata().is_ok_and(|meta| meta.is_file()) {
            assert_eq!(fs::read(&racy).expect("ours"), b"a file");
        }
    }
}
