//! What a plan shows of templates, migrations, questions, switches and hooks.

use std::fmt::Write;

use crate::app::App;
use crate::app::profile::{HookPoint, MigrateStep, Switch};
use crate::repository::Repository;
use crate::tree::{Content, Entry, Kind, TreePath};

use super::super::UpgradeError;
use super::super::merge::Side;
use super::super::stored::PathText;
use super::gather::PlanRequest;
use super::review::{Texts, review};
use super::{Question, Review};

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

/// What the migration may ask, as the profile and the command line know it.
pub(super) fn questions(app: &App, request: &PlanRequest<'_>, pending: bool) -> Vec<Question> {
    if !pending {
        return Vec::new();
    }
    let runs = |step: &&MigrateStep| step.when.holds(&app.layout, &request.release.layout);
    let prompts = app.profile.migrate.iter().filter(runs).flat_map(|step| &step.prompts);
    let known = prompts.map(|prompt| Question {
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
