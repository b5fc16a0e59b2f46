//! Finds the facts that a plan is made of. Looks only: nothing of the application is changed, and
//! nothing of it is run.

use std::collections::{BTreeMap, BTreeSet};

use crate::app::App;
use crate::app::release::is_checkout;
use crate::app::version::{AppVersion, Jump};
use crate::database::{Database, DatabaseKind};
use crate::repository::{ObjectId, Repository};
use crate::snapshot::{self, Memory, Snapshot, Trust, survey};
use crate::tree::{Kind, TreePath};

use super::super::UpgradeError;
use super::super::context::Context;
use super::super::covered::Covered;
use super::super::merge::{Fate, Fates, Owner, Side, Sides, Typed, Verdict};
use super::super::stored::{Digest, PathText};
use super::super::wanted::{self, AppRules};
use super::ground::{self, Place};
use super::judge::{self, Allowed};
use super::texts;
use super::{
    Aim, FORMAT, PathFate, PathSeen, PathTyped, Plan, PlannedApp, PlannedCommit, PlannedDatabase,
    PlannedRelease, PlannedRoot, Refusal, RefusalKind,
};

/// A release that was imported: a snapshot of class `release`.
#[derive(Clone, Debug)]
pub struct Staged {
    /// Its snapshot.
    pub snapshot: ObjectId,
    /// The version that it declares itself.
    pub version: AppVersion,
    /// Which of the profile's layouts it has.
    pub layout: String,
    /// Where it came from, as the user reads it.
    pub origin: String,
    /// The commit that it was read from, if it came from git.
    pub commit: Option<PlannedCommit>,
    /// What was strange about it.
    pub warnings: Vec<String>,
}

/// What an upgrade is asked to do.
pub struct PlanRequest<'a> {
    /// The application, as it was met.
    pub app: &'a App,
    /// The release that is to come.
    pub release: &'a Staged,
    /// The pristine old release; found by its version if `None`.
    pub base: Option<ObjectId>,
    /// `--keep` and `--take`.
    pub typed: BTreeMap<TreePath, Typed>,
    /// `--allow-major`, `--allow-downgrade`.
    pub allowed: Allowed,
    /// Patterns of questions that are answered on the command line.
    pub answered: Vec<String>,
    /// Whether nobody can be asked.
    pub no_input: bool,
    /// The other applications of this machine.
    pub neighbours: &'a [App],
}

