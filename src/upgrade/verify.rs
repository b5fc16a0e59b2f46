//! Step 9, the files: what lies there is what was wanted, whatever the migration said.

use crate::app::App;
use crate::repository::Repository;
use crate::snapshot::{Memory, Trust, survey};
use crate::tree::TreePath;

use super::arm::Ready;
use super::armed::Armed;
use super::children::Nursery;
use super::context::{Context, Ground};
use super::course::{Course, Done, done};
use super::merge::{Fate, Fates, Owner, Shape, Side, Verdict};
use super::plan::review::keys;
use super::plan::{Plan, PlannedRelease, texts};
use super::probes::{self, Asked};
use super::run::RunOptions;
use super::safety::Home;
use super::services::Turning;
use super::wanted::{self, AppRules};
use super::{UpgradeError, migrate};

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Findings {
    /// Checks that passed.
    pub(super) passed: u32,
    /// Each fails the upgrade.
    pub(super) failed: Vec<String>,
    /// Each is told, and fails nothing.
    pub(super) reported: Vec<String>,
    /// What the probes said, as the journal keeps it.
    pub(super) probes: serde_json::Value,
}

impl Findings {
    pub(super) fn check(&mut self, fine: bool, failure: impl FnOnce() -> String) {
        if fine {
            self.passed += 1;
        } else {
            self.failed.push(failure());
        }
    }

    /// Fails if anything did.
    pub(super) fn settle(self) -> Result<Self, UpgradeError> {
        if self.failed.is_empty() {
            Ok(self)
        } else {
            Err(UpgradeError::VerifyFailed { failed: self.failed })
        }
    }
}

/// The live files after the change, beside the fates that were carried out and the files of T0.
pub(super) fn files(
    ground: &Ground<'_>,
    repository: &Repository,
    armed: &Armed,
    home: &Home,
    fates: &Fates,
    theirs: &Side,
) -> Result<Findings, UpgradeError> {
    let source = &home.covered.sources[0];
    let typed = std::collections::BTreeMap::new();
    let rules = AppRules::of(&home.app, &source.exclusions, &typed);
    let want = |path: &TreePath| fates.contains_key(path) || rules.is_configuration(path);
    let memory = Memory { dir: Some(ground.cache_dir), trust: Trust::SameBoot };
    let live = survey(repository, source, memory, &want, ground.monitor)?;
    let at_t0 = armed.snapshot().root(&source.label).ok_or_else(|| UpgradeError::NoWayBack {
        what: format!("{} is not in the safety snapshot", source.label),
    })?;
    let before = wanted::some(repository, &at_t0.entry, want)?;
    let mut findings = Findings::default();
    for (path, fate) in fates {
        let fine = stands(*fate, path, &live, theirs);
        findings.check(fine, || format!("{path} is not what the release ships"));
    }
    let own = before.iter().filter(|(path, _)| rules.owner(path) == Owner::Operator);
    for (path, entry) in own {
        let now = live.get(path);
        if now.map(Shape::of) == Some(Shape::of(entry)) {
            findings.passed += 1;
        } else {
            let text = |entry| texts::text(repository, entry);
            let was = text(entry)?;
            let is = texts::live_text(&home.app, path, &live);
            rewritten(&mut findings, path, &home.app.rules, was.as_deref(), is.as_deref());
        }
    }
    Ok(findings)
}

/// Whether a path of the two releases is as its fate wanted it.
fn stands(fate: Fate, path: &TreePath, live: &Side, theirs: &Side) -> bool {
    let (now, shipped) = (live.get(path).map(Shape::of), theirs.get(path).map(Shape::of));
    match fate.verdict() {
        Verdict::Take => now == shipped,
        // A directory that still holds something of the operator's stays.
        Verdict::Delete => now.is_none_or(|shape| shape == Shape::Directory),
        Verdict::Keep if fate == Fate::Same => now == shipped,
        Verdict::Keep | Verdict::Stop => true,
    }
}

/// The operator's file is not what it was: the migration did that.
fn rewritten(
    findings: &mut Findings,
    path: &TreePath,
    rules: &crate::app::rules::Rules,
    was: Option<&str>,
    is: Option<&str>,
) {
    if rules.owner(path) == crate::app::rules::Owner::Secret {
        findings.failed.push(format!("{path} is a secret, and the migration changed it"));
        return;
    }
    let (Some(was), Some(is)) = (was, is) else {
        findings.failed.push(format!("{path} is yours, and the migration removed it"));
        return;
    };
    let now = keys(is);
    let lost: Vec<String> = keys(was).into_keys().filter(|key| !now.contains_key(key)).collect();
    if lost.is_empty() {
        findings.reported.push(format!("{path} was rewritten by the migration; no key is lost"));
    } else {
        findings.failed.push(format!("{path} lost {}", lost.join(", ")));
    }
}

/// What was upgraded, and how it is judged.
pub(super) struct Upgraded<'a> {
    pub(super) ctx: &'a Context<'a>,
    pub(super) nursery: &'a Nursery,
    pub(super) plan: &'a Plan,
    /// As it was met before.
    pub(super) app: &'a App,
    pub(super) release: &'a PlannedRelease,
    /// Whether we keep the site shut.
    pub(super) shut: bool,
    pub(super) options: &'a RunOptions,
}

/// Step 9 of an upgrade.
pub(super) fn upgrade(
    course: &mut Course<'_>,
    ready: &mut Ready<'_>,
    upgraded: &Upgraded<'_>,
) -> Result<Done<Findings>, UpgradeError> {
    let Upgraded { ctx, nursery, plan, app, release, .. } = upgraded;
    let (armed, home) = (&ready.armed, &ready.home);
    let fates = plan.fates();
    let mut findings = files(&course.ground, ctx.repository, armed, home, &fates, &ready.theirs)?;
    let declared = migrate::declared_version(app)?;
    findings.check(declared == release.version, || {
        format!("the files declare {declared}, not {}", release.version)
    });
    for what in migrate::still_pending(course, nursery, ready, app)? {
        findings.failed.push(what);
    }
    health(course, ready, upgraded, &mut findings)?;
    let findings = findings.settle()?;
    let note = format!("{} checks passed", findings.passed);
    Ok(done(findings, note))
}

/// Only what got worse fails; what was red is told.
fn health(
    course: &mut Course<'_>,
    ready: &mut Ready<'_>,
    upgraded: &Upgraded<'_>,
    findings: &mut Findings,
) -> Result<(), UpgradeError> {
    let Upgraded { nursery, app, release, shut, options, .. } = upgraded;
    let version = migrate::version_of(app, release)?;
    let asked = Asked {
        version: &version,
        layouts: (&app.layout, &release.layout),
        is_shut: *shut,
        skip: &options.skip_probes,
    };
    // The commands of the application run on what is there now; the databases are those of T0.
    let databases = &mut ready.home.covered.databases;
    let mut turning = Turning { app, databases, nursery };
    let after = probes::now(course, &mut turning, &asked)?;
    let comparison = probes::worse(course, nursery, &after)?;
    findings.passed += u32::try_from(comparison.passed).unwrap_or(u32::MAX);
    findings.failed.extend(comparison.regressions);
    findings.reported.extend(comparison.red_before);
    findings.reported.extend(comparison.skipped);
    findings.probes = probes::stored(&after);
    Ok(())
}
