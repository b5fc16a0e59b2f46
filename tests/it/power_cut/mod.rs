//! The power fails at any write to the disk: the repository is sound, what was acknowledged is
//! there, and an upgrade is wholly old or wholly new.
//!
//! Everything a machine has (repository, application, state, cache) lies on one file system whose
//! writes are recorded: ext4, or what `SNAP_TEST_FILE_SYSTEM` says, xfs or btrfs. The states that a power cut may leave are then made from the record
//! and mounted, and `snap` runs on each as after the machine's next start. A sample by default; all:
//! `SNAP_TEST_CAMPAIGN=full bash tests/all.sh --with-servers cargo test --locked --test it power_cut -- --include-ignored`

mod disk;
mod write_log;

use std::ffi::OsString;
use std::fs;
use std::process::{Command, Stdio};
use std::time::Instant;

use self::disk::Disk;
use self::write_log::{Cut, WriteLog};
use crate::arena::is_full;
use crate::nasty::noise;
use crate::notes_upgrade::{leftovers, upgrade};
use crate::oracle::{Skip, difference, same, tree};
use crate::retention::{all_restore, fill_to_prune};
use crate::run::{Run, args};
use crate::stage::write;
use crate::world::{World, binary};

/// A world on a disk that can be recorded.
struct Rig {
    disk: Disk,
    world: World,
}

/// What a piece of work wrote, and how much of it was durable when each step had returned.
struct Recorded {
    log: WriteLog,
    acknowledged: Vec<usize>,
}

impl Rig {
    /// A world with a repository; `None`, saying why, where no such disk can be had.
    fn new() -> Option<Self> {
        let rig = Self::bare()?;
        rig.world.snap(["init", "--no-recovery"]).ok();
        Some(rig)
    }

    /// A world without one.
    fn bare() -> Option<Self> {
        if let Some(why) = disk::impossible() {
            crate::report(&format!("not run: power cuts: {why}"));
            return None;
        }
        let (world, disk) = World::bare_on(Disk::mount);
        // What runs say is the test's, not the machine's.
        fs::remove_dir(world.path("output")).expect("ours");
        std::os::unix::fs::symlink(disk.beside(), world.path("output")).expect("ours");
        Some(Self { disk, world })
    }

    /// Records what each of these steps writes; the unhurt disk is mounted afterwards.
    fn record(&mut self, steps: &mut [&mut dyn FnMut(&World)]) -> Recorded {
        self.disk.record();
        let mut reached = Vec::new();
        for step in steps {
            step(&self.world);
            reached.push(self.disk.reached());
        }
        let log = self.disk.recorded();
        let acknowledged = reached.into_iter().map(|reached| log.flushed(reached)).collect();
        self.disk.remount();
        Recorded { log, acknowledged }
    }

    /// Judges states that a power cut may leave: all of them, or about `most`, the first after
    /// each acknowledgement among them. `judge` is told how many steps had returned.
    fn judge(
        &mut self,
        name: &str,
        recorded: &Recorded,
        most: usize,
        mut judge: impl FnMut(&World, usize, &str),
    ) {
        let begun = Instant::now();
        let all = recorded.log.cuts();
        let returned = |cut: &Cut| {
            recorded.acknowledged.iter().filter(|flushed| **flushed <= cut.flushed).count()
        };
        let step = if is_full() { 1 } else { all.len().div_ceil(most).max(1) };
        let mut told = 0;
        let mut chosen = Vec::new();
        for (n, cut) in all.iter().enumerate() {
            // Not always the same kind of cut.
            let is_due = n % step == (n / step * 7) % step;
            if is_due || returned(cut) > told || n + 1 == all.len() {
                told = told.max(returned(cut));
                chosen.push(cut.clone());
            }
        }
        self.disk.unmount();
        let world = &self.world;
        self.disk.each(&recorded.log, &chosen, |cut| {
            // A machine that starts has forgotten this directory.
            fs::remove_dir_all(world.path("run")).expect("ours");
            fs::create_dir(world.path("run")).expect("ours");
            let told = returned(cut);
            judge(world, told, &format!("{name}, {cut}; {told} steps had returned"));
        });
        self.disk.remount();
        let (judged, writes) = (chosen.len(), recorded.log.len());
        crate::report(&format!(
            "power cut, {name}: {judged} of {} states of {writes} requests in {:.0?}, 0 bad ends",
            all.len(),
            begun.elapsed()
        ));
    }
}

