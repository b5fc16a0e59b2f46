//! `snap check`: looks for damage, and says what can still be restored.

use serde_json::json;

use crate::monitor::{Monitor, News};
use crate::os::clock;
use crate::repository::{CheckDepth, CheckReport, Severity};
use crate::snapshot::{self, Needs, Snapshot, SnapshotError};

use super::command::About;
use super::context::Context;
use super::failure::{Code, Exit, Failure};
use super::output::Level;
use super::progress::Progress;
use super::render::{self, count, counted, size};
use super::text::Ink;
use super::unlock;

pub(super) const ABOUT: About = About {
    name: "check",
    examples: "snap check\nsnap check --read-data\nsnap check --read-data --json",
    exits: &[Exit::NoRepo, Exit::Password, Exit::Damaged, Exit::Backend],
};

/// How far to look.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Read, decode and hash everything
    #[arg(long)]
    read_data: bool,
}

/// Looks, and lists what it finds.
pub(super) fn run(cx: &Context<'_>, args: &Args) -> Result<Exit, Failure> {
    let opened = unlock::open(cx)?;
    let repository = &opened.repository;
    let depth = if args.read_data { CheckDepth::ReadData } else { CheckDepth::Structure };
    let progress = Progress::new(cx.out);
    let (report, snapshots, hurt) = progress.during(|| {
        let mut report = stage(&progress, "repository", || {
            let report = repository.check(depth, &progress)?;
            let note = counted(report.packs, "pack", "packs");
            Ok::<_, SnapshotError>((report, note))
        })?;
        let (snapshots, hurt) = stage(&progress, "snapshots", || {
            let snapshots = snapshot::list(repository)?;
            let mut needs = Needs::default();
            let mut hurt = Vec::new();
            for snapshot in &snapshots {
                if !needs.ask(repository, snapshot, &mut report)? {
                    hurt.push(snapshot.id);
                }
            }
            let note = counted(snapshots.len() as u64, "snapshot", "snapshots");
            Ok::<_, SnapshotError>(((snapshots, hurt), note))
        })?;
        Ok::<_, SnapshotError>((report, snapshots, hurt))
    })?;
    let hurt: Vec<&Snapshot> = snapshots.iter().filter(|one| hurt.contains(&one.id)).collect();
    tell(cx, &report, snapshots.len() as u64, &hurt, &progress)
}

fn stage<T, E: std::fmt::Display>(
    progress: &Progress<'_>,
    name: &str,
    work: impl FnOnce() -> Result<(T, String), E>,
) -> Result<T, E> {
    let (number, name, watch) = (0, name.to_owned(), clock::stopwatch());
    progress.tell(News::StepStarted { number, name: name.clone() });
    match work() {
        Ok((done, note)) => {
            progress.tell(News::StepDone { number, name, took: watch.elapsed(), note });
            Ok(done)
        }
        Err(error) => {
            let cause = error.to_string();
            progress.tell(News::StepFailed { number, name, took: watch.elapsed(), cause });
            Err(error)
        }
    }
}

fn tell(
    cx: &Context<'_>,
    report: &CheckReport,
    snapshots: u64,
    hurt: &[&Snapshot],
    progress: &Progress<'_>,
) -> Result<Exit, Failure> {
    for finding in &report.findings {
        let (mark, level) = match finding.severity {
            Severity::Litter => (Ink::Dim.on('-'), Level::Info),
            Severity::Repairable => (Ink::Warn.on('!'), Level::Warning),
            Severity::Damage => (Ink::Bad.on('✗'), Level::Error),
        };
        cx.out.print(&format!("  {mark} {finding}\n"));
        let fields = json!({ "object": finding.object, "what": finding.what });
        cx.out.message("finding", level, &finding.to_string(), fields);
    }
    let took = render::took(progress.elapsed());
    let fields = json!({
        "packs": report.packs,
        "frames": report.frames,
        "chunks": report.chunks,
        "bytes": report.pack_bytes,
        "snapshots": snapshots,
        "snapshots_hurt": hurt.iter().map(|one| one.id.to_string()).collect::<Vec<_>>(),
        "findings": report.findings.len(),
        "sound": report.is_sound(),
        "total_duration": progress.elapsed().as_secs_f64(),
    });
    if report.is_sound() {
        let (packs, bytes) = (counted(report.packs, "pack", "packs"), size(report.pack_bytes));
        let frames = match report.frames {
            0 => "structure only: --read-data reads everything".to_owned(),
            frames => format!("{} read, decoded and hashed", counted(frames, "frame", "frames")),
        };
        let snapshots = counted(snapshots, "snapshot", "snapshots");
        cx.out.print(&format!(
            "{} no damage: {snapshots} in {packs} of {bytes} ({frames})   {took}\n",
            Ink::Good.on('✓')
        ));
        cx.out.message("summary", Level::Info, "no damage was found", fields);
        return Ok(Exit::Ok);
    }
    cx.out.message("summary", Level::Error, "damage was found", fields);
    let repairable = report.findings.iter().all(|one| one.severity != Severity::Damage);
    let code = if repairable { Code::E0132 } else { Code::E0130 };
    let whole = snapshots - hurt.len() as u64;
    let mut failure = Failure::new(code, "the repository is damaged").state(format!(
        "nothing was changed; {} of {} whole",
        count(whole),
        counted(snapshots, "snapshot is", "snapshots are")
    ));
    for one in hurt.iter().take(5) {
        failure = failure.because(format!(
            "snapshot {} of {} lacks something",
            one.id.short(),
            render::when(one.time)
        ));
    }
    let place = unlock::location(cx)?;
    Err(failure.with("repo", unlock::repo_flag(cx, &place)))
}
