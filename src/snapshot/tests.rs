//! Whole rounds: taken from a real tree, into a real repository, and looked at from outside.

mod campaign;
mod faults;
mod wide;

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::*;
use crate::monitor::{Counter, Recorder};
use crate::os::beneath::Dir;
use crate::os::meta::{At, Stamp};
use crate::repository::{InitOptions, Repository, WriteOptions};
use crate::tree::{ExclusionRules, Exclusions, Kind, TreePath, read, walk::Walker};

/// A repository, a tree, and a place for what is remembered.
pub(super) struct World {
    pub(super) place: tempfile::TempDir,
    pub(super) repository: Repository,
}

impl World {
    pub(super) fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let key = place.path().join("key");
        let options = InitOptions { machine_key_file: Some(&key), ..InitOptions::default() };
        let repository = Repository::init(&place.path().join("repository"), &options).unwrap();
        fs::create_dir(place.path().join("tree")).unwrap();
        fs::create_dir(place.path().join("memory")).unwrap();
        Self { place, repository }
    }

    pub(super) fn tree(&self) -> PathBuf {
        self.place.path().join("tree")
    }

    pub(super) fn memory(&self) -> PathBuf {
        self.place.path().join("memory")
    }

    pub(super) fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let path = self.tree().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub(super) fn source(&self, rules: ExclusionRules) -> Source {
        let exclusions = Exclusions::compile(rules).unwrap();
        Source { label: "root".to_owned(), path: self.tree(), exclusions }
    }

    pub(super) fn take(&self, monitor: &Recorder) -> Snapshot {
        self.take_with(ExclusionRules::default(), None, monitor)
    }

    pub(super) fn take_with(
        &self,
        rules: ExclusionRules,
        threads: Option<usize>,
        monitor: &Recorder,
    ) -> Snapshot {
        let memory = self.memory();
        let source = self.source(rules);
        let request = Request {
            class: Class::User,
            source: "tests".to_owned(),
            sources: std::slice::from_ref(&source),
            app: None,
            attachments: Vec::new(),
            tags: Vec::new(),
            note: None,
            memory: Memory { dir: Some(&memory), trust: Trust::SameBoot },
            walker: Walker::Fast,
            threads,
        };
        let writer = self.repository.begin(&WriteOptions::default()).unwrap();
        take(writer, request, monitor).unwrap()
    }

    pub(super) fn digest(&self, trust: Trust) -> LiveDigest {
        let memory = self.memory();
        let memory = Memory { dir: Some(&memory), trust };
        let source = self.source(ExclusionRules::default());
        live_digest(&self.repository, &[source], memory, &Recorder::default()).unwrap()
    }
}

/// Makes everything below `dir` old enough that its stat data is believed.
pub(super) fn age(dir: &Path) {
    use std::os::unix::fs::MetadataExt;
    let newest = || {
        let times = walkdir::WalkDir::new(dir).into_iter().filter_map(Result::ok);
        let times = times.filter_map(|entry| entry.metadata().ok());
        times.map(|meta| (meta.ctime(), meta.ctime_nsec())).max().unwrap()
    };
    // The change time cannot be set: wait until a new file is younger than a tick.
    let (secs, nanos) = newest();
    loop {
        let now = crate::os::clock::now().0;
        if now - (secs * 1_000_000_000 + nanos) > 60_000_000 {
            return;
        }
        std::thread::yield_now();
    }
}

