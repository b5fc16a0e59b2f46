//! No memory, no descriptors, no threads: whatever is refused, the error is said, nothing saved is
//! lost, and an upgrade is put back or does not begin. The real kernel refuses, by control groups,
//! limits and, at the n-th call, `strace`.
//!
//! Each limit is a ladder, from where not even the program starts to where all works.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::arena::is_full;
use crate::busy::{endless, in_migration_by};
use crate::cgroup::{Group, Limited};
use crate::is_root;
use crate::nasty::noise;
use crate::notes_upgrade::{leftovers, unchanged, upgrade};
use crate::oracle::{Skip, Tree, same, tree};
use crate::run::{Run, args};
use crate::site::Notes;
use crate::stage::{read, write};
use crate::world::World;

/// `command`, its program started by a shell that did `first`.
fn after(first: &str, command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{first} && exec \"$@\""), "sh"]);
    shell.arg(command.get_program()).args(command.get_args()).env_clear();
    shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.current_dir(command.get_current_dir().expect("a world's own")).stdin(Stdio::null());
    shell
}

/// A repository with a snapshot, and a tree that has changed since.
struct Stage {
    world: World,
    source: PathBuf,
    first: String,
    was: String,
}

impl Stage {
    fn new() -> Self {
        let world = World::new();
        let source = world.path("tree");
        for n in 0..30 {
            write(source.join(format!("dir{}/file{n}", n % 3)), noise(20_000, n));
        }
        let run = world.snap(args!["backup", source, "--json"]).ok();
        let first = run.snapshot_id();
        let was = tree(&source, Skip::default()).0;
        Self { world, source, first, was }
    }

    /// A backup that has something to save, made scarce by `change`: what was saved before stays,
    /// and success is never said falsely.
    fn backup(&self, what: &str, change: impl FnOnce(&Command) -> Command) -> Run {
        write(self.source.join("dir0/new"), noise(300_000, what.len() as u64));
        write(self.source.join("dir0/of-this-run"), what);
        let backup = self.world.command(args!["backup", self.source]);
        let run = self.world.start_command(change(&backup)).end();
        says_why(&run, what);
        let check = self.world.snap(["check", "--read-data"]);
        assert_eq!(check.code(), 0, "{what}: {run}\n{check}");
        self.restores(&self.first, &self.was, what);
        if run.code() == 0 {
            self.restores("latest", &tree(&self.source, Skip::default()).0, what);
        }
        run
    }

    fn restores(&self, address: &str, was: &str, what: &str) {
        let target = self.world.path("restored");
        let _ = std::fs::remove_dir_all(&target);
        self.world.snap(args!["restore", address, "--target", target]).ok();
        let restored = target.join(self.source.strip_prefix("/").expect("absolute"));
        same(was, &tree(restored, Skip::default()).0, what);
    }
}

/// Killed; aborted, as a program is whose memory is refused; ended by the loader before it began.
const DIED: [i32; 3] = [137, 134, 139];

/// Who fails says why, and it is no bug; who is killed cannot say anything.
fn says_why(run: &Run, what: &str) {
    assert!(!run.to_string().contains("panicked") && run.code() != 70, "{what}: {run}");
    let is_told = !run.stderr.trim().is_empty();
    assert!(run.code() == 0 || DIED.contains(&run.code()) || is_told, "{what}: {run}");
}

/// What became of an upgrade that was made scarce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    New,
    /// It went back, or never began.
    Unchanged,
    /// It died, and `recover` made it wholly old or wholly new.
    Recovered,
}

/// An upgrade made scarce by `change`, on a site of its own.
fn upgraded(what: &str, change: impl FnOnce(&Command) -> Command) -> Ended {
    let (world, site) = World::with_notes();
    let before = site.fingerprint();
    let run = world.start_command(change(&world.command(upgrade("1.3.2")))).end();
    let ended = ended(&world, &run, what);
    is_whole(&world, &site, &before, ended, &format!("{what}: {run}"));
    ended
}

