//! What a plan shows of templates, migrations, questions, switches and hooks.

use std::fmt::Write;

use regex::Regex;

use crate::app::App;
use crate::app::files::Stored;
use crate::app::pending::scan;
use crate::app::profile::{HookPoint, MigrateStep, PromptRule, Switch};
use crate::database::Database;
use crate::repository::Repository;
use crate::snapshot;
use crate::tree::{Content, Entry, Kind, TreePath};

use super::super::merge::Side;
use super::super::stored::PathText;
use super::super::{UpgradeError, chain};
use super::gather::PlanRequest;
use super::review::{Texts, review};
use super::{PendingMigration, Question, Refusal, RefusalKind, Review};

/// A configuration text larger than this is none.
const TEXT_BYTES_MAX: u64 = 1 << 20;

pub(super) const fn size(entry: &Entry) -> u64 {
    match entry.kind {
        Kind::File { size, .. } => size,
        _ => 0,
    }
}

pub(super) const fn is_directory(entry: &Entry) -> bool {
    matches!(entry.kind, Kind::Directory { .. } | Kind::SkippedDirectory)
}

/// Templates that the release changes, beside what the operator made of them.
pub(super) fn reviews(
    repository: &Repository,
    app: &App,
    base: &Side,
    theirs: &Side,
    found: &Side,
) -> Result<Vec<Review>, UpgradeError> {
    let mut reviews = Vec::new();
    for rule in &app.profile.files.review {
        let path = |text: String| TreePath::parse(text.as_bytes()).ok();
        let template = path(rule.template.fill(&app.vars)?);
        let live = path(rule.live.fill(&app.vars)?);
        let (Some(template), Some(live)) = (template, live) else { continue };
        let Some(new) = theirs.get(&template) else { continue };
        let Some(new) = text(repository, new)? else { continue };
        let old = base.get(&template).map(|entry| text(repository, entry)).transpose()?.flatten();
        let own = live_text(app, &live, found);
        let texts = Texts { old: old.as_deref(), new: &new, live: own.as_deref() };
        reviews.extend(review(PathText(template), PathText(live), texts));
    }
    Ok(reviews)
}

/// A stored text; `None` if it is too large or no text.
pub(in crate::upgrade) fn text(
    repository: &Repository,
    entry: &Entry,
) -> Result<Option<String>, UpgradeError> {
    let Kind::File { size, content } = entry.kind else { return Ok(None) };
    if size > TEXT_BYTES_MAX {
        return Ok(None);
    }
    Ok(String::from_utf8(bytes(repository, &content)?).ok())
}

/// All bytes of stored content, which the caller knows to be small.
fn bytes(repository: &Repository, content: &Content) -> Result<Vec<u8>, UpgradeError> {
    let mut bytes = Vec::new();
    for piece in repository.pieces(content) {
        bytes.extend(repository.get(&piece?.id)?);
    }
    Ok(bytes)
}

/// The live text is only shown, so one that cannot be read is as good as none.
pub(in crate::upgrade) fn live_text(app: &App, path: &TreePath, found: &Side) -> Option<String> {
    let entry = found.get(path).filter(|entry| size(entry) <= TEXT_BYTES_MAX)?;
    let Kind::File { .. } = entry.kind else { return None };
    let files = crate::app::files::Live::open(&app.root).ok()?;
    let files: &dyn crate::app::files::Files = &files;
    String::from_utf8(files.read(path, TEXT_BYTES_MAX).ok()??).ok()
}

/// Migrations that the release brings and the database does not list; or why nobody can tell.
pub(super) fn pending(
    repository: &Repository,
    request: &PlanRequest<'_>,
    databases: &mut [Box<dyn Database>],
) -> Result<(Vec<PendingMigration>, Option<Refusal>), UpgradeError> {
    let missing = || UpgradeError::NoRelease { id: request.release.snapshot.to_string() };
    let release = snapshot::open(repository, &request.release.snapshot)?.ok_or_else(missing)?;
    let root = release.roots.first().ok_or_else(missing)?;
    let files = Stored::new(repository, &root.entry, "the release");
    match scan(request.app, &files, databases) {
        Ok(found) => {
            let stored = found.into_iter().map(|one| PendingMigration {
                id: one.id,
                file: PathText(one.file),
                asks: one.asks,
            });
            Ok((stored.collect(), None))
        }
        Err(error) => {
            let what = chain(&error).join(": ");
            Ok((Vec::new(), Some(Refusal { kind: RefusalKind::Database, what })))
        }
    }
}

