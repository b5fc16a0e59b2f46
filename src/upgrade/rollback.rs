//! Puts everything back as it was at T0, and proves it.
//!
//! ```text
//! UndoStarted is durable
//! kill what outlived us
//! end the database sessions of the application's account
//! MySQL back · trees back · SQLite back · trees again, for the times of their directories
//! syncfs
//! compare digest and fingerprints; if they differ, once more without believing stat data
//! RolledBack is durable
//! ```
//! Every part says what the state must be, so it may run any number of times from any half state.

use std::time::Duration;

use crate::database::{Database, DatabaseError, DatabaseKind};
use crate::monitor::News;
use crate::os::crash::{CrashPoint, reach};
use crate::os::{clock, file};
use crate::repository::Repository;
use crate::snapshot::{Memory, Source, Trust, digest_like};

use super::arm::{MayGo, WantedRoot};
use super::armed::Armed;
use super::change::{converge_root, give_room_back};
use super::children::end_orphans;
use super::course::Course;
use super::covered::Covered;
use super::event::{Cause, Compared, Event, NamedCompared, Proof, UndoFailed, UndoStepFinished};
use super::stored::Digest;
use super::{UpgradeError, chain};

/// An undo that stopped: where, and what is back already.
#[derive(Debug)]
pub(super) struct Stopped {
    pub(super) failed: UndoFailed,
    pub(super) error: UpgradeError,
}

/// Undoes the change of an armed transaction. `home` was read from the safety snapshot.
pub(super) fn undo(
    course: &mut Course<'_>,
    repository: &Repository,
    armed: &Armed,
    home: &mut Covered,
    cause: &Cause,
) -> Result<Proof, Box<Stopped>> {
    let mut undo = Undo { course, repository, armed, home, at: "the journal", back: Vec::new() };
    match undo.run(cause) {
        Ok(proof) => Ok(proof),
        Err(error) => {
            let failed = undo.failed(&error);
            Err(Box::new(Stopped { failed, error }))
        }
    }
}

struct Undo<'a, 'g> {
    course: &'a mut Course<'g>,
    repository: &'a Repository,
    armed: &'a Armed,
    home: &'a mut Covered,
    at: &'static str,
    back: Vec<String>,
}

impl Undo<'_, '_> {
    fn run(&mut self, cause: &Cause) -> Result<Proof, UpgradeError> {
        // Not being able to give it back only matters if the disk is full, and then it shows.
        let _ = file::remove(&self.course.ground.reserve());
        give_room_back(self.course, &self.home.sources);
        self.course.record_patiently(&Event::UndoStarted(cause.clone()))?;
        self.course.ground.monitor.tell(News::RollbackStarted { cause: cause.what.clone() });
        self.at = "orphans";
        end_orphans(&self.course.journal.transaction(self.course.number())?)?;
        reach(CrashPoint::UndoOrphansGone);
        self.put_back(Trust::SameBoot)?;
        let mut proof = self.compare(Trust::SameBoot)?;
        if !proof.is_equal() {
            self.course.warn("something still differs: comparing again, every byte");
            self.put_back(Trust::Never)?;
            proof = self.compare(Trust::Never)?;
        }
        if !proof.is_equal() {
            return Err(UpgradeError::ProofFailed { what: differing(&proof) });
        }
        reach(CrashPoint::UndoProved);
        self.at = "the journal";
        self.course.record_patiently(&Event::RolledBack(proof.clone()))?;
        Ok(proof)
    }

    fn put_back(&mut self, trust: Trust) -> Result<(), UpgradeError> {
        self.databases_back(DatabaseKind::MySql)?;
        self.trees_back(trust)?;
        if self.home.databases.iter().any(|one| one.kind() == DatabaseKind::Sqlite) {
            self.databases_back(DatabaseKind::Sqlite)?;
            self.trees_back(trust)?;
        }
        self.home.sync()
    }