/// How a run ended; what died is recovered.
fn ended(world: &World, run: &Run, what: &str) -> Ended {
    says_why(run, what);
    match run.code() {
        // 3: something did not come about after the commit, and is told.
        0 | 3 => Ended::New,
        code if DIED.contains(&code) => {
            let has_begun = world.path("state/journal.db").exists();
            world.snap(["recover"]).ok();
            if has_begun { Ended::Recovered } else { Ended::Unchanged }
        }
        // Whether an event is in the journal could not be told: it goes neither way, and says so.
        21 if run.to_string().contains("E0421") => {
            world.snap(["recover"]).ok();
            Ended::Recovered
        }
        _ => Ended::Unchanged,
    }
}

fn is_whole(world: &World, site: &Notes, before: &(Tree, String), ended: Ended, what: &str) {
    let is_new = read(site.root.join("VERSION")) == "1.3.2\n";
    if is_new && ended != Ended::Unchanged {
        let applied = site.ask("SELECT id FROM schema_migrations ORDER BY id");
        assert_eq!(applied, "0001_notes\n0002_tags\n0003_uri\n0004_statistics\n", "{what}");
        assert!(!site.root.join("maintenance.flag").exists(), "{what}: shut");
    } else {
        assert!(ended != Ended::New, "{what}: not new");
        unchanged(site, before, what);
    }
    assert_eq!(leftovers(site), [""; 0], "{what}");
    let check = world.snap(["check", "--read-data"]);
    assert_eq!(check.code(), 0, "{what}\n{check}");
}

/// Climbs a ladder of limits with a backup and with an upgrade, until each has enough; `first` is
/// what a shell does to be so limited. How those ended that had not.
fn climb(
    limits: impl Iterator<Item = u64> + Clone,
    first: impl Fn(u64) -> String,
) -> (Vec<i32>, Vec<Ended>) {
    let stage = Stage::new();
    let (mut backups, mut upgrades) = (Vec::new(), Vec::new());
    for limit in limits.clone() {
        let first = first(limit);
        let run = stage.backup(&first, |backup| after(&first, backup));
        if run.code() == 0 {
            break;
        }
        backups.push(run.code());
    }
    for limit in limits {
        let first = first(limit);
        let ended = upgraded(&first, |upgrade| after(&first, upgrade));
        if ended == Ended::New {
            assert!(!backups.is_empty() && !upgrades.is_empty(), "the ladder begins too high");
            return (backups, upgrades);
        }
        upgrades.push(ended);
    }
    panic!("the ladder ends before an upgrade has enough: {backups:?} {upgrades:?}");
}

/// Between two rungs: as in a whole campaign, or as in a sample.
fn rung(whole: usize, sample: usize) -> usize {
    if is_full() { whole } else { sample }
}

/// A group with that limit; says why there is none.
fn group(limited: Limited) -> Option<Group> {
    let made = if is_root() { Group::new(limited) } else { Err("it needs root".to_owned()) };
    made.map_err(|why| crate::report(&format!("not run: {limited:?} that run out: {why}"))).ok()
}

#[test]
fn who_is_killed_for_want_of_memory_leaves_nothing_half_done() {
    let Some(group) = group(Limited::Memory) else { return };
    let (backups, upgrades) =
        climb((1_u64 << 20..1 << 28).step_by(rung(100_000, 2_000_000)), |bytes| {
            group.allow(bytes);
            group.enter()
        });
    let killed = upgrades.iter().filter(|ended| **ended == Ended::Recovered).count();
    assert!(backups.contains(&137) && killed > 0, "{backups:?} {upgrades:?}");
    crate::report(&format!(
        "short of memory: {} backups, {} upgrades, {killed} of these in the middle: all whole",
        backups.len(),
        upgrades.len()
    ));
}

