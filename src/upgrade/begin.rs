//! The beginning: locks, the journal, and whether the plan still fits.

use std::path::PathBuf;

use crate::app::App;
use crate::monitor::News;
use crate::os::{clock, file, host, volume};
use crate::repository::ObjectId;

use super::UpgradeError;
use super::context::{Context, Ground, RESERVE_BYTES};
use super::course::Course;
use super::event::{Begun, Event};
use super::journal::{Journal, JournalError, NewTransaction};
use super::lock::AppLock;
use super::plan::Plan;
use super::state::State;
use super::step::Step;

/// A transaction that has begun, and the locks that it holds.
pub(super) struct Started<'a> {
    pub(super) course: Course<'a>,
    pub(super) plan: Plan,
    pub(super) lock: AppLock,
}

/// Takes the locks, makes the plan again under them, and stores it.
///
/// An error means that nothing was begun: nothing is in the journal.
pub(super) fn begin<'a>(
    ctx: &Context<'a>,
    app: &App,
    plan: &Plan,
    again: impl FnOnce() -> Result<Plan, UpgradeError>,
    baseline: impl FnOnce(&Plan) -> Result<serde_json::Value, UpgradeError>,
) -> Result<Started<'a>, UpgradeError> {
    let ground = ctx.ground;
    let watch = clock::stopwatch();
    let (number, name) = (Step::Begin.number(), Step::Begin.name().to_owned());
    ground.monitor.tell(News::StepStarted { number, name: name.clone() });
    let roots: Vec<PathBuf> = plan.roots.iter().map(|root| root.path.clone()).collect();
    let lock = AppLock::alone(ground.state_dir, &app.name, &roots, ground.user, &plan.what())?;
    let mut journal = open_journal(&ground)?;
    if let Some(open) = journal.unfinished()?.into_iter().find(|open| open.app == app.name) {
        return Err(UpgradeError::OpenTransaction { number: open.number, app: open.app });
    }
    let now = again()?;
    if let Some(what) = plan.moved(&now) {
        return Err(UpgradeError::StalePlan { what });
    }
    if !now.is_ready() {
        return Err(UpgradeError::Refused(now.refusals));
    }
    file::reserve(&ground.reserve(), RESERVE_BYTES).map_err(|source| UpgradeError::Io {
        doing: "reserve room for",
        path: ground.reserve(),
        source,
    })?;
    let baseline = baseline(&now)?;
    let stored = now.encode();
    let random = *ObjectId::random().as_bytes();
    let (token, _) = random.split_first_chunk().expect("32 bytes hold 16");
    let new = NewTransaction {
        token: *token,
        app: &app.name,
        plan: &stored,
        plan_digest: *blake3::hash(&stored).as_bytes(),
        machine_id: ground.machine_id,
    };
    let transaction = journal.begin(&new, &begun(ctx, baseline))?;
    let header = journal.transaction(transaction)?.header;
    let course = Course::new(ground, journal, header, State::Planned);
    ground.monitor.tell(News::TransactionStarted {
        transaction: transaction.to_string(),
        app: app.name.clone(),
        what: now.what(),
        steps: u8::try_from(Step::ALL.len()).expect("there are twelve"),
    });
    let note = format!("{transaction}, locks taken");
    ground.monitor.tell(News::StepDone { number, name, took: watch.elapsed(), note });
    Ok(Started { course, plan: now, lock })
}

/// The journal, on a file system that keeps promises.
pub(super) fn open_journal(ground: &Ground<'_>) -> Result<Journal, UpgradeError> {
    let io =
        |doing| move |source| UpgradeError::Io { doing, path: ground.state_dir.to_owned(), source };
    file::create_dirs(ground.state_dir, 0o700).map_err(io("make"))?;
    let volume = volume::at(ground.state_dir).map_err(io("look at the file system of"))?;
    if !volume.is_local {
        let (path, file_system) = (ground.state_dir.to_owned(), volume.name.to_owned());
        return Err(JournalError::NotLocal { path, file_system }.into());
    }
    for dir in [ground.scratch_dir(), ground.cache_dir.to_owned()] {
        file::create_dirs(&dir, 0o700).map_err(|source| UpgradeError::Io {
            doing: "make",
            path: dir.clone(),
            source,
        })?;
    }
    Ok(Journal::open_or_create(ground.state_dir)?)
}

fn begun(ctx: &Context<'_>, baseline: serde_json::Value) -> Event {
    let this = host::this_process();
    Event::Begun(Box::new(Begun {
        repository: ctx.repository.id().to_string(),
        location: ctx.repository.location().to_owned(),
        key_file: ctx.key_file.map(|path| path.display().to_string()),
        boot_id: host::boot_id(),
        pid: this.pid,
        process_started: this.started_ticks,
        user: ctx.ground.user.to_owned(),
        host: host::name(),
        argv: ctx.ground.argv.to_vec(),
        baseline,
    }))
}