    fn databases_back(&mut self, kind: DatabaseKind) -> Result<(), UpgradeError> {
        self.at = "database back";
        let deadline = self.course.ground.wait;
        for index in 0..self.home.databases.len() {
            if self.home.databases[index].kind() != kind {
                continue;
            }
            let name = self.home.databases[index].name().to_owned();
            let watch = clock::stopwatch();
            self.stage(format!("database {name} back"), |undo| {
                let database = undo.home.databases[index].as_mut();
                let armed = undo.armed;
                let mark =
                    armed.snapshot().databases.iter().find(|mark| mark.name == name).ok_or_else(
                        || UpgradeError::NoWayBack { what: format!("no dump of {name}") },
                    )?;
                let monitor = undo.course.ground.monitor;
                let now = there(database, &mark.identity, deadline, |database| {
                    if kind == DatabaseKind::MySql {
                        database.end_sessions()?;
                    }
                    database.restore(undo.repository, &mark.state, monitor)
                })?;
                if now != mark.fingerprint {
                    return Err(UpgradeError::ProofFailed { what: format!("database {name}") });
                }
                Ok(format!("{} rows", mark.rows))
            })?;
            reach(CrashPoint::UndoDatabaseBack);
            self.done(format!("database {name}"), watch.elapsed())?;
        }
        Ok(())
    }

    fn trees_back(&mut self, trust: Trust) -> Result<(), UpgradeError> {
        self.at = "files back";
        for index in 0..self.home.sources.len() {
            let watch = clock::stopwatch();
            let source = self.home.sources[index].clone();
            let label = source.label.clone();
            self.stage(format!("files back ({label})"), |undo| undo.tree_back(&source, trust))?;
            reach(CrashPoint::UndoTreeBack);
            self.done(format!("files {label}"), watch.elapsed())?;
        }
        Ok(())
    }

    fn tree_back(&mut self, source: &Source, trust: Trust) -> Result<String, UpgradeError> {
        let (armed, repository) = (self.armed, self.repository);
        let wanted = WantedRoot::of(repository, armed.snapshot(), &source.label, MayGo::All)?;
        let counts = converge_root(armed, self.course, repository, source, &wanted, trust)?;
        let back = counts.write + counts.make + counts.link + counts.delete + counts.metadata;
        Ok(format!("{back} put back, {} untouched", counts.keep))
    }

    fn compare(&mut self, trust: Trust) -> Result<Proof, UpgradeError> {
        self.at = "compare with before";
        let mut found = None;
        self.stage("compare with before".to_owned(), |undo| {
            let proof = undo.proof(trust)?;
            let note = if proof.is_equal() {
                format!(
                    "identical, {} read, {} unchanged since T0",
                    proof.files_read, proof.files_unchanged
                )
            } else {
                format!("{} differs", differing(&proof))
            };
            found = Some(proof);
            Ok(note)
        })?;
        Ok(found.expect("the stage has set it or failed"))
    }

    fn proof(&mut self, trust: Trust) -> Result<Proof, UpgradeError> {
        let ground = self.course.ground;
        let memory = Memory { dir: Some(ground.cache_dir), trust };
        let (before, sources) = (self.armed.snapshot(), &self.home.sources);
        let live = digest_like(self.repository, before, sources, memory, ground.monitor)?;
        if let Some(problem) = live.problems.first() {
            let what = format!("{} ({})", problem.path.display(), problem.what);
            return Err(UpgradeError::ProofFailed { what });
        }
        let before = Digest(self.armed.snapshot().files_digest);
        let files = Compared { before, after: Digest(live.digest) };
        let mut databases = Vec::new();
        for mark in &self.armed.snapshot().databases {
            let database = self
                .home
                .databases
                .iter_mut()
                .find(|database| database.name() == mark.name)
                .ok_or_else(|| UpgradeError::NoWayBack { what: mark.name.clone() })?;
            let read =
                |database: &mut dyn Database| database.fingerprint(self.repository, &mark.state);
            let after = Digest(there(database.as_mut(), &mark.identity, ground.wait, read)?);
            let compared = Compared { before: Digest(mark.fingerprint), after };
            databases.push(NamedCompared { name: mark.name.clone(), compared });
        }
        Ok(Proof {
            files,
            databases,
            files_read: live.files_read,
            files_unchanged: live.files_unchanged,
        })
    }

