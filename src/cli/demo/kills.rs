//! Scene 7: real SIGKILLs of this very binary at each of the crash points that the runs before
//! have met, each followed by `snap recover`. Every end must be the old or the new state of a run
//! that nobody disturbed.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::os::clock;

use super::house::{House, Mischief, broken};
use super::oracle::Seen;
use super::scenes::{agreed, look, say, to};
use super::site;

const SIGKILL: i32 = 9;
const WORLDS_MAX: usize = 4;

/// How many runs ended how.
#[derive(Debug, Default)]
struct Tally {
    old: usize,
    new: usize,
}

/// Where a run that nobody disturbs notes the crash points that it meets.
pub(super) fn notes(house: &House, version: &str) -> PathBuf {
    house.root.join(format!("points-{version}"))
}

/// Each point once: those of the good upgrade, then those that only the failing one meets.
fn points(house: &House) -> Result<Vec<(String, &'static str)>, Failure> {
    let mut points: Vec<(String, &'static str)> = Vec::new();
    for version in [site::GOOD, site::BROKEN] {
        let noted = std::fs::read_to_string(notes(house, version));
        let noted = noted.map_err(|error| {
            broken("the runs before have noted no crash points").because(error.to_string())
        })?;
        for name in noted.lines() {
            if !points.iter().any(|(known, _)| known == name) {
                points.push((name.to_owned(), version));
            }
        }
    }
    Ok(points)
}

/// Kills, recovers, looks; in as many worlds at once as there are cores, for most of such a run
/// is waiting for the disk.
pub(super) fn play(cx: &Context<'_>, house: &House, old: &Seen, new: &Seen) -> Result<(), Failure> {
    let started = clock::stopwatch();
    let points = points(house)?;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let worlds: Vec<House> =
        (1..=cores.min(WORLDS_MAX)).map(|n| house.twin(n)).collect::<Result<_, _>>()?;
    let (next, out) = (AtomicUsize::new(0), cx.out);
    let in_one = |world: &House| -> Result<Tally, Failure> {
        let mut tally = Tally::default();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some((point, version)) = points.get(index) else { return Ok(tally) };
            let (number, all) = (index + 1, points.len());
            out.redraw(&format!(" 7 kill -9, recover    {number} of {all}: {point}"));
            once(world, point, version, (old, new), &mut tally)?;
        }
    };
    let tallies = std::thread::scope(|scope| {
        let running: Vec<_> = worlds.iter().map(|world| scope.spawn(|| in_one(world))).collect();
        let ended = running.into_iter().map(std::thread::ScopedJoinHandle::join);
        ended.map(|one| one.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    });
    let tallies: Result<Vec<Tally>, Failure> = tallies;
    let tallies = tallies?;
    let old: usize = tallies.iter().map(|tally| tally.old).sum();
    let new: usize = tallies.iter().map(|tally| tally.new).sum();
    let line = format!("{} kills: {old} ends wholly old, {new} wholly new", old + new);
    say(cx, 7, "kill -9, recover", &line, Some(started.elapsed()));
    if old == 0 || new == 0 {
        return Err(broken("the kills did not end both ways"));
    }
    Ok(())
}

/// One run that is killed at `point`; before, and afterwards again, a fresh 1.1.0 is installed.
fn once(
    house: &House,
    point: &str,
    version: &str,
    (old, new): (&Seen, &Seen),
    tally: &mut Tally,
) -> Result<(), Failure> {
    let arguments = agreed(to(house, "upgrade", version));
    let ended = house.snap(&arguments, Mischief::Kill(point))?;
    if ended.signal != Some(SIGKILL) {
        // Some points are met once only: the first run ever makes the journal.
        let expected = if version == site::GOOD { 0 } else { 20 };
        if ended.code == Some(expected) {
            return house.reset();
        }
        return Err(broken(format!("an upgrade to {version} ended by itself before {point}")));
    }
    house.must(0, &["recover".to_owned()])?;
    let now = look(house)?;
    if now == *old {
        tally.old += 1;
        return Ok(());
    }
    if now == *new && version == site::GOOD {
        tally.new += 1;
        return house.reset();
    }
    let part = |is_old: bool| if is_old { "old" } else { "not old" };
    Err(broken(format!("killed at {point}, the application is neither old nor new")).because(
        format!(
            "files {}, database {}",
            part(now.files == old.files),
            part(now.database == old.database)
        ),
    ))
}
