//! How a transaction is closed: services as they were, leftovers swept, what no way back needs let
//! go. Nothing here can fail what was decided before.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use crate::app::maintenance::Extent;
use crate::app::profile::HookPoint;
use crate::monitor::News;
use crate::os::crash::{CrashPoint, reach};
use crate::os::{clock, file};
use crate::repository::{ObjectId, Repository};
use crate::snapshot::{self, Class, converge};

use super::course::{Course, done};
use super::event::{Cause, Closed, Compared, Ending, Event, Proof, UndoFailed};
use super::history;
use super::journal::JournalError;
use super::outcome::{Finished, Outcome};
use super::plan::{Aim, Plan};
use super::probes::{self, Asked};
use super::retain::{self, Retired};
use super::rollback::Stopped;
use super::safety::tag_of;
use super::services::{Services, Turning};
use super::state::State;
use super::step::Step;
use super::stored::Digest;
use super::verify::Findings;
use super::{UpgradeError, chain};

/// Removes what carries the token of this transaction from every root.
fn sweep(course: &Course<'_>, roots: &[PathBuf]) -> Vec<String> {
    let token = course.header.token_hex();
    let swept = roots.iter().map(|root| converge::sweep(root, &token));
    swept.filter_map(Result::err).map(|error| chain(&error).join(": ")).collect()
}

/// Lets go what no way back needs any more; what could not be let go is told.
///
/// `repository` is `None` where it cannot be reached: then all of it waits for the next time.
fn retire(
    course: &Course<'_>,
    repository: Option<&Repository>,
    plan: &Plan,
    ending: Ending,
) -> Vec<String> {
    let Some(repository) = repository else { return Vec::new() };
    reach(CrashPoint::RetireBegins);
    let retired = retirement(course, repository, plan, ending)
        .and_then(|retired| Ok(retired.into_iter().try_for_each(|id| let_go(repository, &id))?));
    reach(CrashPoint::RetireEnds);
    retired.err().map(|error| chain(&error).join(": ")).into_iter().collect()
}

fn let_go(
    repository: &Repository,
    id: &ObjectId,
) -> Result<(), crate::repository::RepositoryError> {
    repository.unpin(id)?;
    repository.forget(id)?;
    Ok(())
}

/// Snapshots that may go: of earlier transactions by the rule, of this one all but its way back.
fn retirement(
    course: &Course<'_>,
    repository: &Repository,
    plan: &Plan,
    ending: Ending,
) -> Result<BTreeSet<ObjectId>, UpgradeError> {
    let (mut told, mut others) = (Vec::new(), Vec::new());
    for number in course.journal.numbers()?.into_iter().rev() {
        let one = history::tell(&course.journal, number)?;
        if one.header.app == course.header.app { told.push(one) } else { others.push(one) }
    }
    let installed = match (&plan.aim, ending) {
        (Aim::Upgrade(release), Ending::Committed) => Some(release.snapshot.object()),
        (Aim::Upgrade(release), _) => release.base.map(|base| base.object()),
        (Aim::Restore(_), _) => None,
    };
    let mut retired = if installed.is_some() {
        retain::retire(&told, installed, clock::now().0)
    } else {
        Retired::default()
    };
    // Two sites may have come from one import.
    for release in others.iter().flat_map(retain::releases_of) {
        retired.releases.remove(&release);
    }
    let own = tag_of(&course.header.token_hex());
    let guards = told
        .iter()
        .find(|one| one.header.number == course.number())
        .and_then(|one| one.armed())
        .map(|armed| armed.safety.object())
        .filter(|_| ending != Ending::Untouched);
    let listed = snapshot::list(repository)?;
    let of_ours = listed
        .iter()
        .filter(|snapshot| snapshot.class == Class::Safety && snapshot.tags.contains(&own));
    retired.safety.extend(of_ours.map(|snapshot| snapshot.id).filter(|id| Some(*id) != guards));
    let there: BTreeSet<ObjectId> = listed.iter().map(|snapshot| snapshot.id).collect();
    let pinned: BTreeSet<ObjectId> =
        repository.pins()?.into_iter().map(|mark| mark.snapshot).collect();
    let all: BTreeSet<ObjectId> = retired.safety.into_iter().chain(retired.releases).collect();
    // What is gone already needs no second tombstone.
    Ok(all.into_iter().filter(|id| there.contains(id) || pinned.contains(id)).collect())
}

/// What every ending works with.
pub(super) struct Ended<'a> {
    /// `None` where it cannot be reached: then clean-up waits for the next time.
    pub(super) repository: Option<&'a Repository>,
    pub(super) plan: &'a Plan,
    pub(super) turning: Turning<'a>,
    pub(super) services: &'a Services,
    /// The snapshot of T0, once there is one.
    pub(super) safety: Option<Digest>,
}

