//! `snap diff`: what differs between two snapshots, or between one and what is live.

use std::os::unix::ffi::OsStrExt;

use serde_json::json;

use crate::repository::Repository;
use crate::snapshot::converge::{self, Deletes};
use crate::snapshot::diff::{Difference, between};
use crate::snapshot::{Memory, Snapshot, Trust};
use crate::tree::Exclusions;

use super::command::About;
use super::context::Context;
use super::failure::{Code, Exit, Failure};
use super::output::Level;
use super::progress::Progress;
use super::render::{self, count};
use super::text::{self, Ink};
use super::{address, unlock};

pub(super) const ABOUT: About = About {
    name: "diff",
    examples: "snap diff latest~1 latest\nsnap diff latest --live\n\
               snap diff 4f1c09 88be01 --stat",
    exits: &[Exit::NoRepo, Exit::Password, Exit::Damaged],
};

/// What to compare with what.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The older snapshot
    #[arg(value_name = "SNAP")]
    before: String,
    /// The newer one
    #[arg(value_name = "SNAP", required_unless_present = "live")]
    after: Option<String>,
    /// Compare with what is on disk now
    #[arg(long, conflicts_with = "after", help_heading = "What")]
    live: bool,
    /// Only the sums
    #[arg(long, help_heading = "Output")]
    stat: bool,
}

/// How many paths differ, and how.
#[derive(Debug, Default)]
struct Sums {
    added: u64,
    removed: u64,
    content: u64,
    metadata: u64,
}

/// Compares. Files by their content ids, databases by their fingerprints.
pub(super) fn run(cx: &Context<'_>, args: &Args) -> Result<Exit, Failure> {
    let repository = unlock::open(cx)?.repository;
    let (before, path) = address::snapshot(cx, &repository, &args.before)?;
    if path.is_some() {
        return Err(Failure::new(Code::E0001, "whole snapshots are compared, without a path"));
    }
    let mut sums = Sums::default();
    if let Some(after) = &args.after {
        let (after, _) = address::snapshot(cx, &repository, after)?;
        stored(cx, args, &repository, &before, &after, &mut sums)?;
        databases(cx, &before, &after);
    } else {
        live(cx, args, &repository, &before, &mut sums)?;
    }
    cx.out.print(&format!(
        "{} added, {} removed, {} changed, {} with other mode, owner or time\n",
        count(sums.added),
        count(sums.removed),
        count(sums.content),
        count(sums.metadata)
    ));
    let fields = json!({
        "added": sums.added,
        "removed": sums.removed,
        "changed": sums.content,
        "metadata": sums.metadata,
    });
    cx.out.message("summary", Level::Info, "compared", fields);
    Ok(Exit::Ok)
}

fn stored(
    cx: &Context<'_>,
    args: &Args,
    repository: &Repository,
    before: &Snapshot,
    after: &Snapshot,
    sums: &mut Sums,
) -> Result<(), Failure> {
    for root in &before.roots {
        let path = text::path(&root.path);
        let Some(other) = after.root(&root.label) else {
            change(cx, args, sums, Difference::Removed, &path);
            continue;
        };
        for found in between(repository, &root.entry, &other.entry) {
            let found = found?;
            let below = found.path.as_ref().map(|below| text::name(below.as_bytes()));
            let path = below.map_or_else(|| path.clone(), |below| format!("{path}/{below}"));
            change(cx, args, sums, found.difference(), &path);
        }
    }
    for root in after.roots.iter().filter(|root| before.root(&root.label).is_none()) {
        change(cx, args, sums, Difference::Added, &text::path(&root.path));
    }
    Ok(())
}

/// What is live, seen from the snapshot: a plan to restore it says what differs.
fn live(
    cx: &Context<'_>,
    args: &Args,
    repository: &Repository,
    snapshot: &Snapshot,
    sums: &mut Sums,
) -> Result<(), Failure> {
    let progress = Progress::new(cx.out);
    for root in &snapshot.roots {
        let exclusions = Exclusions::compile(root.rules.clone())?;
        let request = converge::Request {
            wanted: root,
            annex: None,
            path: &root.path,
            exclusions: &exclusions,
            deletes: Deletes::All,
            keep_links_to_directories: false,
            include: None,
            memory: Memory {
                dir: cx.directories.cache().map(|dir| &**dir),
                trust: Trust::SameBoot,
            },
        };
        let plan = progress.during(|| converge::plan(repository, &request, &progress))?;
        for (word, path) in plan.lines() {
            let path = path.map_or_else(
                || root.path.clone(),
                |path| root.path.join(std::ffi::OsStr::from_bytes(path.as_bytes())),
            );
            let is_there = path.symlink_metadata().is_ok();
            let difference = match (word, is_there) {
                ("delete", _) => Difference::Added,
                ("metadata", _) => Difference::Metadata,
                (_, true) => Difference::Content,
                (_, false) => Difference::Removed,
            };
            change(cx, args, sums, difference, &text::path(&path));
        }
    }
    Ok(())
}

fn change(cx: &Context<'_>, args: &Args, sums: &mut Sums, difference: Difference, path: &str) {
    let (letter, word, sum) = match difference {
        Difference::Added => (Ink::Good.on('+'), "+", &mut sums.added),
        Difference::Removed => (Ink::Bad.on('-'), "-", &mut sums.removed),
        Difference::Kind => (Ink::Warn.on('T'), "T", &mut sums.content),
        Difference::Content => (Ink::Warn.on('M'), "M", &mut sums.content),
        Difference::Metadata => (Ink::Dim.on('U'), "U", &mut sums.metadata),
    };
    *sum += 1;
    if !args.stat {
        cx.out.print(&format!("{letter}  {path}\n"));
        let fields = json!({ "path": path, "modifier": word });
        cx.out.message("change", Level::Info, path, fields);
    }
}

fn databases(cx: &Context<'_>, before: &Snapshot, after: &Snapshot) {
    for one in &before.databases {
        let other = after.databases.iter().find(|other| other.name == one.name);
        let (verdict, word) = match other {
            None => (Ink::Bad.on("is not there any more"), "removed"),
            Some(other) if other.fingerprint == one.fingerprint => (Ink::Good.on("same"), "same"),
            Some(_) => (Ink::Warn.on("changed"), "changed"),
        };
        let after = other.map_or_else(|| "-".to_owned(), |o| render::digest(&o.fingerprint));
        let before = render::digest(&one.fingerprint);
        cx.out.print(&format!("database {}  {before} → {after}  {verdict}\n", one.name));
        let fields = json!({ "name": one.name, "result": word });
        cx.out.message("database", Level::Info, &one.name, fields);
    }
    let is_new = |one: &&crate::snapshot::DatabaseMark| {
        !before.databases.iter().any(|other| other.name == one.name)
    };
    for one in after.databases.iter().filter(is_new) {
        cx.out.print(&format!("database {}  {}\n", one.name, Ink::Good.on("is new")));
    }
}