/// Makes the plan of an upgrade.
///
/// What speaks against starting is in its refusals; an error means that no plan could be made.
pub fn plan(ctx: &Context<'_>, request: &PlanRequest<'_>) -> Result<Plan, UpgradeError> {
    let app = request.app;
    let mut covered = Covered::of(app, &ctx.ground.scratch_dir())?;
    let repository = ctx.repository;
    let theirs = release_tree(repository, &request.release.snapshot)?;
    let base_id = match request.base {
        Some(given) => Some(given),
        None => find_base(ctx, app)?,
    };
    let base = base_id.map(|id| release_tree(repository, &id)).transpose()?.unwrap_or_default();

    let rules = AppRules::of(app, &covered.sources[0].exclusions, &request.typed);
    let shipped: BTreeSet<TreePath> = base.keys().chain(theirs.keys()).cloned().collect();
    let want = |path: &TreePath| rules.matters(path, &shipped) || rules.is_configuration(path);
    let memory = Memory { dir: Some(ctx.ground.cache_dir), trust: Trust::SameBoot };
    let found = survey(repository, &covered.sources[0], memory, &want, ctx.ground.monitor)?;
    let mine: Side = found
        .iter()
        .filter(|(path, _)| rules.matters(path, &shipped))
        .map(|(path, entry)| (path.clone(), entry.clone()))
        .collect();
    let sides = Sides { base: &base, mine: &mine, theirs: &theirs };
    let fates = rules.fates(sides);

    let place = ground::look(ctx, app, &covered, request.neighbours)?;
    let mut refusals = place.refusals.clone();
    let from = &app.version;
    refusals.extend(judge::jump(from, &request.release.version, app.profile.path, request.allowed));
    refusals.extend(judge::undecided(&fates, base_id.is_some()));
    refusals.extend(ground::databases(app, &mut covered.databases));
    let space = ground::space(ctx, &covered, &place, bytes_taken(&fates, &theirs))?;
    refusals.extend(judge::room(&space));
    let (pending, unscanned) = texts::pending(repository, request, &mut covered.databases)?;
    // A database that does not answer at all was refused above.
    if !refusals.iter().any(|refusal| refusal.kind == RefusalKind::Database) {
        refusals.extend(unscanned);
    }
    let questions = texts::questions(app, request, &pending);
    refusals.extend(judge::unanswered(&questions));
    refusals.extend(recovery_at_boot(ctx, request));
    refusals.sort_by_key(|refusal| refusal.kind);

    let label = ground::label(&covered, &place);
    let preserved = found
        .iter()
        .filter(|(path, entry)| rules.owner(path) == Owner::Operator && !texts::is_directory(entry))
        .map(|(path, entry)| PathSeen(PathText(path.clone()), judge::seen(Some(entry))))
        .collect();
    Ok(Plan {
        format: FORMAT,
        aim: Aim::Upgrade(PlannedRelease {
            snapshot: request.release.snapshot.into(),
            version: request.release.version.as_str().to_owned(),
            layout: request.release.layout.clone(),
            origin: request.release.origin.clone(),
            jump: jump_word(Jump::between(from, &request.release.version)).to_owned(),
            base: base_id.map(Digest::from),
            commit: request.release.commit.clone(),
        }),
        app: planned_app(app),
        repository: repository.id().to_string(),
        roots: planned_roots(&covered),
        databases: planned_databases(&mut covered.databases),
        typed: request
            .typed
            .iter()
            .map(|(path, typed)| PathTyped(PathText(path.clone()), *typed))
            .collect(),
        review: texts::reviews(repository, app, &base, &theirs, &found)?,
        fates: path_fates(&fates, &mine),
        preserved,
        pending,
        questions,
        maintenance: texts::maintenance(app),
        probes: app.profile.probes.iter().map(|probe| probe.name.clone()).collect(),
        hooks: texts::hooks(app)?,
        label: label.0,
        label_reasons: label.1,
        space,
        uncovered: uncovered(&fates, &mine, &place),
        risks: risks(request, &fates, base_id.is_some(), &place),
        refusals,
    })
}

pub(super) fn planned_app(app: &App) -> PlannedApp {
    PlannedApp {
        name: app.name.clone(),
        profile: app.profile.text().to_owned(),
        profile_origin: app.profile.origin().to_owned(),
        layout: app.layout.clone(),
        version: app.version.as_str().to_owned(),
        root: app.root.clone(),
    }
}

pub(super) fn planned_roots(covered: &Covered) -> Vec<PlannedRoot> {
    let planned = |source: &crate::snapshot::Source| PlannedRoot {
        label: source.label.clone(),
        path: source.path.clone(),
    };
    covered.sources.iter().map(planned).collect()
}

pub(super) fn planned_databases(databases: &mut [Box<dyn Database>]) -> Vec<PlannedDatabase> {
    let planned = databases.iter_mut().map(|database| PlannedDatabase {
        name: database.name().to_owned(),
        kind: database.kind().name().to_owned(),
        address: database.address(),
        // One that cannot be reached is a refusal already.
        identity: database.identity().unwrap_or_default(),
    });
    planned.collect()
}

const fn jump_word(jump: Jump) -> &'static str {
    match jump {
        Jump::Patch => "PATCH",
        Jump::Minor => "MINOR",
        Jump::Major => "MAJOR",
        Jump::Downgrade => "DOWNGRADE",
        Jump::Same => "REINSTALL",
        Jump::Unknown => "UNKNOWN",
    }
}

/// All that a release ships.
fn release_tree(repository: &Repository, id: &ObjectId) -> Result<Side, UpgradeError> {
    let missing = || UpgradeError::NoRelease { id: id.to_string() };
    let release = snapshot::open(repository, id)?.ok_or_else(missing)?;
    let root = release.roots.first().ok_or_else(missing)?;
    wanted::whole(repository, &root.entry)
}

