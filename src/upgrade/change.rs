//! Step 7: the live tree becomes the wanted one. Step 8: the application's own migration.

use std::collections::BTreeSet;

use crate::app::App;
use crate::app::files::{Files, Live};
use crate::os::beneath::Dir;
use crate::repository::Repository;
use crate::snapshot::converge::{self, Deletes};
use crate::snapshot::{Memory, Source, Trust};
use crate::tree::TreePath;

use super::UpgradeError;
use super::arm::{MayGo, Ready, WantedRoot};
use super::armed::Armed;
use super::course::Course;

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
    let done = converge::act(repository, &plan, &course.header.token_hex(), ground.monitor)?;
    for loss in &done.losses {
        course.warn(format!("{}: {}", loss.path.display(), loss.what));
    }
    Ok(plan.counts)
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

/// Deletes what the profile purges where the snapshot covers nothing: caches and their like. What
/// lies there is in no digest, so nothing of it has to come back.
pub(super) fn purge(
    _armed: &Armed,
    course: &Course<'_>,
    app: &App,
    source: &Source,
) -> Result<u64, UpgradeError> {
    let live = Live::open(&app.root)?;
    let mut purged = 0;
    let mut seen = BTreeSet::new();
    for template in &app.profile.files.purge {
        let pattern = template.fill_pattern(&app.vars)?;
        for path in (&live as &dyn Files).matching(&pattern)? {
            if source.exclusions.is_untouchable(&path)
                && !source.exclusions.is_database_file(&path)
                && seen.insert(path.clone())
            {
                match remove(live.dir(), &path) {
                    Ok(()) => purged += 1,
                    Err(error) => course.warn(format!("{path} could not be purged: {error}")),
                }
            }
        }
    }
    Ok(purged)
}

fn remove(root: &Dir, path: &TreePath) -> std::io::Result<()> {
    let dir = match path.parent() {
        Some(parent) => root.open_beneath(parent.as_bytes())?,
        None => root.again()?,
    };
    let stat = dir.stat(path.name())?;
    dir.remove(path.name(), stat.inode)
}
