//! `snap repair index`: from the packs, which hold all there is to know. What a prune wrote of packs
//! that are to go, and that cannot be read any more, goes into quarantine.

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
    let set_aside = repository.set_condemned_aside(mode)?;
    let rebuilt = progress.during(|| repository.rebuild_index(mode, &progress))?;
    for finding in set_aside.iter().chain(&rebuilt.findings) {
        cx.out.print(&format!("  {} {finding}\n", Ink::Warn.on('!')));
    }
    let found = format!(
        "{} in {}",
        counted(rebuilt.chunks, "chunk", "chunks"),
        counted(rebuilt.packs, "pack", "packs")
    );
    let records = counted(set_aside.len() as u64, "record", "records");
    let aside = match (set_aside.is_empty(), dry) {
        (true, _) => String::new(),
        (false, true) => format!("would put {records} of a prune into quarantine; "),
        (false, false) => format!("{records} of a prune put into quarantine; "),
    };
    let verdict = match (rebuilt.was_right, dry) {
        (true, _) if !set_aside.is_empty() => "the index was right".to_owned(),
        (true, _) => "the index was right: nothing to do".to_owned(),
        (false, true) => {
            let segments = counted(rebuilt.segments_after, "new segment", "new segments");
            format!("the index is wrong: repair would write {segments}")
        }
        (false, false) => "the index was made anew".to_owned(),
    };
    let verdict = aside + &verdict;
    let (ok, took) = (Ink::Good.on('✓'), took(progress.elapsed()));
    cx.out.print(&format!("{ok} {verdict} ({found})   {took}\n"));
    let fields = json!({
        "packs": rebuilt.packs,
        "packs_scanned": rebuilt.scanned,
        "chunks": rebuilt.chunks,
        "segments_before": rebuilt.segments_before,
        "segments_after": rebuilt.segments_after,
        "was_right": rebuilt.was_right,
        "records_set_aside": set_aside.len(),
        "dry_run": dry,
        "findings": set_aside.iter().chain(&rebuilt.findings).map(ToString::to_string).collect::<Vec<_>>(),
    });
    cx.out.message("summary", Level::Info, &verdict, fields);
    if dry && !(rebuilt.was_right && set_aside.is_empty()) {
        super::invite(cx, "index")?;
    }
    Ok(Exit::Ok)
}
