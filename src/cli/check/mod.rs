//! `snap check`: looks for damage, names what it hurts, and says what can still be restored.

mod report;

use crate::monitor::{Monitor, News};
use crate::os::clock;
use crate::repository::{CheckDepth, Sample};
use crate::snapshot::{self, SnapshotError};

use super::command::About;
use super::context::Context;
use super::failure::{Code, Exit, Failure};
use super::progress::Progress;
use super::render::counted;
use super::{remembered, unlock};

pub(super) use report::part;

pub(super) const ABOUT: About = About {
    name: "check",
    examples: "snap check\nsnap check --read-data\nsnap check --read-data-subset 5%\n\
               snap check --read-data --json",
    exits: &[Exit::NoRepo, Exit::Password, Exit::Damaged, Exit::Backend],
};

/// How far to look.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Read, decode and hash everything
    #[arg(long)]
    read_data: bool,
    /// The same for a part: 5%, 2G or 1/4; what was read longest ago comes first
    #[arg(long, value_name = "PART", conflicts_with = "read_data")]
    read_data_subset: Option<String>,
}

impl Args {
    fn depth(&self) -> Result<CheckDepth, Failure> {
        match &self.read_data_subset {
            Some(text) => Sample::parse(text).map(CheckDepth::Sample).ok_or_else(|| {
                Failure::new(Code::E0001, format!("{text:?} is no part of the data"))
                    .tip("5%, 2G, or 1/4 for the first of four parts")
            }),
            None if self.read_data => Ok(CheckDepth::ReadData),
            None => Ok(CheckDepth::Structure),
        }
    }
}

/// Looks, and lists what it finds.
pub(super) fn run(cx: &Context<'_>, args: &Args) -> Result<Exit, Failure> {
    let depth = args.depth()?;
    let opened = unlock::open(cx)?;
    let repository = &opened.repository;
    let progress = Progress::new(cx.out);
    let examined = progress.during(|| {
        let report = stage(&progress, "repository", || {
            let report = repository.check(depth, &progress)?;
            let note = counted(report.packs, "pack", "packs");
            Ok::<_, SnapshotError>((report, note))
        })?;
        stage(&progress, "snapshots", || {
            let examined = snapshot::examine(repository, report)?;
            let note = counted(examined.snapshots.len() as u64, "snapshot", "snapshots");
            Ok::<_, SnapshotError>((examined, note))
        })
    })?;
    remembered::compare(cx, repository, &examined.snapshots);
    report::tell(cx, &examined, &progress)
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
