//! The figures as a table for people: `macro.md`, and its picture.

use std::fmt::Write as _;
use std::path::Path;

use crate::picture;
use crate::results::{Days, Figures, Played, Results, Spread};
use crate::tools::Stage;

/// Writes both.
pub(crate) fn write(results: &Results, out: &Path) -> Result<(), String> {
    let write = |name: &str, text: String| {
        std::fs::write(out.join(name), text).map_err(|why| format!("{name}: {why}"))
    };
    write("macro.md", markdown(results))?;
    write("macro.svg", picture::draw(results))
}

fn markdown(results: &Results) -> String {
    let mut out = format!(
        "{}, {} cores, {} GiB, Linux {}, {} in memory or on disk as the command says; {}; load when \
         it began {}.\n\n`{}`\n\n",
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
        for (stage, entries) in &figures.differing {
            let _ = writeln!(out, "\n{tool}, {stage}: {entries} entries are not as in the source.");
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
pub(crate) fn ratio(played: &Played, tool: &str, stage: Stage) -> Option<Spread> {
    let of = |name: &str| played.tools.get(name)?.stages.get(stage.name());
    let (theirs, ours) = (of(tool)?, of("snap")?);
    Spread::of(theirs.iter().zip(ours).map(|(a, b)| a.seconds / b.seconds.max(1e-9)))
}

fn ratios(out: &mut String, played: &Played, stages: &[Stage]) {
    let heads: Vec<&str> = stages.iter().map(|stage| stage.name()).collect();
    let _ = writeln!(out, "\nTheir time over ours, round by round; and their size over ours.\n");
    let _ = writeln!(out, "| | {} | stored | added |", heads.join(" | "));
    let _ = writeln!(out, "|---|{}", "---:|".repeat(heads.len() + 2));
    let own = played.tools.get("snap");
    for (tool, figures) in ordered(played).into_iter().filter(|(name, _)| *name != "snap") {
        let cells: Vec<String> = stages
            .iter()
            .map(|stage| match ratio(played, tool, *stage) {
                Some(ratio) => format!("{:.1} [{:.1}-{:.1}]", ratio.median, ratio.min, ratio.max),
                None => String::new(),
            })
            .collect();
        let size = |theirs: Option<u64>, ours: Option<u64>| match (theirs, ours) {
            (Some(theirs), Some(ours)) if ours > 0 => format!("{:.2}", theirs as f64 / ours as f64),
            _ => String::new(),
        };
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} |",
            tool.replace('|', "\\|"),
            cells.join(" | "),
            size(figures.stored, own.and_then(|own| own.stored)),
            size(figures.added, own.and_then(|own| own.added)),
        );
    }
}

fn days_table(out: &mut String, days: &Days) {
    let _ = writeln!(
        out,
        "\n### W9: {} days, {} files, one in a hundred changes each day\n\n\
         | | a day's backup | restore, first day | restore, last day | last / first | stored MB |\n\
         |---|---:|---:|---:|---:|---:|",
        days.count, days.files
    );
    for (tool, figures) in &days.tools {
        let median = |samples: &[crate::measure::Sample]| {
            Spread::of(samples.iter().map(|one| one.seconds)).map_or(0.0, |spread| spread.median)
        };
        let (first, last) = (median(&figures.restore_first), median(&figures.restore_last));
        let _ = writeln!(
            out,
            "| {tool} | {:.2} | {first:.2} | {last:.2} | {:.2} | {:.1} |",
            median(figures.backups.get(1..).unwrap_or_default()),
            last / first.max(1e-9),
            figures.stored as f64 / 1e6,
        );
    }
}
