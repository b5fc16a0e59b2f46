//! What was asked for.

use std::path::{Path, PathBuf};

/// How much is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    /// In six minutes, peers included.
    Quick,
    /// The sizes of the goals.
    Full,
}

/// All of it.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) size: Size,
    /// Where everything is made; on the file system that is measured.
    pub(crate) work: PathBuf,
    /// Where results go.
    pub(crate) out: PathBuf,
    /// The `snap` that is measured.
    pub(crate) snap: PathBuf,
    pub(crate) rounds: usize,
    /// Only these workloads; empty: those of the size.
    only: Vec<String>,
    /// Only these tools; empty: all that are found.
    tools: Vec<String>,
    /// Real trees: one state, or two.
    pub(crate) trees: Vec<(PathBuf, Option<PathBuf>)>,
    /// How much W3 and each of W4 hold, where not as large as the size says.
    pub(crate) mib: Option<u64>,
    /// Only table and picture, from results that are there.
    pub(crate) draw_only: bool,
}

const USAGE: &str = "usage: macro [--quick|--full] --work DIR [--snap FILE] [--out DIR] \
    [--rounds N] [--mib N] [--only W1,W4] [--tools snap,restic] [--tree BEFORE[:AFTER]]... [--draw]";

impl Options {
    pub(crate) fn parse(words: &[String]) -> Result<Self, String> {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut options = Self {
            size: Size::Quick,
            work: PathBuf::new(),
            out: manifest.join("benches"),
            snap: PathBuf::from(env!("CARGO_BIN_EXE_snap")),
            rounds: 0,
            only: Vec::new(),
            tools: Vec::new(),
            trees: Vec::new(),
            mib: None,
            draw_only: false,
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} wants a value\n{USAGE}"));
            match &**word {
                "--quick" => options.size = Size::Quick,
                "--full" => options.size = Size::Full,
                "--draw" => options.draw_only = true,
                "--work" => options.work = PathBuf::from(value()?),
                "--out" => options.out = PathBuf::from(value()?),
                "--snap" => options.snap = PathBuf::from(value()?),
                "--rounds" => {
                    options.rounds = value()?.parse().map_err(|_| USAGE.to_owned())?;
                }
                "--mib" => options.mib = Some(value()?.parse().map_err(|_| USAGE.to_owned())?),
                "--only" => options.only = list(value()?),
                "--tools" => options.tools = list(value()?),
                "--tree" => options.trees.push(pair(value()?)),
                // cargo says so to whatever it runs as a benchmark.
                "--bench" => {}
                _ => return Err(format!("no such option: {word}\n{USAGE}")),
            }
        }
        if !options.draw_only && !options.work.is_dir() {
            return Err(format!("--work names no directory\n{USAGE}"));
        }
        if options.rounds == 0 {
            options.rounds = if options.size == Size::Quick { 2 } else { 3 };
        }
        Ok(options)
    }

    /// Whether this workload is to run.
    pub(crate) fn wants(&self, name: &str) -> bool {
        match (&*self.only, self.size) {
            ([], Size::Full) => true,
            // Six minutes are few: the tree and its upgrade, large files, copies, and some days.
            ([], Size::Quick) => ["W1", "W4", "W9", "copies", "index"].contains(&family(name)),
            // W4 means all of W4-log, W4-noise and W4-media.
            (only, _) => only.iter().any(|one| name == one || family(name) == one),
        }
    }

    /// Whether this tool is to run, if it is there; a slow one only if it is named.
    pub(crate) fn allows(&self, tool: &str, is_slow: bool) -> bool {
        self.names(tool) || (self.tools.is_empty() && !is_slow)
    }

    /// Whether this tool was asked for by its name.
    pub(crate) fn names(&self, tool: &str) -> bool {
        self.tools.iter().any(|one| one == tool)
    }

    /// A number by size.
    pub(crate) fn by_size<T>(&self, quick: T, full: T) -> T {
        match self.size {
            Size::Quick => quick,
            Size::Full => full,
        }
    }
}

fn family(name: &str) -> &str {
    name.split('-').next().unwrap_or(name)
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::to_owned).collect()
}

fn pair(text: &str) -> (PathBuf, Option<PathBuf>) {
    match text.split_once(':') {
        Some((before, after)) => (before.into(), Some(after.into())),
        None => (text.into(), None),
    }
}
