//! The plan of a restore in place: a snapshot's state comes back as a transaction.

use crate::app::App;
use crate::repository::ObjectId;
use crate::snapshot;
use crate::tree::Kind;

use super::super::UpgradeError;
use super::super::context::Context;
use super::super::covered::Covered;
use super::super::stored::Digest;
use super::gather::{planned_app, planned_databases, planned_roots};
use super::{Aim, FORMAT, Plan, PlannedRestore, Refusal, RefusalKind, ground, judge, texts};

/// What a restore is asked to do.
pub struct RestoreRequest<'a> {
    /// The application, as it is met now.
    pub app: &'a App,
    /// What comes back.
    pub snapshot: ObjectId,
    /// The transaction that this takes back, if it is a rollback.
    pub undoes: Option<i64>,
    /// Whether what the snapshot does not have is deleted.
    pub delete: bool,
    /// Whether the trees come back.
    pub files: bool,
    /// Whether the databases come back.
    pub databases: bool,
    /// The other applications of this machine.
    pub neighbours: &'a [App],
}

/// Makes the plan of a restore in place.
pub fn plan_restore(ctx: &Context<'_>, request: &RestoreRequest<'_>) -> Result<Plan, UpgradeError> {
    let app = request.app;
    let mut covered = Covered::of(app, &ctx.ground.scratch_dir())?;
    let missing = || UpgradeError::NoRelease { id: request.snapshot.to_string() };
    let target = snapshot::open(ctx.repository, &request.snapshot)?.ok_or_else(missing)?;
    let place = ground::look(ctx, app, &covered, request.neighbours)?;
    let mut refusals = place.refusals.clone();
    refusals.extend(ground::databases(app, &mut covered.databases));
    let refuse = |what: String| Refusal { kind: RefusalKind::Preflight, what };
    if target.is_partial() {
        refusals.push(refuse(format!("snapshot {} is partial", target.id.short())));
    }
    let mut bytes = 0;
    for source in covered.sources.iter().filter(|_| request.files) {
        let root = target.root(&source.label);
        match root.map(|root| (&root.path, &root.entry.kind)) {
            // A snapshot names its roots without links.
            Some((path, Kind::Directory { .. })) if ground::is_one_place(path, &source.path) => {
                bytes = target.counts.bytes;
            }
            _ => refusals.push(refuse(format!(
                "snapshot {} does not hold {}",
                target.id.short(),
                source.path.display()
            ))),
        }
    }
    for database in covered.databases.iter().filter(|_| request.databases) {
        if !target.databases.iter().any(|mark| mark.name == database.name()) {
            let (id, name) = (target.id.short(), database.name());
            refusals.push(refuse(format!("snapshot {id} does not hold database {name}")));
        }
    }
    let space = ground::space(ctx, &covered, &place, (bytes, target.counts.files))?;
    refusals.extend(judge::room(&space));
    refusals.sort_by_key(|refusal| refusal.kind);
    let (label, label_reasons) = ground::label(&covered, &place);
    Ok(Plan {
        format: FORMAT,
        aim: Aim::Restore(PlannedRestore {
            snapshot: Digest::from(request.snapshot),
            undoes: request.undoes,
            delete: request.delete,
            files: request.files,
            databases: request.databases,
        }),
        app: planned_app(app),
        repository: ctx.repository.id().to_string(),
        roots: planned_roots(&covered),
        databases: planned_databases(&mut covered.databases),
        typed: Vec::new(),
        fates: Vec::new(),
        preserved: Vec::new(),
        review: Vec::new(),
        pending: Vec::new(),
        questions: Vec::new(),
        maintenance: texts::maintenance(app),
        probes: app.profile.probes.iter().map(|probe| probe.name.clone()).collect(),
        hooks: texts::hooks(app)?,
        label,
        label_reasons,
        space,
        uncovered: place.uncovered,
        risks: place.risks,
        refusals,
    })
}
