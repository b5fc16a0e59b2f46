//! The figures as a table for people: `macro.md`, and its picture.

use std::fmt::Write as _;
use std::path::Path;

use crate::measure::Sample;
use crate::picture;
use crate::results::{Days, Figures, Played, Results, Spread};
use crate::scale::IndexRun;
use crate::tools::Stage;

/// Between these lines of README.md stand the tables of the last run.
const BEGIN: &str = "<!-- the last run begins -->\n";
const END: &str = "<!-- the last run ends -->\n";

/// Draws the picture, and puts the tables into README.md, or beside it into macro.md if there is none.
pub(crate) fn write(results: &Results, out: &Path) -> Result<(), String> {
    let write = |name: &str, text: String| {
        std::fs::write(out.join(name), text).map_err(|why| format!("{name}: {why}"))
    };
    let tables = markdown(results);
    if let Ok(readme) = std::fs::read_to_string(out.join("README.md"))
        && let (Some(begin), Some(end)) = (readme.find(BEGIN), readme.find(END))
    {
        let (before, after) = (&readme[..begin + BEGIN.len()], &readme[end..]);
        write("README.md", format!("{before}\n{tables}\n{after}"))?;
    } else {
        write("macro.md", tables)?;
    }
    write("macro.svg", picture::draw(results))
}

fn markdown(results: &Results) -> String {
    let mut out = format!(
        "{}, {} cores, {} GiB, Linux {}, {}; {}; load when it began {}.\n\n`{}`\n\n",
        results.processor,
        results.cores,
        results.memory_gib,
        results.kernel,
        results.file_system,
        results.date,
        results.load,
        results.command,
    );
    for (name, version) in &results.tools {
        let _ = writeln!(out, "- {name}: {version}");
    }
    for played in &results.workloads {
        workload(&mut out, played);
    }
    if let Some(days) = &results.days {
        days_table(&mut out, days);
    }
    if let Some(run) = &results.index {
        index_table(&mut out, run);
    }
    out
}

fn workload(out: &mut String, played: &Played) {
    let _ = writeln!(
        out,
        "\n### {}: {}\n\n{} entries, {} MB. Seconds, median [least-most]; in brackets on the cores.\n",
        played.name,
        played.told,
        played.files,
        played.bytes / 1_000_000,
    );
    let stages: Vec<Stage> = Stage::ALL
        .into_iter()
        .filter(|stage| played.tools.values().any(|t| t.stages.contains_key(stage.name())))
        .collect();
    let heads: Vec<&str> = stages.iter().map(|stage| stage.name()).collect();
    let _ = writeln!(out, "| | {} | stored MB | added MB | peak MiB |", heads.join(" | "));
    let _ = writeln!(out, "|---|{}", "---:|".repeat(heads.len() + 3));
    for (tool, figures) in ordered(played) {
        let cells: Vec<String> = stages.iter().map(|stage| cell(figures, *stage)).collect();
        let megabytes =
            |bytes: Option<u64>| bytes.map_or(String::new(), |b| format!("{:.1}", b as f64 / 1e6));
        let peak = figures.stages.values().flatten().map(|one| one.peak_bytes).max();
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} |",
            tool.replace('|', "\\|"),
            cells.join(" | "),
            megabytes(figures.stored),
            megabytes(figures.added),
            peak.map_or(0, |bytes| bytes >> 20),
        );
    }
    ratios(out, played, &stages);
    for (tool, figures) in &played.tools {
        for (stage, (entries, coarse)) in &figures.differing {
            let _ = writeln!(
                out,
                "\n{tool}, {stage}: {entries} entries are not as in the source, {coarse} if fractions \
                 of a second do not count."
            );
        }
        for (stage, why) in &figures.failed {
            let _ = writeln!(out, "\n{tool}, {stage}: failed: {why}");
        }
    }
}

/// `snap` first, then in the order of the alphabet.
fn ordered(played: &Played) -> Vec<(&String, &Figures)> {
    let mut all: Vec<_> = played.tools.iter().collect();
    all.sort_by_key(|(name, _)| (*name != "snap", (*name).clone()));
    all
}

