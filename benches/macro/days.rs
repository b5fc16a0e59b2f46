//! W9: a snapshot a day. Is the newest one as quickly restored as the first?

use std::collections::BTreeMap;
use std::fs;

use snap_backup::cli::bench::corpus;

use crate::measure::Sample;
use crate::options::Options;
use crate::oracle;
use crate::play::{clear, put};
use crate::results::{DayFigures, Days, Results};
use crate::tools::{Kind, Stage, Stall, Tool};

/// Each day one file in a hundred changes.
const SHARE: f64 = 0.01;

pub(crate) fn play(options: &Options, tools: &[Tool], results: &mut Results) -> Result<(), String> {
    let (days, files) = (options.by_size(12, 100), options.by_size(5_000, 20_000));
    let house = options.work.join("days");
    let (source, pristine) = (house.join("source"), house.join("first"));
    fs::create_dir_all(&house).map_err(|why| why.to_string())?;
    corpus::php_tree(&pristine, files, 3).map_err(|why| why.to_string())?;
    put(&pristine, &source)?;
    let tools: Vec<&Tool> =
        tools.iter().filter(|tool| matches!(tool.kind, Kind::Snap | Kind::Restic)).collect();
    let stall = |tool: &Tool| Stall {
        root: house.join(tool.name()),
        source: source.clone(),
        pristine: pristine.clone(),
    };
    let mut told: BTreeMap<String, DayFigures> = BTreeMap::new();
    for tool in &tools {
        fs::create_dir_all(stall(tool).root.join("home")).map_err(|why| why.to_string())?;
        for job in tool.prepare(&stall(tool)) {
            job.run()?;
        }
    }
    for day in 0..days {
        if day > 0 {
            corpus::step(&source, SHARE, 100 + day as u64).map_err(|why| why.to_string())?;
        }
        for tool in &tools {
            let figures = told.entry(tool.name().to_owned()).or_default();
            let stage = if day == 0 { Stage::First } else { Stage::Unchanged };
            let Some(job) = tool.stage(stage, &stall(tool)) else { continue };
            figures.backups.push(job.run()?);
            if day == 0 {
                restore(tool, &stall(tool), options.rounds, &mut figures.restore_first)?;
            }
        }
    }
    let seen = oracle::look(&source)?;
    for tool in &tools {
        let (stall, figures) = (stall(tool), told.entry(tool.name().to_owned()).or_default());
        restore(tool, &stall, options.rounds, &mut figures.restore_last)?;
        figures.stored = oracle::stored_bytes(&stall.repository());
        match prune(tool, &stall, days / 2) {
            Ok(sample) => figures.prune = Some(sample),
            Err(why) => eprintln!("   {} prune: {why}", tool.name()),
        }
        figures.pruned = oracle::stored_bytes(&stall.repository());
        restore(tool, &stall, 1, &mut Vec::new())?;
        figures.differing = oracle::differing(&seen, &oracle::look(&stall.copy())?);
        if tool.kind == Kind::Snap && figures.differing > 0 {
            return Err(format!("after {days} days {} entries differ", figures.differing));
        }
        println!(
            "   {:<8} restore {:.2} s the first day, {:.2} s the last; prune {:.2} s",
            tool.name(),
            figures.restore_first.last().map_or(0.0, |one| one.seconds),
            figures.restore_last.last().map_or(0.0, |one| one.seconds),
            figures.prune.map_or(0.0, |one| one.seconds),
        );
    }
    results.days = Some(Days { count: days, files, tools: told });
    clear(&house)
}

/// Forgets all but the newest `keep`, and times what gives their room back.
fn prune(tool: &Tool, stall: &Stall, keep: usize) -> Result<Sample, String> {
    let yes = (tool.kind == Kind::Snap).then_some("--yes");
    let keep = keep.to_string();
    tool.job(stall).args(["forget", "--keep-last", &keep]).args(yes).run()?;
    tool.job(stall).args(["prune", "--max-unused", "0%"]).args(yes).run()
}

/// Restores the newest snapshot several times; what the last made stays to be looked at.
fn restore(
    tool: &Tool,
    stall: &Stall,
    rounds: usize,
    samples: &mut Vec<Sample>,
) -> Result<(), String> {
    for _ in 0..=rounds {
        if stall.target().exists() {
            clear(&stall.target())?;
        }
        fs::create_dir_all(stall.target()).map_err(|why| why.to_string())?;
        let Some(job) = tool.stage(Stage::Restore, stall) else { return Ok(()) };
        samples.push(job.run()?);
    }
    // The first one touched memory that nobody had touched before.
    samples.remove(0);
    Ok(())
}
