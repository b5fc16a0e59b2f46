//! The way home: most of it stored while the site is up, the rest while it is shut, all of it read
//! back before anything is changed.

use crate::app::App;
use crate::app::files::Stored;
use crate::app::profile::Profile;
use crate::database::Proof;
use crate::monitor::News;
use crate::os::crash::{CrashPoint, reach};
use crate::repository::{ObjectId, Repository, WriteOptions, Writer};
use crate::snapshot::{Memory, Root, Snapshot, Source, Trust, digest_like};
use crate::tree::Exclusions;

use super::UpgradeError;
use super::children::Nursery;
use super::context::Context;
use super::course::{Course, Done, done};
use super::covered::{Covered, Naming, databases};
use super::event::Label;
use super::plan::{Aim, Plan, PlannedRestore};
use super::services::Turning;

/// The word by which a transaction's own snapshots are found, whoever looks for them.
pub(super) fn tag_of(token_hex: &str) -> String {
    format!("txn:{token_hex}")
}

/// Step 3: stores everything once, and reads it back. What is stored again later costs little.
pub(super) fn warm(
    ctx: &Context<'_>,
    course: &Course<'_>,
    app: &App,
    covered: &mut Covered,
) -> Result<Done<()>, UpgradeError> {
    let writer = ctx.repository.begin(&WriteOptions::default())?;
    let naming = Naming {
        app,
        note: "filled the repository while the site was up",
        tags: vec![tag_of(&course.header.token_hex()), "warm".to_owned()],
        attachments: Vec::new(),
    };
    // What was not read since the machine started is read now, and not while the site is shut.
    let memory = Memory { dir: Some(ctx.ground.cache_dir), trust: Trust::SameBoot };
    let prepared = covered.store(&writer, naming, memory, ctx.ground.monitor)?;
    if let Some(error) = covered.forbidden() {
        return Err(error);
    }
    writer.read_back(&prepared.written.packs)?;
    let stored = writer.totals().stored_bytes;
    prepared.commit(writer, ctx.ground.monitor)?;
    Ok(done((), format!("{} KiB new, read back", stored.div_ceil(1024))))
}

/// The safety snapshot, and the packs that were written for it since the warm one.
pub(super) struct Taken {
    pub(super) snapshot: Snapshot,
    pub(super) packs: Vec<ObjectId>,
}

/// Step 5: databases and trees as they are at T0; packs, index, pin, record in that order.
pub(super) fn take(
    ctx: &Context<'_>,
    course: &Course<'_>,
    app: &App,
    covered: &mut Covered,
    plan: &Plan,
    writer: Writer<'_>,
    attachments: Vec<(String, Vec<u8>)>,
) -> Result<Done<Taken>, UpgradeError> {
    let before = match &plan.aim {
        Aim::Restore(PlannedRestore { undoes: Some(number), .. }) => {
            format!("before-rollback-T{number}")
        }
        Aim::Upgrade(_) | Aim::Restore(_) => format!("before-{}", course.number()),
    };
    let naming = Naming {
        app,
        note: &format!("before {}", course.number()),
        tags: vec![tag_of(&course.header.token_hex()), before],
        attachments,
    };
    // The site was up a moment ago: what stat tells of before this boot is not believed.
    let memory = Memory { dir: Some(ctx.ground.cache_dir), trust: Trust::SameBoot };
    let prepared = covered.store(&writer, naming, memory, ctx.ground.monitor)?;
    let packs = prepared.written.packs.clone();
    writer.pin()?;
    let snapshot = prepared.commit(writer, ctx.ground.monitor)?;
    reach(CrashPoint::SafetyTaken);
    let fingerprints = snapshot.databases.iter().map(|mark| {
        let shown = super::stored::Digest(mark.fingerprint).short();
        format!("  database {} b3:{shown}", mark.name)
    });
    let note = format!(
        "{}  files b3:{}{}",
        snapshot.id.short(),
        super::stored::Digest(snapshot.files_digest).short(),
        fingerprints.collect::<String>()
    );
    Ok(done(Taken { snapshot, packs }, note))
}

