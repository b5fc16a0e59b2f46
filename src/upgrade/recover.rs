//! Settles what was cut off: the journal alone decides in which direction.
//!
//! ```text
//! for each open transaction:
//!     lock its roots; the journal's chain and order were checked when it was read
//!     kill what outlived us
//!     fold:  nothing changed -> services back, close as untouched
//!            changed         -> roll back, prove, services back, close as rolled back
//!            decided         -> services back, retain, close as committed
//! ```
//! Profile, credentials and roots come from the plan and the safety snapshot. Killed anywhere and
//! called again, it ends the same.

use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;

use crate::app::App;
use crate::app::files::Live;
use crate::app::profile::Profile;
use crate::os::clock;
use crate::repository::{Repository, RepositoryError, Unlock};
use crate::snapshot::converge;
use crate::tree::is_ours;

use super::armed::Armed;
use super::children::{Nursery, end_orphans};
use super::context::Ground;
use super::course::{Course, catch};
use super::covered::databases;
use super::ending::Ended;
use super::event::{Cause, CauseKind, Committed, Event, UndoFailed};
use super::journal::{Journal, JournalError, Transaction};
use super::lock::AppLock;
use super::outcome::Outcome;
use super::plan::Plan;
use super::rollback::undo;
use super::safety::Home;
use super::services::{Services, Turning, needs_repository};
use super::state::{Resume, State};
use super::verify::Findings;
use super::{Number, UpgradeError, chain};

/// What `recover` is asked to do.
#[derive(Clone, Copy, Debug, Default)]
pub struct RecoverRequest<'a> {
    /// Only the transactions of these applications; none named: of all.
    pub apps: &'a [String],
    /// Opens the repository where the key file of the journal does not.
    pub passphrase: Option<&'a SecretString>,
    /// A key file instead of the recorded one.
    pub key_file: Option<&'a Path>,
    /// Whether a transaction that began on another machine may be settled here.
    pub other_machine: bool,
    /// Roots of known applications: where leftovers would show that a journal is missing.
    pub roots: &'a [PathBuf],
}

/// What `recover` would do with one transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The transaction.
    pub number: Number,
    /// The application.
    pub app: String,
    /// Where the journal ends.
    pub state: State,
    /// What is done.
    pub resume: Resume,
}

/// What would be done, oldest first; nothing is.
pub fn decisions(
    ground: &Ground<'_>,
    request: &RecoverRequest<'_>,
) -> Result<Vec<Decision>, UpgradeError> {
    let Some(journal) = open(ground, request)? else { return Ok(Vec::new()) };
    let mut decisions = Vec::new();
    for transaction in transactions(&journal, request)? {
        decisions.push(Decision {
            number: transaction.header.number,
            app: transaction.header.app,
            state: transaction.state,
            resume: transaction.state.resume(),
        });
    }
    Ok(decisions)
}

/// Settles every open transaction, oldest first. To be called from the main thread.
///
/// One that cannot be settled is an outcome that needs hands; one that somebody else works on, or
/// that began on another machine, is an error of its own. The next is settled all the same, unless
/// the journal itself cannot be believed: that error comes last.
pub fn recover(
    ground: &Ground<'_>,
    request: &RecoverRequest<'_>,
) -> Result<Vec<Result<Outcome, UpgradeError>>, UpgradeError> {
    let Some(journal) = open(ground, request)? else { return Ok(Vec::new()) };
    let open = transactions(&journal, request)?;
    drop(journal);
    let mut settled = Vec::new();
    for one in open {
        let Some(outcome) = settle(ground, request, one.header.number).transpose() else {
            continue;
        };
        let is_over = matches!(outcome, Err(UpgradeError::Journal(_)));
        settled.push(outcome);
        if is_over {
            break;
        }
    }
    Ok(settled)
}

fn open(
    ground: &Ground<'_>,
    request: &RecoverRequest<'_>,
) -> Result<Option<Journal>, UpgradeError> {
    if let Some(journal) = Journal::open(ground.state_dir)? {
        return Ok(Some(journal));
    }
    match request.roots.iter().find_map(|root| leftover(root)) {
        Some(found) => {
            let path = ground.state_dir.join("journal.db");
            Err(JournalError::Lost { path, found }.into())
        }
        None => Ok(None),
    }
}

/// Something that a transaction made and did not sweep.
fn leftover(root: &Path) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    let entries = root.read_dir().ok()?.flatten();
    // What no transaction stands behind is no sign of one.
    let lone = format!(".snap-{}", converge::LONE);
    let is_left = |name: &[u8]| is_ours(name) && !name.starts_with(lone.as_bytes());
    entries.into_iter().find(|one| is_left(one.file_name().as_bytes())).map(|one| one.path())
}

