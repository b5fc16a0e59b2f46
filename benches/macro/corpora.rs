//! The trees: made from a fixed seed, or real ones that are named.
//!
//! W1 is a tree of PHP applications and its next release (W2: 3, 5 or 28 % of the files differ),
//! W3 uploads, W4 one large file (a log, then noise, then a film), W5 odd shapes, W6 very many tiny files, W8 a SQLite database's file,
//! and `copies` 500 installations of one release. W7, tables on a server, is measured by the tests
//! of the database (`bash tests/all.sh`); W9 is in `days`.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use snap_backup::cli::bench::corpus::{self, Package, Random};

use crate::options::Options;
use crate::play::{clear, put};
use crate::tools::{Kind, Tool};

/// What makes a tree at a path.
type Make = Box<dyn Fn(&Path) -> std::io::Result<()>>;

/// Where a workload's trees come from.
enum Source {
    /// Real ones, which are only read.
    There(PathBuf, Option<PathBuf>),
    /// Made when their turn comes, and removed after it; the share of files that a release changes.
    Made(Make, Option<u32>),
}

/// Who takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takers {
    /// All that know trees.
    Trees,
    /// Only `snap` and `restic`, for the others take long, and those that know trees and are named.
    Few,
    /// All, for the tree is one file.
    All,
}

/// A tree, and what it becomes.
pub(crate) struct Workload {
    pub(crate) name: String,
    pub(crate) told: String,
    source: Source,
    takers: Takers,
}

/// The trees of a workload, on disk.
#[derive(Debug)]
pub(crate) struct Trees {
    pub(crate) before: PathBuf,
    pub(crate) after: Option<PathBuf>,
}

impl Workload {
    pub(crate) fn takes(&self, tool: &Tool, options: &Options) -> bool {
        let knows_trees = !tool.takes_one_file();
        match self.takers {
            Takers::Trees => knows_trees,
            Takers::Few => {
                let always = matches!(tool.kind, Kind::Snap | Kind::Restic);
                always || knows_trees && options.names(tool.name())
            }
            Takers::All => true,
        }
    }

    /// Makes its trees.
    pub(crate) fn prepare(&self, options: &Options) -> Result<Trees, String> {
        let (make, share) = match &self.source {
            Source::There(before, after) => {
                return Ok(Trees { before: before.clone(), after: after.clone() });
            }
            Source::Made(make, share) => (make, share),
        };
        let told = |why: std::io::Error| format!("{}: {why}", self.name);
        let corpora = corpora(options);
        fs::create_dir_all(&corpora).map_err(told)?;
        let before = corpora.join("before");
        make(&before).map_err(told)?;
        let after = share.map(|_| corpora.join("after"));
        if let (Some(after), Some(share)) = (&after, share) {
            put(&before, after)?;
            corpus::step(after, f64::from(*share) / 100.0, 2).map_err(told)?;
        }
        Ok(Trees { before, after })
    }

    /// Removes what was made.
    pub(crate) fn done(&self, options: &Options) -> Result<(), String> {
        match self.source {
            Source::There(..) => Ok(()),
            Source::Made(..) => clear(&corpora(options)),
        }
    }
}

fn corpora(options: &Options) -> PathBuf {
    options.work.join("corpora")
}

/// Those that are wanted, in the order of their numbers.
pub(crate) fn workloads(options: &Options) -> Vec<Workload> {
    let mut all = Vec::new();
    for (number, (before, after)) in options.trees.iter().enumerate() {
        let told = match after {
            Some(after) => format!("{}, then {}", before.display(), after.display()),
            None => before.display().to_string(),
        };
        let source = Source::There(before.clone(), after.clone());
        let name = format!("real-{}", number + 1);
        all.push(Workload { name, told, source, takers: Takers::Trees });
    }
    if !options.trees.is_empty() {
        return all;
    }
    let files = options.by_size(20_000, 100_000);
    let shares: &[u32] = options.by_size(&[5], &[5, 28, 3]);
    for share in shares.iter().filter(|_| options.wants("W1")) {
        let name = if *share == 5 { "W1".to_owned() } else { format!("W1-{share}") };
        let told = format!("{files} source files; the next release changes {share} % of them");
        let make: Make = Box::new(move |dir| corpus::php_tree(dir, files, 1).map(drop));
        let source = Source::Made(make, Some(*share));
        let takers = if *share == 5 { Takers::Trees } else { Takers::Few };
        all.push(Workload { name, told, source, takers });
    }
    let mut add = |name: &str, told: String, takers, make: Make| {
        if options.wants(name) {
            let source = Source::Made(make, None);
            all.push(Workload { name: name.to_owned(), told, source, takers });
        }
    };
    let mib = options.mib.unwrap_or_else(|| options.by_size(400, 1_500));
    let told = format!("uploads, {mib} MiB: pictures, logs, sparse files, duplicates, hard links");
    add("W3", told, Takers::Few, Box::new(move |dir| uploads(dir, mib)));
    let mib = options.mib.unwrap_or_else(|| options.by_size(200, 1_000));
    let told = format!("a log of {mib} MiB");
    add("W4-log", told, Takers::All, Box::new(move |dir| one_log(dir, mib)));
    let told = format!("noise, {mib} MiB in one file");
    add("W4-noise", told, Takers::All, Box::new(move |dir| one_noise(dir, mib)));
    let told = format!("a film, {mib} MiB: noise behind the head of an MP4");
    add("W4-media", told, Takers::All, Box::new(move |dir| one_film(dir, mib)));
    let wide = options.by_size(20_000, 1_000_000);
    let links = options.by_size(2_000, 100_000);
    let told = format!("a chain of 1,000 directories, {wide} files in one, {links} hard links");
    add("W5", told, Takers::Few, Box::new(move |dir| odd(dir, wide, links)));
    let tinies = options.by_size(100_000, 1_000_000);
    let told = format!("{tinies} files of 300 bytes");
    add("W6", told, Takers::Few, Box::new(move |dir| tiny(dir, tinies)));
    let copies = options.by_size(50, 500);
    let told = format!("{copies} copies of one release of 200 files");
    add("copies", told, Takers::Few, Box::new(move |dir| release_copies(dir, copies)));
    all
}

