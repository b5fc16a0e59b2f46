//! The twelve steps, and what becomes of a transaction that fails in one of them.
//!
//! ```text
//! begin              an error here leaves nothing behind
//! prepare (2-6)      a failure reopens the site and closes as untouched
//! change (7-9)       a failure, a signal or a panic rolls back, and proves it
//! commit (10)        the only decision
//! finish (11-12)     a failure is told, and never rolls back
//! ```

use crate::app::App;
use crate::repository::WriteOptions;

use super::arm::{Ready, arm};
use super::begin::{Started, begin};
use super::change::{checkout, hold_room, overwrite, purge};
use super::children::Nursery;
use super::context::Context;
use super::course::{Course, Done, catch, done};
use super::covered::{Covered, databases};
use super::ending::Ended;
use super::event::{Committed, Event, Quiesced, Quiescing};
use super::journal::JournalError;
use super::outcome::Outcome;
use super::plan::{Aim, Plan};
use super::probes::{self, Asked};
use super::rollback::undo;
use super::safety::{take, warm};
use super::services::{Services, Turning};
use super::step::Step;
use super::stored::Digest;
use super::verify::{Findings, Upgraded};
use super::wish::Wish;
use super::{UpgradeError, migrate, quiet, restore, verify};

/// How a transaction is run, beside what its plan says.
#[derive(Debug, Default)]
pub struct RunOptions {
    /// Leaves a failed change as it is, shut, for somebody to look at.
    pub no_auto_rollback: bool,
    /// Leaves maintenance on after the commit.
    pub keep_maintenance: bool,
    /// Probes that are not asked.
    pub skip_probes: Vec<String>,
    /// Answers to questions, by pattern; they go before the profile's.
    pub answers: Vec<(regex::Regex, String)>,
}

/// Carries `plan` out, which was made from `wish`. To be called from the main thread: the kernel
/// ends a child with the thread that started it.
///
/// An error means that nothing was begun, or, if it is [`JournalError::Uncertain`], that only
/// `recover` can tell; every other end is an outcome.
pub fn run(
    ctx: &Context<'_>,
    wish: &Wish<'_>,
    plan: &Plan,
    options: &RunOptions,
) -> Result<Outcome, UpgradeError> {
    let app = wish.app();
    let baseline = |plan: &Plan| baseline(ctx, app, plan, options);
    let Started { mut course, plan, lock: _lock } =
        begin(ctx, app, plan, || wish.plan(ctx), baseline)?;
    let nursery = Nursery::of(app, true);
    let mut run = Run { ctx, app, plan: &plan, options, nursery, services: Services::default() };
    let ready = match catch(|| run.prepare(&mut course)) {
        Ok(ready) => ready,
        Err(error) => return run.end_untouched(&mut course, error),
    };
    run.carry_out(&mut course, ready)
}

struct Run<'a, 'c> {
    ctx: &'a Context<'c>,
    app: &'a App,
    plan: &'a Plan,
    options: &'a RunOptions,
    nursery: Nursery,
    services: Services,
}

