//! The report on a terminal of 80 columns.

use std::fmt::Write as _;

use super::compare::Change;
use super::limits::Primitives;
use super::report::{Report, Stage};
use crate::cli::render::{count, counted, size};
use crate::cli::text::{self, Ink};

/// The columns of a bar.
const BAR: usize = 58;

/// The table, and the bars below it.
pub(super) fn report(report: &Report, columns: usize) -> String {
    let mut out = text::wrap(&head(report), columns).join("\n") + "\n";
    let _ = writeln!(
        out,
        "{}",
        Ink::Strong.on("                    median  [min-max]      files/s    MB/s  of the limit")
    );
    for stage in &report.stages {
        out.push_str(&text::clip(&line(stage), columns));
        out.push('\n');
    }
    out.push_str(&facts(report));
    out.push('\n');
    out.push_str(&bars(report));
    out
}

fn head(report: &Report) -> String {
    let (corpus, machine) = (&report.corpus, &report.machine);
    let cores = counted(machine.cores as u64, "core", "cores");
    format!(
        "snap bench {}  ({} files, {}, {}, {cores}, warm)  {}\n",
        corpus.name,
        count(corpus.files),
        size(corpus.bytes),
        machine.file_system,
        counted(report.runs as u64, "run", "runs"),
    )
}

fn line(stage: &Stage) -> String {
    let seconds = stage.seconds;
    let span = format!("[{}-{}]", short(seconds.min), short(seconds.max));
    let files = per_second(stage.files, seconds.median);
    let megabytes = per_second(stage.bytes, seconds.median) / 1e6;
    format!(
        " {:<17} {:>5} s  {span:<13}{:>9} {megabytes:>7.0}  {:>4.0} % ({})",
        stage.name.shown(),
        short(seconds.median),
        count(whole(files)),
        stage.percent(),
        stage.limit.binds.name(),
    )
}

/// What is neither a time on the wall nor a rate.
fn facts(report: &Report) -> String {
    let head = "                  on cores (ideal)    memory   written syncs  stored";
    let mut out = format!("{}\n", Ink::Strong.on(head));
    for stage in &report.stages {
        let stored = match (stage.stored_bytes, stage.ratio()) {
            (Some(bytes), Some(ratio)) => format!("{} ({ratio:.1}x)", size(bytes)),
            _ => "-".to_owned(),
        };
        let _ = writeln!(
            out,
            " {:<17} {:>7} {:>7} {:>9} {:>9} {:>5}  {stored}",
            stage.name.shown(),
            format!("{} s", short(stage.cpu_seconds)),
            format!("({})", short(stage.limit.core_seconds(report.machine.cores))),
            size(stage.peak_bytes),
            size(stage.written_bytes),
            count(stage.syncs),
        );
    }
    out
}

/// A bar a stage: dark up to the limit of this machine, light above it.
fn bars(report: &Report) -> String {
    let longest = report.stages.iter().map(|stage| stage.seconds.median).fold(0.0, f64::max);
    let mut out =
        String::from(" █ what this machine cannot do without   ▒ what could still be saved\n");
    for stage in &report.stages {
        let wide = |seconds: f64| columns(seconds, longest);
        let all = wide(stage.seconds.median).max(1);
        let limit = wide(stage.limit.seconds).min(all);
        let _ = writeln!(
            out,
            " {:<17} {}{}",
            stage.name.shown(),
            Ink::Good.on("█".repeat(limit)),
            Ink::Warn.on("▒".repeat(all - limit)),
        );
    }
    out
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to BAR")]
#[expect(clippy::cast_precision_loss, reason = "a constant below 80")]
fn columns(seconds: f64, longest: f64) -> usize {
    (seconds / longest.max(1e-9) * BAR as f64).round().clamp(0.0, BAR as f64) as usize
}

#[expect(clippy::cast_precision_loss, reason = "a rate")]
pub(super) fn per_second(units: u64, seconds: f64) -> f64 {
    units as f64 / seconds.max(1e-9)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate is positive")]
pub(super) fn whole(rate: f64) -> u64 {
    rate.round() as u64
}

/// Seconds with three digits.
pub(super) fn short(seconds: f64) -> String {
    match seconds {
        0.0..10.0 => format!("{seconds:.2}"),
        10.0..100.0 => format!("{seconds:.1}"),
        _ => format!("{seconds:.0}"),
    }
}

/// What `snap bench limits` shows.
pub(super) fn primitives(p: &Primitives, cores: usize) -> String {
    let mut out = String::from("One core; what keeps it busy in time on the core.\n");
    let sample =
        format!("sample: {}, {}", counted(p.sample_files, "file", "files"), size(p.sample_bytes));
    let zstd = format!("zstd -{}, bundled", p.level);
    for (what, each, rate) in [
        ("list a directory, an entry", micros(p.list_ns), String::new()),
        ("stat", micros(p.stat_ns), String::new()),
        ("open, read, close a file", micros(p.read_ns), String::new()),
        ("BLAKE3, file by file", bytes(p.hash_ns), speed(p.hash_ns)),
        (&*zstd, bytes(p.compress_ns), speed(p.compress_ns)),
        ("zstd decode", bytes(p.decode_ns), speed(p.decode_ns)),
        ("AES-256-GCM", bytes(p.seal_ns), speed(p.seal_ns)),
        ("create a file", micros(p.create_ns), String::new()),
        ("rename a file", micros(p.rename_ns), String::new()),
        ("disk write, synced", String::new(), format!("{:.0} MB/s", p.write_rate / 1e6)),
        ("disk read", String::new(), format!("{:.0} MB/s", p.disk_read_rate / 1e6)),
    ] {
        let _ = writeln!(out, "  {what:<28} {each:>12} {rate:>12}");
    }
    let _ = writeln!(out, "  {sample}; bundled ratio {:.2}; {cores} cores share the work", p.ratio);
    out
}

fn micros(ns: f64) -> String {
    format!("{:.2} µs", ns / 1e3)
}

fn bytes(ns: f64) -> String {
    format!("{ns:.2} ns/B")
}

fn speed(ns: f64) -> String {
    format!("{:.0} MB/s", 1e3 / ns.max(1e-6))
}

/// A line for every figure that moved, and for every regression.
pub(super) fn changes(changes: &[Change], date: &str) -> String {
    let mut out = format!("against the run of {date}:\n");
    for change in changes {
        let mark = if change.is_regression { Ink::Bad.on('✗') } else { Ink::Good.on('✓') };
        let (stage, what) = (change.stage.shown(), change.what);
        let _ = writeln!(out, "  {mark} {stage:<17} {what:<7} {:>+6.1} %", change.percent());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::report as any;
    use super::*;

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for seconds in [0.001, 1.0, 12.3, 4_000.0] {
            let shown = report(&any(seconds), 80);
            for line in shown.lines() {
                assert!(text::width(line) <= 80, "{}: {line}", text::width(line));
            }
        }
    }

    #[test]
    fn a_bar_is_dark_up_to_the_limit() {
        let shown = bars(&any(1.0));
        assert_eq!(shown.matches('█').count() - 1, BAR / 2);
        assert_eq!(shown.matches('▒').count() - 1, BAR / 2);
    }
}