#[test]
fn without_threads_or_processes_the_work_is_refused_or_put_back() {
    let Some(group) = group(Limited::Tasks) else { return };
    climb((1..200).step_by(rung(1, 11)), |tasks| {
        group.allow(tasks);
        group.enter()
    });
}

#[test]
fn an_application_is_put_back_although_no_thread_can_be_had_any_more() {
    for kills in [false, true] {
        let Some(group) = group(Limited::Tasks) else { return };
        group.allow(1_000);
        let (world, site) = World::with_notes();
        let before = site.fingerprint();
        let command = after(&group.enter(), &world.command(endless(&world)));
        let running = in_migration_by(&world, &site, command);
        // From now on the kernel refuses every further one.
        group.allow(1);
        if kills {
            running.signal(9);
            running.end().killed();
            let recover = after(&group.enter(), &world.command(["recover"]));
            world.start_command(recover).end().ok();
        } else {
            running.signal(2);
            running.end().exits(130);
        }
        unchanged(&site, &before, "put back without threads");
        assert_eq!(leftovers(&site), [""; 0]);
    }
}

#[test]
fn without_descriptors_the_work_is_refused_or_put_back() {
    let limits = (3..400).step_by(rung(1, 30));
    let (_, upgrades) = climb(limits, |files| format!("ulimit -n {files}"));
    assert!(upgrades.iter().all(|ended| *ended == Ended::Unchanged), "{upgrades:?}");
}

#[test]
fn without_address_space_the_work_is_refused_or_put_back() {
    let step = rung(2_000, 60_000);
    climb((20_000..4_000_000).step_by(step), |kib| format!("ulimit -v {kib}"));
}

/// `command` under `strace`, which refuses its `when`-th call of that name in each thread.
fn refused(world: &World, call: &str, error: &str, when: usize, command: &Command) -> Command {
    let mut strace = Command::new("strace");
    strace.args(["-D", "-f", "-qq", "-e", "signal=none", "-o"]).arg(world.path("calls"));
    strace.args(["-e", &format!("trace={call}")]);
    strace.args(["-e", &format!("inject={call}:error={error}:when={when}")]);
    strace.arg(command.get_program()).args(command.get_args()).env_clear();
    strace.envs(world.environment()).current_dir(world.path("")).stdin(Stdio::null());
    strace
}

/// Every so many calls of an upgrade refused once, until none is any more.
fn once_each(call: &str, error: &str, step: usize) -> Vec<Ended> {
    let mut ends = Vec::new();
    for when in (1..).step_by(step) {
        let what = format!("{error} at call {when} of {call}");
        let (world, site) = World::with_notes();
        let before = site.fingerprint();
        let command = refused(&world, call, error, when, &world.command(upgrade("1.3.2")));
        let run = world.start_command(command).end();
        let (ended, fired) = (ended(&world, &run, &what), read(world.path("calls")));
        is_whole(&world, &site, &before, ended, &format!("{what}: {run}"));
        if !fired.contains("(INJECTED)") {
            assert_eq!(ended, Ended::New, "{what}");
            return ends;
        }
        ends.push(ended);
    }
    ends
}

#[test]
fn a_descriptor_that_is_refused_once_anywhere_costs_at_most_that_upgrade() {
    let ends = once_each("openat,openat2", "EMFILE", rung(1, 160));
    assert!(ends.contains(&Ended::Unchanged), "{ends:?}");
}

#[test]
fn a_thread_that_is_refused_once_anywhere_costs_at_most_that_upgrade() {
    let ends = once_each("clone3,clone", "EAGAIN", rung(1, 9));
    assert!(ends.contains(&Ended::Unchanged), "{ends:?}");
}

#[test]
fn memory_that_is_refused_once_anywhere_costs_at_most_that_upgrade() {
    let ends = once_each("mmap", "ENOMEM", rung(1, 60));
    assert!(!ends.is_empty());
}