/// What the migration will ask where its text tells, else what the profile knows that it may ask.
pub(super) fn questions(
    app: &App,
    request: &PlanRequest<'_>,
    pending: &[PendingMigration],
) -> Vec<Question> {
    if pending.is_empty() {
        return Vec::new();
    }
    let runs = |step: &&MigrateStep| step.when.holds(&app.layout, &request.release.layout);
    let prompts: Vec<&PromptRule> =
        app.profile.migrate.iter().filter(runs).flat_map(|step| &step.prompts).collect();
    let asked: Vec<&str> = pending.iter().filter_map(|one| one.asks.as_deref()).collect();
    if !asked.is_empty() {
        return asked.into_iter().map(|text| foretold(text, request, &prompts)).collect();
    }
    let known = prompts.into_iter().map(|prompt| Question {
        pattern: prompt.pattern.as_str().to_owned(),
        answered_by: Some("profile".to_owned()),
        answer: Some(prompt.answer.clone()),
        fails: prompt.fails,
    });
    // What was typed goes before the profile, so it is shown before it.
    let typed = request.answered.iter().map(|pattern| Question {
        pattern: pattern.clone(),
        answered_by: Some("typed".to_owned()),
        answer: None,
        fails: false,
    });
    typed.chain(known).collect()
}

/// A question that will come, and who answers it.
fn foretold(text: &str, request: &PlanRequest<'_>, prompts: &[&PromptRule]) -> Question {
    let fits = |pattern: &String| Regex::new(pattern).is_ok_and(|regex| regex.is_match(text));
    let typed = request.answered.iter().any(fits);
    let rule = prompts.iter().find(|rule| rule.pattern.is_match(text)).filter(|_| !typed);
    let by = if typed { Some("typed") } else { rule.map(|_| "profile") };
    Question {
        pattern: text.trim_end().to_owned(),
        answered_by: by.map(str::to_owned),
        answer: rule.map(|rule| rule.answer.clone()),
        fails: rule.is_some_and(|rule| rule.fails),
    }
}

/// How the site is shut, one line a switch.
pub(super) fn maintenance(app: &App) -> Vec<String> {
    let units = |units: &[String]| format!("units {}", units.join(", "));
    let mut lines: Vec<String> = app
        .profile
        .maintenance
        .iter()
        .map(|switch| match switch {
            Switch::File { file, .. } => format!("file {}", file.as_str()),
            Switch::Row { table, column, .. } => format!("row {}.{column}", table.as_str()),
            Switch::Command { on, .. } => {
                let words: Vec<&str> =
                    on.iter().map(crate::app::profile::Template::as_str).collect();
                format!("command {}", words.join(" "))
            }
            Switch::Units(names) => units(names),
        })
        .collect();
    if !app.profile.quiesce.units.is_empty() {
        lines.push(units(&app.profile.quiesce.units));
    }
    lines
}

/// Commands of the operator's that will run.
pub(super) fn hooks(app: &App) -> Result<Vec<String>, UpgradeError> {
    let mut lines = Vec::new();
    for hook in &app.profile.hooks {
        let mut line = match hook.at {
            HookPoint::BeforeMigrate => "before migrate:",
            HookPoint::AfterUpgrade => "after upgrade:",
            HookPoint::Failed => "after a failure:",
            HookPoint::Finally => "at the end:",
        }
        .to_owned();
        for word in &hook.run {
            write!(line, " {}", word.fill(&app.vars)?).expect("a string takes any text");
        }
        lines.push(line);
    }
    Ok(lines)
}
