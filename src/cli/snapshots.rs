//! `snap snapshots`: what there is to go back to.

use serde_json::{Value, json};

use crate::snapshot::{self, Class, Snapshot};

use super::command::About;
use super::context::Context;
use super::failure::{Exit, Failure};
use super::output::Level;
use super::render::{self, Table};
use super::selection::Selection;
use super::text::{self, Ink};
use super::{remembered, unlock};

pub(super) const ABOUT: About = About {
    name: "snapshots",
    examples: "snap snapshots\nsnap snapshots --app passbolt --latest 5\n\
               snap snapshots --class all --json",
    exits: &[Exit::NoRepo, Exit::Password, Exit::Damaged],
};

/// Which of them.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    which: Selection,
    /// Only the newest N
    #[arg(long, value_name = "N", help_heading = "What")]
    latest: Option<usize>,
    /// Of this class: safety is what transactions keep, release what they install
    #[arg(long, value_name = "CLASS", default_value = "user", help_heading = "What",
          value_parser = ["user", "safety", "release", "all"])]
    class: String,
}

/// Lists them, the oldest first.
pub(super) fn run(cx: &Context<'_>, args: &Args) -> Result<Exit, Failure> {
    let opened = unlock::open(cx)?;
    let mut all = snapshot::list(&opened.repository)?;
    remembered::compare(cx, &opened.repository, &all);
    all.retain(|one| {
        (args.class == "all" || one.class.name() == args.class) && args.which.takes(cx, one)
    });
    all.sort_by_key(|one| (one.time, one.id));
    if let Some(latest) = args.latest {
        all.drain(..all.len().saturating_sub(latest));
    }
    if all.is_empty() {
        cx.out.remark("There is no such snapshot.\n");
    } else {
        cx.out.print(&table(&all, cx.out.columns()));
    }
    if !cx.out.is_json() {
        return Ok(Exit::Ok);
    }
    let documents: Vec<Value> = all.iter().map(document).collect();
    let sentence = render::counted(all.len() as u64, "snapshot", "snapshots");
    cx.out.message("snapshots", Level::Info, &sentence, json!({ "snapshots": documents }));
    Ok(Exit::Ok)
}

fn table(all: &[Snapshot], columns: usize) -> String {
    let mut table = Table::new(&["ID", "WHEN", "OF", ">FILES", ">SIZE", ">DATABASE", "NOTES"]);
    for one in all {
        let bytes: u64 = one.databases.iter().map(|database| database.bytes).sum();
        table.row([
            Ink::Name.on(one.id.short()),
            render::when(one.time),
            of(one),
            render::count(one.counts.files),
            render::size(one.counts.bytes),
            if one.databases.is_empty() { "-".to_owned() } else { render::size(bytes) },
            notes(one),
        ]);
    }
    table.render(columns)
}

/// The app and its version, or the paths.
pub(super) fn of(one: &Snapshot) -> String {
    if let Some(mark) = &one.app {
        return text::name(format!("{} {}", mark.name, mark.version).as_bytes());
    }
    let paths: Vec<String> = one.roots.iter().map(|root| text::path(&root.path)).collect();
    text::clip(&paths.join(" "), 30)
}

fn notes(one: &Snapshot) -> String {
    let mut notes = Vec::new();
    if one.class != Class::User {
        notes.push(one.class.name().to_owned());
    }
    if one.is_partial() {
        notes.push(Ink::Warn.on("! partial"));
    }
    notes.extend(one.tags.iter().map(|tag| text::name(tag.as_bytes())));
    notes.extend(one.note.iter().map(|note| text::name(note.as_bytes())));
    notes.join(" ")
}

/// One snapshot for a program; restic's names where the thing is the same.
pub(super) fn document(one: &Snapshot) -> Value {
    let databases: Vec<Value> = one
        .databases
        .iter()
        .map(|database| {
            json!({
                "name": database.name,
                "kind": database.kind.name(),
                "address": database.address,
                "rows": database.rows,
                "bytes": database.bytes,
                "fingerprint": render::digest_whole(&database.fingerprint),
            })
        })
        .collect();
    json!({
        "id": one.id.to_string(),
        "short_id": one.id.short(),
        "time": render::timestamp(one.time),
        "hostname": one.host,
        "class": one.class.name(),
        "paths": one.roots.iter().map(|root| text::path(&root.path)).collect::<Vec<_>>(),
        "tags": one.tags,
        "note": one.note,
        "app": one.app.as_ref().map(|mark| &mark.name),
        "app_version": one.app.as_ref().map(|mark| &mark.version),
        "parent": one.parent.map(|id| id.to_string()),
        "partial": one.is_partial(),
        "files": one.counts.files,
        "dirs": one.counts.directories,
        "total_bytes": one.counts.bytes,
        "digest": render::digest_whole(&one.files_digest),
        "databases": databases,
        "program_version": one.program,
    })
}