fn transactions(
    journal: &Journal,
    request: &RecoverRequest<'_>,
) -> Result<Vec<Transaction>, UpgradeError> {
    let wanted = |app: &String| request.apps.is_empty() || request.apps.contains(app);
    let open = journal.unfinished()?.into_iter().filter(|header| wanted(&header.app));
    open.map(|header| Ok(journal.transaction(header.number)?)).collect()
}

/// One transaction, to its end; nothing if another process has settled it meanwhile.
fn settle(
    ground: &Ground<'_>,
    request: &RecoverRequest<'_>,
    number: Number,
) -> Result<Option<Outcome>, UpgradeError> {
    let journal = Journal::open(ground.state_dir)?.ok_or(JournalError::Unknown(number))?;
    let header = journal.transaction(number)?.header;
    let plan = Plan::decode(&journal.plan(&header)?)?;
    let roots: Vec<PathBuf> = plan.roots.iter().map(|root| root.path.clone()).collect();
    let _lock = AppLock::alone(ground.state_dir, &header.app, &roots, ground.user, "recover")?;
    let transaction = journal.transaction(number)?;
    if !request.other_machine && transaction.header.machine_id != ground.machine_id {
        return Err(UpgradeError::OtherMachine { number });
    }
    let mut course = Course::new(*ground, journal, header, transaction.state);
    let settling = Settling { ground, request, transaction: &transaction, plan: &plan };
    match catch(|| settling.act(&mut course)) {
        Err(error) if !matches!(error, UpgradeError::Journal(_)) => {
            Ok(Some(settling.needs_hands(&course, error)))
        }
        settled => settled,
    }
}

struct Settling<'a, 'g> {
    ground: &'a Ground<'g>,
    request: &'a RecoverRequest<'a>,
    transaction: &'a Transaction,
    plan: &'a Plan,
}

impl Settling<'_, '_> {
    fn act(&self, course: &mut Course<'_>) -> Result<Option<Outcome>, UpgradeError> {
        end_orphans(self.transaction)?;
        match course.state.resume() {
            Resume::Nothing => Ok(None),
            Resume::Reopen => self.reopen(course).map(Some),
            Resume::Finish | Resume::CloseRolledBack => self.finish(course).map(Some),
            Resume::RollBack => self.roll_back(course).map(Some),
        }
    }

    /// Content is untouched: live files tell the truth.
    fn reopen(&self, course: &mut Course<'_>) -> Result<Outcome, UpgradeError> {
        // A switch that was turned needs it; clean-up alone does not wait for it.
        let repository = if needs_repository(self.transaction)? {
            Some(self.repository(self.ground.wait)?)
        } else {
            self.repository(Duration::ZERO).ok()
        };
        let app = self.live_app()?;
        let services = Services::again(self.transaction, repository.as_ref())?;
        let nursery = Nursery::of(&app, false);
        let mut databases = databases(&app, &self.ground.scratch_dir())?;
        let mut ended = Ended {
            repository: repository.as_ref(),
            plan: self.plan,
            turning: Turning { app: &app, databases: &mut databases, nursery: &nursery },
            services: &services,
            safety: None,
        };
        ended.untouched(course, cut_off(course), None)
    }

    fn roll_back(&self, course: &mut Course<'_>) -> Result<Outcome, UpgradeError> {
        let repository = self.repository(self.ground.wait)?;
        let armed = Armed::again(&repository, self.transaction)?;
        let scratch = self.ground.scratch_dir();
        let mut home = Home::of(&repository, self.plan, armed.snapshot(), &scratch)?;
        let services = Services::again(self.transaction, Some(&repository))?;
        let nursery = Nursery::of(&home.app, false);
        let cause = self.first_cause(course);
        let undone = undo(course, &repository, &armed, &mut home.covered, &cause);
        let mut ended = Ended {
            repository: Some(&repository),
            plan: self.plan,
            turning: home.turning(&nursery),
            services: &services,
            safety: Some(armed.record().safety),
        };
        match undone {
            Ok(proof) => ended.rolled_back(course, cause, None, proof),
            Err(stopped) => ended.stuck(course, Some(cause), stopped),
        }
    }

