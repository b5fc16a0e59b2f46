//! One workload: every stage by every program, in turn, several rounds.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::corpora::{Trees, Workload};
use crate::options::Options;
use crate::oracle::{self, Seen};
use crate::results::{Played, Results};
use crate::tools::{Kind, Stage, Stall, Tool};

/// What is done by all programs in turn; a program's restore and its way back belong together, for
/// they share a target, and only one target fits into a disk in memory.
const GROUPS: [&[Stage]; 6] = [
    &[Stage::Open],
    &[Stage::First],
    &[Stage::Unchanged],
    &[Stage::Restore, Stage::Back],
    &[Stage::Upgraded],
    &[Stage::Check],
];

/// Plays it and adds what came of it.
pub(crate) fn workload(
    options: &Options,
    tools: &[Tool],
    workload: &Workload,
    trees: &Trees,
    results: &mut Results,
) -> Result<(), String> {
    let seen = oracle::look(&trees.before)?;
    let mut played = Played {
        name: workload.name.clone(),
        told: workload.told.clone(),
        files: seen.len() as u64,
        bytes: oracle::stored_bytes(&trees.before),
        tools: std::collections::BTreeMap::default(),
    };
    let tools: Vec<&Tool> = tools.iter().filter(|tool| workload.takes(tool, options)).collect();
    let house = options.work.join("house");
    // Only an upgrade needs a tree that may be changed.
    let copy = trees.after.as_ref().map(|_| options.work.join("source"));
    let source = copy.clone().unwrap_or_else(|| trees.before.clone());
    for round in 0..options.rounds {
        copy.as_ref().map_or(Ok(()), |copy| put(&trees.before, copy))?;
        fs::create_dir_all(&house).map_err(|why| why.to_string())?;
        for group in GROUPS {
            if group.contains(&Stage::Upgraded) {
                let Some(after) = &trees.after else { continue };
                put(after, &source)?;
            }
            // Whoever comes first finds the machine as the last stage left it: take turns.
            for turn in 0..tools.len() {
                let tool = tools[(turn + round) % tools.len()];
                let stall = Stall {
                    root: house.join(tool.name().replace(['|', ' '], "-")),
                    source: source.clone(),
                    pristine: trees.before.clone(),
                };
                for stage in group.iter().filter(|s| **s != Stage::Back || trees.after.is_some()) {
                    one(tool, *stage, &stall, trees, &seen, &mut played)?;
                }
                if stall.target().exists() {
                    clear(&stall.target())?;
                }
            }
        }
        clear(&house)?;
    }
    copy.map_or(Ok(()), |copy| clear(&copy))?;
    results.workloads.push(played);
    Ok(())
}

/// One stage of one program.
fn one(
    tool: &Tool,
    stage: Stage,
    stall: &Stall,
    trees: &Trees,
    seen: &Seen,
    played: &mut Played,
) -> Result<(), String> {
    let Some(job) = tool.stage(stage, stall) else { return Ok(()) };
    let figures = played.figures(tool);
    // What failed once is not asked again, nor what builds on it.
    if figures.failed.keys().any(|failed| *failed == stage.name() || *failed == "first") {
        return Ok(());
    }
    let told = |why: std::io::Error| format!("{}: {why}", stall.root.display());
    if !stall.root.exists() {
        fs::create_dir_all(stall.root.join("home")).map_err(told)?;
        for job in tool.prepare(stall) {
            job.run()?;
        }
    }
    match stage {
        Stage::Restore => {
            fs::create_dir_all(stall.target()).map_err(told)?;
            if matches!(tool.kind, Kind::Cp | Kind::Rustic | Kind::Zpaq | Kind::Bupstash) {
                fs::create_dir_all(stall.copy()).map_err(told)?;
            }
        }
        Stage::Back => {
            let copy = stall.copy();
            if !copy.exists() {
                // rsync restores nothing itself: it starts from what was there.
                fs::create_dir_all(&copy).map_err(told)?;
                put(&trees.before, &copy)?;
            }
            trees.after.as_ref().map_or(Ok(()), |after| put(after, &copy))?;
        }
        _ => {}
    }
    let before = oracle::stored_bytes(&stall.repository()) + archive(stall);
    let sample = match job.run() {
        Ok(sample) => sample,
        Err(why) if tool.kind == Kind::Snap => return Err(why),
        Err(why) => {
            eprintln!("   {} {}: {why}", tool.name(), stage.name());
            figures.failed.insert(stage.name().to_owned(), why.chars().take(200).collect());
            return Ok(());
        }
    };
    println!(
        "   {:<10} {:<9} {:>8.2} s  {:>8.2} s on the cores  {:>5} MiB",
        stage.name(),
        tool.name(),
        sample.seconds,
        sample.cpu_seconds,
        sample.peak_bytes >> 20
    );
    figures.add(stage, sample);
    let after = oracle::stored_bytes(&stall.repository()) + archive(stall);
    match stage {
        Stage::First if tool.is_backup() => figures.stored = Some(after),
        Stage::Upgraded if tool.is_backup() => figures.added = Some(after.saturating_sub(before)),
        Stage::Restore | Stage::Back => {
            let restored = oracle::look(&stall.copy())?;
            let differing = oracle::differing(seen, &restored);
            if differing > 0 {
                if tool.kind == Kind::Snap {
                    return Err(format!("snap {}: {differing} entries differ", stage.name()));
                }
                let [a, b] = [seen, &restored].map(oracle::in_whole_seconds);
                let both = (differing, oracle::differing(&a, &b));
                figures.differing.insert(stage.name().to_owned(), both);
            }
        }
        _ => {}
    }
    Ok(())
}

/// What the programs keep that have no directory.
fn archive(stall: &Stall) -> u64 {
    let names = ["repository.zpaq", "repository.tar.zst", "repository.zst"];
    let len = |name: &str| fs::metadata(stall.root.join(name)).map_or(0, |meta| meta.len());
    names.into_iter().map(len).sum()
}

/// Makes `to` the same as `from`; what is equal by size and time stays untouched.
pub(crate) fn put(from: &Path, to: &Path) -> Result<(), String> {
    let status = Command::new("rsync")
        .args(["-aHS", "--delete"])
        .args([from.join(""), to.join("")])
        .status()
        .map_err(|why| format!("rsync is needed: {why}"))?;
    if status.success() { settle(to) } else { Err(format!("rsync to {} failed", to.display())) }
}

/// Removes a directory, and waits until the disk is done with it: nobody is measured meanwhile.
pub(crate) fn clear(dir: &Path) -> Result<(), String> {
    fs::remove_dir_all(dir).map_err(|why| format!("{}: {why}", dir.display()))?;
    settle(dir.parent().unwrap_or(dir))
}

fn settle(dir: &Path) -> Result<(), String> {
    let opened = fs::File::open(dir).map_err(|why| why.to_string())?;
    rustix::fs::syncfs(opened).map_err(|why| why.to_string())
}