impl<'c> Run<'_, 'c> {
    /// Steps 2 to 6.
    fn prepare(&mut self, course: &mut Course<'_>) -> Result<Ready<'c>, UpgradeError> {
        let (ctx, app, plan) = (self.ctx, self.app, self.plan);
        let mut covered = course.step(Step::Preflight, |_| preflight(ctx, app))?;
        course.step(Step::WarmSnapshot, |course| warm(ctx, course, app, &mut covered))?;
        let writer = ctx.repository.begin(&WriteOptions::default())?;
        let nursery = &self.nursery;
        let mut turning = Turning { app, databases: &mut covered.databases, nursery };
        self.services = Services::look(course, &mut turning)?;
        let services = &self.services;
        covered.needs_shutting(services.shut_the_site())?;
        let quiescing = Quiescing {
            maintenance: services.keep(&writer)?,
            safety: Some(Digest::from(writer.snapshot_id())),
        };
        course.step(Step::Quiesce, |course| {
            quiesce(course, nursery, app, &mut covered, services, quiescing)
        })?;
        let kept = services.attachments();
        let taken = course.step(Step::SafetySnapshot, |course| {
            take(ctx, course, app, &mut covered, plan, writer, kept)
        })?;
        let services = &self.services;
        // The account may have lost a right since the warm one.
        covered.needs_shutting(services.shut_the_site())?;
        course.step(Step::Arm, |course| arm(ctx, course, plan, &mut covered, &taken, services))
    }

    /// Steps 7 to 12, or the way back.
    fn carry_out(
        &mut self,
        course: &mut Course<'_>,
        mut ready: Ready<'c>,
    ) -> Result<Outcome, UpgradeError> {
        let changed = catch(|| self.change(course, &mut ready));
        match changed.and_then(|findings| commit(course, &ready, findings)) {
            Ok(findings) => Ok(self.finish(course, &mut ready, findings)),
            Err(error) if !course.state.has_changed() => self.end_untouched(course, error),
            Err(error) => self.go_back(course, &mut ready, error),
        }
    }

    /// Steps 7 to 9.
    fn change(
        &mut self,
        course: &mut Course<'_>,
        ready: &mut Ready<'c>,
    ) -> Result<Findings, UpgradeError> {
        let (ctx, app, plan) = (self.ctx, self.app, self.plan);
        let wanted: Vec<u8> =
            ready.armed.record().roots.iter().flat_map(|root| root.wanted.0).collect();
        course.changing_step(Step::Overwrite, &[&wanted], |course| {
            hold_room(&ready.armed, course, plan, &ready.home.covered.sources);
            let mut note = overwrite(course, ctx.repository, ready)?;
            if let Aim::Upgrade(release) = &plan.aim {
                note.push_str(checkout(&ready.armed, course, app, release)?);
            }
            // What was wanted is on the disk; its objects may become garbage.
            ready.lease = None;
            let purged = match &plan.aim {
                Aim::Upgrade(_) => purge(&ready.armed, course, app, &ready.home.covered.sources[0]),
                Aim::Restore(_) => 0,
            };
            Ok(done((), if purged == 0 { note } else { format!("{note}, {purged} purged") }))
        })?;
        let (nursery, options) = (&self.nursery, self.options);
        course.changing_step(Step::Migrate, &[], |course| match &plan.aim {
            Aim::Upgrade(release) => {
                let note = migrate::migrate(&ready.armed, course, nursery, app, release, options)?;
                Ok(done((), note))
            }
            Aim::Restore(aim) => restore::databases(ctx, course, ready, aim),
        })?;
        course.changing_step(Step::Verify, &[], |course| match &plan.aim {
            Aim::Upgrade(release) => {
                let shut = self.services.shut_the_site();
                let upgraded = Upgraded { ctx, nursery, plan, app, release, shut, options };
                verify::upgrade(course, ready, &upgraded)
            }
            Aim::Restore(aim) => restore::verify(ctx, course, ready, aim),
        })
    }

    /// Steps 11 and 12.
    fn finish(
        &mut self,
        course: &mut Course<'_>,
        ready: &mut Ready<'c>,
        findings: Findings,
    ) -> Outcome {
        let home = &mut ready.home;
        let mut ended = Ended {
            repository: Some(self.ctx.repository),
            plan: self.plan,
            // What the new release made of the configuration is not asked: it worked before.
            turning: home.turning(&self.nursery),
            services: &self.services,
            safety: Some(ready.armed.record().safety),
        };
        ended.committed(course, findings, self.options.keep_maintenance)
    }

    fn go_back(
        &mut self,
        course: &mut Course<'_>,
        ready: &mut Ready<'c>,
        error: UpgradeError,
    ) -> Result<Outcome, UpgradeError> {
        if is_uncertain(&error) {
            // Nobody knows whether it was decided: neither way, and the site stays shut.
            return Err(error);
        }
        let cause = course.cause_of(&error);
        if self.options.no_auto_rollback && !matches!(error, UpgradeError::Stopped { .. }) {
            let number = course.number();
            return Ok(Outcome::Held { number, cause, error: Some(Box::new(error)) });
        }
        self.nursery.heeds_signals = false;
        let undone =
            undo(course, self.ctx.repository, &ready.armed, &mut ready.home.covered, &cause);
        let mut ended = Ended {
            repository: Some(self.ctx.repository),
            plan: self.plan,
            turning: ready.home.turning(&self.nursery),
            services: &self.services,
            safety: Some(ready.armed.record().safety),
        };
        match undone {
            Ok(proof) => ended.rolled_back(course, cause, Some(error), proof),
            Err(stopped) => ended.stuck(course, Some(cause), stopped),
        }
    }

    fn end_untouched(
        &mut self,
        course: &mut Course<'_>,
        error: UpgradeError,
    ) -> Result<Outcome, UpgradeError> {
        if is_uncertain(&error) {
            return Err(error);
        }
        self.nursery.heeds_signals = false;
        let cause = course.cause_of(&error);
        let mut databases = databases(self.app, &self.ctx.ground.scratch_dir())?;
        let mut ended = Ended {
            repository: Some(self.ctx.repository),
            plan: self.plan,
            turning: Turning { app: self.app, databases: &mut databases, nursery: &self.nursery },
            services: &self.services,
            safety: None,
        };
        ended.untouched(course, cause, Some(error))
    }
}