    /// It was decided, either way: what is left is to open the site and to close.
    fn finish(&self, course: &mut Course<'_>) -> Result<Outcome, UpgradeError> {
        let repository = self.repository(self.ground.wait)?;
        let armed = Armed::again(&repository, self.transaction)?;
        let mut home =
            Home::of(&repository, self.plan, armed.snapshot(), &self.ground.scratch_dir())?;
        let services = Services::again(self.transaction, Some(&repository))?;
        let nursery = Nursery::of(&home.app, false);
        let mut ended = Ended {
            repository: Some(&repository),
            plan: self.plan,
            turning: home.turning(&nursery),
            services: &services,
            safety: Some(armed.record().safety),
        };
        let proof = self.events().find_map(|event| match event {
            Event::RolledBack(proof) => Some(proof.clone()),
            _ => None,
        });
        if let Some(proof) = proof {
            let cause = self.first_cause(course);
            return ended.rolled_back(course, cause, None, proof);
        }
        let findings = self.events().find_map(|event| match event {
            Event::Committed(Committed { passed, reported, .. }) => Some(Findings {
                passed: *passed,
                reported: reported.clone(),
                ..Findings::default()
            }),
            _ => None,
        });
        Ok(ended.committed(course, findings.unwrap_or_default(), false))
    }

    fn events(&self) -> impl Iterator<Item = &Event> {
        self.transaction.events.iter().map(|recorded| &recorded.event)
    }

    /// Why it was to be undone, by whoever began that; else that it was cut off.
    fn first_cause(&self, course: &Course<'_>) -> Cause {
        let recorded = self.events().find_map(|event| match event {
            Event::UndoStarted(cause) => Some(cause.clone()),
            _ => None,
        });
        recorded.unwrap_or_else(|| cut_off(course))
    }

    fn live_app(&self) -> Result<App, UpgradeError> {
        let planned = &self.plan.app;
        let profile = Profile::parse(&planned.profile, &planned.profile_origin)
            .map_err(crate::app::AppError::from)?;
        let app = App::meet(profile, &planned.root, &Live::open(&planned.root)?)?;
        Ok(App { name: planned.name.clone(), ..app })
    }

    /// The repository that the journal names, once it is there.
    fn repository(&self, wait: Duration) -> Result<Repository, UpgradeError> {
        const PAUSE: Duration = Duration::from_millis(200);
        let begun = self.events().find_map(|event| match event {
            Event::Begun(begun) => Some(begun),
            _ => None,
        });
        let begun = begun.expect("a transaction's first event is its beginning");
        let recorded = begun.key_file.as_ref().map(PathBuf::from);
        let key_file = self.request.key_file.map(Path::to_owned).or(recorded);
        let watch = clock::stopwatch();
        loop {
            let opened = self.open_repository(&begun.location, key_file.as_deref());
            match opened {
                Ok(repository) => return Ok(repository),
                Err(_) if watch.elapsed() < wait => clock::pause(PAUSE),
                Err(source) => {
                    let what = format!("the repository {}", begun.location.display());
                    let waited_s = wait.as_secs();
                    return Err(UpgradeError::StillMissing { what, waited_s, source });
                }
            }
        }
    }

    fn open_repository(
        &self,
        location: &Path,
        key_file: Option<&Path>,
    ) -> Result<Repository, RepositoryError> {
        let cache = Some(self.ground.cache_dir);
        let by_file =
            key_file.map(|path| Repository::open(location, &Unlock::KeyFile(path), cache));
        match (by_file, self.request.passphrase) {
            (Some(Ok(repository)), _) => Ok(repository),
            (_, Some(passphrase)) => {
                Repository::open(location, &Unlock::Passphrase(passphrase), cache)
            }
            (Some(Err(error)), None) => Err(error),
            (None, None) => Err(RepositoryError::NoKey),
        }
    }

    /// Nothing more was touched; the journal stays as it is.
    fn needs_hands(&self, course: &Course<'_>, error: UpgradeError) -> Outcome {
        let armed = self.events().find_map(|event| match event {
            Event::Armed(record) => Some(record.safety.to_string()),
            _ => None,
        });
        let failed = UndoFailed {
            at: "before anything was put back".to_owned(),
            chain: chain(&error),
            back: Vec::new(),
            not_back: self
                .plan
                .databases
                .iter()
                .map(|one| format!("database {}", one.name))
                .chain(self.plan.roots.iter().map(|root| format!("files {}", root.label)))
                .collect(),
        };
        let cause = Some(self.first_cause(course));
        let number = course.number();
        Outcome::NeedsHands { number, cause, failed, error: Some(Box::new(error)), safety: armed }
    }
}

fn cut_off(course: &Course<'_>) -> Cause {
    Cause {
        kind: CauseKind::CutOff,
        step: 0,
        what: format!("it was cut off when it was {:?}", course.state),
        chain: Vec::new(),
    }
}
