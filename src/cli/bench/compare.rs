//! This run against an earlier one. Pure, but for reading the earlier one's file.

use std::path::Path;

use serde_json::Value;

use super::report::{Report, Stage, StageName};
use crate::cli::failure::{Code, Failure};
use crate::cli::text;

/// One figure of one stage, then and now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Change {
    pub(super) stage: StageName,
    pub(super) what: &'static str,
    pub(super) then: f64,
    pub(super) now: f64,
    /// Worse by more than may be.
    pub(super) is_regression: bool,
}

impl Change {
    /// In percent, up is worse.
    pub(super) fn percent(&self) -> f64 {
        if self.then > 0.0 { 100.0 * (self.now / self.then - 1.0) } else { 0.0 }
    }
}

/// Compares stage by stage. `above` is what may be lost, as a share.
///
/// Time counts as lost only if not even the fastest run comes near the median of then: on a busy
/// machine one slow run says nothing. What is stored does not depend on neighbours.
#[expect(clippy::cast_precision_loss, reason = "compared in percent")]
pub(super) fn changes(then: &Report, now: &Report, above: f64) -> Vec<Change> {
    let mut changes = Vec::new();
    for new in &now.stages {
        let Some(old) = then.stages.iter().find(|old| old.name == new.name) else { continue };
        let mut add = |what, then: f64, now: f64, judged: f64| {
            let is_regression = then > 0.0 && judged > then * (1.0 + above);
            changes.push(Change { stage: new.name, what, then, now, is_regression });
        };
        add("time", old.seconds.median, new.seconds.median, new.seconds.min);
        let peaks = [old, new].map(|stage: &Stage| stage.peak_bytes as f64);
        add("memory", peaks[0], peaks[1], peaks[1]);
        if let (Some(before), Some(after)) = (old.stored_bytes, new.stored_bytes) {
            add("stored", before as f64, after as f64, after as f64);
        }
    }
    changes
}

/// Why the two cannot be compared, if so.
pub(super) fn apart(then: &Report, now: &Report) -> Option<&'static str> {
    if then.machine.processor != now.machine.processor || then.machine.cores != now.machine.cores {
        Some("it was measured on another machine")
    } else if then.machine.file_system != now.machine.file_system {
        Some("it was measured on another file system")
    } else if then.corpus.name != now.corpus.name {
        Some("it was measured on another tree")
    } else {
        None
    }
}

/// Reads what an earlier `snap bench --json` printed: the report alone, or the whole stream.
pub(super) fn read(path: &Path) -> Result<Report, Failure> {
    let shown = text::path(path);
    let text = std::fs::read_to_string(path).map_err(Failure::cannot("read", path))?;
    parse(&text).ok_or_else(|| {
        Failure::new(Code::E0001, format!("{shown} is no report of snap bench"))
            .tip("snap bench --json > FILE writes one")
    })
}

fn parse(text: &str) -> Option<Report> {
    if let Ok(report) = serde_json::from_str(text) {
        return Some(report);
    }
    let lines = text.lines().rev().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let report = lines.into_iter().find_map(|mut line| line.get_mut("report").map(Value::take))?;
    serde_json::from_value(report).ok()
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::report;
    use super::*;

    #[test]
    fn slower_by_more_than_may_be_is_a_regression() {
        let (old, slow) = (report(1.0), report(1.3));
        let found = |now: &Report, above: f64| {
            let changes = changes(&old, now, above);
            changes.into_iter().filter(|change| change.is_regression).count()
        };
        assert_eq!((found(&slow, 0.1), found(&slow, 0.5), found(&old, 0.1)), (1, 0, 0));
        let mut fat = report(1.0);
        fat.stages[0].peak_bytes *= 2;
        fat.stages[0].stored_bytes = Some(40_000_000);
        assert_eq!(found(&fat, 0.1), 2);
        assert_eq!(found(&report(0.5), 0.1), 0);
    }

    #[test]
    fn one_slow_run_of_three_is_no_regression() {
        let mut noisy = report(1.0);
        noisy.stages[0].seconds.median = 1.4;
        assert!(changes(&report(1.0), &noisy, 0.1).iter().all(|change| !change.is_regression));
    }

    #[test]
    fn other_machines_are_not_compared() {
        let mut other = report(1.0);
        assert_eq!(apart(&report(1.0), &other), None);
        other.machine.cores = 64;
        assert!(apart(&report(1.0), &other).is_some());
    }

    #[test]
    fn the_stream_and_the_report_alone_are_both_read() {
        let alone = serde_json::to_string(&report(1.0)).unwrap();
        let stream =
            format!("{{\"message_type\":\"version\"}}\n{{\"seq\":9,\"report\":{alone}}}\n");
        assert_eq!(parse(&alone), Some(report(1.0)));
        assert_eq!(parse(&stream), Some(report(1.0)));
        assert_eq!(parse("{}\n"), None);
    }
}
