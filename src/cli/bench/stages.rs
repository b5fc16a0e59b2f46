//! One round: every stage once, in a house of its own.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::corpus::{Step, step};
use super::limits::Primitives;
use super::metered::Metered;
use super::model::{Work, limit};
use super::place::{Place, Ran};
use super::report::{Spread, Stage, StageName};
use super::scan::Scan;
use crate::cli::again;
use crate::cli::failure::{Code, Failure};
use crate::cli::text;
use crate::os::file;

/// Of the files, so many differ after the change.
pub(super) const CHANGED: f64 = 0.05;

/// What one stage of one round came to.
#[derive(Clone, Copy, Debug)]
struct Once {
    name: StageName,
    files: u64,
    bytes: u64,
    stored: Option<u64>,
    used: Metered,
    work: Work,
}

/// All rounds so far.
#[derive(Debug, Default)]
pub(super) struct Rounds(Vec<Once>);

impl Rounds {
    /// Plays one more round over the tree at `path`, telling each stage to `told`.
    pub(super) fn play(
        &mut self,
        place: &Place,
        path: &Path,
        scan: &Scan,
        told: &dyn Fn(StageName, &Metered),
    ) -> Result<(), Failure> {
        let house = place.root.join("round");
        file::create_dir(&house, 0o700).map_err(Failure::cannot("create", &house))?;
        let mut round = Round { place, house: house.clone(), done: Vec::new(), told };
        round.play(path, scan)?;
        self.0.append(&mut round.done);
        again::clear(&house)
    }

    /// Each stage over all rounds, against the limit.
    pub(super) fn stages(&self, primitives: &Primitives, cores: usize) -> Vec<Stage> {
        let mut names: Vec<StageName> = Vec::new();
        for once in &self.0 {
            if !names.contains(&once.name) {
                names.push(once.name);
            }
        }
        let of = |name: StageName| self.0.iter().filter(move |once| once.name == name);
        names
            .into_iter()
            .filter_map(|name| {
                let first = of(name).next()?;
                let spread = |figure: fn(&Once) -> f64| Spread::of(of(name).map(figure).collect());
                Some(Stage {
                    name,
                    files: first.files,
                    bytes: first.bytes,
                    stored_bytes: first.stored,
                    seconds: spread(|once| once.used.seconds),
                    cpu_seconds: spread(|once| once.used.cpu_seconds).median,
                    peak_bytes: of(name).map(|once| once.used.peak_bytes).max()?,
                    written_bytes: middle(of(name).map(|once| once.used.written_bytes)),
                    syncs: middle(of(name).map(|once| once.used.syncs)),
                    limit: limit(&first.work, primitives, cores),
                })
            })
            .collect()
    }
}

fn middle(values: impl Iterator<Item = u64>) -> u64 {
    let mut values: Vec<u64> = values.collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}

struct Round<'a> {
    place: &'a Place,
    house: PathBuf,
    done: Vec<Once>,
    told: &'a dyn Fn(StageName, &Metered),
}

impl Round<'_> {
    fn play(&mut self, path: &Path, scan: &Scan) -> Result<(), Failure> {
        let (files, bytes) = (scan.file_count(), scan.bytes);
        let walk = Work { walked: scan.entries(), ..Work::default() };
        let target = self.house.join("target");
        let copy = target.join(path.strip_prefix("/").unwrap_or(path));
        self.snap(&[&"init", &"--no-recovery"])?;

        let first = self.snap(&[&"backup", &path])?;
        let stored = first.number("data_added_packed");
        let work = Work {
            read: files,
            hashed_bytes: bytes,
            compressed_bytes: scan.unique_bytes,
            written_bytes: stored,
            ..verified(walk, scan.unique_bytes, stored)
        };
        self.note(StageName::FirstBackup, files, bytes, Some(stored), &first, work);

        let again = self.snap(&[&"backup", &path])?;
        self.note(StageName::UnchangedBackup, files, bytes, None, &again, walk);

        let restored = self.snap(&[&"restore", &"latest", &"--target", &target])?;
        let work = Work {
            created: files,
            hashed_bytes: bytes,
            decoded_bytes: scan.unique_bytes,
            sealed_bytes: stored,
            written_bytes: bytes,
            ..Work::default()
        };
        self.note(StageName::Restore, files, bytes, None, &restored, work);
        same(scan, &copy)?;

        // The copy is a source of its own: its first backup is not what is measured.
        self.snap(&[&"backup", &copy])?;
        let change = step(&copy, CHANGED, 1).map_err(Failure::cannot("change", &copy))?;
        let changed = self.snap(&[&"backup", &copy])?;
        let added = changed.number("data_added_packed");
        let walked = verified(walk, change.bytes, added);
        let work = Work { written_bytes: added, ..changes(walked, change) };
        self.note(StageName::ChangedBackup, files, bytes, Some(added), &changed, work);

        let id = first.text("snapshot_id");
        let back = self.snap(&[
            &"restore",
            &id,
            &"--target",
            &target,
            &"--overwrite",
            &"--delete",
            &"--yes",
            &"--confirm",
            &"target",
        ])?;
        let work = Work {
            created: change.edited + change.deleted,
            renamed: change.edited,
            decoded_bytes: change.bytes,
            hashed_bytes: change.bytes,
            written_bytes: change.bytes,
            ..walk
        };
        self.note(StageName::Converge, files, bytes, None, &back, work);
        same(scan, &copy)?;

        let checked = self.snap(&[&"check", &"--read-data"])?;
        let plain = scan.unique_bytes + change.bytes;
        let work = Work {
            sealed_bytes: stored + added,
            decoded_bytes: plain,
            hashed_bytes: plain,
            ..Work::default()
        };
        self.note(StageName::Check, files, plain, None, &checked, work);
        Ok(())
    }

    fn snap(&self, arguments: &[&dyn AsRef<OsStr>]) -> Result<Ran, Failure> {
        let arguments: Vec<&OsStr> = arguments.iter().map(|one| (*one).as_ref()).collect();
        self.place.snap(&self.house, &arguments)
    }

    fn note(
        &mut self,
        name: StageName,
        files: u64,
        bytes: u64,
        stored: Option<u64>,
        ran: &Ran,
        work: Work,
    ) {
        (self.told)(name, &ran.used);
        self.done.push(Once { name, files, bytes, stored, used: ran.used, work });
    }
}

/// What is written is opened and decoded once more before it counts.
fn verified(work: Work, plain_bytes: u64, stored_bytes: u64) -> Work {
    Work { sealed_bytes: 2 * stored_bytes, decoded_bytes: plain_bytes, ..work }
}

/// What a backup of a change cannot do without.
fn changes(walk: Work, change: Step) -> Work {
    Work {
        read: change.edited + change.added,
        hashed_bytes: change.bytes,
        compressed_bytes: change.bytes,
        ..walk
    }
}

/// Speed counts only where the result is right.
fn same(scan: &Scan, copy: &Path) -> Result<(), Failure> {
    let restored = Scan::of(copy).map_err(Failure::cannot("read", copy))?;
    if restored.digest == scan.digest {
        return Ok(());
    }
    let shown = text::path(copy);
    Err(Failure::new(Code::E0206, format!("{shown} is not what was measured"))
        .because("either the tree changed meanwhile, or restoring it is wrong")
        .state("the tree that was measured is as it was"))
}
