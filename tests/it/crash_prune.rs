//! A prune that dies anywhere leaves a repository that is sound, and the next one ends its work.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use snap_backup::os::crash::CrashPoint;

use crate::arena::is_full;
use crate::nasty::noise;
use crate::oracle::{Skip, tree};
use crate::retention::{all_restore, to_prune};
use crate::run::{Run, Running, args, until};
use crate::stage::{copy, read, write};
use crate::world::{World, binary};

/// Points that a prune meets only beside writers: the second test here kills it there.
const BESIDE_WRITERS: &[CrashPoint] = &[CrashPoint::PruneRescued];

/// Which of so many hits of one point are tried: of a prune's own points in a sample the first and
/// the last, of others one in the middle.
fn hits(name: &str, count: u64) -> Vec<u64> {
    if is_full() {
        return (1..=count).collect();
    }
    let mut chosen =
        if name.starts_with("prune-") { vec![1, count] } else { vec![count.div_ceil(2)] };
    chosen.dedup();
    chosen
}

#[test]
fn wherever_a_prune_dies_nothing_is_lost_and_the_next_one_ends_its_work() {
    let (world, source, taken) = to_prune();
    let pristine = world.path("pristine");
    copy(world.repository(), &pristine);
    let log = world.path("hits");
    let mut unhurt = world.command(["prune", "--yes"]);
    unhurt.env("SNAP_CRASH_LOG", &log);
    world.start_command(unhurt).end().ok();
    let mut met: BTreeMap<String, u64> = BTreeMap::new();
    for name in read(&log).lines() {
        *met.entry(name.to_owned()).or_default() += 1;
    }
    let mut kills = 0;
    for (name, count) in &met {
        for hit in hits(name, *count) {
            let when = format!("died at {name}:{hit}");
            std::fs::remove_dir_all(world.repository()).expect("ours");
            copy(&pristine, world.repository());
            let run = world.snap_dying_at(&format!("{name}:{hit}"), args!["prune", "--yes"]);
            if run.code() != 137 {
                // Threads share work another way each time.
                run.ok();
                continue;
            }
            kills += 1;
            world.snap(["check", "--read-data"]).ok();
            all_restore(&world, &source, &taken[1..], &when);
            world.snap(args!["backup", source]).ok();
            world.snap(["prune", "--yes"]).ok();
            world.snap(["check", "--read-data"]).ok();
            all_restore(&world, &source, &taken[..1], &format!("{when}, then pruned"));
            let left = std::fs::read_dir(world.repository().join("condemned")).expect("ours");
            assert_eq!(left.count(), 0, "{when}");
        }
    }
    let own = CrashPoint::ALL.iter().filter(|point| point.name().starts_with("prune-"));
    for point in own.filter(|point| !BESIDE_WRITERS.contains(point)) {
        assert!(met.contains_key(point.name()), "{} was not met: {met:?}", point.name());
    }
    crate::report(&format!("killed prunes: {kills}, all sound and ended by the next"));
    assert!(kills >= 12, "{kills} of {met:?}");
}

/// A repository in which a prune is about to come upon a backup that is neither there nor gone.
struct Rescue {
    world: World,
    source: PathBuf,
    late: PathBuf,
    pristine: PathBuf,
    was: [String; 2],
}

impl Rescue {
    fn new() -> Self {
        let world = World::new();
        let (source, late) = (world.path("tree"), world.path("late"));
        for n in 0..10 {
            write(source.join(format!("file{n}")), noise(60_000, n));
        }
        let run = world.snap(args!["backup", source, "--json"]).ok();
        let id = run.snapshot_id();
        world.snap(args!["forget", id, "--yes"]).ok();
        for n in 5..15 {
            write(source.join(format!("file{n}")), noise(60_000, 100 + n));
            // Of this one the second writer finds everything in what was condemned.
            write(late.join(format!("file{n}")), noise(60_000, 100 + n));
        }
        let was = [&source, &late].map(|dir| tree(dir, Skip::default()).0);
        let pristine = world.path("pristine");
        copy(world.repository(), &pristine);
        Self { world, source, late, pristine, was }
    }