/// `snap ARGS` as after another start of the machine.
fn restarted(world: &World, args: Vec<OsString>) -> Run {
    let boot = world.path("boot_id");
    write(&boot, "00000000-1111-2222-3333-444444444444\n");
    let script = "mount --bind \"$1\" /proc/sys/kernel/random/boot_id && shift && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", script, "sh"]).arg(&boot).arg(binary()).args(args);
    command.env_clear().envs(world.environment()).stdin(Stdio::null());
    command.current_dir(world.path(""));
    world.start_command(command).end()
}

/// The same, which must succeed.
fn succeeds(world: &World, args: Vec<OsString>, when: &str) -> Run {
    let run = restarted(world, args);
    assert_eq!(run.code(), 0, "{when}: {run}");
    run
}

fn is_sound(world: &World, when: &str) {
    succeeds(world, args!["check", "--read-data"], when);
}

fn listed(world: &World, when: &str) -> Vec<String> {
    let listed = succeeds(world, args!["snapshots", "--json"], when).message("snapshots");
    let listed = listed["snapshots"].as_array().expect("a list").iter();
    listed.map(|one| one["id"].as_str().expect("an id").to_owned()).collect()
}

fn taken(world: &World, args: Vec<OsString>) -> String {
    let run = world.snap(args).ok();
    run.snapshot_id()
}

#[test]
#[ignore = "needs qemu-storage-daemon; bash tests/all.sh runs it"]
fn whatever_a_power_cut_leaves_of_a_backup_what_was_acknowledged_is_there() {
    let Some(mut rig) = Rig::new() else { return };
    let source = rig.world.path("tree");
    for n in 0..40 {
        write(source.join(format!("dir{}/file{n}", n % 4)), noise(9_000, n));
    }
    let backup = || args!["backup", source, "--json"];
    let seen = || tree(&source, Skip::default()).0;
    let mut all = vec![(taken(&rig.world, backup()), seen())];
    let (mut second, mut third) = (None, None);
    let recorded = rig.record(&mut [
        &mut |world| {
            write(source.join("dir0/new"), noise(600_000, 77));
            write(source.join("dir1/file1"), noise(9_000, 78));
            fs::remove_file(source.join("dir2/file2")).expect("ours");
            second = Some((taken(world, backup()), seen()));
        },
        &mut |world| {
            write(source.join("dir3/file3"), noise(9_000, 79));
            third = Some((taken(world, backup()), seen()));
        },
    ]);
    all.extend(second.into_iter().chain(third));
    rig.judge("backup", &recorded, 30, |world, told, when| {
        is_sound(world, when);
        let there = listed(world, when);
        let known: Vec<_> = all.iter().filter(|(id, _)| there.contains(id)).cloned().collect();
        assert_eq!(known.len(), there.len(), "{when}: {there:?}");
        assert!(known.len() > told, "{when}: {there:?} of {all:?}");
        assert_eq!(known[..], all[..known.len()], "{when}: a later one without an earlier");
        let from = if is_full() { 0 } else { known.len() - 1 };
        all_restore(world, &source, &known[from..], when);
        // The cut hurt the tree too, under stat data that the cache remembers: whoever wants to
        // know what is there has all of it read.
        let now = seen();
        let mut again = backup();
        again.push("--force".into());
        let id = succeeds(world, again, when).message("summary");
        let id = id["snapshot_id"].as_str().expect("an id").to_owned();
        all_restore(world, &source, &[(id, now)], &format!("{when}, then saved again"));
        is_sound(world, when);
    });
}

#[test]
#[ignore = "needs qemu-storage-daemon; bash tests/all.sh runs it"]
fn whatever_a_power_cut_leaves_of_an_init_it_is_a_whole_repository_or_init_makes_one() {
    let Some(mut rig) = Rig::bare() else { return };
    let init = || args!["init", "--no-recovery"];
    let recorded = rig.record(&mut [&mut |world| _ = world.snap(init()).ok()]);
    let source = rig.world.path("tree");
    let mut ends = [0; 2];
    rig.judge("init", &recorded, 40, |world, told, when| {
        let looked = restarted(world, args!["snapshots"]);
        let is_whole = looked.code() == 0;
        assert!(is_whole || told == 0, "{when}: {looked}");
        if !is_whole {
            succeeds(world, init(), when);
        }
        ends[usize::from(is_whole)] += 1;
        is_sound(world, when);
        write(source.join("file"), when);
        let saved = succeeds(world, args!["backup", source, "--json"], when).message("summary");
        let id = saved["snapshot_id"].as_str().expect("an id").to_owned();
        all_restore(world, &source, &[(id, tree(&source, Skip::default()).0)], when);
        is_sound(world, when);
    });
    let [none, whole] = ends;
    crate::report(&format!("power cut, init: {none} times none yet, {whole} times a whole one"));
}

