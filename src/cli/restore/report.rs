//! What a restore to a target says in the end: what of it was compared, and what it is without.

use std::path::PathBuf;

use serde_json::json;

use crate::cli::context::Context;
use crate::cli::failure::Exit;
use crate::cli::output::Level;
use crate::cli::progress::Progress;
use crate::cli::render::{self, counted};
use crate::cli::text::{self, Ink};
use crate::database::DatabaseKind;
use crate::snapshot::converge::{ConvergePlan, LossCounts};
use crate::snapshot::{DatabaseMark, Snapshot};

use super::Args;

/// What was done, and what was not.
pub(super) struct Done<'a> {
    pub(super) plans: &'a [ConvergePlan],
    pub(super) databases: &'a [(&'a DatabaseMark, PathBuf)],
    /// What had to be left as it is.
    pub(super) losses: LossCounts,
    /// Paths that could not be looked at again.
    pub(super) closed: u64,
    /// Parts that the repository could not give.
    pub(super) lost: usize,
}

/// Says what was done, and how far it is what was saved.
pub(super) fn report(
    cx: &Context<'_>,
    args: &Args,
    snapshot: &Snapshot,
    done: &Done<'_>,
    shown: &str,
    progress: &Progress<'_>,
) -> Exit {
    let Done { plans, databases, losses, closed, lost } = *done;
    for kept in plans.iter().flat_map(|plan| &plan.kept) {
        cx.out.insist(&format!(" {} {}: {}\n", Ink::Warn.on('!'), kept.path, kept.why.says()));
    }
    let servers = snapshot.databases.len() - databases.len();
    if servers > 0 && !args.files_only {
        for mark in snapshot.databases.iter().filter(|mark| mark.kind == DatabaseKind::MySql) {
            cx.out.remark(&format!(
                "   database {} is not loaded:  snap restore {} --db {} --into mysql://…\n",
                mark.name,
                snapshot.id.short(),
                mark.name
            ));
        }
    }
    let (files, bytes): (u64, u64) = plans
        .iter()
        .fold((0, 0), |(files, bytes), p| (files + p.counts.write, bytes + p.counts.write_bytes));
    let whole = losses.count() == 0 && closed == 0 && lost == 0;
    let exit = if whole { Exit::Ok } else { Exit::Partial };
    let mark = if whole { Ink::Good.on('✓') } else { Ink::Warn.on('!') };
    let verified = match (whole, closed) {
        (true, _) => "verified",
        (false, 0) => "content verified",
        (false, _) => "not all of it verified",
    };
    let data = match databases.len() {
        0 => String::new(),
        number => format!(" and {}", counted(number as u64, "database", "databases")),
    };
    cx.out.print(&format!(
        "{mark} restored {} ({}){data} below {shown}, {verified}   {}\n",
        counted(files, "file", "files"),
        render::size(bytes),
        render::took(progress.elapsed()),
    ));
    if losses.count() > 0 {
        let line = format!("not put back, and compared without: {}", words(&losses));
        say_below(cx, &line);
    }
    if closed > 0 {
        let paths = counted(closed, "path", "paths");
        say_below(cx, &format!("not looked at again: {paths}, closed to you by what was restored"));
    }
    let fields = json!({
        "snapshot_id": snapshot.id.to_string(),
        "target": shown,
        "files_restored": files,
        "bytes_restored": bytes,
        "databases_restored": databases.len(),
        "verified": whole,
        "content_verified": closed == 0,
        "not_compared": closed,
        "not_put_back": {
            "owners": losses.owners,
            "attributes": losses.attributes,
            "specials": losses.specials,
            "flags": losses.flags,
        },
        "problems": losses.count(),
        "lost": lost,
        "total_duration": progress.elapsed().as_secs_f64(),
    });
    cx.out.message("summary", Level::Info, &format!("restored below {shown}"), fields);
    exit
}

fn say_below(cx: &Context<'_>, text: &str) {
    for line in text::wrap(text, cx.out.columns().saturating_sub(2)) {
        cx.out.print(&format!("  {line}\n"));
    }
}

/// What is otherwise than it was saved, each entry of which was named when it was met.
fn words(losses: &LossCounts) -> String {
    let LossCounts { owners, attributes, specials, flags } = *losses;
    let parts = [
        (owners, "owner", "owners"),
        (attributes, "attribute", "attributes"),
        (specials, "special file", "special files"),
        (flags, "immutable or append-only flag", "immutable or append-only flags"),
    ];
    let parts = parts.into_iter().filter(|(number, ..)| *number > 0);
    let parts: Vec<String> = parts.map(|(number, one, many)| counted(number, one, many)).collect();
    parts.join(", ")
}
