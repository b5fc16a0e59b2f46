//! Every call that a backup, a check or a restore makes to its backend fails once, and then for
//! good: success is never said falsely, and what was saved before stays whole.

use super::*;
use crate::repository::tests::faulty::{Fault, Faulty, When};
use crate::repository::tests::memory::Memory as Objects;
use crate::repository::{
    CheckDepth, PruneMode, RecordKind, RepairMode, RepositoryError, Thrift, Unlock,
};
use std::collections::BTreeSet;
use std::time::Duration;

/// A repository in memory that holds one snapshot of a tree, which has changed since.
struct Stage {
    place: tempfile::TempDir,
    base: Objects,
    earlier: Snapshot,
}

impl Stage {
    fn new() -> Self {
        let place = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let key = place.path().join("key");
        let options = InitOptions { machine_key_file: Some(&key), ..InitOptions::default() };
        let base = Objects::new();
        let repository =
            Repository::init_in(Box::new(base.clone()), "memory".into(), &options).unwrap();
        for n in 0..12_u32 {
            let path = place.path().join(format!("tree/dir{}/file{n}", n % 3));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, n.to_string().repeat(100)).unwrap();
        }
        let earlier = backup(&repository, &place.path().join("tree")).unwrap();
        fs::write(place.path().join("tree/dir0/new"), "new").unwrap();
        // Longer than one chunk: it comes with a list.
        let long: Vec<u8> =
            (0..300_000_u32).flat_map(|n| n.wrapping_mul(n).to_le_bytes()).collect();
        fs::write(place.path().join("tree/dir1/long"), long).unwrap();
        Self { place, base, earlier }
    }

    fn tree(&self) -> PathBuf {
        self.place.path().join("tree")
    }

    /// Opened behind a backend that fails once it is told to.
    fn opened(&self, objects: &Objects) -> (Faulty, Repository) {
        let faulty = Faulty::before(objects.clone());
        let repository = self.open(faulty.clone());
        (faulty, repository)
    }

    fn open(&self, backend: impl crate::repository::Backend + 'static) -> Repository {
        let key = self.place.path().join("key");
        let unlock = Unlock::KeyFile(&key);
        Repository::open_in(Box::new(backend), "memory".into(), &unlock, None).unwrap()
    }

    /// Everything that is listed is whole, the earlier snapshot is listed, and nothing is damaged.
    fn is_whole(&self, objects: &Objects, what: &str) -> Vec<Snapshot> {
        let repository = self.open(objects.clone());
        let snapshots = list(&repository).unwrap();
        assert!(snapshots.contains(&self.earlier), "{what}: the earlier snapshot is lost");
        assert!(sound(&repository).unwrap(), "{what}: the repository is damaged");
        snapshots
    }
}

pub(super) fn backup(repository: &Repository, tree: &Path) -> Result<Snapshot, SnapshotError> {
    let exclusions = Exclusions::compile(ExclusionRules::default()).unwrap();
    let source = Source { label: "root".to_owned(), path: tree.to_owned(), exclusions };
    let request = Request {
        class: Class::User,
        source: "tests".to_owned(),
        sources: std::slice::from_ref(&source),
        app: None,
        attachments: vec![("switch".to_owned(), b"off".to_vec())],
        tags: Vec::new(),
        note: None,
        memory: Memory::default(),
        walker: Walker::Fast,
        threads: Some(1),
    };
    let writer = repository.begin(&WriteOptions::default())?;
    writer.pin()?;
    take(writer, request, &Recorder::default())
}

/// What a check of everything says; an error if it could not be made.
fn sound(repository: &Repository) -> Result<bool, SnapshotError> {
    let report = repository.check(CheckDepth::ReadData, &Recorder::default())?;
    Ok(examine(repository, report)?.report.is_sound())
}

fn restore(repository: &Repository, root: &Root, to: &Path) -> Result<(), SnapshotError> {
    let exclusions = Exclusions::compile(ExclusionRules::default()).unwrap();
    let request = converge::Request {
        wanted: root,
        annex: None,
        path: to,
        exclusions: &exclusions,
        deletes: converge::Deletes::All,
        keep_links_to_directories: false,
        include: None,
        memory: Memory::default(),
    };
    let plan = converge::plan(repository, &request, &Recorder::default())?;
    converge::act(repository, &plan, &"0".repeat(64), &Recorder::default())?.sync().map(drop)
}

/// Lets `work` meet `fault` at its first call, its second and so on, until it meets none.
fn at_every_call(fault: Fault, mut work: impl FnMut(When, &str) -> bool) {
    let whens: [fn(u64) -> When; 2] = [When::At, When::From];
    // Every call in the whole campaign, every third in the sample of it.
    let step =
        if std::env::var_os("SNAP_TEST_CAMPAIGN").is_some_and(|it| it == "full") { 1 } else { 3 };
    for when in whens {
        for n in (0..).step_by(step) {
            assert!(n < 2000, "{fault:?} never ends");
            let what = format!("{fault:?} {:?}", when(n));
            if !work(when(n), &what) {
                break;
            }
        }
    }
}

