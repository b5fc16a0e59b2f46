//! A snapshot's databases come back, and what came back is compared with the snapshot.

use crate::snapshot::{self, Memory, Snapshot, Trust, digest_like};

use super::UpgradeError;
use super::arm::Ready;
use super::context::Context;
use super::course::{Course, Done, done};
use super::plan::PlannedRestore;
use super::verify::Findings;

fn target(ctx: &Context<'_>, aim: &PlannedRestore) -> Result<Snapshot, UpgradeError> {
    snapshot::open(ctx.repository, &aim.snapshot.object())?
        .ok_or_else(|| UpgradeError::NoRelease { id: aim.snapshot.to_string() })
}

/// Step 8 of a restore. Only who is ready, and so armed, may.
pub(super) fn databases(
    ctx: &Context<'_>,
    course: &mut Course<'_>,
    ready: &mut Ready<'_>,
    aim: &PlannedRestore,
) -> Result<Done<()>, UpgradeError> {
    if !aim.databases {
        return Ok(done((), "databases stay as they are"));
    }
    let target = target(ctx, aim)?;
    let mut restored = 0;
    for database in &mut ready.home.covered.databases {
        let mark = target.databases.iter().find(|mark| mark.name == database.name());
        let mark = mark.ok_or_else(|| UpgradeError::NoWayBack {
            what: format!("database {} is not in the snapshot", database.name()),
        })?;
        if database.kind() == crate::database::DatabaseKind::MySql {
            database.end_sessions()?;
        }
        database.restore(ctx.repository, &mark.state, course.ground.monitor)?;
        restored += 1;
    }
    Ok(done((), format!("{restored} databases")))
}

/// Step 9 of a restore.
pub(super) fn verify(
    ctx: &Context<'_>,
    course: &mut Course<'_>,
    ready: &mut Ready<'_>,
    aim: &PlannedRestore,
) -> Result<Done<Findings>, UpgradeError> {
    let target = target(ctx, aim)?;
    let mut findings = Findings::default();
    if aim.files && aim.delete {
        let memory = Memory { dir: Some(ctx.ground.cache_dir), trust: Trust::SameBoot };
        let sources = &ready.home.covered.sources;
        let monitor = course.ground.monitor;
        let live = digest_like(ctx.repository, &target, sources, memory, monitor)?;
        for root in &live.roots {
            let wanted = ready.roots.iter().find(|wanted| wanted.root.label == root.label);
            let same = wanted.is_some_and(|wanted| wanted.root.entry == root.entry);
            findings.check(same, || format!("{} is not what the snapshot holds", root.label));
        }
    }
    if aim.databases {
        for database in &mut ready.home.covered.databases {
            let mark = target.databases.iter().find(|mark| mark.name == database.name());
            let same = match mark {
                Some(mark) => {
                    database.fingerprint(ctx.repository, &mark.state)? == mark.fingerprint
                }
                None => false,
            };
            let name = database.name();
            findings.check(same, || format!("database {name} is not what the snapshot holds"));
        }
    }
    let findings = findings.settle()?;
    let note = format!("{} checks passed", findings.passed);
    Ok(done(findings, note))
}