    /// A backup that stops once its segment of the index is durable, and its record not yet there.
    fn stopping(&self) -> Running {
        let mut command = Command::new("strace");
        command.args([
            "-D",
            "-f",
            "-q",
            "-e",
            "trace=fsync",
            "-e",
            "inject=fsync:signal=STOP:when=1",
        ]);
        command.arg("-P").arg(self.world.repository().join("index"));
        command.arg("-o").arg(self.world.path("calls")).arg(binary());
        command.args(args!["backup", self.source]);
        command.env_clear().envs(self.world.environment()).stdin(Stdio::null());
        command.current_dir(self.world.path(""));
        self.world.start_command(command)
    }

    /// Prunes while a backup stands still between its segment and its record; `prepare` gives the
    /// prune its environment. All that both backups stored was garbage to it when it began.
    fn prune(&self, prepare: impl FnOnce(&mut Command)) -> Run {
        for name in ["repository", "cache", "state"] {
            let _ = std::fs::remove_dir_all(self.world.path(name));
        }
        copy(&self.pristine, self.world.repository());
        let _ = std::fs::remove_file(self.world.path("calls"));
        let mut writer = self.stopping();
        until("the backup stands still", || {
            let calls = std::fs::read(self.world.path("calls")).unwrap_or_default();
            assert!(!writer.ended(), "the backup went by: {}", writer.said());
            // All of its threads stop together; not each of them is always told of.
            String::from_utf8_lossy(&calls).contains("--- stopped by SIGSTOP")
        });
        let mut prune = self.world.command(["prune", "--yes", "--lock-wait", "2m"]);
        prune.args(["--max-unused", "0%"]);
        prepare(&mut prune);
        let prune = self.world.start_command(prune);
        let condemned = self.world.repository().join("condemned");
        until("something is condemned", || {
            std::fs::read_dir(&condemned).is_ok_and(|mut dir| dir.next().is_some())
        });
        // Who comes now takes what is condemned for absent; who came before does not know.
        self.world.snap(args!["backup", self.late]).ok();
        writer.signal(18);
        writer.end().ok();
        prune.end()
    }

    fn is_whole(&self, when: &str) {
        self.world.snap(["check", "--read-data"]).ok();
        let listed = self.world.snap(["snapshots", "--json"]).ok().message("snapshots");
        let listed = listed["snapshots"].as_array().expect("a list").clone();
        assert_eq!(listed.len(), 2, "{when}: {listed:?}");
        for one in listed {
            let id = one["id"].as_str().expect("an id").to_owned();
            let is_late = one["paths"].to_string().contains("/late");
            let (source, was) =
                if is_late { (&self.late, &self.was[1]) } else { (&self.source, &self.was[0]) };
            all_restore(&self.world, source, &[(id, was.clone())], when);
        }
    }
}

#[test]
fn wherever_a_prune_dies_that_rescues_what_came_meanwhile_nothing_is_lost() {
    let rescue = Rescue::new();
    let log = rescue.world.path("hits");
    rescue.prune(|prune| _ = prune.env("SNAP_CRASH_LOG", &log)).ok();
    rescue.is_whole("unhurt");
    let met = read(&log);
    for point in BESIDE_WRITERS {
        assert!(met.lines().any(|name| name == point.name()), "{} was not met", point.name());
    }
    // What comes before the rescue dies in the other test.
    let (_, after) = met.split_once("prune-rescued\n").expect("it was met");
    let mut points: Vec<&str> = after.lines().filter(|name| name.starts_with("prune-")).collect();
    points.insert(0, CrashPoint::PruneRescued.name());
    points.dedup();
    if !is_full() {
        points.truncate(2);
    }
    for name in &points {
        let when = format!("died at {name}");
        rescue.prune(|prune| _ = prune.env("SNAP_CRASH_AT", name)).killed();
        rescue.is_whole(&when);
        rescue.world.snap(["prune", "--yes"]).ok();
        rescue.is_whole(&format!("{when}, then pruned"));
        let left = std::fs::read_dir(rescue.world.repository().join("condemned")).expect("ours");
        assert_eq!(left.count(), 0, "{when}");
    }
    crate::report(&format!("killed prunes that rescue: {}, all sound", points.len()));
}
