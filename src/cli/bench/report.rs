//! What a run of `snap bench` has found: the document that `--json` prints, `--html` draws and
//! `--compare` reads.

use serde::{Deserialize, Serialize};

use super::limits::Primitives;
use super::model::Limit;

/// Grows by added fields only.
pub(super) const SCHEMA: u32 = 1;

/// All of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Report {
    /// Which fields there are.
    pub(super) schema: u32,
    /// The version of `snap`, and how it was built.
    pub(super) snap: String,
    /// When, in UTC.
    pub(super) date: String,
    /// Where.
    pub(super) machine: Machine,
    /// On what.
    pub(super) corpus: Corpus,
    /// What the machine can do.
    pub(super) primitives: Primitives,
    /// How often each stage ran.
    pub(super) runs: usize,
    /// In the order in which they ran.
    pub(super) stages: Vec<Stage>,
}

/// The machine, as far as speed depends on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Machine {
    /// What the processor calls itself.
    pub(super) processor: String,
    /// How many threads work.
    pub(super) cores: usize,
    /// In all.
    pub(super) memory_bytes: u64,
    /// Its release.
    pub(super) kernel: String,
    /// Under the repository and the restored files.
    pub(super) file_system: String,
}

/// The tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Corpus {
    /// Its path, or how it was made.
    pub(super) name: String,
    /// Regular files.
    pub(super) files: u64,
    /// Directories.
    pub(super) directories: u64,
    /// In the files.
    pub(super) bytes: u64,
    /// In files whose content no other has.
    pub(super) unique_bytes: u64,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum StageName {
    /// A backup into an empty repository.
    FirstBackup,
    /// The same again.
    UnchangedBackup,
    /// Everything into an empty directory.
    Restore,
    /// A backup after a change of the tree.
    ChangedBackup,
    /// The change taken back in place.
    Converge,
    /// Everything in the repository read, decoded and hashed.
    Check,
}

impl StageName {
    /// As a person reads it.
    pub(super) const fn shown(self) -> &'static str {
        match self {
            Self::FirstBackup => "first backup",
            Self::UnchangedBackup => "unchanged backup",
            Self::Restore => "restore",
            Self::ChangedBackup => "backup of changes",
            Self::Converge => "converge back",
            Self::Check => "check --read-data",
        }
    }
}

/// One stage, over all its runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Stage {
    /// Which.
    pub(super) name: StageName,
    /// Files that it had to look after.
    pub(super) files: u64,
    /// Bytes in them.
    pub(super) bytes: u64,
    /// Bytes that came into the repository, where some did.
    pub(super) stored_bytes: Option<u64>,
    /// On the wall.
    pub(super) seconds: Spread,
    /// On the cores, the median.
    pub(super) cpu_seconds: f64,
    /// The most memory of any run.
    pub(super) peak_bytes: u64,
    /// Handed to `write`, the median.
    pub(super) written_bytes: u64,
    /// Waits for the disk, the median.
    pub(super) syncs: u64,
    /// The least time that this machine allows.
    pub(super) limit: Limit,
}

impl Stage {
    /// How much of the limit was reached, in percent.
    pub(super) fn percent(&self) -> f64 {
        100.0 * self.limit.seconds / self.seconds.median.max(1e-9)
    }

    /// Plain bytes for one stored.
    #[expect(clippy::cast_precision_loss, reason = "a ratio")]
    pub(super) fn ratio(&self) -> Option<f64> {
        let stored = self.stored_bytes.filter(|stored| *stored > 0)?;
        Some(self.bytes as f64 / stored as f64)
    }
}

/// Several measurements of one thing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Spread {
    /// Half are below.
    pub(super) median: f64,
    /// The least.
    pub(super) min: f64,
    /// The most.
    pub(super) max: f64,
}

impl Spread {
    /// Of what was measured; all 0 if nothing was.
    pub(super) fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let (Some(min), Some(max)) = (values.first(), values.last()) else {
            return Self::default();
        };
        let middle = values.len() / 2;
        let median = if values.len().is_multiple_of(2) {
            f64::midpoint(values[middle - 1], values[middle])
        } else {
            values[middle]
        };
        Self { median, min: *min, max: *max }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::cli::bench::model::Term;

    /// A report with one stage that takes so long.
    pub(in crate::cli::bench) fn report(seconds: f64) -> Report {
        Report {
            schema: SCHEMA,
            snap: "0.1.0".into(),
            date: "2026-11-21T20:00:00Z".into(),
            machine: Machine {
                processor: "Zen <4>".into(),
                cores: 2,
                memory_bytes: 24 << 30,
                kernel: "6.18".into(),
                file_system: "ext4".into(),
            },
            corpus: Corpus {
                name: "synthetic small".into(),
                files: 10_000,
                directories: 4_000,
                bytes: 90_000_000,
                unique_bytes: 90_000_000,
            },
            primitives: Primitives::default(),
            runs: 3,
            stages: vec![Stage {
                name: StageName::FirstBackup,
                files: 10_000,
                bytes: 90_000_000,
                stored_bytes: Some(30_000_000),
                seconds: Spread { median: seconds, min: seconds * 0.95, max: seconds * 1.1 },
                cpu_seconds: seconds * 1.8,
                peak_bytes: 90 << 20,
                written_bytes: 30_000_000,
                syncs: 9,
                limit: Limit {
                    seconds: 0.5,
                    binds: Term::Zstd,
                    terms: vec![(Term::Zstd, 0.4), (Term::Read, 0.1)],
                },
            }],
        }
    }

    #[test]
    fn the_median_is_the_middle_one() {
        let spread = Spread::of(vec![3.0, 1.0, 2.0]);
        assert_eq!(spread, Spread { median: 2.0, min: 1.0, max: 3.0 });
        assert_eq!(Spread::of(vec![1.0, 2.0]).median.to_bits(), 1.5_f64.to_bits());
        assert_eq!(Spread::of(vec![]), Spread::default());
    }

    #[test]
    fn a_report_is_read_as_it_was_written() {
        let report = report(1.0);
        let text = serde_json::to_string(&report).unwrap();
        assert!(text.contains("\"first-backup\"") && text.contains("\"zstd\""), "{text}");
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
    }
}