#[test]
fn whichever_call_of_a_backup_fails_nothing_saved_is_lost_and_no_success_is_false() {
    let stage = Stage::new();
    for fault in Fault::ALL {
        let mut tried = 0;
        at_every_call(fault, |when, what| {
            tried += 1;
            let objects = stage.base.copy();
            let (faulty, repository) = stage.opened(&objects);
            faulty.arm(fault, when);
            let done = backup(&repository, &stage.tree());
            drop(repository);
            let snapshots = stage.is_whole(&objects, what);
            match done {
                Ok(taken) => assert!(snapshots.contains(&taken), "{what}: said falsely"),
                Err(error) => assert!(faulty.fired(), "{what}: {error}"),
            }
            // Whatever lies about, the next backup works.
            let again = backup(&stage.open(objects.clone()), &stage.tree()).unwrap();
            assert!(stage.is_whole(&objects, what).contains(&again), "{what}: afterwards");
            faulty.fired()
        });
        assert!(tried > 3, "{fault:?} was met {tried} times");
    }
}

#[test]
fn whichever_call_of_a_check_fails_it_calls_nothing_sound() {
    let stage = Stage::new();
    for fault in [Fault::Io, Fault::List] {
        at_every_call(fault, |when, what| {
            let (faulty, repository) = stage.opened(&stage.base);
            faulty.arm(fault, when);
            let said = sound(&repository);
            let is_honest = !faulty.fired() || !matches!(said, Ok(true));
            assert!(is_honest, "{what}: called sound");
            if fault == Fault::List && faulty.fired() {
                assert!(said.is_err(), "{what}: a list that cannot be made ends the check");
            }
            faulty.fired()
        });
    }
}

#[test]
fn whichever_call_of_a_restore_fails_what_is_called_restored_is_equal() {
    let stage = Stage::new();
    let taken = backup(&stage.open(stage.base.clone()), &stage.tree()).unwrap();
    let exclusions = Exclusions::compile(ExclusionRules::default()).unwrap();
    for fault in [Fault::Io, Fault::List] {
        at_every_call(fault, |when, what| {
            let (faulty, repository) = stage.opened(&stage.base);
            let target = tempfile::tempdir_in(stage.place.path()).unwrap();
            let to = target.path().join("tree");
            faulty.arm(fault, when);
            let done = restore(&repository, &taken.roots[0], &to);
            if done.is_ok() {
                let path = to.clone();
                let source =
                    Source { label: "root".to_owned(), path, exclusions: exclusions.clone() };
                let calm = stage.open(stage.base.clone());
                let live =
                    live_digest(&calm, &[source], Memory::default(), &Recorder::default()).unwrap();
                assert_eq!(live.digest, taken.files_digest, "{what}");
            }
            assert!(done.is_ok() || faulty.fired(), "{what}: {done:?}");
            faulty.fired()
        });
    }
}

#[test]
fn whichever_call_of_an_index_repair_fails_nothing_saved_is_lost() {
    let stage = Stage::new();
    let broken = stage.base.copy();
    broken.harm_one(crate::repository::ObjectKind::Index);
    for fault in Fault::ALL {
        at_every_call(fault, |when, what| {
            let objects = broken.copy();
            let (faulty, repository) = stage.opened(&objects);
            faulty.arm(fault, when);
            let done: Result<_, RepositoryError> =
                repository.rebuild_index(RepairMode::Write, &Recorder::default());
            drop(repository);
            if done.is_ok() {
                stage.is_whole(&objects, what);
            }
            let again = stage.open(objects.clone());
            again.rebuild_index(RepairMode::Write, &Recorder::default()).unwrap();
            stage.is_whole(&objects, what);
            faulty.fired()
        });
    }
}

#[test]
fn whichever_call_of_a_prune_fails_nothing_saved_is_lost_and_the_next_one_works() {
    let stage = Stage::new();
    let objects = stage.base.copy();
    let repository = stage.open(objects.clone());
    let gone = backup(&repository, &stage.tree()).unwrap();
    // Its chunks lie among others that stay.
    fs::write(stage.place.path().join("tree/dir1/long"), "short").unwrap();
    let stays = backup(&repository, &stage.tree()).unwrap();
    repository.unpin(&gone.id).unwrap();
    repository.forget(&gone.id).unwrap();
    drop(repository);
    let thrift = Thrift { unused_permille: 0, ..Thrift::default() };
    let pruned = |repository: &Repository| {
        let request = PruneRequest {
            mode: PruneMode::Write,
            thrift,
            wait: Duration::ZERO,
            needed: &BTreeSet::new(),
            agree: &|_| true,
        };
        prune(repository, &request, &Recorder::default())
    };
    for fault in Fault::ALL {
        let mut tried = 0;
        at_every_call(fault, |when, what| {
            tried += 1;
            let objects = objects.copy();
            let (faulty, repository) = stage.opened(&objects);
            faulty.arm(fault, when);
            let done = pruned(&repository);
            drop(repository);
            assert!(done.is_ok() || faulty.fired(), "{what}: {done:?}");
            assert!(stage.is_whole(&objects, what).contains(&stays), "{what}");
            let again = stage.open(objects.clone());
            let report = pruned(&again).unwrap();
            assert!(!report.pruned.unwrap().is_awaiting, "{what}");
            assert!(stage.is_whole(&objects, what).contains(&stays), "{what}: afterwards");
            let left = |kind| again.record_ids(kind).unwrap().len();
            assert_eq!((left(RecordKind::Snapshot), left(RecordKind::Forgotten)), (2, 0), "{what}");
            faulty.fired()
        });
        assert!(tried > 3, "{fault:?} was met {tried} times");
    }
}
