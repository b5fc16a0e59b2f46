//! Step 7: the live tree becomes the wanted one. Step 8: the application's own migration.

use crate::app::App;
use crate::app::files::Live;
use crate::app::purge;
use crate::app::release::{self, Followed, GitCommit};
use crate::os::volume;
use crate::repository::Repository;
use crate::snapshot::converge::{self, Deletes};
use crate::snapshot::{Memory, Source, Trust};

use super::arm::{MayGo, Ready, WantedRoot};
use super::armed::Armed;
use super::course::Course;
use super::plan::{Plan, PlannedCommit, PlannedRelease};
use super::{UpgradeError, chain};

/// Makes one root what is wanted. Only who is armed may.
pub(super) fn converge_root(
    _armed: &Armed,
    course: &Course<'_>,
    repository: &Repository,
    source: &Source,
    wanted: &WantedRoot,
    trust: Trust,
) -> Result<converge::Counts, UpgradeError> {
    let ground = course.ground;
    let request = converge::Request {
        wanted: &wanted.root,
        annex: wanted.annex.as_ref(),
        path: &source.path,
        exclusions: &source.exclusions,
        deletes: match &wanted.deletes {
            MayGo::Only(paths) => Deletes::Only(paths),
            MayGo::All => Deletes::All,
            MayGo::Nothing => Deletes::None,
        },
        // An overwrite leaves what the operator moved away; a way back puts back what was there.
        keep_links_to_directories: matches!(wanted.deletes, MayGo::Only(_)),
        include: None,
        memory: Memory { dir: Some(ground.cache_dir), trust },
    };
    let plan = converge::plan(repository, &request, ground.monitor)?;
    if let MayGo::Only(allowed) = &wanted.deletes {
        for (word, path) in plan.lines() {
            let fine = word != "delete" || path.as_ref().is_some_and(|path| allowed.contains(path));
            assert!(fine, "{path:?} has no verdict that deletes it");
        }
    }
    for kept in &plan.kept {
        course.warn(format!("{}: {}", kept.path, kept.why.says()));
    }
    let token = course.header.token_hex();
    let unsynced = converge::act(repository, &plan, &token, ground.monitor)?;
    for loss in unsynced.sync()?.losses.named() {
        course.warn(format!("{}: {}", loss.path.display(), loss.what));
    }
    Ok(plan.counts)
}

/// Takes as much of the disk under each root as the way back may need, where there is so much.
pub(super) fn hold_room(_armed: &Armed, course: &Course<'_>, plan: &Plan, sources: &[Source]) {
    for source in sources {
        let name = source.path.display().to_string();
        let Some(space) = plan.space.iter().find(|space| space.what == name) else { continue };
        let Ok(volume) = volume::at(&source.path) else { continue };
        // The change itself goes first.
        let bytes = space.needs_bytes.min(volume.free_bytes.saturating_sub(space.needs_bytes));
        let held = converge::hold_room(&source.path, &course.header.token_hex(), bytes);
        if let Err(error) = held {
            course.warn(chain(&error).join(": "));
        }
    }
}

/// What was held for the way back is there for it.
pub(super) fn give_room_back(course: &Course<'_>, sources: &[Source]) {
    for source in sources {
        // Not being able to only matters if the disk is full, and then it shows.
        let _ = converge::give_room_back(&source.path, &course.header.token_hex());
    }
}

/// Step 7: every root becomes what is wanted.
pub(super) fn overwrite(
    course: &Course<'_>,
    repository: &Repository,
    ready: &Ready<'_>,
) -> Result<String, UpgradeError> {
    let mut total = converge::Counts::default();
    for (source, wanted) in ready.home.covered.sources.iter().zip(&ready.roots) {
        let counts =
            converge_root(&ready.armed, course, repository, source, wanted, Trust::SameBoot)?;
        total.write += counts.write;
        total.make += counts.make;
        total.link += counts.link;
        total.delete += counts.delete;
        total.keep += counts.keep;
    }
    let written = total.write + total.make + total.link;
    Ok(format!("{written} written, {} removed, {} untouched", total.delete, total.keep))
}

/// HEAD and index of a site that is a git checkout follow its files, as far as the release came from
/// git. What was not begun is told; what was begun and failed is a failure. For the step's line.
pub(super) fn checkout(
    _armed: &Armed,
    course: &Course<'_>,
    app: &App,
    planned: &PlannedRelease,
) -> Result<&'static str, UpgradeError> {
    let Some(PlannedCommit { repository, id }) = planned.commit.clone() else { return Ok("") };
    if !release::is_checkout(&app.root) {
        return Ok("");
    }
    let (trampoline, token) = (course.ground.trampoline, course.header.token_hex());
    match release::follow(&app.root, &GitCommit { repository, id }, trampoline, &token)? {
        Followed::Done => Ok(", git HEAD moved"),
        Followed::Left(why) => {
            course.warn(format!("HEAD and index of the git checkout stay as they are: {why}"));
            Ok("")
        }
    }
}

/// Empties what the profile purges where the snapshot covers nothing: caches and their like. Nothing
/// of it ever has to come back, and what stays behind of it fails nothing.
pub(super) fn purge(_armed: &Armed, course: &Course<'_>, app: &App, source: &Source) -> usize {
    let purged =
        Live::open(&app.root).and_then(|live| purge::purge(app, &live, &source.exclusions));
    purged.unwrap_or_else(|error| {
        course.warn(chain(&error).join(": "));
        0
    })
}
