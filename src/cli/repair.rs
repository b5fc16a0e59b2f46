//! `snap repair`: makes something whole again from what is there.

use serde_json::json;

use crate::repository::RepairMode;

use super::command::About;
use super::context::Context;
use super::failure::{Exit, Failure};
use super::output::Level;
use super::progress::Progress;
use super::render::{counted, took};
use super::text::Ink;
use super::unlock;

pub(super) const INDEX: About = About {
    name: "repair index",
    examples: "snap repair index --dry-run\nsnap repair index",
    exits: &[Exit::NoRepo, Exit::Locked, Exit::Password, Exit::Damaged],
};

/// What to mend.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// The index, from the packs, which hold all there is to know
    Index,
}

/// Mends it; what is damaged beyond that is listed.
pub(super) fn run(cx: &Context<'_>, verb: &Verb) -> Result<Exit, Failure> {
    let Verb::Index = verb;
    let repository = unlock::open(cx)?.repository;
    let dry = cx.global.dry_run;
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
            format!("the index is wrong: repair would write {}", rebuilt.segments_after)
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
    Ok(Exit::Ok)
}
