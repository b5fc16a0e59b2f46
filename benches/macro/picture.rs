//! The picture for the README: a group of bars a stage, one bar a program.

use std::fmt::Write as _;

use crate::results::{Figures, Played, Results, Spread};
use crate::tools::Stage;

const STAGES: [(Stage, &str); 6] = [
    (Stage::First, "first backup"),
    (Stage::Unchanged, "unchanged"),
    (Stage::Upgraded, "after an upgrade"),
    (Stage::Restore, "restore"),
    (Stage::Back, "back in place"),
    (Stage::Check, "check all data"),
];
const LEFT: f64 = 200.0;
const WIDE: f64 = 470.0;
const BAR: f64 = 14.0;

/// Draws the first workload that has an upgrade; an empty picture if there is none.
pub(crate) fn draw(results: &Results) -> String {
    let chosen = results.workloads.iter().find(|played| {
        played.tools.get("snap").is_some_and(|own| own.stages.contains_key("upgraded"))
    });
    let mut body = String::new();
    let mut y = 56.0;
    if let Some(played) = chosen {
        let longest = STAGES
            .iter()
            .flat_map(|(stage, _)| played.tools.values().filter_map(|t| seconds(t, *stage)))
            .fold(1e-9, f64::max);
        for (stage, told) in STAGES {
            group(&mut body, played, stage, told, longest, &mut y);
        }
    }
    let caption = chosen.map_or_else(String::new, |played| {
        let (files, megabytes) = (played.files, played.bytes / 1_000_000);
        format!("{files} entries, {megabytes} MB, {} cores, {}", results.cores, results.date)
    });
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 760 {y}\" font-family=\"system-ui,\
         sans-serif\" font-size=\"12\">\n<style>text{{fill:#222}}.us{{fill:#1b6e3c}}.them{{fill:#b9b9b9}}\
         @media(prefers-color-scheme:dark){{text{{fill:#eee}}.us{{fill:#5fce8c}}.them{{fill:#666}}}}\
         </style>\n<text x=\"0\" y=\"18\" font-size=\"15\" font-weight=\"600\">Seconds; shorter is \
         better</text>\n<text x=\"0\" y=\"36\">{}</text>\n{body}</svg>\n",
        caption.replace('&', "&amp;").replace('<', "&lt;"),
    )
}

fn group(body: &mut String, played: &Played, stage: Stage, told: &str, longest: f64, y: &mut f64) {
    let mut bars: Vec<(&str, f64)> = played
        .tools
        .iter()
        .filter_map(|(name, figures)| Some((&**name, seconds(figures, stage)?)))
        .collect();
    bars.sort_by(|a, b| a.1.total_cmp(&b.1));
    let _ =
        writeln!(body, "<text x=\"0\" y=\"{:.0}\" font-weight=\"600\">{told}</text>", *y + 11.0);
    for (name, seconds) in bars {
        let class = if name == "snap" { "us" } else { "them" };
        let wide = (seconds / longest * WIDE).max(1.5);
        let _ = writeln!(
            body,
            "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{name}</text>\
             <rect class=\"{class}\" x=\"{LEFT}\" y=\"{:.0}\" width=\"{wide:.1}\" height=\"11\"/>\
             <text x=\"{:.0}\" y=\"{:.0}\">{seconds:.2}</text>",
            LEFT - 6.0,
            *y + 10.0,
            *y + 1.0,
            LEFT + wide + 5.0,
            *y + 10.0,
        );
        *y += BAR;
    }
    *y += 8.0;
}

fn seconds(figures: &Figures, stage: Stage) -> Option<f64> {
    let samples = figures.stages.get(stage.name())?;
    Spread::of(samples.iter().map(|one| one.seconds)).map(|spread| spread.median)
}