/// How the application is before anything is done.
fn baseline(
    ctx: &Context<'_>,
    app: &App,
    plan: &Plan,
    options: &RunOptions,
) -> Result<serde_json::Value, UpgradeError> {
    let layout = match &plan.aim {
        Aim::Upgrade(release) => &release.layout,
        Aim::Restore(_) => &app.layout,
    };
    let asked = Asked {
        version: &app.version,
        layouts: (&app.layout, layout),
        is_shut: false,
        skip: &options.skip_probes,
    };
    let mut databases = databases(app, &ctx.ground.scratch_dir())?;
    Ok(probes::stored(&probes::before(&ctx.ground, app, &mut databases, &asked)?))
}

const fn is_uncertain(error: &UpgradeError) -> bool {
    matches!(error, UpgradeError::Journal(JournalError::Uncertain { .. }))
}

/// Step 10: the only decision. What the migration wrote without a sync is made durable first.
fn commit(
    course: &mut Course<'_>,
    ready: &Ready<'_>,
    findings: Findings,
) -> Result<Findings, UpgradeError> {
    course.heed_signals()?;
    course.last_step(Step::Commit, |course| {
        ready.home.covered.sync()?;
        course.record_patiently(&Event::Committed(Committed {
            probes: findings.probes.clone(),
            passed: findings.passed,
            reported: findings.reported.clone(),
        }))?;
        Ok(done((), "the new content stays"))
    })?;
    Ok(findings)
}

/// Step 2: most was looked at for the plan; here what is needed is opened.
fn preflight(ctx: &Context<'_>, app: &App) -> Result<Done<Covered>, UpgradeError> {
    let covered = Covered::of(app, &ctx.ground.scratch_dir())?;
    let (roots, databases) = (covered.sources.len(), covered.databases.len());
    Ok(done(covered, format!("roots: {roots}, databases: {databases}")))
}

/// Step 4: the site is shut, and nothing writes any more.
fn quiesce(
    course: &mut Course<'_>,
    nursery: &Nursery,
    app: &App,
    covered: &mut Covered,
    services: &Services,
    quiescing: Quiescing,
) -> Result<Done<()>, UpgradeError> {
    course.record(&Event::Quiescing(quiescing))?;
    course.shut_since = services.shut_the_site().then(crate::os::clock::stopwatch);
    let mut turning = Turning { app, databases: &mut covered.databases, nursery };
    services.shut(course, &mut turning)?;
    let databases = quiet::check(covered, services.shut_the_site())?;
    // So that no power cut parts a file from the stat data that is recorded for it.
    covered.sync()?;
    let t0 = crate::os::clock::now().0;
    course.record(&Event::Quiesced(Quiesced { t0, databases }))?;
    let note = if services.shut_the_site() {
        "shut, and nothing writes"
    } else {
        "not shut by snap; nothing writes"
    };
    Ok(done((), note))
}
