//! How the application's health is before and after: only what got worse fails an upgrade.

use std::ffi::OsString;
use std::time::Duration;

use crate::app::App;
use crate::app::files::Live;
use crate::app::hook::{self, Around, Order, Redactor};
use crate::app::probe::{self, Answered, Comparison, Look, ProbeResult, compare};
use crate::app::version::AppVersion;
use crate::database::Database;
use crate::os::process::{CaptureLimits, ChildMark, fresh_token};

use super::UpgradeError;
use super::children::{Nursery, started_event};
use super::context::Ground;
use super::course::Course;
use super::event::Event;
use super::services::Turning;

/// A probe answers, or it is red.
const LIMITS: CaptureLimits = CaptureLimits { timeout: Duration::from_mins(2), bytes_max: 4 << 20 };

/// What is asked, and of what.
pub(super) struct Asked<'a> {
    /// What the tree should declare.
    pub(super) version: &'a AppVersion,
    /// The layouts before and after.
    pub(super) layouts: (&'a str, &'a str),
    /// Whether we keep the site shut.
    pub(super) is_shut: bool,
    /// Probes that are left out.
    pub(super) skip: &'a [String],
}

/// How it is before anything is done. No transaction is open yet; a probe only looks.
pub(super) fn before(
    ground: &Ground<'_>,
    app: &App,
    databases: &mut [Box<dyn Database>],
    asked: &Asked<'_>,
) -> Result<Vec<ProbeResult>, UpgradeError> {
    let (redactor, token) = (Redactor::of(app), fresh_token());
    let around = Around {
        trampoline: ground.trampoline,
        token: &token,
        redactor: &redactor,
        monitor: ground.monitor,
        cancelled: &|| false,
    };
    run(app, databases, asked, &mut |argv| answer(app, argv, &around, &mut |_| Ok(())))
}

/// How it is within a transaction.
pub(super) fn now(
    course: &mut Course<'_>,
    turning: &mut Turning<'_>,
    asked: &Asked<'_>,
) -> Result<Vec<ProbeResult>, UpgradeError> {
    let ground = course.ground;
    let token = course.header.token_hex();
    let app = turning.app;
    let around = Around {
        trampoline: ground.trampoline,
        token: &token,
        redactor: &turning.nursery.redactor,
        monitor: ground.monitor,
        cancelled: &|| false,
    };
    let mut answers = |argv: &[OsString]| {
        let mut started = |mark: &ChildMark| {
            let recorded = course.record(&started_event("probe", mark));
            recorded.map_err(|error| Box::new(error).into())
        };
        answer(app, argv, &around, &mut started)
    };
    run(app, turning.databases, asked, &mut answers)
}

type Boxed = Box<dyn std::error::Error + Send + Sync>;

fn run(
    app: &App,
    databases: &mut [Box<dyn Database>],
    asked: &Asked<'_>,
    answers: &mut dyn FnMut(&[OsString]) -> Result<Answered, Boxed>,
) -> Result<Vec<ProbeResult>, UpgradeError> {
    let files = Live::open(&app.root)?;
    let mut ask = |_: &str, argv: &[OsString]| answers(argv);
    let mut look = Look {
        files: &files,
        databases,
        ask: &mut ask,
        version: asked.version,
        layouts: asked.layouts,
        is_shut: asked.is_shut,
        skip: asked.skip,
    };
    Ok(probe::run(app, &mut look)?)
}

fn answer(
    app: &App,
    argv: &[OsString],
    around: &Around<'_>,
    started: &mut hook::Started<'_>,
) -> Result<Answered, Boxed> {
    let account = app.account(&Live::open(&app.root)?)?;
    let order = Order { argv, dir: &app.root, account: Some(&account), env: &[] };
    let captured = hook::ask(&order, LIMITS, around, started)?;
    Ok(Answered { code: captured.code(), out: captured.out, err: captured.err })
}

/// What the journal keeps of them.
pub(super) fn stored(results: &[ProbeResult]) -> serde_json::Value {
    serde_json::to_value(results).expect("results are structs with text keys")
}

/// How they were when the transaction began.
pub(super) fn baseline(course: &Course<'_>) -> Result<Vec<ProbeResult>, UpgradeError> {
    let transaction = course.journal.transaction(course.number())?;
    let begun = transaction.events.iter().find_map(|recorded| match &recorded.event {
        Event::Begun(begun) => Some(begun.baseline.clone()),
        _ => None,
    });
    // What a later version wrote otherwise is no reason not to put a site back.
    Ok(begun.and_then(|value| serde_json::from_value(value).ok()).unwrap_or_default())
}

/// Compares with the baseline; secrets taken out of what is told.
pub(super) fn worse(
    course: &Course<'_>,
    nursery: &Nursery,
    after: &[ProbeResult],
) -> Result<Comparison, UpgradeError> {
    let mut comparison = compare(&baseline(course)?, after);
    let lists = [&mut comparison.regressions, &mut comparison.red_before, &mut comparison.skipped];
    for text in lists.into_iter().flatten() {
        *text = nursery.redactor.redact(text);
    }
    Ok(comparison)
}