/// Step 6, the looking: the packs come back from the medium, the live tree is what was recorded,
/// the dumps can be loaded. How far that went is the label.
pub(super) fn try_out(
    ctx: &Context<'_>,
    covered: &mut Covered,
    writer: &Writer<'_>,
    taken: &Taken,
    plan: &Plan,
) -> Result<Label, UpgradeError> {
    writer.read_back(&taken.packs)?;
    let memory = Memory { dir: Some(ctx.ground.cache_dir), trust: Trust::SameBoot };
    let (sources, monitor) = (&covered.sources, ctx.ground.monitor);
    let live = digest_like(ctx.repository, &taken.snapshot, sources, memory, monitor)?;
    if live.digest != taken.snapshot.files_digest {
        let path = first_changed(&taken.snapshot, &live.roots);
        return Err(UpgradeError::ChangedUnderQuiesce { path });
    }
    let (best, reasons) = covered.at_best();
    let mut label = plan.label.min(best);
    for mark in &taken.snapshot.databases {
        let name = mark.name.as_str();
        let database = covered.databases.iter_mut().find(|database| database.name() == name);
        let database = database.ok_or_else(|| UpgradeError::NoWayBack { what: name.to_owned() })?;
        let scratch = ctx.ground.scratch_dir();
        label = label.min(match database.prove(ctx.repository, &mark.state, &scratch)? {
            Proof::Proved => Label::Proved,
            Proof::Verified => Label::Verified,
        });
        // Nobody may have written since the dump. Where counters are not conclusive this is.
        if database.fingerprint(ctx.repository, &mark.state)? != mark.fingerprint {
            let what = format!("database {name} was written to while the site was shut");
            return Err(UpgradeError::NotQuiet { what });
        }
    }
    for reason in reasons {
        ctx.ground.monitor.tell(News::Warning { what: reason });
    }
    Ok(label)
}

fn first_changed(snapshot: &Snapshot, live: &[Root]) -> String {
    let changed = live.iter().find(|root| {
        snapshot.root(&root.label).is_none_or(|recorded| recorded.entry != root.entry)
    });
    changed.map_or_else(|| "a root".to_owned(), |root| root.path.display().to_string())
}

/// Everything that the way back works with, read from the plan and the safety snapshot: never from
/// live files, for the migration may have emptied them.
pub(super) struct Home {
    pub(super) app: App,
    pub(super) covered: Covered,
}

impl Home {
    pub(super) fn of(
        repository: &Repository,
        plan: &Plan,
        snapshot: &Snapshot,
        scratch_dir: &std::path::Path,
    ) -> Result<Self, UpgradeError> {
        let own = plan.roots.first().and_then(|root| snapshot.root(&root.label));
        let own = own.ok_or_else(|| UpgradeError::NoWayBack {
            what: "the application's own tree is not in the safety snapshot".into(),
        })?;
        let app = stored_app(repository, plan, own, &format!("snapshot {}", snapshot.id.short()))?;
        let mut sources = Vec::new();
        for planned in &plan.roots {
            let root = snapshot.root(&planned.label).ok_or_else(|| UpgradeError::NoWayBack {
                what: format!("{} is not in the safety snapshot", planned.path.display()),
            })?;
            let exclusions = Exclusions::compile(root.rules.clone())?;
            let (label, path) = (planned.label.clone(), planned.path.clone());
            sources.push(Source { label, path, exclusions });
        }
        let databases = databases(&app, scratch_dir)?;
        Ok(Self {
            app,
            covered: Covered { sources, databases, facts: Vec::new(), per_table: Vec::new() },
        })
    }
}

impl Home {
    /// What its switches are turned with.
    pub(super) fn turning<'a>(&'a mut self, nursery: &'a Nursery) -> Turning<'a> {
        Turning { app: &self.app, databases: &mut self.covered.databases, nursery }
    }
}

/// The application as a stored tree shows it, under the profile that the plan keeps.
fn stored_app(
    repository: &Repository,
    plan: &Plan,
    root: &Root,
    place: &str,
) -> Result<App, UpgradeError> {
    let profile = Profile::parse(&plan.app.profile, &plan.app.profile_origin)
        .map_err(crate::app::AppError::from)?;
    let files = Stored::new(repository, &root.entry, place);
    let app = App::meet(profile, &plan.app.root, &files)?;
    Ok(App { name: plan.app.name.clone(), ..app })
}