#[test]
#[ignore = "needs qemu-storage-daemon; bash tests/all.sh runs it"]
fn whatever_a_power_cut_leaves_of_a_prune_nothing_needed_is_lost() {
    let Some(mut rig) = Rig::new() else { return };
    let (source, taken) = fill_to_prune(&rig.world);
    let prune = || args!["prune", "--yes"];
    let recorded = rig.record(&mut [&mut |world| _ = world.snap(prune()).ok()]);
    rig.judge("prune", &recorded, 20, |world, _, when| {
        is_sound(world, when);
        all_restore(world, &source, &taken[..1], when);
        succeeds(world, prune(), when);
        is_sound(world, when);
        all_restore(world, &source, &taken[1..], when);
        let left = fs::read_dir(world.repository().join("condemned")).expect("ours");
        assert_eq!(left.count(), 0, "{when}");
    });
}

#[test]
#[ignore = "needs qemu-storage-daemon; bash tests/all.sh runs it"]
fn whatever_a_power_cut_leaves_of_a_restore_the_next_one_ends_it() {
    let Some(mut rig) = Rig::new() else { return };
    let source = rig.world.path("tree");
    for n in 0..30 {
        write(source.join(format!("dir{}/file{n}", n % 3)), noise(5_000, n));
    }
    rig.world.snap(args!["backup", source]).ok();
    let wanted = tree(&source, Skip::default()).0;
    for n in 0..10 {
        write(source.join(format!("dir0/file{}", n * 3)), noise(5_000, 100 + n));
        write(source.join(format!("dir1/intruder{n}")), noise(900, n));
    }
    fs::remove_dir_all(source.join("dir2")).expect("ours");
    let words = ["restore", "latest", "--target", "/", "--overwrite", "--delete", "--yes"];
    let back = || {
        let mut back: Vec<OsString> = words.map(Into::into).to_vec();
        back.extend(args!["--confirm", "/"]);
        back
    };
    let fresh = rig.world.path("fresh");
    let restored = fresh.join(source.strip_prefix("/").expect("absolute"));
    let recorded = rig.record(&mut [&mut |world| _ = world.snap(back()).ok(), &mut |world| {
        _ = world.snap(args!["restore", "latest", "--target", fresh]).ok();
    }]);
    rig.judge("restore", &recorded, 24, |world, told, when| {
        if told >= 1 {
            same(&wanted, &tree(&source, Skip::default()).0, when);
        }
        if told >= 2 {
            same(&wanted, &tree(&restored, Skip::default()).0, when);
        }
        succeeds(world, back(), when);
        same(&wanted, &tree(&source, Skip::default()).0, &format!("{when}, then restored"));
        is_sound(world, when);
    });
}

/// Cuts the power in an upgrade to `version`; after `recover` the site is wholly one of those it
/// may be, and the one it was left as once the upgrade had returned.
fn upgrades(name: &str, version: &str, code: i32, most: usize) {
    let Some(mut rig) = Rig::new() else { return };
    let site = rig.world.install_notes();
    let old = site.fingerprint();
    let recorded = rig.record(&mut [&mut |world| _ = world.snap(upgrade(version)).exits(code)]);
    let new = site.fingerprint();
    assert_eq!(new == old, code != 0, "an upgrade that changes nothing proves nothing");
    let mut ends = [0; 2];
    rig.judge(name, &recorded, most, |world, told, when| {
        succeeds(world, args!["recover"], when);
        let now = site.fingerprint();
        let against = |wanted: &(crate::oracle::Tree, String)| {
            let files = difference(&wanted.0.0, &now.0.0);
            format!("{files}\n{}", difference(&wanted.1, &now.1))
        };
        assert!(
            now == new || now == old && told == 0,
            "{when}: of the old\n{}\nof the new\n{}",
            against(&old),
            against(&new)
        );
        assert_eq!(leftovers(&site), [""; 0], "{when}");
        is_sound(world, when);
        ends[usize::from(now == new)] += 1;
        if now == old && is_full() {
            succeeds(world, upgrade("1.3.2"), when);
        }
    });
    let [old, new] = ends;
    crate::report(&format!("power cut, {name}: {old} wholly old, {new} wholly as it ended"));
}

#[test]
#[ignore = "needs qemu-storage-daemon; bash tests/all.sh runs it"]
fn whatever_a_power_cut_leaves_of_an_upgrade_the_site_is_wholly_old_or_wholly_new() {
    upgrades("upgrade", "1.3.2", 0, 30);
}

#[test]
#[ignore = "needs qemu-storage-daemon; bash tests/all.sh runs it"]
fn whatever_a_power_cut_leaves_of_an_upgrade_that_fails_the_site_is_wholly_old() {
    upgrades("upgrade that fails", "1.4.0", 20, 20);
}