impl Ended<'_> {
    /// After the commit: forward only.
    pub(super) fn committed(
        &mut self,
        course: &mut Course<'_>,
        findings: Findings,
        keep_shut: bool,
    ) -> Outcome {
        let reopened = course.last_step(Step::Reopen, |course| {
            if keep_shut {
                return Ok(done((), "left on, as asked"));
            }
            self.reopen(course, Extent::SwitchOnly)?;
            Ok(done((), course.quiet_ms().map_or_else(String::new, away)))
        });
        if let Err(error) = reopened {
            return self.not_reopened(course, None, error);
        }
        let mut problems = self.hooks(course, HookPoint::AfterUpgrade);
        let quiet_ms = course.quiet_ms();
        let closed = course.last_step(Step::Close, |course| {
            problems.extend(self.clean_up(course, Ending::Committed));
            close(course, Ending::Committed, None, problems.clone(), quiet_ms)?;
            Ok(done((), String::new()))
        });
        problems.extend(closed.err().map(|error| chain(&error).join(": ")));
        let Findings { passed, reported, .. } = findings;
        let number = course.number();
        Outcome::Committed(Finished { number, passed, reported, problems, quiet_ms })
    }

    /// After a proved rollback.
    pub(super) fn rolled_back(
        &mut self,
        course: &mut Course<'_>,
        cause: Cause,
        error: Option<UpgradeError>,
        proof: Proof,
    ) -> Result<Outcome, UpgradeError> {
        tell_proof(course, &proof);
        if let Err(error) = self.reopen_told(course) {
            return Ok(self.not_reopened(course, Some(cause), error));
        }
        self.probes(course);
        let mut problems = self.hooks(course, HookPoint::Failed);
        problems.extend(self.clean_up(course, Ending::RolledBack));
        let quiet_ms = course.quiet_ms();
        close(course, Ending::RolledBack, Some(cause.clone()), problems.clone(), quiet_ms)?;
        let (number, error) = (course.number(), error.map(Box::new));
        Ok(Outcome::RolledBack { number, cause, error, proof, problems, quiet_ms })
    }

    /// Before anything was changed.
    pub(super) fn untouched(
        &mut self,
        course: &mut Course<'_>,
        cause: Cause,
        error: Option<UpgradeError>,
    ) -> Result<Outcome, UpgradeError> {
        if course.state != State::Planned
            && let Err(error) = self.reopen_told(course)
        {
            return Ok(self.not_reopened(course, Some(cause), error));
        }
        let problems = self.clean_up(course, Ending::Untouched);
        let quiet_ms = course.quiet_ms();
        close(course, Ending::Untouched, Some(cause.clone()), problems.clone(), quiet_ms)?;
        let (number, error) = (course.number(), error.map(Box::new));
        Ok(Outcome::Untouched { number, cause, error, problems })
    }

    /// The undo did not come to its end: everything that guards the way back stays.
    pub(super) fn stuck(
        &self,
        course: &mut Course<'_>,
        cause: Option<Cause>,
        stopped: Box<Stopped>,
    ) -> Result<Outcome, UpgradeError> {
        let Stopped { failed, error } = *stopped;
        if matches!(error, UpgradeError::Journal(JournalError::Uncertain { .. })) {
            return Err(error);
        }
        if course.state == State::RollingBack {
            course.record_patiently(&Event::UndoFailed(failed.clone()))?;
        }
        let safety = self.safety.map(|id| id.to_string());
        let (number, error) = (course.number(), Some(Box::new(error)));
        Ok(Outcome::NeedsHands { number, cause, failed, error, safety })
    }

    fn reopen(&mut self, course: &mut Course<'_>, extent: Extent) -> Result<(), UpgradeError> {
        reach(CrashPoint::ReopenBegins);
        let mut tries = 0;
        loop {
            match self.services.put_back(course, extent, &mut self.turning) {
                Ok(()) => break,
                Err(error) if tries == REOPEN_TRIES => return Err(error),
                Err(_) => tries += 1,
            }
            clock::pause(REOPEN_PAUSE);
        }
        reach(CrashPoint::ReopenEnds);
        Ok(())
    }

    fn reopen_told(&mut self, course: &mut Course<'_>) -> Result<(), UpgradeError> {
        if !self.services.shut_the_site() {
            return self.reopen(course, Extent::Exactly);
        }
        let monitor = course.ground.monitor;
        let name = Step::Reopen.name().to_owned();
        monitor.tell(News::StepStarted { number: 0, name: name.clone() });
        let watch = clock::stopwatch();
        let opened = self.reopen(course, Extent::Exactly);
        let took = watch.elapsed();
        match &opened {
            Ok(()) => {
                let note = course.quiet_ms().map_or_else(String::new, away);
                monitor.tell(News::StepDone { number: 0, name, took, note });
            }
            Err(error) => {
                let cause = chain(error).join(": ");
                monitor.tell(News::StepFailed { number: 0, name, took, cause });
            }
        }
        opened
    }

    /// How the application is after it was put back: told, and never a reason for anything.
    fn probes(&mut self, course: &mut Course<'_>) {
        if self.turning.app.profile.probes.is_empty() {
            return;
        }
        let monitor = course.ground.monitor;
        let name = "probes".to_owned();
        monitor.tell(News::StepStarted { number: 0, name: name.clone() });
        let watch = clock::stopwatch();
        let told = self.probe(course);
        let took = watch.elapsed();
        monitor.tell(match told {
            Ok(note) => News::StepDone { number: 0, name, took, note },
            Err(cause) => News::StepFailed { number: 0, name, took, cause },
        });
    }

    fn probe(&mut self, course: &mut Course<'_>) -> Result<String, String> {
        let app = self.turning.app;
        let layout = app.layout.as_str();
        let asked =
            Asked { version: &app.version, layouts: (layout, layout), is_shut: false, skip: &[] };
        let told = |error: UpgradeError| chain(&error).join(": ");
        let after = probes::now(course, &mut self.turning, &asked).map_err(told)?;
        let comparison = probes::worse(course, self.turning.nursery, &after).map_err(told)?;
        match &comparison.regressions[..] {
            [] => Ok(format!("{} of {} pass, same as before", comparison.passed, after.len())),
            worse => Err(worse.join("; ")),
        }
    }

    /// Hooks after the decision can only be told about.
    fn hooks(&self, course: &mut Course<'_>, at: HookPoint) -> Vec<String> {
        let points = [at, HookPoint::Finally];
        let Turning { app, nursery, .. } = &self.turning;
        let ran = points.map(|at| nursery.hooks(course, app, &app.vars, at));
        ran.into_iter().filter_map(Result::err).map(|error| chain(&error).join(": ")).collect()
    }

    fn clean_up(&self, course: &Course<'_>, ending: Ending) -> Vec<String> {
        let roots: Vec<PathBuf> = self.plan.roots.iter().map(|root| root.path.clone()).collect();
        let mut problems = sweep(course, &roots);
        let reserve = course.ground.reserve();
        problems.extend(
            file::remove(&reserve).err().map(|error| format!("{}: {error}", reserve.display())),
        );
        problems.extend(retire(course, self.repository, self.plan, ending));
        problems
    }

    /// The site could not be opened again: the state stays, and so does the journal.
    fn not_reopened(
        &self,
        course: &Course<'_>,
        cause: Option<Cause>,
        error: UpgradeError,
    ) -> Outcome {
        let failed = UndoFailed {
            at: Step::Reopen.name().to_owned(),
            chain: chain(&error),
            back: Vec::new(),
            not_back: Vec::new(),
        };
        let (number, error) = (course.number(), Some(Box::new(error)));
        let safety = self.safety.map(|id| id.to_string());
        Outcome::NeedsHands { number, cause, failed, error, safety }
    }
}

/// How often opening the site is tried again, and how long after.
const REOPEN_TRIES: u32 = 2;
const REOPEN_PAUSE: Duration = Duration::from_millis(500);

fn away(quiet_ms: u64) -> String {
    format!("users were away {}.{} s", quiet_ms / 1000, quiet_ms % 1000 / 100)
}

pub(super) fn tell_proof(course: &Course<'_>, proof: &Proof) {
    let both = |compared: &Compared| (compared.before.to_string(), compared.after.to_string());
    course.ground.monitor.tell(News::RollbackDone {
        files: both(&proof.files),
        databases: proof
            .databases
            .iter()
            .map(|one| {
                let (before, after) = both(&one.compared);
                (one.name.clone(), before, after)
            })
            .collect(),
        files_read: proof.files_read,
        files_unchanged: proof.files_unchanged,
    });
}

/// The last event.
fn close(
    course: &mut Course<'_>,
    ending: Ending,
    cause: Option<Cause>,
    problems: Vec<String>,
    quiet_ms: Option<u64>,
) -> Result<(), UpgradeError> {
    course.record_patiently(&Event::Closed(Closed { ending, cause, quiet_ms, problems }))
}
