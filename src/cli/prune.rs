//! `snap prune`: makes room, beside backups that go on.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;

use crate::repository::{PruneMode, Repository, Thrift};
use crate::snapshot::{self, PruneReport, PruneRequest};

use super::command::About;
use super::confirm::{self, Risk};
use super::context::Context;
use super::failure::{Exit, Failure};
use super::needed::needed_here;
use super::output::Level;
use super::progress::Progress;
use super::render::{count, counted, size, took};
use super::text::Ink;
use super::unlock;

pub(super) const ABOUT: About = About {
    name: "prune",
    examples: "snap prune --dry-run\nsnap prune --yes\nsnap prune --max-unused 10% --lock-wait 10m",
    exits: &[
        Exit::Partial,
        Exit::Cancelled,
        Exit::NoRepo,
        Exit::Locked,
        Exit::Password,
        Exit::Damaged,
        Exit::Backend,
    ],
};

/// How far to go.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// So much of the repository may stay unused: 5%, 0%, or unlimited
    #[arg(long, value_name = "LIMIT", value_parser = permille, default_value = "5%",
          help_heading = "What")]
    max_unused: u64,
    /// How long to wait for backups that began before: 0s, 30s, 10m
    #[arg(long, value_name = "TIME", value_parser = wait, default_value = "10s",
          help_heading = "Safety")]
    lock_wait: Duration,
}

/// Makes room.
pub(super) fn run(cx: &Context<'_>, args: &Args) -> Result<Exit, Failure> {
    let opened = unlock::open(cx)?;
    let thrift = Thrift { unused_permille: args.max_unused, ..Thrift::default() };
    prune(cx, &opened.repository, thrift, args.lock_wait, Asks::Yes)
}

/// The same after `forget`, which was agreed to.
pub(super) fn after_forget(cx: &Context<'_>, repository: &Repository) -> Result<Exit, Failure> {
    prune(cx, repository, Thrift::default(), Duration::from_secs(10), Asks::No)
}

/// Whether somebody must agree first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asks {
    Yes,
    No,
}

fn prune(
    cx: &Context<'_>,
    repository: &Repository,
    thrift: Thrift,
    wait: Duration,
    asks: Asks,
) -> Result<Exit, Failure> {
    let needed: BTreeSet<_> = needed_here(cx)?.into_keys().collect();
    let refused = RefCell::new(None);
    let agree = |report: &PruneReport| {
        // Only what cannot be taken back is worth a question.
        if asks == Asks::No || report.forgotten.is_empty() {
            return true;
        }
        let many =
            counted(report.forgotten.len() as u64, "forgotten snapshot", "forgotten snapshots");
        let question = format!("Delete {many} for good? {}", outlook(report));
        let sure = confirm::sure(cx, Risk::Moderate, &format!("delete {many} for good"), &question);
        let agreed = sure.is_ok();
        *refused.borrow_mut() = sure.err();
        agreed
    };
    let mode = if cx.global.dry_run { PruneMode::DryRun } else { PruneMode::Write };
    let request = PruneRequest { mode, thrift, wait, needed: &needed, agree: &agree };
    let progress = Progress::new(cx.out);
    let report = progress.during(|| snapshot::prune(repository, &request, &progress))?;
    if let Some(failure) = refused.into_inner() {
        return Err(failure);
    }
    if mode == PruneMode::Write {
        cx.directories.tidy();
    }
    Ok(tell(cx, &report, &progress))
}

/// What would become free, and at what price.
fn outlook(report: &PruneReport) -> String {
    let plan = &report.plan;
    let mut parts = vec![format!("about {} become free", size(plan.freed_bytes))];
    if plan.rewritten_bytes > 0 {
        parts.push(format!("up to {} are written anew", size(plan.rewritten_bytes)));
    }
    parts.join(", ")
}

fn tell(cx: &Context<'_>, report: &PruneReport, progress: &Progress<'_>) -> Exit {
    let plan = &report.plan;
    let dead = plan.chunks - plan.kept_chunks;
    let of = format!(
        "{} of {} chunks in {} ({}) are not needed",
        count(dead),
        count(plan.chunks),
        counted(plan.packs, "pack", "packs"),
        size(plan.bytes)
    );
    let (verdict, exit) = match &report.pruned {
        None if report.is_idle() => ("nothing to do".to_owned(), Exit::Ok),
        None => (outlook(report), Exit::Ok),
        Some(pruned) => {
            let freed = pruned.bytes_removed.saturating_sub(pruned.bytes_written);
            let mut said = format!("{} are free", size(freed));
            if pruned.is_awaiting {
                said.push_str("; somebody works who began before: the next prune frees the rest");
            }
            (said, Exit::Ok)
        }
    };
    cx.out.print(&format!("{of}\n"));
    let dry = if cx.global.dry_run { "  Nothing done (--dry-run)." } else { "" };
    let took = took(progress.elapsed());
    cx.out.print(&format!("{} {verdict}{dry}   {took}\n", Ink::Good.on('✓')));
    cx.out.message("summary", Level::Info, &verdict, document(cx, report, progress));
    exit
}

fn document(cx: &Context<'_>, report: &PruneReport, progress: &Progress<'_>) -> serde_json::Value {
    let plan = &report.plan;
    let mut document = json!({
        "dry_run": cx.global.dry_run,
        "snapshots_kept": report.kept,
        "snapshots_forgotten": report.forgotten.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "packs": plan.packs,
        "bytes": plan.bytes,
        "chunks": plan.chunks,
        "chunks_needed": plan.kept_chunks,
        "packs_unneeded": plan.unneeded_packs,
        "packs_sparse": plan.sparse_packs,
        "packs_scattered": plan.scattered_packs,
        "packs_small": plan.small_packs,
        "packs_condemned": plan.condemned_packs,
        "packs_awaited": plan.awaited_packs,
        "bytes_to_rewrite": plan.rewritten_bytes,
        "bytes_to_free": plan.freed_bytes,
        "total_duration": progress.elapsed().as_secs_f64(),
    });
    if let Some(pruned) = &report.pruned {
        document["packs_removed"] = pruned.packs_removed.into();
        document["bytes_removed"] = pruned.bytes_removed.into();
        document["bytes_written"] = pruned.bytes_written.into();
        document["segments_removed"] = pruned.segments_removed.into();
        document["snapshots_removed"] = pruned.snapshots_removed.into();
        document["awaiting"] = pruned.is_awaiting.into();
    }
    document
}

/// `5%` in parts of a thousand.
fn permille(typed: &str) -> Result<u64, String> {
    if typed == "unlimited" {
        return Ok(1000);
    }
    let bad = || format!("'{typed}' is no part of a whole; 5% is one");
    let percent: u64 = typed.strip_suffix('%').ok_or_else(bad)?.parse().map_err(|_| bad())?;
    if percent <= 100 { Ok(percent * 10) } else { Err(bad()) }
}

/// `10m` as a length of time.
fn wait(typed: &str) -> Result<Duration, String> {
    let bad = || format!("'{typed}' is no length of time; 10m is one");
    let digits = typed.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let seconds = match &typed[digits.len()..] {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(bad()),
    };
    let many: u64 = digits.parse().map_err(|_| bad())?;
    many.checked_mul(seconds).map(Duration::from_secs).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_and_times_are_read_as_people_write_them() {
        assert_eq!(permille("5%"), Ok(50));
        assert_eq!(permille("unlimited"), Ok(1000));
        assert!(permille("5").is_err() && permille("101%").is_err());
        assert_eq!(wait("10m"), Ok(Duration::from_mins(10)));
        assert!(wait("10").is_err() && wait("m").is_err());
    }
}
