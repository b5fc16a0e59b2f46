//! The report as one page for a browser: no script, nothing from elsewhere.

use std::fmt::Write as _;

use super::chart::{per_second, short, whole};
use super::report::{Report, Stage};
use crate::cli::render::{count, size};

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1a1a1a;--paper:#fff;--line:#767676;--limit:#1b6e3c;--above:#c77700}\
@media(prefers-color-scheme:dark){:root{--ink:#eee;--paper:#161616;--line:#999;--limit:#5fce8c;--above:#ffb454}}\
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:60rem;margin:2rem auto;padding:0 1rem}\
table{border-collapse:collapse;width:100%}th,td{padding:.2rem .6rem;text-align:right;border-bottom:1px solid var(--line)}\
th:first-child,td:first-child{text-align:left}svg{width:100%;height:auto}text{fill:var(--ink);font:13px system-ui,sans-serif}\
.limit{fill:var(--limit)}.above{fill:var(--above)}.span{stroke:var(--ink);stroke-width:2}.mark{stroke:var(--ink);stroke-width:2;stroke-dasharray:4 3}\
@page{size:A4;margin:15mm}";

/// The whole page.
pub(super) fn page(report: &Report) -> String {
    let mut out =
        String::from("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n");
    out.push_str(
        "<meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>snap bench</title>\n",
    );
    let _ = writeln!(out, "<style>{STYLE}</style></head><body>");
    head(&mut out, report);
    bars(&mut out, report);
    table(&mut out, report);
    terms(&mut out, report);
    let data = serde_json::to_string(report).unwrap_or_default().replace('<', "\\u003c");
    let _ = writeln!(out, "<script type=\"application/json\" id=\"snap-report\">{data}</script>");
    out.push_str("</body></html>\n");
    out
}

fn head(out: &mut String, report: &Report) {
    let (corpus, machine) = (&report.corpus, &report.machine);
    let _ = writeln!(
        out,
        "<h1>snap bench</h1>\n<p>{}: {} files, {}, warm. {} runs of each stage, {}, snap {}.<br>\
         {}, {} cores, {} of memory, Linux {}, {}.</p>",
        escaped(&corpus.name),
        count(corpus.files),
        size(corpus.bytes),
        report.runs,
        escaped(&report.date),
        escaped(&report.snap),
        escaped(&machine.processor),
        machine.cores,
        size(machine.memory_bytes),
        escaped(&machine.kernel),
        escaped(&machine.file_system),
    );
}

const LEFT: f64 = 150.0;
const WIDE: f64 = 510.0;
const HIGH: f64 = 34.0;

fn bars(out: &mut String, report: &Report) {
    let longest = report.stages.iter().map(|stage| stage.seconds.max).fold(1e-9, f64::max);
    let x = |seconds: f64| LEFT + seconds / longest * WIDE;
    #[expect(clippy::cast_precision_loss, reason = "a handful of stages")]
    let high = report.stages.len() as f64 * HIGH + 8.0;
    let _ = writeln!(
        out,
        "<h2>Time, and the limit of this machine</h2>\n<svg viewBox=\"0 0 860 {high}\" role=\"img\" \
         aria-label=\"A bar for each stage; the table below says the same\">"
    );
    let mut y = 6.0;
    for stage in &report.stages {
        let limit = stage.limit.seconds.min(stage.seconds.median);
        let middle = y + 10.0;
        let _ = writeln!(
            out,
            "<text x=\"0\" y=\"{:.0}\">{}</text>\
             <rect class=\"limit\" x=\"{LEFT}\" y=\"{y}\" width=\"{:.1}\" height=\"20\"/>\
             <rect class=\"above\" x=\"{:.1}\" y=\"{y}\" width=\"{:.1}\" height=\"20\"/>\
             <line class=\"mark\" x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{:.0}\" y2=\"{:.0}\"/>\
             <line class=\"span\" x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{middle}\" y2=\"{middle}\"/>\
             <text x=\"{:.1}\" y=\"{:.0}\">{} s, {:.0} % of the limit</text>",
            y + 15.0,
            stage.name.shown(),
            x(limit) - LEFT,
            x(limit),
            x(stage.seconds.median) - x(limit),
            x(stage.limit.seconds),
            x(stage.limit.seconds),
            y - 4.0,
            y + 24.0,
            x(stage.seconds.min),
            x(stage.seconds.max),
            x(stage.seconds.max) + 8.0,
            y + 15.0,
            short(stage.seconds.median),
            stage.percent(),
        );
        y += HIGH;
    }
    out.push_str(
        "</svg>\n<p>Filled up to the limit, then what lies above it; the dashed line is the limit, \
         the thin one reaches from the fastest run to the slowest.</p>\n",
    );
}

fn table(out: &mut String, report: &Report) {
    out.push_str("<h2>Figures</h2>\n<table><thead><tr>");
    for head in [
        "stage",
        "median",
        "min",
        "max",
        "on the cores",
        "files/s",
        "MB/s",
        "of the limit",
        "binds",
        "peak memory",
        "written",
        "syncs",
        "stored",
    ] {
        let _ = write!(out, "<th scope=\"col\">{head}</th>");
    }
    out.push_str("</tr></thead><tbody>\n");
    for stage in &report.stages {
        row(out, stage);
    }
    out.push_str("</tbody></table>\n");
}

fn row(out: &mut String, stage: &Stage) {
    let stored = match (stage.stored_bytes, stage.ratio()) {
        (Some(bytes), Some(ratio)) => format!("{} ({ratio:.2}×)", size(bytes)),
        _ => "–".to_owned(),
    };
    let _ = write!(out, "<tr><th scope=\"row\">{}</th>", stage.name.shown());
    for cell in [
        format!("{} s", short(stage.seconds.median)),
        short(stage.seconds.min),
        short(stage.seconds.max),
        format!("{} s", short(stage.cpu_seconds)),
        count(whole(per_second(stage.files, stage.seconds.median))),
        format!("{:.0}", per_second(stage.bytes, stage.seconds.median) / 1e6),
        format!("{:.0} %", stage.percent()),
        stage.limit.binds.name().to_owned(),
        size(stage.peak_bytes),
        size(stage.written_bytes),
        count(stage.syncs),
        stored,
    ] {
        let _ = write!(out, "<td>{cell}</td>");
    }
    out.push_str("</tr>\n");
}

fn terms(out: &mut String, report: &Report) {
    out.push_str("<h2>What the limits are made of</h2>\n<ul>\n");
    for stage in &report.stages {
        let terms: Vec<String> = stage
            .limit
            .terms
            .iter()
            .map(|(term, seconds)| format!("{} {} s", term.name(), short(*seconds)))
            .collect();
        let _ = writeln!(
            out,
            "<li>{}: {} s = {}</li>",
            stage.name.shown(),
            short(stage.limit.seconds),
            terms.join(" + ")
        );
    }
    out.push_str(
        "</ul>\n<p>Parts of the cores add up, shared by all cores; the disk works beside them, and \
         the longer of the two is the limit.</p>\n",
    );
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::report;
    use super::*;

    #[test]
    fn the_page_needs_nothing_from_elsewhere_and_runs_nothing() {
        let page = page(&report(1.0));
        assert!(!page.contains("http://") && !page.contains("https://"));
        assert_eq!(page.matches("<script").count(), 1, "only the data");
        assert!(page.contains("Zen &lt;4&gt;") && !page.contains("Zen <4>"));
        assert!(page.contains("50 % of the limit"));
    }
}