#[test]
fn a_snapshot_is_read_back_entry_by_entry() {
    let world = World::new();
    world.write("a/one", "one");
    world.write("a/b/two", "two".repeat(1000));
    world.write("z", "");
    let recorder = Recorder::default();
    let snapshot = world.take(&recorder);
    assert_eq!(recorder.problems(), []);
    assert_eq!((snapshot.sequence, snapshot.parent, snapshot.is_partial()), (1, None, false));
    assert_eq!((snapshot.counts.files, snapshot.counts.directories), (3, 3));
    let entries = read::Entries::below(&world.repository, &snapshot.roots[0].entry);
    let names: Vec<_> = entries.map(|entry| entry.unwrap().0.to_string()).collect();
    assert_eq!(names, ["a", "a/b", "a/b/two", "a/one", "z"]);
    let path = TreePath::parse(b"a/one").unwrap();
    let found = read::find(&world.repository, &snapshot.roots[0].entry, &path).unwrap().unwrap();
    let Kind::File { size: 3, content } = found.kind else { panic!("{found:?}") };
    let pieces: Vec<_> = world.repository.pieces(&content).map(Result::unwrap).collect();
    assert_eq!(world.repository.get(&pieces[0].id).unwrap(), b"one");
    assert_eq!(list(&world.repository).unwrap(), [snapshot]);
}

#[test]
fn an_unchanged_tree_is_not_read_again() {
    let world = World::new();
    for n in 0..40 {
        world.write(&format!("d{}/f{n}", n % 5), format!("{n}"));
    }
    age(&world.tree());
    let first = world.take(&Recorder::default());
    let recorder = Recorder::default();
    let second = world.take(&recorder);
    assert_eq!(recorder.total(Counter::FilesRead), 0);
    assert_eq!(second.counts.files_unchanged, 40);
    assert_eq!(second.files_digest, first.files_digest);
    assert_eq!((second.sequence, second.parent), (2, Some(first.id)));
    let live = world.digest(Trust::SameBoot);
    assert_eq!((live.digest, live.files_read), (first.files_digest, 0));
    let read = world.digest(Trust::Never);
    assert_eq!((read.digest, read.files_read), (first.files_digest, 40));
}

#[test]
fn a_file_written_in_the_tick_of_the_walk_is_read_again() {
    let world = World::new();
    world.write("f", "young");
    // However late a busy machine lets the walk begin, this is not older than its beginning.
    let now = crate::os::clock::now().0;
    let soon = Stamp { secs: now / 1_000_000_000 + 3600, nanos: 0 };
    let handle = Dir::open_root(&world.tree()).unwrap().handle(b"f").unwrap();
    At::Handle(&handle).set_mtime(soon).unwrap();
    world.take(&Recorder::default());
    let recorder = Recorder::default();
    world.take(&recorder);
    assert_eq!(recorder.total(Counter::FilesRead), 1);
}

#[test]
fn an_edit_that_keeps_size_and_time_is_seen() {
    let world = World::new();
    world.write("f", "before");
    age(&world.tree());
    let first = world.take(&Recorder::default());
    let dir = Dir::open_root(&world.tree()).unwrap();
    let mtime = dir.stat(b"f").unwrap().mtime;
    world.write("f", "after!");
    let handle = dir.handle(b"f").unwrap();
    At::Handle(&handle).set_mtime(mtime).unwrap();
    let second = world.take(&Recorder::default());
    assert_ne!(second.files_digest, first.files_digest);
    assert_eq!(second.counts.files_read, 1);
}

#[test]
fn one_worker_and_many_make_the_same_digest() {
    let world = World::new();
    for n in 0..700 {
        world.write(&format!("flat/{n}"), format!("{n}"));
        world.write(&format!("deep/{}/{}/{n}", n % 7, n % 3), format!("{}", n % 10));
    }
    fs::hard_link(world.tree().join("flat/1"), world.tree().join("deep/0/0/linked")).unwrap();
    let one = world.take_with(ExclusionRules::default(), Some(1), &Recorder::default());
    fs::remove_dir_all(world.memory()).unwrap();
    let many = world.take_with(ExclusionRules::default(), Some(8), &Recorder::default());
    assert_eq!(one.files_digest, many.files_digest);
    assert_eq!(one.roots, many.roots);
}