fn release_copies(dir: &Path, copies: u32) -> std::io::Result<()> {
    let first = dir.join("site-0");
    fs::create_dir_all(dir)?;
    corpus::php_tree(&first, 200, 9)?;
    (1..copies).try_for_each(|number| {
        put(&first, &dir.join(format!("site-{number}"))).map_err(std::io::Error::other)
    })
}

/// Text as logs have it, so many bytes.
fn log(file: &mut File, bytes: u64, seed: u64) -> std::io::Result<()> {
    let mut random = Random::new(seed);
    let package = Package::new(seed);
    let (mut written, mut second) = (0, 0);
    let mut text = Vec::new();
    while written < bytes {
        text.clear();
        for _ in 0..2_000 {
            second += random.below(3);
            let (a, b, c) = (random.below(250), random.rank(4_000), random.below(90_000));
            let word = package.word(&mut random);
            writeln!(
                text,
                "10.0.{}.{a} - - [2026-11-{:02}T{:02}:{:02}:{:02}] \"GET /{word}/{b} HTTP/1.1\" 200 {c}",
                a / 7,
                1 + second / 86_400 % 28,
                second / 3_600 % 24,
                second / 60 % 60,
                second % 60,
            )?;
        }
        file.write_all(&text)?;
        written += text.len() as u64;
    }
    Ok(())
}

fn noise(file: &mut File, bytes: u64, random: &mut Random) -> std::io::Result<()> {
    let mut piece = vec![0; 1 << 20];
    let mut left = bytes;
    while left > 0 {
        random.fill(&mut piece);
        let now = usize::try_from(left.min(1 << 20)).unwrap_or(piece.len());
        file.write_all(&piece[..now])?;
        left -= now as u64;
    }
    Ok(())
}

fn one_log(dir: &Path, mib: u64) -> std::io::Result<()> {
    fs::create_dir_all(dir)?;
    log(&mut File::create(dir.join("access.log"))?, mib << 20, 4)
}

fn one_noise(dir: &Path, mib: u64) -> std::io::Result<()> {
    fs::create_dir_all(dir)?;
    noise(&mut File::create(dir.join("noise.bin"))?, mib << 20, &mut Random::new(5))
}

fn one_film(dir: &Path, mib: u64) -> std::io::Result<()> {
    fs::create_dir_all(dir)?;
    let mut file = File::create(dir.join("film.mp4"))?;
    file.write_all(b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41")?;
    noise(&mut file, mib << 20, &mut Random::new(7))
}

fn uploads(dir: &Path, mib: u64) -> std::io::Result<()> {
    let mut random = Random::new(6);
    let mut made = 0;
    let mut number = 0;
    while made < mib << 20 {
        let month = dir.join(format!("2026/{:02}", 1 + number / 40 % 12));
        fs::create_dir_all(&month)?;
        let path = month.join(format!("img-{number:05}.jpg"));
        let bytes = 200_000 + random.below(4_000_000);
        let mut file = File::create(&path)?;
        file.write_all(b"\xff\xd8\xff\xe0\x00\x10JFIF\x00")?;
        noise(&mut file, bytes, &mut random)?;
        made += bytes;
        match number % 10 {
            3 => fs::copy(&path, month.join(format!("copy-{number:05}.jpg"))).map(drop)?,
            5 => fs::hard_link(&path, month.join(format!("link-{number:05}.jpg")))?,
            7 => log(&mut File::create(month.join(format!("{number:05}.log")))?, 1 << 20, number)?,
            9 => {
                // A disk image, mostly holes.
                let sparse = File::create(month.join(format!("{number:05}.img")))?;
                sparse.set_len(64 << 20)?;
            }
            _ => {}
        }
        number += 1;
    }
    Ok(())
}

fn odd(dir: &Path, wide: usize, links: usize) -> std::io::Result<()> {
    let mut chain = dir.join("deep");
    for _ in 0..1_000 {
        chain.push("d");
    }
    fs::create_dir_all(&chain)?;
    fs::write(chain.join("bottom"), "here")?;
    let (all, linked) = (dir.join("wide"), dir.join("linked"));
    fs::create_dir_all(&all)?;
    fs::create_dir_all(&linked)?;
    for number in 0..wide {
        fs::write(all.join(format!("f{number:06}")), number.to_string())?;
    }
    for number in 0..links {
        // ext4 gives one inode no more than 65,000 names.
        let first = linked.join(format!("{}-first", number / 50_000));
        if number % 50_000 == 0 {
            fs::write(&first, "many names")?;
        }
        fs::hard_link(&first, linked.join(format!("{number:06}")))?;
    }
    Ok(())
}

fn tiny(dir: &Path, files: u64) -> std::io::Result<()> {
    let mut random = Random::new(7);
    let package = Package::new(7);
    let mut text = Vec::new();
    for number in 0..files {
        if number % 1_000 == 0 {
            fs::create_dir_all(dir.join(format!("{:04}", number / 1_000)))?;
        }
        text.clear();
        package.source(&mut random, 300, &mut text);
        text.truncate(300);
        fs::write(dir.join(format!("{:04}/{number:07}.inc", number / 1_000)), &text)?;
    }
    Ok(())
}
