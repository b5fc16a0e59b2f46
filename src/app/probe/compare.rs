//! Before and after: only what got worse counts.

use std::collections::BTreeSet;

use super::{Outcome, ProbeResult};

/// What two runs of the same probes say together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Each fails the upgrade.
    pub regressions: Vec<String>,
    /// Red before and red now: told, and fails nothing.
    pub red_before: Vec<String>,
    /// Could not look: told.
    pub skipped: Vec<String>,
    /// How many passed.
    pub passed: usize,
}

/// Compares the answers of after with those of before.
pub fn compare(before: &[ProbeResult], after: &[ProbeResult]) -> Comparison {
    let mut comparison = Comparison::default();
    for now in after {
        let earlier = before.iter().find(|result| result.name == now.name);
        let losses = losses(earlier, now);
        let name = &now.name;
        match &now.outcome {
            _ if !losses.is_empty() => {
                comparison.regressions.extend(losses.iter().map(|loss| format!("{name}: {loss}")));
            }
            Outcome::Passed => comparison.passed += 1,
            Outcome::Failed(why) => comparison.red_before.push(format!("{name}: {why}")),
            Outcome::Skipped(why) => comparison.skipped.push(format!("{name}: {why}")),
        }
    }
    comparison
}

/// What got worse.
fn losses(before: Option<&ProbeResult>, now: &ProbeResult) -> Vec<String> {
    let nothing = BTreeSet::new();
    let failed_before = before.map_or(&nothing, |before| &before.failing);
    let mut losses: Vec<String> = now.failing.difference(failed_before).cloned().collect();
    if let Some(before) = before {
        for (table, count) in &before.rows {
            match now.rows.get(table) {
                Some(left) if left < count => {
                    losses.push(format!("{table} has {left} rows, {count} before"));
                }
                None if !matches!(now.outcome, Outcome::Skipped(_)) => {
                    losses.push(format!("{table} had {count} rows, and cannot be counted now"));
                }
                _ => {}
            }
        }
    }
    // Which checks of a list fail is compared one by one; all other probes as a whole.
    let is_list = !now.failing.is_empty();
    let was_red = matches!(before.map(|before| &before.outcome), Some(Outcome::Failed(_)));
    if let (Outcome::Failed(why), false, false, true) =
        (&now.outcome, is_list, was_red, losses.is_empty())
    {
        losses.push(why.clone());
    }
    losses
}
