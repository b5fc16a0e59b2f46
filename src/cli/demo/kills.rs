//! Scene 7: real SIGKILLs of this very binary at each of the crash points that the runs before
//! have met, each followed by `snap recover`. Every end must be the old or the new state of a run
//! that nobody disturbed.

use std::path::PathBuf;

use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::os::clock;

use super::house::{House, Mischief, broken};
use super::oracle::Seen;
use super::scenes::{agreed, look, say, to};
use super::site;

const SIGKILL: i32 = 9;

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

/// Kills, recovers, looks.
pub(super) fn play(cx: &Context<'_>, house: &House, old: &Seen, new: &Seen) -> Result<(), Failure> {
    let started = clock::stopwatch();
    let points = points(house)?;
    let mut tally = Tally::default();
    house.reset()?;
    for (index, (point, version)) in points.iter().enumerate() {
        let (number, all) = (index + 1, points.len());
        cx.out.redraw(&format!(" 7 kill -9, recover    {number} of {all}: {point}"));
        once(house, point, version, (old, new), &mut tally)?;
    }
    let line = format!(
        "{} crash points: {} ends wholly old, {} wholly new",
        points.len(),
        tally.old,
        tally.new
    );
    say(cx, 7, "kill -9, recover", &line, Some(started.elapsed()));
    if tally.old == 0 || tally.new == 0 || tally.old + tally.new != points.len() {
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
        return Err(broken(format!("an upgrade to {version} was not killed at {point}")));
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
