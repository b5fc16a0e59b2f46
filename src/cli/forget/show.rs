//! How a judgement looks: a line a snapshot with its reasons, and the count.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::snapshot::Snapshot;
use crate::snapshot::retain::GroupKey;

use super::{Fate, Judged};
use crate::cli::context::Context;
use crate::cli::output::Level;
use crate::cli::render;
use crate::cli::snapshots;
use crate::cli::text::{self, Ink};

/// What the snapshots of a group have in common.
pub(super) fn heading(key: &GroupKey) -> String {
    let mut parts = Vec::new();
    parts.extend(key.source.iter().map(|source| text::name(source.as_bytes())));
    parts.extend(key.host.iter().map(|host| format!("on {}", text::name(host.as_bytes()))));
    if let Some(tags) = &key.tags {
        parts.push(format!("tagged {}", text::name(tags.join(",").as_bytes())));
    }
    if parts.is_empty() { "all".to_owned() } else { parts.join(" ") }
}

/// Every group, a line a snapshot, newest first.
pub(super) fn judgement(cx: &Context<'_>, judged: &[Judged]) {
    let columns = cx.out.columns();
    for group in judged {
        let mut out = String::new();
        let _ = writeln!(out, "{}", Ink::Strong.on(text::clip(&group.heading, columns)));
        for fate in &group.fates {
            let _ = writeln!(out, "{}", text::clip(&line(fate), columns));
        }
        cx.out.print(&out);
    }
}

fn line(fate: &Fate) -> String {
    let word = if fate.goes() { Ink::Warn.on("remove") } else { Ink::Good.on("keep  ") };
    let (id, when) = (Ink::Name.on(fate.snapshot.id.short()), render::when(fate.snapshot.time));
    let reasons = if fate.goes() { "-".to_owned() } else { fate.reasons.join(", ") };
    format!(" {word}  {id}  {when}  {reasons}")
}

/// The counts for a person, the document for a program.
pub(super) fn summary(cx: &Context<'_>, judged: &[Judged], more: &str) {
    let fates = || judged.iter().flat_map(|group| &group.fates);
    let gone = fates().filter(|fate| fate.goes()).count();
    let kept = fates().count() - gone;
    let verdict = format!("keep {kept}, remove {gone}.");
    cx.out.print(&format!("{verdict}{more}\n"));
    if gone > 0 && more.is_empty() {
        cx.out.remark("Room is made by snap prune; until then: snap forget --undo\n");
    }
    if !cx.out.is_json() {
        return;
    }
    let groups: Vec<Value> = judged.iter().map(group_document).collect();
    let fields = json!({
        "groups": groups,
        "keep": kept,
        "remove": gone,
        "dry_run": cx.global.dry_run,
    });
    cx.out.message("forget", Level::Info, &verdict, fields);
}

/// restic's names where the thing is the same.
fn group_document(group: &Judged) -> Value {
    let of = |goes: bool| -> Vec<Value> {
        let chosen = group.fates.iter().filter(|fate| fate.goes() == goes);
        chosen.map(|fate| snapshots::document(&fate.snapshot)).collect()
    };
    let reasons: Vec<Value> = group
        .fates
        .iter()
        .filter(|fate| !fate.goes())
        .map(|fate| json!({ "id": fate.snapshot.id.to_string(), "matches": fate.reasons }))
        .collect();
    json!({ "group": group.heading, "keep": of(false), "remove": of(true), "reasons": reasons })
}

/// What can still be taken back.
pub(super) fn forgotten(cx: &Context<'_>, all: &[Snapshot]) {
    let mut out = String::new();
    for one in all {
        let (id, when) = (Ink::Name.on(one.id.short()), render::when(one.time));
        let _ = writeln!(out, " {id}  {when}  {}", snapshots::of(one));
    }
    let sentence = match all.len() {
        0 => "nothing is forgotten that could be taken back".to_owned(),
        many => render::counted(
            many as u64,
            "snapshot can be taken back: snap forget --undo ID",
            "snapshots can be taken back: snap forget --undo ID",
        ),
    };
    cx.out.print(&format!("{out}{sentence}\n"));
    let documents: Vec<Value> = all.iter().map(snapshots::document).collect();
    cx.out.message("forgotten", Level::Info, &sentence, json!({ "snapshots": documents }));
}

/// What was taken back.
pub(super) fn remembered(cx: &Context<'_>, back: &[&Snapshot]) {
    let would = if cx.global.dry_run { "would be" } else { "is" };
    for one in back {
        cx.out.print(&format!(
            "{} snapshot {} of {} {would} there again\n",
            Ink::Good.on('✓'),
            one.id.short(),
            render::when(one.time)
        ));
    }
    let ids: Vec<String> = back.iter().map(|one| one.id.to_string()).collect();
    let fields = json!({ "snapshots": ids, "dry_run": cx.global.dry_run });
    cx.out.message("remembered", Level::Info, "what was forgotten is there again", fields);
}
