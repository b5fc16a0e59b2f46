//! `snap bench`: how fast this machine backs up and restores, and how fast it could.
//!
//! Every stage is a child of this very binary that works in one temporary directory; the tree that
//! is measured is only read. What a stage took is held against the least time that the machine
//! allows, which [`limits`] measures and [`model`] adds up.

mod chart;
mod compare;
pub mod corpus;
mod limits;
pub(super) mod metered;
mod model;
mod page;
mod place;
mod report;
mod scan;
mod stages;

use std::path::{Path, PathBuf};

use serde_json::json;

use super::command::About;
use super::context::Context;
use super::failure::{Code, Exit, Failure};
use super::output::Level;
use super::render;
use super::text::{self, Ink};
use crate::os::{clock, file, host, volume};

use place::Place;
use report::{Corpus, Machine, Report, SCHEMA};
use scan::Scan;
use stages::Rounds;

pub(super) const ABOUT: About = About {
    name: "bench",
    examples: "snap bench /var/www\n\
               snap bench --synthetic large --html bench.html\n\
               snap bench /var/www --json\n\
               snap bench /var/www --compare then.json\n\
               snap bench limits",
    exits: &[Exit::Partial, Exit::Damaged, Exit::Space],
};

/// What to measure, and what with.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A tree, which is only read, or `limits`: only what the machine can do; a synthetic tree if
    /// not given
    #[arg(value_name = "PATH|limits")]
    path: Option<PathBuf>,
    /// A made tree instead: small (10,000 files) or large (100,000)
    #[arg(long, value_name = "SIZE", num_args = 0..=1, default_missing_value = "small",
        value_parser = ["small", "large"], conflicts_with = "path", help_heading = "What")]
    synthetic: Option<String>,
    /// How often each stage runs
    #[arg(long, value_name = "N", default_value_t = 3, help_heading = "What",
        value_parser = clap::value_parser!(u8).range(1..=50))]
    runs: u8,
    /// Work below DIR, so on its disk, instead of the usual temporary directory
    #[arg(long, value_name = "DIR", help_heading = "Where")]
    dir: Option<PathBuf>,
    /// Write a page for a browser
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    html: Option<PathBuf>,
    /// Fail if this is slower or larger than what `--json` told then
    #[arg(long, value_name = "OLD.json", help_heading = "Output")]
    compare: Option<PathBuf>,
    /// How much worse it may be
    #[arg(long, value_name = "PERCENT", default_value = "10%", value_parser = percent,
        help_heading = "Output")]
    fail_above: f64,
    /// Compare with another machine or tree all the same
    #[arg(long, help_heading = "Safety")]
    force: bool,
}

/// Measures, shows, compares.
pub(super) fn run(cx: &Context<'_>, args: &Args) -> Result<Exit, Failure> {
    // Read first: a wrong file is to be noticed before minutes of work.
    let then =
        args.compare.as_deref().map(|path| compare::read(&cx.environment.directory.join(path)));
    let then = then.transpose()?;
    let temp =
        args.dir.as_ref().map_or_else(std::env::temp_dir, |dir| cx.environment.directory.join(dir));
    let place = Place::build(&temp, cx.global.threads)?;
    let measured = measure(cx, args, &place);
    place.remove()?;
    let Some(report) = measured? else { return Ok(Exit::Ok) };
    cx.out.print(&chart::report(&report, cx.out.columns()));
    if let Some(path) = &args.html {
        write_page(&cx.environment.directory.join(path), &report)?;
    }
    let document = serde_json::to_value(&report).unwrap_or_default();
    let sentence = format!("{} stages were measured", report.stages.len());
    cx.out.message("summary", Level::Info, &sentence, json!({ "report": document }));
    then.map_or(Ok(Exit::Ok), |then| judge(cx, args, &then, &report))
}

/// `None` where only the limits were wanted, which are said at once.
fn measure(cx: &Context<'_>, args: &Args, place: &Place) -> Result<Option<Report>, Failure> {
    let only_limits = args.path.as_deref() == Some(Path::new("limits"));
    let given = args.path.as_ref().filter(|_| !only_limits);
    let (path, name) = match given {
        Some(path) => given_tree(cx, path, &place.root)?,
        None => made_tree(args, place)?,
    };
    let scan = Scan::of(&path).map_err(Failure::cannot("measure", &path))?;
    let volume = volume::at(&place.root).map_err(Failure::cannot("look at", &place.root))?;
    let needed = scan.bytes.saturating_mul(2).saturating_add(1 << 28);
    if volume.free_bytes < needed && !only_limits {
        let (needed, free) = (render::size(needed), render::size(volume.free_bytes));
        return Err(Failure::new(Code::E0160, format!("{needed} are needed, {free} are free"))
            .tip("--dir names a directory on another disk"));
    }
    cx.out.redraw(" measuring what this machine can do");
    let primitives =
        limits::measure(&scan, &place.root).map_err(Failure::cannot("measure in", &place.root))?;
    let cores = cores(cx);
    if only_limits {
        cx.out.print(&chart::primitives(&primitives, cores));
        let fields = json!({ "limits": primitives, "cores": cores });
        cx.out.message("summary", Level::Info, "the primitives were measured", fields);
        return Ok(None);
    }
    let mut rounds = Rounds::default();
    for number in 1..=args.runs {
        rounds.play(place, &path, &scan, &|stage, used| {
            let shown = stage.shown();
            cx.out.redraw(&format!(
                " round {number} of {}: {shown} {:.2} s",
                args.runs, used.seconds
            ));
            let fields = json!({ "round": number, "stage": stage, "used": used });
            cx.out.message("stage", Level::Info, &format!("{shown} was measured"), fields);
        })?;
    }
    Ok(Some(Report {
        schema: SCHEMA,
        snap: version(),
        date: render::timestamp(clock::now()),
        machine: Machine {
            processor: host::processor(),
            cores,
            memory_bytes: host::memory_bytes(),
            kernel: host::kernel(),
            file_system: volume.name.to_owned(),
        },
        corpus: Corpus {
            name,
            files: scan.file_count(),
            directories: scan.directory_count(),
            bytes: scan.bytes,
            unique_bytes: scan.unique_bytes,
        },
        stages: rounds.stages(&primitives, cores),
        primitives,
        runs: usize::from(args.runs),
    }))
}

