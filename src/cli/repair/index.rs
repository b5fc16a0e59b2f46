//! `snap repair index`: from the packs, which hold all there is to know.

use serde_json::json;

use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::Level;
use crate::cli::progress::Progress;
use crate::cli::render::{counted, took};
use crate::cli::text::Ink;
use crate::repository::{RepairMode, Repository};

pub(super) fn run(cx: &Context<'_>, repository: &Repository) -> Result<Exit, Failure> {
    let dry = super::is_dry(cx);
    let mode = if dry { RepairMode::DryRun } else { RepairMode::Write };
    let progress = Progress::new(cx.out);
    let rebuilt = progress.during(|| repository.rebuild_index(mode, &progress))?;
    for finding in &rebuilt.findings {
        cx.out.print(&format!("  {} {finding}\n", Ink::Warn.on('!')));
    }
    let found = format!(
        "{} in {}",
        counted(rebuilt.chunks, "chunk", "chunks"),
        counted(rebuilt.packs, "pack", "packs")
    );
    let verdict = match (rebuilt.was_right, dry) {
        (true, _) => "the index was right: nothing to do".to_owned(),
        (false, true) => {
            let segments = counted(rebuilt.segments_after, "new segment", "new segments");
            format!("the index is wrong: repair would write {segments}")
        }
        (false, false) => "the index was made anew".to_owned(),
    };
    let (ok, took) = (Ink::Good.on('✓'), took(progress.elapsed()));
    cx.out.print(&format!("{ok} {verdict} ({found})   {took}\n"));
    let fields = json!({
        "packs": rebuilt.packs,
        "packs_scanned": rebuilt.scanned,
        "chunks": rebuilt.chunks,
        "segments_before": rebuilt.segments_before,
        "segments_after": rebuilt.segments_after,
        "was_right": rebuilt.was_right,
        "dry_run": dry,
        "findings": rebuilt.findings.iter().map(ToString::to_string).collect::<Vec<_>>(),
    });
    cx.out.message("summary", Level::Info, &verdict, fields);
    if dry && !rebuilt.was_right {
        super::invite(cx, "index")?;
    }
    Ok(Exit::Ok)
}
