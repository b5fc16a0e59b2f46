//! `snap stats`: what snapshots hold, what that costs, and what nobody needs.

use serde_json::json;

use crate::snapshot::{self, Snapshot, Stats};

use super::command::About;
use super::context::Context;
use super::failure::{Exit, Failure};
use super::output::Level;
use super::render::{self, Table, count, counted, size};
use super::text::Ink;
use super::{snapshots, unlock};

pub(super) const ABOUT: About = About {
    name: "stats",
    examples: "snap stats\nsnap stats --app passbolt\nsnap stats --json",
    exits: &[Exit::NoRepo, Exit::Password, Exit::Damaged],
};

/// Nothing to choose but the app.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

/// Visits everything, and adds it up.
pub(super) fn run(cx: &Context<'_>, _: &Args) -> Result<Exit, Failure> {
    let repository = unlock::open(cx)?.repository;
    let all = snapshot::list(&repository)?;
    let progress = super::progress::Progress::new(cx.out);
    let stats = progress.during(|| snapshot::stats(&repository, &all))?;
    let apps = cx.apps();
    let shown: Vec<&Snapshot> = all
        .iter()
        .filter(|one| {
            let app = one.app.as_ref().map(|mark| &mark.name);
            apps.is_empty() || app.is_some_and(|app| apps.contains(app))
        })
        .collect();
    each(cx, &shown, &stats);
    whole(cx, &all, &stats);
    Ok(Exit::Ok)
}

fn each(cx: &Context<'_>, shown: &[&Snapshot], stats: &Stats) {
    if shown.is_empty() {
        cx.out.remark("There is no such snapshot.\n");
        return;
    }
    let mut table = Table::new(&["ID", "WHEN", ">FILES", ">RESTORES", ">ADDED", "OF"]);
    for one in shown {
        let Some(share) = stats.shares.iter().find(|share| share.id == one.id) else { continue };
        table.row([
            Ink::Name.on(one.id.short()),
            render::when(one.time),
            count(one.counts.files),
            size(share.restore_bytes),
            size(share.added_bytes),
            snapshots::of(one),
        ]);
        let fields = json!({
            "snapshot_id": one.id.to_string(),
            "files": one.counts.files,
            "restore_bytes": share.restore_bytes,
            "added_bytes": share.added_bytes,
        });
        cx.out.message("share", Level::Info, &one.id.short(), fields);
    }
    cx.out.print(&table.render(cx.out.columns()));
}

fn whole(cx: &Context<'_>, all: &[Snapshot], stats: &Stats) {
    let usage = stats.usage;
    let restore: u64 = stats.shares.iter().map(|share| share.restore_bytes).sum();
    let dedup = ratio(restore, stats.unique_bytes);
    let packed = ratio(usage.bytes, usage.pack_bytes);
    let lines = [
        (
            "restore size",
            format!("{} in {}", size(restore), counted(all.len() as u64, "snapshot", "snapshots")),
        ),
        ("unique", format!("{}   deduplication {}", size(stats.unique_bytes), times(dedup))),
        (
            "stored",
            format!(
                "{} in {}, index {}   compression {}",
                size(usage.pack_bytes),
                counted(usage.packs, "pack", "packs"),
                size(usage.index_bytes),
                times(packed)
            ),
        ),
        (
            "dead",
            format!(
                "{} in {}: what a prune can free at most",
                size(usage.dead_pack_bytes),
                counted(usage.dead_chunks, "chunk", "chunks")
            ),
        ),
    ];
    for (what, how) in lines {
        cx.out.print(&format!("{what:<13} {how}\n"));
    }
    let fields = json!({
        "snapshots": all.len(),
        "restore_bytes": restore,
        "unique_bytes": stats.unique_bytes,
        "raw_bytes": usage.pack_bytes,
        "index_bytes": usage.index_bytes,
        "packs": usage.packs,
        "metadata_packs": usage.metadata_packs,
        "chunks": usage.chunks,
        "chunk_bytes": usage.bytes,
        "dead_chunks": usage.dead_chunks,
        "dead_bytes": usage.dead_pack_bytes,
        "dedup_ratio": to_float(dedup),
        "compression_ratio": to_float(packed),
    });
    cx.out.message("summary", Level::Info, "what the repository holds", fields);
}

/// Hundredths, in integers; none of nothing.
fn ratio(of: u64, to: u64) -> Option<u64> {
    let hundredths = u128::from(of) * 100 / u128::from(to.max(1));
    (to > 0).then(|| u64::try_from(hundredths).unwrap_or(u64::MAX))
}

fn times(ratio: Option<u64>) -> String {
    ratio.map_or_else(|| "-".to_owned(), |r| format!("{}.{:02} x", count(r / 100), r % 100))
}

fn to_float(ratio: Option<u64>) -> Option<f64> {
    // A ratio for a program: exact far beyond what any repository reaches.
    ratio.map(|r| f64::from(u32::try_from(r).unwrap_or(u32::MAX)) / 100.0)
}