/// The release that the application was last upgraded to, if it still is what that declared; else
/// any imported release of its version.
fn find_base(ctx: &Context<'_>, app: &App) -> Result<Option<ObjectId>, UpgradeError> {
    let told = super::super::history::history(ctx.ground.state_dir)?;
    let version = app.version.as_str();
    let upgraded = told.iter().filter(|told| told.header.app == app.name).find_map(|told| {
        let ended = told.ending() == Some(super::super::event::Ending::Committed);
        match told.plan.as_ref().map(|plan| &plan.aim) {
            Some(Aim::Upgrade(release)) if ended && release.version == version => {
                Some(release.snapshot.object())
            }
            _ => None,
        }
    });
    let known = snapshot::list(ctx.repository)?;
    let is_there = |id: &ObjectId| known.iter().any(|snapshot| snapshot.id == *id);
    if let Some(id) = upgraded.filter(is_there) {
        return Ok(Some(id));
    }
    let fits = |snapshot: &&Snapshot| {
        snapshot.class == snapshot::Class::Release
            && snapshot
                .app
                .as_ref()
                .is_some_and(|mark| mark.name == app.profile.app && mark.version == version)
    };
    Ok(known.iter().rev().find(fits).map(|snapshot| snapshot.id))
}

fn path_fates(fates: &Fates, mine: &Side) -> Vec<PathFate> {
    let one = |(path, fate): (&TreePath, &Fate)| {
        PathFate(PathText(path.clone()), *fate, judge::seen(mine.get(path)))
    };
    fates.iter().map(one).collect()
}

/// Bytes and entries that the release brings.
fn bytes_taken(fates: &Fates, theirs: &Side) -> (u64, u64) {
    let taken = fates.iter().filter(|(_, fate)| fate.verdict() == Verdict::Take);
    taken.fold((0, 0), |(bytes, entries), (path, _)| {
        let size = theirs.get(path).map_or(0, texts::size);
        (bytes + size, entries + 1)
    })
}

fn recovery_at_boot(ctx: &Context<'_>, request: &PlanRequest<'_>) -> Option<Refusal> {
    (ctx.key_file.is_none() && request.no_input).then(|| Refusal {
        kind: RefusalKind::Preflight,
        what: "recovery at boot is impossible without a machine key file, and nobody can be asked"
            .to_owned(),
    })
}

/// What of the release stays out: below a link of the operator's, and inside directories whose
/// inside is in no snapshot, for what is put there could not be taken back.
fn uncovered(fates: &Fates, mine: &Side, place: &Place) -> Vec<String> {
    let mut inside: BTreeMap<TreePath, u64> = BTreeMap::new();
    let mut lines = Vec::new();
    for (path, _) in fates.iter().filter(|(_, fate)| **fate == Fate::NotCovered) {
        let mut topmost = path.clone();
        while let Some(above) =
            topmost.parent().filter(|above| fates.get(above) == Some(&Fate::NotCovered))
        {
            topmost = above;
        }
        match (mine.get(&topmost).map(|entry| &entry.kind), topmost.parent()) {
            (Some(Kind::Symlink { .. }), _) if topmost == *path => {
                lines.push(format!("{path} (target not covered)"));
            }
            (Some(Kind::Symlink { .. }), _) => {}
            (_, above) => *inside.entry(above.unwrap_or(topmost)).or_default() += 1,
        }
    }
    lines.extend(inside.iter().map(|(dir, number)| {
        let entries = if *number == 1 { "entry" } else { "entries" };
        format!("{dir}/ ({number} {entries} of the release stay out: its inside is in no snapshot)")
    }));
    lines.extend(place.uncovered.iter().cloned());
    lines
}

fn risks(request: &PlanRequest<'_>, fates: &Fates, base_known: bool, place: &Place) -> Vec<String> {
    let mut risks = request.release.warnings.clone();
    if !base_known {
        risks.push(
            "the old release is not to hand: nothing is called stale, and what differs stops \
             (name it with --base)"
                .to_owned(),
        );
    }
    let edited = fates
        .values()
        .filter(|fate| matches!(fate, Fate::EditedAlone | Fate::EditedKept | Fate::EditedReplaced));
    match edited.count() {
        0 => {}
        1 => risks.push("1 file edited by hand".to_owned()),
        many => risks.push(format!("{many} files edited by hand")),
    }
    if request.release.commit.is_none() && is_checkout(&request.app.root) {
        let what = "the site is a git checkout and the release is not from git: HEAD stays behind";
        risks.push(what.to_owned());
    }
    risks.extend(place.risks.iter().cloned());
    risks
}

/// Whether a tree of this kind of database can be proved before it is relied on.
pub(super) const fn can_be_proved(kind: DatabaseKind) -> bool {
    match kind {
        DatabaseKind::Sqlite => true,
        DatabaseKind::MySql => false,
    }
}
