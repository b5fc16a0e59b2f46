//! What a backup has saved, for a person or a program.

use serde_json::json;

use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::Level;
use crate::cli::progress::Progress;
use crate::cli::render::{self, count, counted, size};
use crate::cli::snapshots;
use crate::cli::text::Ink;
use crate::monitor::Counter;
use crate::repository::Repository;
use crate::snapshot::diff::{Difference, between};
use crate::snapshot::{self, Snapshot};
use crate::tree::{Kind, edit};

/// What is new against the snapshot before.
#[derive(Debug, Default)]
pub(super) struct Newness {
    files_new: u64,
    files_changed: u64,
}

/// Compares with the snapshot before; equal subtrees cost nothing.
pub(super) fn news(repository: &Repository, snapshot: &Snapshot) -> Result<Newness, Failure> {
    let parent = snapshot.parent.map(|id| snapshot::open(repository, &id)).transpose()?.flatten();
    let Some(parent) = parent else {
        return Ok(Newness { files_new: snapshot.counts.files, files_changed: 0 });
    };
    let mut news = Newness::default();
    for root in &snapshot.roots {
        let before = parent.root(&root.label).map_or_else(
            || edit::empty_root(repository, root.entry.meta.clone()),
            |before| before.entry.clone(),
        );
        for change in between(repository, &before, &root.entry) {
            let change = change?;
            let is_file =
                change.after.as_ref().is_some_and(|after| matches!(after.kind, Kind::File { .. }));
            match change.difference() {
                Difference::Added if is_file => news.files_new += 1,
                Difference::Kind | Difference::Content | Difference::Metadata if is_file => {
                    news.files_changed += 1;
                }
                _ => {}
            }
        }
    }
    Ok(news)
}

/// Says what was saved.
pub(super) fn tell(
    cx: &Context<'_>,
    snapshot: &Snapshot,
    news: &Newness,
    progress: &Progress<'_>,
) -> Exit {
    let counts = &snapshot.counts;
    let stored = progress.total(Counter::BytesStored);
    let partial = snapshot.is_partial();
    let mark = if partial { Ink::Warn.on('!') } else { Ink::Good.on('✓') };
    let data: u64 = snapshot.databases.iter().map(|database| database.bytes).sum();
    let data = match data {
        0 => String::new(),
        bytes => format!(", database {}", size(bytes)),
    };
    cx.out.print(&format!(
        "{mark} snapshot {}   {}, {}{data}; {} new   {}\n",
        Ink::Name.on(snapshot.id.short()),
        counted(counts.files, "file", "files"),
        size(counts.bytes),
        size(stored),
        render::took(progress.elapsed()),
    ));
    if partial {
        cx.out.insist(&format!(
            "  {} partial: {} could not be read; no upgrade builds on it\n",
            Ink::Warn.on('!'),
            count(counts.problems)
        ));
    }
    let exit = if partial { Exit::Partial } else { Exit::Ok };
    let mut fields = snapshots::document(snapshot);
    fields["snapshot_id"] = snapshot.id.to_string().into();
    let unmodified = counts.files.saturating_sub(news.files_new + news.files_changed);
    fields["files_new"] = news.files_new.into();
    fields["files_changed"] = news.files_changed.into();
    fields["files_unmodified"] = unmodified.into();
    fields["files_read"] = counts.files_read.into();
    fields["total_files_processed"] = counts.files.into();
    fields["total_bytes_processed"] = counts.bytes.into();
    fields["data_added_packed"] = stored.into();
    fields["total_duration"] = json!(progress.elapsed().as_secs_f64());
    fields["problems"] = counts.problems.into();
    let level = if partial { Level::Warning } else { Level::Info };
    let sentence = format!("snapshot {} saved", snapshot.id.short());
    cx.out.message("summary", level, &sentence, fields);
    exit
}
