//! What a check found, as a person and as a program read it.

use serde_json::{Value, json};

use crate::cli::context::Context;
use crate::cli::failure::{Code, Exit, Failure};
use crate::cli::output::{Level, Loudness};
use crate::cli::progress::Progress;
use crate::cli::render::{self, count, counted, size};
use crate::cli::text::{self, Ink};
use crate::cli::unlock;
use crate::repository::{CheckReport, Finding, Severity};
use crate::snapshot::{Examined, Lost, Part, Snapshot};

/// So many paths are named for each damaged object and snapshot, unless more is asked for.
const PATHS_SHOWN: usize = 3;

/// Lists the findings; the verdict decides how the run ends.
pub(super) fn tell(
    cx: &Context<'_>,
    examined: &Examined,
    progress: &Progress<'_>,
) -> Result<Exit, Failure> {
    for finding in &examined.report.findings {
        tell_one(cx, examined, finding);
    }
    let fields = summary(examined, progress);
    if examined.report.is_sound() {
        cx.out.print(&sound(examined, progress));
        cx.out.message("summary", Level::Info, "no damage was found", fields);
        return Ok(Exit::Ok);
    }
    cx.out.message("summary", Level::Error, "damage was found", fields);
    Err(damaged(cx, examined)?)
}

fn tell_one(cx: &Context<'_>, examined: &Examined, finding: &Finding) {
    let (mark, level) = match finding.severity {
        Severity::Litter => (Ink::Dim.on('-'), Level::Info),
        Severity::Repairable => (Ink::Warn.on('!'), Level::Warning),
        Severity::Damage => (Ink::Bad.on('✗'), Level::Error),
    };
    cx.out.print(&format!("  {mark} {finding}\n"));
    let mut hurts = Vec::new();
    if let Some(id) = examined.unreadable_record(&finding.object) {
        cx.out.print(&format!("      loses snapshot {} whole\n", Ink::Name.on(id.short())));
        hurts.push(json!({ "snapshot_id": id.to_string(), "whole": true }));
    }
    let all = cx.out.loudness() == Loudness::Verbose;
    for (snapshot, lost) in examined.hurt_by(&finding.object) {
        hurts.push(hurt(snapshot, &lost));
        cx.out.print(&format!(
            "      hurts snapshot {} of {}:\n",
            Ink::Name.on(snapshot.id.short()),
            render::when(snapshot.time)
        ));
        let shown = if all { lost.len() } else { lost.len().min(PATHS_SHOWN) };
        for one in &lost[..shown] {
            cx.out.print(&format!("        {}\n", part(snapshot, &one.part)));
        }
        if shown < lost.len() {
            let more = count((lost.len() - shown) as u64);
            cx.out.print(&format!("        and {more} more (-v lists them)\n"));
        }
    }
    let fields = json!({ "object": finding.object, "what": finding.what, "hurts": hurts });
    cx.out.message("finding", level, &finding.to_string(), fields);
}

/// A part of a snapshot, as the user knows it.
pub(in crate::cli) fn part(snapshot: &Snapshot, part: &Part) -> String {
    match part {
        Part::Tree { is_directory, .. } => {
            let path = snapshot.absolute(part).map(|path| text::path(&path)).unwrap_or_default();
            if *is_directory { format!("{path}/ and all in it") } else { path }
        }
        Part::Database(name) => format!("database {}", text::name(name.as_bytes())),
        Part::Attachment(name) => format!("attachment {}", text::name(name.as_bytes())),
        Part::Annex => "names of owners, holes and flags of all its files".to_owned(),
    }
}

fn hurt(snapshot: &Snapshot, lost: &[&Lost]) -> Value {
    let parts = lost.iter().map(|one| part(snapshot, &one.part));
    json!({
        "snapshot_id": snapshot.id.to_string(),
        "whole": false,
        "paths": parts.collect::<Vec<_>>(),
    })
}

fn summary(examined: &Examined, progress: &Progress<'_>) -> Value {
    let report = &examined.report;
    let hurt = examined.hurt.iter().map(|one| one.snapshot);
    let lost = examined.unreadable.iter().filter_map(|one| one.snapshot);
    json!({
        "packs": report.packs,
        "packs_read": report.packs_read,
        "frames": report.frames,
        "chunks": report.chunks,
        "bytes": report.pack_bytes,
        "bytes_read": report.bytes_read,
        "snapshots": examined.snapshots.len(),
        "snapshots_hurt": hurt.chain(lost).map(|id| id.to_string()).collect::<Vec<_>>(),
        "findings": report.findings.len(),
        "sound": report.is_sound(),
        "total_duration": progress.elapsed().as_secs_f64(),
    })
}

fn sound(examined: &Examined, progress: &Progress<'_>) -> String {
    let report = &examined.report;
    let (packs, bytes) = (counted(report.packs, "pack", "packs"), size(report.pack_bytes));
    let snapshots = counted(examined.snapshots.len() as u64, "snapshot", "snapshots");
    let took = render::took(progress.elapsed());
    format!(
        "{} no damage: {snapshots} in {packs} of {bytes}   {took}\n  {}\n",
        Ink::Good.on('✓'),
        reach(report)
    )
}

/// How far the check went.
fn reach(report: &CheckReport) -> String {
    let frames = counted(report.frames, "frame", "frames");
    match (report.packs_read, report.packs) {
        (0, 1..) => "structure only: --read-data reads everything".to_owned(),
        (read, all) if read < all => format!("{read} of {all} packs read, the oldest-read first"),
        _ => format!("{frames} read, decoded and hashed"),
    }
}

fn damaged(cx: &Context<'_>, examined: &Examined) -> Result<Failure, Failure> {
    let report = &examined.report;
    let only = |part: &str| {
        let bad = report.findings.iter().filter(|one| one.severity != Severity::Litter);
        bad.clone().count() > 0 && bad.clone().all(|one| one.object.starts_with(part))
    };
    let repairable = report.findings.iter().all(|one| one.severity != Severity::Damage);
    let code = if repairable { Code::E0132 } else { Code::E0130 };
    let lost = examined.unreadable.iter().filter(|one| one.snapshot.is_some()).count();
    let all = (examined.snapshots.len() + lost) as u64;
    let whole = all - (examined.hurt.len() + lost) as u64;
    let mut failure = Failure::new(code, "the repository is damaged").state(format!(
        "nothing was changed; {} of {} whole",
        count(whole),
        counted(all, "snapshot is", "snapshots are")
    ));
    let hurt = examined.hurt.iter().map(|one| one.snapshot);
    let hurt = hurt.filter_map(|id| examined.snapshots.iter().find(|one| one.id == id));
    for one in hurt.take(5) {
        failure = failure.because(format!(
            "snapshot {} of {} lacks something",
            one.id.short(),
            render::when(one.time)
        ));
    }
    let place = unlock::location(cx)?;
    let repo = unlock::repo_flag(cx, &place);
    if !repairable && !only("keys/") && !only("config/") {
        let what = if only("snapshots/") || only("forgotten/") { "snapshots" } else { "packs" };
        failure = failure.fix(format!("snap {repo}repair {what}"));
        if let Some(one) = examined.hurt.first() {
            failure = failure
                .fix(format!("snap {repo}restore {} --target DIR --partial", one.snapshot.short()));
        }
    }
    Ok(failure.with("repo", repo))
}