fn cell(figures: &Figures, stage: Stage) -> String {
    let Some(samples) = figures.stages.get(stage.name()) else { return String::new() };
    let Some(wall) = Spread::of(samples.iter().map(|one| one.seconds)) else {
        return String::new();
    };
    let cpu = Spread::of(samples.iter().map(|one| one.cpu_seconds)).map_or(0.0, |s| s.median);
    format!("{:.2} [{:.2}-{:.2}] ({cpu:.2})", wall.median, wall.min, wall.max)
}

/// Round by round the other's time over ours, then the median of that: neighbours on the machine
/// disturb both alike.
fn ratio(played: &Played, tool: &str, stage: Stage, figure: fn(&Sample) -> f64) -> Option<Spread> {
    let of = |name: &str| played.tools.get(name)?.stages.get(stage.name());
    let (theirs, ours) = (of(tool)?, of("snap")?);
    Spread::of(theirs.iter().zip(ours).map(|(a, b)| figure(a) / figure(b).max(0.005)))
}

fn ratios(out: &mut String, played: &Played, stages: &[Stage]) {
    let heads: Vec<&str> = stages.iter().map(|stage| stage.name()).collect();
    let _ = writeln!(
        out,
        "\nTheir time over ours, round by round, and their size over ours; below each the same in time \
         on the cores.\n"
    );
    let _ = writeln!(out, "| | {} | stored | added |", heads.join(" | "));
    let _ = writeln!(out, "|---|{}", "---:|".repeat(heads.len() + 2));
    let own = played.tools.get("snap");
    for (tool, figures) in ordered(played).into_iter().filter(|(name, _)| *name != "snap") {
        let row = |figure: fn(&Sample) -> f64| {
            let cells = stages.iter().map(|stage| match ratio(played, tool, *stage, figure) {
                Some(ratio) => format!("{:.1} [{:.1}-{:.1}]", ratio.median, ratio.min, ratio.max),
                None => String::new(),
            });
            cells.collect::<Vec<_>>().join(" | ")
        };
        let size = |theirs: Option<u64>, ours: Option<u64>| match (theirs, ours) {
            (Some(theirs), Some(ours)) if ours > 0 => format!("{:.2}", theirs as f64 / ours as f64),
            _ => String::new(),
        };
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} |\n| on the cores | {} | | |",
            tool.replace('|', "\\|"),
            row(|sample| sample.seconds),
            size(figures.stored, own.and_then(|own| own.stored)),
            size(figures.added, own.and_then(|own| own.added)),
            row(|sample| sample.cpu_seconds),
        );
    }
}

fn days_table(out: &mut String, days: &Days) {
    let _ = writeln!(
        out,
        "\n### W9: {} days, {} files, one in a hundred changes each day\n\n\
         | | a day's backup | restore, first day | restore, last day | last / first | stored MB | prune \
         of the older half | stored MB then |\n|---|---:|---:|---:|---:|---:|---:|---:|",
        days.count, days.files
    );
    for (tool, figures) in &days.tools {
        let median = |samples: &[Sample]| {
            Spread::of(samples.iter().map(|one| one.seconds)).map_or(0.0, |spread| spread.median)
        };
        let (first, last) = (median(&figures.restore_first), median(&figures.restore_last));
        let _ = writeln!(
            out,
            "| {tool} | {:.2} | {first:.2} | {last:.2} | {:.2} | {:.1} | {} | {:.1} |",
            median(figures.backups.get(1..).unwrap_or_default()),
            last / first.max(1e-9),
            figures.stored as f64 / 1e6,
            figures.prune.map_or(String::new(), |one| format!("{:.2}", one.seconds)),
            figures.pruned as f64 / 1e6,
        );
    }
}

fn index_table(out: &mut String, run: &IndexRun) {
    let _ = writeln!(
        out,
        "\n### An index of {} chunks\n\n\
         | store a new chunk | bytes in the index | open, first | open, again | hit | miss | peak \
         while filling | peak while asking |\n|---:|---:|---:|---:|---:|---:|---:|---:|\n\
         | {:.2} µs | {:.1} | {:.2} s | {:.3} s | {:.0} ns | {:.0} ns | {} MiB | {} MiB |",
        run.chunks,
        run.put_us,
        run.index_bytes,
        run.open_first_seconds,
        run.open_again_seconds,
        run.hit_ns,
        run.miss_ns,
        run.fill_peak_bytes >> 20,
        run.ask_peak_bytes >> 20,
    );
}