#[test]
fn names_of_one_inode_are_read_once_and_grouped_by_the_first() {
    let world = World::new();
    world.write("b/two", "shared");
    fs::create_dir(world.tree().join("a")).unwrap();
    for name in ["a/three", "b/four", "zz"] {
        fs::hard_link(world.tree().join("b/two"), world.tree().join(name)).unwrap();
    }
    let outside = world.place.path().join("outside");
    world.write("lonely", "x");
    fs::hard_link(world.tree().join("lonely"), outside).unwrap();
    let snapshot = world.take(&Recorder::default());
    assert_eq!(snapshot.counts.files_read, 2);
    let entries = read::Entries::below(&world.repository, &snapshot.roots[0].entry);
    let groups: Vec<_> = entries
        .map(Result::unwrap)
        .filter(|(_, entry)| matches!(entry.kind, Kind::File { .. }))
        .map(|(path, entry)| (path.to_string(), entry.link_group.map(|path| path.to_string())))
        .collect();
    let first = Some("a/three".to_owned());
    let expected = [
        ("a/three", first.clone()),
        ("b/four", first.clone()),
        ("b/two", first.clone()),
        ("lonely", None),
        ("zz", first),
    ];
    assert_eq!(groups, expected.map(|(path, group)| (path.to_owned(), group)));
}

#[test]
fn what_is_left_out_is_not_in_the_digest_nor_is_the_time_it_changes() {
    let world = World::new();
    world.write("app/code", "code");
    world.write("app/tmp/cache/x", "cached");
    world.write("data/app.db", "database");
    world.write("data/note", "note");
    world.write("big/huge", "guarded");
    let rules = ExclusionRules {
        skip_content: vec!["app/tmp/cache/**".to_owned()],
        guarded: vec!["big/huge".to_owned()],
        databases: vec![(TreePath::parse(b"data/app.db").unwrap(), "main".to_owned())],
        exclude: vec!["*.log".to_owned()],
        ..ExclusionRules::default()
    };
    let before = world.take_with(rules.clone(), None, &Recorder::default());
    world.write("app/tmp/cache/y", "more");
    world.write("data/app.db", "changed");
    world.write("data/app.db-wal", "wal");
    world.write("big/huge", "other");
    world.write("app/tmp/cache/sub/z", "more");
    world.write("data/.snap-0123abcd-7", "ours");
    let app = Dir::open_root(&world.tree().join("app")).unwrap();
    let time = app.stat_self().unwrap().mtime;
    world.write("app/.snap-0123abcd-8", "ours");
    app.at().set_mtime(time).unwrap();
    let after = world.take_with(rules.clone(), None, &Recorder::default());
    assert_eq!(after.files_digest, before.files_digest);
    assert_ne!(after.annex, before.annex, "the times and the guarded listing are in the annex");
    let annex = Annex::read(&world.repository, &after.annex).unwrap();
    let guarded = &annex.roots["root"].guarded;
    assert_eq!(guarded.values().map(|guarded| guarded.bytes).collect::<Vec<_>>(), [5]);
    world.write("data/note", "other");
    let later = world.take_with(rules, None, &Recorder::default());
    assert_ne!(later.files_digest, before.files_digest);
    let database = TreePath::parse(b"data/app.db").unwrap();
    let found = read::find(&world.repository, &later.roots[0].entry, &database).unwrap();
    assert_eq!(found.unwrap().kind, Kind::Database { name: "main".to_owned() });
}

#[test]
fn a_single_file_is_a_root() {
    let world = World::new();
    world.write("file", "alone");
    let mut source = world.source(ExclusionRules::default());
    source.path = world.tree().join("file");
    let memory = Memory::default();
    let live = live_digest(&world.repository, &[source], memory, &Recorder::default()).unwrap();
    assert!(matches!(live.roots[0].entry.kind, Kind::File { size: 5, .. }));
    assert_eq!(&*live.roots[0].entry.name, b"root");
}

