//! The newest snapshot that this machine took of a repository: a copy that lacks it, and has
//! nothing newer, is an older one put back.

use std::fs;
use std::io::Write as _;

use crate::os::clock::Moment;
use crate::os::file;
use crate::repository::{ObjectId, RecordKind, Repository};
use crate::snapshot::{self, Snapshot};

use super::context::Context;
use super::render;
use super::text::Ink;

fn name(repository: &Repository) -> String {
    format!("newest-{}", repository.id().short())
}

/// Remembers a snapshot that was just taken. What cannot be remembered costs a warning some day,
/// and no failure now; nor is it worth a sync: after a power cut nothing is remembered.
pub(super) fn note(cx: &Context<'_>, repository: &Repository, taken: &Snapshot) {
    let Ok(dir) = cx.directories.state() else { return };
    let line = format!("{} {}\n", taken.id, taken.time.0);
    let place = dir.join(name(repository));
    let aside = dir.join(format!("{}-{}", name(repository), taken.id.short()));
    let _ = file::create_dirs(dir, 0o700)
        .and_then(|()| file::create_new(&aside, 0o600))
        .and_then(|mut new| new.write_all(line.as_bytes()))
        .and_then(|()| file::rename_over(&aside, &place));
}

/// What is forgotten on purpose is not missed: the newest of what is left is remembered instead.
pub(super) fn forgot(cx: &Context<'_>, repository: &Repository, gone: &[&Snapshot]) {
    let is_gone = |(id, _): &(ObjectId, Moment)| gone.iter().any(|one| one.id == *id);
    if !recall(cx, repository).as_ref().is_some_and(is_gone) {
        return;
    }
    let left = snapshot::list_readable(repository).map(|listed| listed.snapshots);
    if let Some(newest) = left.ok().and_then(|mut left| left.pop()) {
        note(cx, repository, &newest);
    } else if let Ok(dir) = cx.directories.state() {
        let _ = file::remove(&dir.join(name(repository)));
    }
}

/// Says so if `snapshots` cannot be all that this machine knows of.
pub(super) fn compare(cx: &Context<'_>, repository: &Repository, snapshots: &[Snapshot]) {
    let Some((id, time)) = recall(cx, repository) else { return };
    // What is newer was taken after it: then it was forgotten and pruned, elsewhere perhaps.
    let is_known = snapshots.iter().any(|one| one.id == id || one.time >= time);
    let is_there = repository.record(RecordKind::Snapshot, &id).is_ok_and(|found| found.is_some());
    if is_known || is_there {
        return;
    }
    let sentence = format!(
        "snapshot {} of {}, which this machine took, is not there, nor anything newer: this may \
         be an older copy of the repository",
        id.short(),
        render::when(time)
    );
    cx.out.insist(&format!("  {} {sentence}\n", Ink::Warn.on('!')));
    let fields = serde_json::json!({ "snapshot_id": id.to_string() });
    cx.out.message("warning", super::output::Level::Warning, &sentence, fields);
}

fn recall(cx: &Context<'_>, repository: &Repository) -> Option<(ObjectId, Moment)> {
    let dir = cx.directories.state().ok()?;
    let text = fs::read_to_string(dir.join(name(repository))).ok()?;
    let (id, time) = text.trim_end().split_once(' ')?;
    Some((ObjectId::parse(id)?, Moment(time.parse().ok()?)))
}