/// A tree of the user's.
fn given_tree(cx: &Context<'_>, path: &Path, scratch: &Path) -> Result<(PathBuf, String), Failure> {
    let path = cx.environment.directory.join(path);
    let whole = path.canonicalize().map_err(Failure::cannot("read", &path))?;
    if !whole.is_dir() {
        return Err(Failure::new(Code::E0001, format!("{} is no directory", text::path(&whole))));
    }
    if scratch.canonicalize().is_ok_and(|scratch| scratch.starts_with(&whole)) {
        let message = format!("the bench works below {} itself", text::path(&whole));
        return Err(Failure::new(Code::E0001, message).tip("--dir names another place"));
    }
    let name = text::path(&whole);
    Ok((whole, name))
}

/// A tree of our own.
fn made_tree(args: &Args, place: &Place) -> Result<(PathBuf, String), Failure> {
    let size = args.synthetic.as_deref().unwrap_or("small");
    let files = if size == "large" { 100_000 } else { 10_000 };
    let path = place.root.join("tree");
    corpus::php_tree(&path, files, 1).map_err(Failure::cannot("write", &path))?;
    Ok((path, format!("synthetic {size}")))
}

fn cores(cx: &Context<'_>) -> usize {
    let all = || std::thread::available_parallelism().map_or(1, usize::from);
    cx.global.threads.map_or_else(all, usize::from)
}

/// A debug build is many times slower, and must not be taken for what users run.
fn version() -> String {
    let version = env!("CARGO_PKG_VERSION");
    if cfg!(debug_assertions) { format!("{version} (debug build)") } else { version.to_owned() }
}

fn write_page(path: &Path, report: &Report) -> Result<(), Failure> {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str()))
    else {
        return Err(Failure::new(Code::E0001, format!("{} is no file", text::path(path))));
    };
    let page = page::page(report);
    file::replace(dir, name, page.as_bytes(), 0o644).map_err(Failure::cannot("write", path))
}

/// Holds this run against an earlier one.
fn judge(cx: &Context<'_>, args: &Args, then: &Report, now: &Report) -> Result<Exit, Failure> {
    if let (Some(why), false) = (compare::apart(then, now), args.force) {
        return Err(Failure::new(Code::E0001, format!("the earlier run says nothing here: {why}"))
            .tip("--force compares all the same"));
    }
    let changes = compare::changes(then, now, args.fail_above / 100.0);
    cx.out.print(&format!("\n{}", chart::changes(&changes, &then.date)));
    let worse: Vec<String> = changes
        .iter()
        .filter(|change| change.is_regression)
        .map(|change| {
            format!("{}: {} {:+.1} %", change.stage.shown(), change.what, change.percent())
        })
        .collect();
    if worse.is_empty() {
        let good = Ink::Good.on('✓');
        cx.out.print(&format!("{good} nothing lost more than {:.0} %\n", args.fail_above));
        return Ok(Exit::Ok);
    }
    let message = format!("{} worse by more than {:.0} %", figures(worse.len()), args.fail_above);
    let failure = Failure::new(Code::E0903, message);
    Err(worse.into_iter().fold(failure, Failure::because))
}

fn figures(number: usize) -> String {
    render::counted(number as u64, "figure is", "figures are")
}

/// `10%` or `10`.
fn percent(typed: &str) -> Result<f64, String> {
    let number: f64 = typed
        .trim_end_matches('%')
        .parse()
        .map_err(|_| format!("'{typed}' is no percentage; 10% is one"))?;
    if number.is_finite() && number >= 0.0 {
        Ok(number)
    } else {
        Err(format!("'{typed}' is not a percentage above 0"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_is_read_with_and_without_its_sign() {
        assert_eq!(percent("10%"), Ok(10.0));
        assert_eq!(percent("2.5"), Ok(2.5));
        assert!(percent("-1").is_err() && percent("x").is_err() && percent("inf").is_err());
    }
}