    /// A part of the undo, as the screen shows it. Nobody can stop it.
    fn stage(
        &mut self,
        name: String,
        work: impl FnOnce(&mut Self) -> Result<String, UpgradeError>,
    ) -> Result<(), UpgradeError> {
        let monitor = self.course.ground.monitor;
        monitor.tell(News::StepStarted { number: 0, name: name.clone() });
        let watch = clock::stopwatch();
        let worked = work(self);
        let took = watch.elapsed();
        match worked {
            Ok(note) => {
                monitor.tell(News::StepDone { number: 0, name, took, note });
                Ok(())
            }
            Err(error) => {
                let cause = chain(&error).join(": ");
                monitor.tell(News::StepFailed { number: 0, name, took, cause });
                Err(error)
            }
        }
    }

    fn done(&mut self, what: String, took: Duration) -> Result<(), UpgradeError> {
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let event = UndoStepFinished { what: what.clone(), note: String::new(), took_ms };
        self.course.record_patiently(&Event::UndoStepFinished(event))?;
        if !self.back.contains(&what) {
            self.back.push(what);
        }
        Ok(())
    }

    fn failed(&self, error: &UpgradeError) -> UndoFailed {
        let databases = self.home.databases.iter().map(|one| format!("database {}", one.name()));
        let trees = self.home.sources.iter().map(|one| format!("files {}", one.label));
        let not_back = databases.chain(trees).filter(|what| !self.back.contains(what)).collect();
        UndoFailed {
            at: self.at.to_owned(),
            chain: chain(error),
            back: self.back.clone(),
            not_back,
        }
    }
}

/// How often a part is begun that the server went away from.
const ROUNDS: u32 = 3;

/// Does `work` on a server that is there, and is the one of T0. Whoever restarts it meanwhile costs
/// the undo a round, not its end: each part may run any number of times.
fn there<T>(
    database: &mut dyn Database,
    identity: &str,
    wait: Duration,
    work: impl Fn(&mut dyn Database) -> Result<T, DatabaseError>,
) -> Result<T, UpgradeError> {
    let mut round = 1;
    loop {
        is_the_same(database, identity, wait)?;
        match work(database) {
            Err(DatabaseError::Unreachable { .. }) if round < ROUNDS => round += 1,
            done => return Ok(done?),
        }
    }
}

/// Waits until the server answers, and makes sure that it is the one of T0.
fn is_the_same(
    database: &mut dyn Database,
    identity: &str,
    wait: Duration,
) -> Result<(), UpgradeError> {
    const PAUSE: Duration = Duration::from_millis(200);
    let watch = clock::stopwatch();
    let now = loop {
        match database.identity() {
            Ok(now) => break now,
            Err(error) if may_come_back(&error) && watch.elapsed() < wait => {
                std::thread::sleep(PAUSE);
            }
            Err(error) => return Err(error.into()),
        }
    };
    // A file is where it is: another spelling of its path makes it no other.
    if database.kind() == DatabaseKind::MySql && now != identity {
        let (name, planned) = (database.name().to_owned(), identity.to_owned());
        return Err(UpgradeError::OtherServer { name, planned, now });
    }
    Ok(())
}

/// A server that was killed is started again, a password that was changed is changed back.
fn may_come_back(error: &DatabaseError) -> bool {
    matches!(
        error,
        DatabaseError::Unreachable { .. }
            | DatabaseError::LoginRefused { .. }
            | DatabaseError::NoSchema { .. }
            | DatabaseError::LockTimeout { .. }
            | DatabaseError::Held { .. }
    )
}

fn differing(proof: &Proof) -> String {
    let files = (!proof.files.is_equal()).then(|| "the tree".to_owned());
    let databases = proof.databases.iter().filter(|one| !one.compared.is_equal());
    let databases = databases.map(|one| format!("database {}", one.name));
    files.into_iter().chain(databases).collect::<Vec<_>>().join(", ")
}
