//! A prune that dies anywhere leaves a repository that is sound, and the next one ends its work.

use std::collections::BTreeMap;

use snap_backup::os::crash::CrashPoint;

use crate::arena::is_full;
use crate::retention::{all_restore, to_prune};
use crate::run::args;
use crate::stage::{copy, read};

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
    for point in own.filter(|point| **point != CrashPoint::PruneRescued) {
        assert!(met.contains_key(point.name()), "{} was not met: {met:?}", point.name());
    }
    crate::report(&format!("killed prunes: {kills}, all sound and ended by the next"));
    assert!(kills >= 12, "{kills} of {met:?}");
}