#[test]
fn nasty_names_and_depths_are_taken_whole() {
    let world = World::new();
    let root = Dir::open_root(&world.tree()).unwrap();
    let long = [b'n'; 255];
    for name in [&b"new\nline"[..], b"\xff\xfe", b"-rf", b" ", &long] {
        root.create_file(name).unwrap();
    }
    let mut at = root.again().unwrap();
    for _ in 0..300 {
        at.create_dir(&[b'd'; 60]).unwrap();
        at = at.open_dir(&[b'd'; 60]).unwrap();
    }
    at.create_symlink(b"loop", b"loop").unwrap();
    at.create_special(b"fifo", crate::os::meta::FileKind::Fifo, 0).unwrap();
    at.at().set_mtime(Stamp { secs: -7, nanos: 3 }).unwrap();
    let recorder = Recorder::default();
    let snapshot = world.take(&recorder);
    assert_eq!(recorder.problems(), []);
    let entries = read::Entries::below(&world.repository, &snapshot.roots[0].entry);
    let paths: Vec<_> = entries.map(|entry| entry.unwrap().0).collect();
    assert_eq!(paths.len(), 5 + 300 + 2);
    assert!(paths.is_sorted());
    assert!(paths.iter().any(|path| path.as_bytes().len() > 4096 * 4));
    assert!(paths.iter().any(|path| path.name() == std::ffi::OsStr::new("loop").as_bytes()));
}

#[test]
fn a_tree_restored_without_what_was_left_out_is_equal_all_the_same() {
    let world = World::new();
    world.write("a/kept", "kept");
    world.write("a/noise.log", "noise");
    world.write("cache/CACHEDIR.TAG", crate::tree::CACHEDIR_TAG);
    world.write("cache/much", "much");
    world.write("tmp/session", "session");
    let rules = ExclusionRules {
        exclude: vec!["*.log".to_owned()],
        exclude_caches: true,
        skip_content: vec!["tmp".to_owned()],
        ..ExclusionRules::default()
    };
    let snapshot = world.take_with(rules.clone(), None, &Recorder::default());
    let annex = Annex::read(&world.repository, &snapshot.annex).unwrap();
    let target = world.place.path().join("target");
    let exclusions = Exclusions::compile(rules).unwrap();
    let request = converge::Request {
        wanted: &snapshot.roots[0],
        annex: annex.roots.get("root"),
        path: &target,
        exclusions: &exclusions,
        deletes: converge::Deletes::All,
        keep_links_to_directories: false,
        include: None,
        memory: Memory::default(),
    };
    let plan = converge::plan(&world.repository, &request, &Recorder::default()).unwrap();
    let unsynced = converge::act(&world.repository, &plan, "0123abcd", &Recorder::default());
    unsynced.unwrap().sync().unwrap();
    assert!(!target.join("a/noise.log").exists() && target.join("cache").is_dir());
    let source = Source { label: "root".to_owned(), path: target, exclusions };
    let (repository, memory) = (&world.repository, Memory::default());
    let monitor = Recorder::default();
    let live = digest_like(repository, &snapshot, &[source], memory, &monitor).unwrap();
    assert_eq!(live.digest, snapshot.files_digest);
    assert!(verify(repository, &snapshot, memory, &monitor).unwrap().is_equal());
    world.write("a/kept", "edited");
    let edited = verify(repository, &snapshot, memory, &monitor).unwrap();
    assert_eq!((edited.is_equal(), edited.different(&snapshot)), (false, vec!["root"]));
}

#[test]
fn a_file_that_changes_whenever_it_is_read_makes_the_snapshot_partial() {
    use std::io::Write;
    use std::sync::atomic::{AtomicBool, Ordering};
    let world = World::new();
    world.write("busy", vec![7; 20_000_000]);
    world.write("still", "still");
    let is_done = AtomicBool::new(false);
    let snapshot = std::thread::scope(|scope| {
        let path = world.tree().join("busy");
        scope.spawn(|| {
            let mut file = fs::File::options().append(true).open(path).unwrap();
            while !is_done.load(Ordering::Relaxed) {
                file.write_all(b"more").unwrap();
            }
        });
        let snapshot = world.take(&Recorder::default());
        is_done.store(true, Ordering::Relaxed);
        snapshot
    });
    assert!(snapshot.is_partial());
    assert_eq!(snapshot.problems[0].path, world.tree().join("busy"));
    assert_eq!(snapshot.problems.len(), 1);
    assert!(resolve(&[snapshot], "latest").is_err(), "a partial snapshot is not the latest");
}
