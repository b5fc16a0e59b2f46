//! An index of ten million chunks: to fill it, to open it, and to ask it.
//!
//! Chunks of eight bytes: what is measured is what a chunk costs whatever its size. Filling and
//! asking are processes of their own, so that each tells its own peak of memory.

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Instant;

use serde::{Deserialize, Serialize};
use snap_backup::cli::bench::corpus::Random;
use snap_backup::os::usage;
use snap_backup::repository::{InitOptions, PackClass, Repository, Unlock, WriteOptions};

use crate::options::Options;
use crate::oracle;
use crate::results::Results;

pub(crate) const VERB: &str = "__index";

/// So many questions are asked of each kind.
const ASKED: u64 = 1_000_000;

/// What came of it.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct IndexRun {
    pub(crate) chunks: u64,
    /// To hash, look up and append one new chunk, microseconds.
    pub(crate) put_us: f64,
    pub(crate) fill_peak_bytes: u64,
    /// In the repository's index, for one chunk.
    pub(crate) index_bytes: f64,
    /// The first opening makes the local copy.
    pub(crate) open_first_seconds: f64,
    pub(crate) open_again_seconds: f64,
    pub(crate) hit_ns: f64,
    pub(crate) miss_ns: f64,
    pub(crate) ask_peak_bytes: u64,
}

/// Fills an index and asks it.
pub(crate) fn play(options: &Options, results: &mut Results) -> Result<(), String> {
    let chunks: u64 = options.by_size(1_000_000, 10_000_000);
    let dir = options.work.join("index");
    std::fs::create_dir_all(&dir).map_err(|why| why.to_string())?;
    let filled = process(&["fill", &chunks.to_string()], &dir)?;
    let asked = process(&["ask", &chunks.to_string()], &dir)?;
    let index = oracle::stored_bytes(&dir.join("repository/index"));
    let run = IndexRun {
        chunks,
        put_us: filled.put_us,
        fill_peak_bytes: filled.fill_peak_bytes,
        index_bytes: index as f64 / chunks as f64,
        ..asked
    };
    println!("   {run:?}");
    results.index = Some(run);
    crate::play::clear(&dir)
}

fn process(words: &[&str], dir: &Path) -> Result<IndexRun, String> {
    let own = std::env::current_exe().map_err(|why| why.to_string())?;
    let out = Command::new(own).arg(VERB).args(words).arg(dir).output();
    let out = out.map_err(|why| why.to_string())?;
    if !out.status.success() {
        return Err(format!("{words:?}: {}", String::from_utf8_lossy(&out.stderr)));
    }
    serde_json::from_slice(&out.stdout).map_err(|why| why.to_string())
}

/// One of the two processes.
pub(crate) fn child(words: &[String]) -> ExitCode {
    let [doing, chunks, dir] = words else { return ExitCode::from(2) };
    let Ok(chunks) = chunks.parse() else { return ExitCode::from(2) };
    let done = if doing == "fill" { fill(chunks, dir.as_ref()) } else { ask(chunks, dir.as_ref()) };
    match done.map(|run| serde_json::to_string(&run)) {
        Ok(Ok(text)) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        other => {
            eprintln!("{other:?}");
            ExitCode::FAILURE
        }
    }
}

type Done = Result<IndexRun, Box<dyn std::error::Error>>;

fn fill(chunks: u64, dir: &Path) -> Done {
    let key = dir.join("key");
    let options = InitOptions { machine_key_file: Some(&key), ..InitOptions::default() };
    drop(Repository::init(&dir.join("repository"), &options)?);
    // Opened as a command opens it: with a cache, which is empty now and made anew when asked.
    let filling = dir.join("filling");
    std::fs::create_dir_all(&filling)?;
    let repository =
        Repository::open(&dir.join("repository"), &Unlock::KeyFile(&key), Some(&filling))?;
    let started = Instant::now();
    let options = WriteOptions::default();
    let writer = repository.begin(&options)?;
    let mut bundle = writer.bundle(PackClass::Data);
    for number in 0..chunks {
        bundle.put(&number.to_le_bytes())?;
    }
    bundle.finish()?;
    writer.sync()?;
    let put_us = started.elapsed().as_secs_f64() * 1e6 / chunks as f64;
    let fill_peak_bytes = usage::so_far().peak_bytes;
    Ok(IndexRun { put_us, fill_peak_bytes, ..IndexRun::default() })
}

fn ask(chunks: u64, dir: &Path) -> Done {
    let (key, cache) = (dir.join("key"), dir.join("cache"));
    std::fs::create_dir_all(&cache)?;
    let open = || {
        let started = Instant::now();
        let unlock = Unlock::KeyFile(&key);
        let opened = Repository::open(&dir.join("repository"), &unlock, Some(&cache))?;
        // Opening may put off what the first question then pays.
        opened.contains(&opened.hash(b"a stranger"))?;
        Ok::<_, Box<dyn std::error::Error>>((opened, started.elapsed().as_secs_f64()))
    };
    let (first, open_first_seconds) = open()?;
    drop(first);
    let (repository, open_again_seconds) = open()?;
    let mut random = Random::new(1);
    let mut ask = |offset: u64, wanted: bool| {
        let ids: Vec<_> = (0..ASKED)
            .map(|_| repository.hash(&(random.below(chunks) + offset).to_le_bytes()))
            .collect();
        let started = Instant::now();
        for id in &ids {
            if repository.contains(id)? != wanted {
                return Err("the index answers wrongly".into());
            }
        }
        let spent = started.elapsed().as_secs_f64();
        Ok::<_, Box<dyn std::error::Error>>(spent * 1e9 / ASKED as f64)
    };
    let hit_ns = ask(0, true)?;
    let miss_ns = ask(chunks, false)?;
    let ask_peak_bytes = usage::so_far().peak_bytes;
    Ok(IndexRun {
        open_first_seconds,
        open_again_seconds,
        hit_ns,
        miss_ns,
        ask_peak_bytes,
        ..IndexRun::default()
    })
}
