//! What was measured, as it is written to `macro.json`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::measure::Sample;
use crate::options::{Options, Size};
use crate::scale::IndexRun;
use crate::tools::{Stage, Tool};

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) date: String,
    pub(crate) mode: String,
    pub(crate) command: String,
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) memory_gib: u64,
    pub(crate) kernel: String,
    pub(crate) file_system: String,
    /// What else ran: the load average when it began.
    pub(crate) load: String,
    /// Name and version.
    pub(crate) tools: Vec<(String, String)>,
    pub(crate) workloads: Vec<Played>,
    pub(crate) days: Option<Days>,
    pub(crate) index: Option<IndexRun>,
}

/// One workload.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Played {
    pub(crate) name: String,
    pub(crate) told: String,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    /// By tool.
    pub(crate) tools: BTreeMap<String, Figures>,
}

/// One tool in one workload.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Figures {
    /// By stage, a sample a round.
    pub(crate) stages: BTreeMap<String, Vec<Sample>>,
    /// In the repository after the first backup.
    pub(crate) stored: Option<u64>,
    /// What the upgrade added to it.
    pub(crate) added: Option<u64>,
    /// Entries that were not as in the source, by stage, all of them and those that differ by more
    /// than a fraction of a second; empty: none.
    pub(crate) differing: BTreeMap<String, (usize, usize)>,
    /// What failed, by stage.
    pub(crate) failed: BTreeMap<String, String>,
}

/// A snapshot a day.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Days {
    pub(crate) count: usize,
    pub(crate) files: u64,
    pub(crate) tools: BTreeMap<String, DayFigures>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct DayFigures {
    /// Each day's backup.
    pub(crate) backups: Vec<Sample>,
    pub(crate) restore_first: Vec<Sample>,
    pub(crate) restore_last: Vec<Sample>,
    /// What makes room once half of the days are forgotten; what is left is restored and compared.
    pub(crate) prune: Option<Sample>,
    pub(crate) stored: u64,
    pub(crate) pruned: u64,
    pub(crate) differing: usize,
}

impl Results {
    pub(crate) fn new(options: &Options, tools: &[Tool]) -> Self {
        use snap_backup::os::{clock, host, volume};
        let text = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let day = clock::now().0 / 1_000_000_000;
        let date = jiff::Timestamp::from_second(day).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let mode = if options.size == Size::Quick { "quick" } else { "full" };
        Self {
            date: date.strftime("%Y-%m-%d %H:%M UTC").to_string(),
            mode: mode.to_owned(),
            command: format!("bash benches/macro.sh --{mode}"),
            processor: host::processor(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_gib: host::memory_bytes() >> 30,
            kernel: host::kernel(),
            file_system: volume::at(&options.work).map_or("?", |v| v.name).to_owned(),
            load: text("/proc/loadavg").split(' ').take(3).collect::<Vec<_>>().join(" "),
            tools: tools.iter().map(|t| (t.name().to_owned(), t.version.clone())).collect(),
            workloads: Vec::new(),
            days: None,
            index: None,
        }
    }

    pub(crate) fn read(out: &Path) -> Result<Self, String> {
        let text = std::fs::read(out.join("macro.json")).map_err(|why| why.to_string())?;
        serde_json::from_slice(&text).map_err(|why| why.to_string())
    }

    pub(crate) fn write(&self, out: &Path) -> Result<(), String> {
        let text = serde_json::to_string_pretty(self).map_err(|why| why.to_string())?;
        std::fs::write(out.join("macro.json"), text + "\n").map_err(|why| why.to_string())
    }
}

impl Played {
    pub(crate) fn figures(&mut self, tool: &Tool) -> &mut Figures {
        self.tools.entry(tool.name().to_owned()).or_default()
    }
}

impl Figures {
    pub(crate) fn add(&mut self, stage: Stage, sample: Sample) {
        self.stages.entry(stage.name().to_owned()).or_default().push(sample);
    }
}

/// The middle, the least and the most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len().is_multiple_of(2) {
            f64::midpoint(values[middle - 1], values[middle])
        } else {
            values[middle]
        };
        Some(Self { median, min, max })
    }
}
