//! `snap repair packs`: from their sound parts, and from files that are still the same.

use serde_json::json;

use crate::cli::check::part;
use crate::cli::context::Context;
use crate::cli::failure::{Code, Exit, Failure};
use crate::cli::output::Level;
use crate::cli::progress::Progress;
use crate::cli::render::{counted, took};
use crate::cli::text::Ink;
use crate::cli::unlock;
use crate::repository::{CheckDepth, Diagnosis, ObjectKind, Repository};
use crate::snapshot::{self, Examined};

pub(super) fn run(cx: &Context<'_>, repository: &Repository) -> Result<Exit, Failure> {
    let progress = Progress::new(cx.out);
    let diagnosis = progress.during(|| repository.diagnose(&progress))?;
    let examined = progress.during(|| snapshot::examine(repository, diagnosis.report.clone()))?;
    tell(cx, &diagnosis, &examined);
    // A chunk that no index names may lie in a live file as well.
    let lacking = examined.hurt.iter().any(|hurt| !hurt.lost.is_empty());
    if diagnosis.is_nothing_to_do() && !lacking {
        let took = took(progress.elapsed());
        cx.out.print(&format!("{} all packs are sound: nothing to do   {took}\n", good()));
        cx.out.message("summary", Level::Info, "nothing to do", json!({ "packs": 0 }));
        return Ok(Exit::Ok);
    }
    if super::is_dry(cx) {
        let there = progress.during(|| snapshot::on_disk(repository, &examined, &progress))?;
        cx.out.print(&format!(
            "would replace {}; of {} {} unchanged on disk and would be refilled\n",
            counted(diagnosis.hurt().len() as u64, "damaged pack", "damaged packs"),
            counted(there.lacking, "lost file", "lost files"),
            if there.there == 1 { "1 is".to_owned() } else { format!("{} are", there.there) },
        ));
        let fields = json!({
            "packs": diagnosis.hurt().len(),
            "packs_missing": diagnosis.missing().len(),
            "chunks_lost": diagnosis.report.lost.len(),
            "files_lost": there.lacking,
            "files_on_disk": there.there,
            "dry_run": true,
        });
        cx.out.message("summary", Level::Info, "nothing was changed", fields);
        super::invite(cx, "packs")?;
        return Ok(Exit::Ok);
    }
    let mended = progress.during(|| {
        let mending = repository.mend(&diagnosis)?;
        // Where not even the names of chunks are known, all of a live tree may be lacking.
        let unknown = examined.hurt.iter().flat_map(|hurt| &hurt.lost);
        if !unknown.flat_map(|lost| &lost.objects).any(|object| object.starts_with("chunk ")) {
            mending.only_what_is_lost();
        }
        snapshot::refill(mending.writer(), &examined, &progress)?;
        Ok::<_, snapshot::SnapshotError>(mending.finish(&progress)?)
    })?;
    let left = progress.during(|| {
        let report = repository.check(CheckDepth::Structure, &progress)?;
        snapshot::examine(repository, report)
    })?;
    let still = left.hurt.iter().map(|hurt| hurt.lost.len() as u64).sum::<u64>();
    cx.out.print(&format!(
        "{} replaced {} ({} saved or refilled; the damaged are in quarantine)   {}\n",
        if still == 0 { good() } else { Ink::Warn.on('!') },
        counted(mended.packs, "damaged pack", "damaged packs"),
        counted(mended.chunks, "chunk", "chunks"),
        took(progress.elapsed())
    ));
    let fields = json!({
        "packs": mended.packs,
        "chunks_saved": mended.chunks,
        "bytes_saved": mended.bytes,
        "parts_still_lost": still,
        "dry_run": false,
    });
    cx.out.message("summary", Level::Info, "damaged packs were replaced", fields);
    if still == 0 { Ok(Exit::Ok) } else { Err(lost(cx, &left, still)?) }
}

fn good() -> String {
    Ink::Good.on('✓')
}

fn tell(cx: &Context<'_>, diagnosis: &Diagnosis, examined: &Examined) {
    let packs = ObjectKind::Pack.directory();
    let findings = diagnosis.report.findings.iter();
    for finding in findings.filter(|one| one.object.starts_with(packs)) {
        cx.out.print(&format!("  {} {finding}\n", Ink::Warn.on('!')));
        let fields = json!({ "object": finding.object, "what": finding.what });
        cx.out.message("finding", Level::Warning, &finding.to_string(), fields);
    }
    let lost: usize = examined.hurt.iter().map(|hurt| hurt.lost.len()).sum();
    if lost > 0 {
        cx.out.print(&format!(
            "  {} {} of {} cannot be had\n",
            Ink::Bad.on('✗'),
            counted(lost as u64, "part", "parts"),
            counted(examined.hurt.len() as u64, "snapshot", "snapshots"),
        ));
    }
}

/// What no live file could give back.
fn lost(cx: &Context<'_>, left: &Examined, still: u64) -> Result<Failure, Failure> {
    let repo = unlock::repo_flag(cx, &unlock::location(cx)?);
    let message = format!("{} could not be had again", counted(still, "part", "parts"));
    let mut failure = Failure::new(Code::E0130, message)
        .state("the packs are replaced; what is lost is in no index")
        .fix(format!("snap {repo}repair snapshots"));
    for hurt in &left.hurt {
        let snapshot = left.snapshots.iter().find(|one| one.id == hurt.snapshot);
        for (snapshot, lost) in snapshot.iter().zip(&hurt.lost).take(3) {
            let lost = part(snapshot, &lost.part);
            failure = failure.because(format!("{} of snapshot {}", lost, snapshot.id.short()));
        }
    }
    Ok(failure.with("repo", repo))
}
