//! Whole transactions on a small application, in one process: what its migration would do to files
//! and rows is done when step 8 begins.

#![expect(clippy::disallowed_methods, reason = "tests build their own worlds")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;
use crate::app::App;
use crate::app::files::Live;
use crate::app::profile::Profile;
use crate::app::version::{AppVersion, Scheme};
use crate::monitor::{Counter, Monitor, News, Problem, Recorder};
use crate::os::process::Trampoline;
use crate::repository::{InitOptions, ObjectId, Repository, WriteOptions};
use crate::snapshot::{AppMark, Class, Memory, Request, Source, take};
use crate::tree::walk::Walker;
use crate::tree::{Exclusions, TreePath};
use crate::upgrade::event::Label;
use crate::upgrade::merge::Typed;
use crate::upgrade::plan::RefusalKind;
use crate::upgrade::plan::judge::Allowed;

const PROFILE: &str = r#"
schema = 1
app = "notes"
versions = "semver"
[version]
file = "VERSION"
regex = '^\s*(?P<v>\S+)\s*$'
[[layout]]
id = "notes"
require = ["VERSION"]
[[database]]
parser = "php-return"
files = ["config.php"]
map = { driver = "driver", name = "name" }
driver_map = { sqlite = "sqlite" }
[snapshot]
skip_content = ["tmp"]
[files]
preserve = ["config.php", "uploads/**", "tmp/**"]
secret = ["keys/*"]
purge = ["tmp/*"]
review = [{ template = "config.php.default", live = "config.php" }]
[path]
rule = "same-major"
[[maintenance]]
kind = "file"
file = "lib/shut.flag"
content = "shut"
"#;

struct World {
    place: tempfile::TempDir,
    repository: Repository,
    signals: Signals,
}

/// Does something when a step begins, as the application's migration would, or somebody outside.
struct Meddler<'a> {
    recorder: Recorder,
    at: u8,
    act: &'a (dyn Fn() + Sync),
}

impl Monitor for Meddler<'_> {
    fn count(&self, counter: Counter, by: u64) {
        self.recorder.count(counter, by);
    }
    fn problem(&self, problem: Problem) {
        self.recorder.problem(problem);
    }
    fn tell(&self, news: News) {
        if let News::StepStarted { number, .. } = &news
            && *number == self.at
        {
            (self.act)();
        }
        self.recorder.tell(news);
    }
}

impl World {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let key = place.path().join("key");
        let options = InitOptions { machine_key_file: Some(&key), ..InitOptions::default() };
        let repository = Repository::init(&place.path().join("repository"), &options).unwrap();
        let world = Self { place, repository, signals: Signals::new() };
        world.release(
            "1.0.0",
            &[("lib/a.php", "a1"), ("lib/old.php", "old"), ("lib/same.php", "s")],
        );
        world.release(
            "1.1.0",
            &[("lib/a.php", "a2"), ("lib/new/b.php", "b"), ("lib/same.php", "s")],
        );
        copy(&world.path("1.0.0"), &world.root());
        world.write(
            "config.php",
            "<?php return ['driver' => 'sqlite', 'name' => __DIR__ . '/data/n.db', 'x' => 1];",
        );
        world.write("keys/server.key", "secret");
        world.write("uploads/deep/picture", "mine");
        world.write("tmp/cache", "left over");
        fs::create_dir(world.root().join("data")).unwrap();
        world.sql(
            "CREATE TABLE notes (id INTEGER PRIMARY KEY, title TEXT); \
                   INSERT INTO notes (title) VALUES ('one'), ('two');",
        );
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn root(&self) -> PathBuf {
        self.path("notes")
    }

    fn write(&self, path: &str, text: &str) {
        write(&self.root().join(path), text);
    }

    fn release(&self, version: &str, files: &[(&str, &str)]) {
        let dir = self.path(version);
        write(&dir.join("VERSION"), &format!("{version}\n"));
        write(
            &dir.join("config.php.default"),
            &format!("<?php return ['x' => 1, 'v{version}' => 2];"),
        );
        for (path, text) in files {
            write(&dir.join(path), text);
        }
    }

    fn sql(&self, sql: &str) {
        let db = rusqlite::Connection::open(self.root().join("data/n.db")).unwrap();
        db.execute_batch(sql).unwrap();
    }

    fn rows(&self) -> String {
        let db = rusqlite::Connection::open(self.root().join("data/n.db")).unwrap();
        let sql = "SELECT group_concat(id || title, ',') FROM (SELECT * FROM notes ORDER BY id)";
        db.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    /// Paths, kinds, bytes, modes, owners and times of all that is covered, and the rows.
    fn fingerprint(&self) -> (BTreeMap<PathBuf, String>, String) {
        let mut found = BTreeMap::new();
        for entry in walkdir::WalkDir::new(self.root()) {
            let entry = entry.unwrap();
            let path = entry.path().strip_prefix(self.root()).unwrap().to_owned();
            if path.starts_with("tmp") && path != Path::new("tmp") || path.starts_with("data/n.db")
            {
                continue;
            }
            let meta = entry.metadata().unwrap();
            let bytes = if meta.is_file() { fs::read(entry.path()).unwrap() } else { Vec::new() };
            let skipped_time = path == Path::new("tmp") || path == Path::new("data");
            let time = if skipped_time { (0, 0) } else { (meta.mtime(), meta.mtime_nsec()) };
            let line =
                format!("{:o} {} {} {time:?} {bytes:?}", meta.mode(), meta.uid(), meta.gid());
            found.insert(path, line);
        }
        (found, self.rows())
    }

    fn app(&self) -> App {
        let profile = Profile::parse(PROFILE, "test:notes").unwrap();
        let root = self.root();
        App::meet(profile, &root, &Live::open(&root).unwrap()).unwrap()
    }

    /// Takes a release in, as the application's own import does.
    fn staged(&self, version: &str) -> Staged {
        let source = Source {
            label: "release".into(),
            path: self.path(version),
            exclusions: Exclusions::default(),
        };
        let mark = AppMark { name: "notes".into(), version: version.into(), profile: "x".into() };
        let request = Request {
            class: Class::Release,
            source: "notes".into(),
            sources: std::slice::from_ref(&source),
            app: Some(mark),
            attachments: Vec::new(),
            tags: Vec::new(),
            note: None,
            memory: Memory::default(),
            walker: Walker::Fast,
            threads: None,
        };
        let writer = self.repository.begin(&WriteOptions::default()).unwrap();
        let snapshot = take(writer, request, &Recorder::default()).unwrap();
        Staged {
            snapshot: snapshot.id,
            version: AppVersion::parse(version, Scheme::Semver).unwrap(),
            layout: "notes".into(),
            origin: version.into(),
            commit: None,
            warnings: Vec::new(),
        }
    }

    /// Plans and carries out an upgrade to `version`; `act` happens when step `at` begins.
    fn upgrade(
        &self,
        version: &str,
        at: u8,
        act: &(dyn Fn() + Sync),
    ) -> Result<Outcome, UpgradeError> {
        let (app, release) = (self.app(), self.staged(version));
        let base = self.staged(app.version.as_str()).snapshot;
        self.upgrade_as(&request(&app, &release, Some(base)), at, act)
    }

    fn upgrade_as(
        &self,
        request: &PlanRequest<'_>,
        at: u8,
        act: &(dyn Fn() + Sync),
    ) -> Result<Outcome, UpgradeError> {
        let monitor = Meddler { recorder: Recorder::default(), at, act };
        self.with_context(&monitor, |ctx| {
            let made = plan(ctx, request)?;
            if !made.is_ready() {
                return Err(UpgradeError::Refused(made.refusals));
            }
            assert_eq!(made.label, Label::Proved);
            let request =
                PlanRequest { typed: request.typed.clone(), answered: Vec::new(), ..*request };
            run(ctx, &Wish::Upgrade(request), &made, &RunOptions::default())
        })
    }

    fn with_context<R>(&self, monitor: &dyn Monitor, work: impl FnOnce(&Context<'_>) -> R) -> R {
        let (state, cache, key) = (self.path("state"), self.path("cache"), self.path("key"));
        let trampoline = Trampoline::own();
        let ground = Ground {
            state_dir: &state,
            cache_dir: &cache,
            machine_id: "m",
            user: "anna",
            argv: &["snap".to_owned()],
            monitor,
            signals: &self.signals,
            trampoline: &trampoline,
            wait: Duration::ZERO,
        };
        work(&Context { repository: &self.repository, key_file: Some(&key), ground })
    }

    fn leftovers(&self) -> Vec<PathBuf> {
        let all = walkdir::WalkDir::new(self.root()).into_iter().flatten();
        let ours = all.filter(|one| one.file_name().to_string_lossy().starts_with(".snap"));
        ours.map(walkdir::DirEntry::into_path).collect()
    }
}

fn request<'a>(app: &'a App, release: &'a Staged, base: Option<ObjectId>) -> PlanRequest<'a> {
    PlanRequest {
        app,
        release,
        base,
        typed: BTreeMap::new(),
        allowed: Allowed::default(),
        answered: Vec::new(),
        no_input: false,
        neighbours: &[],
    }
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn copy(from: &Path, to: &Path) {
    for entry in walkdir::WalkDir::new(from) {
        let entry = entry.unwrap();
        let target = to.join(entry.path().strip_prefix(from).unwrap());
        if entry.file_type().is_dir() {
            fs::create_dir_all(target).unwrap();
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn nothing() {}

#[test]
fn a_good_upgrade_brings_the_release_and_keeps_what_is_the_operators() {
    let world = World::new();
    let outcome = world.upgrade("1.1.0", 0, &nothing).unwrap();
    let Outcome::Committed(finished) = outcome else { panic!("{outcome:?}") };
    assert_eq!(finished.problems, [""; 0]);
    let read = |path: &str| fs::read_to_string(world.root().join(path)).unwrap();
    assert_eq!((read("lib/a.php"), read("lib/new/b.php")), ("a2".into(), "b".into()));
    assert!(!world.root().join("lib/old.php").exists(), "stale");
    assert!(!world.root().join("tmp/cache").exists(), "purged");
    assert_eq!(read("uploads/deep/picture"), "mine");
    assert!(read("config.php").contains("sqlite"));
    assert_eq!(world.rows(), "1one,2two");
    assert!(!world.root().join("lib/shut.flag").exists(), "open");
    assert_eq!(world.leftovers(), [""; 0].map(PathBuf::from));
}

#[test]
fn whatever_the_migration_did_a_stop_puts_everything_back_and_proves_it() {
    let world = World::new();
    let before = world.fingerprint();
    let outcome = world.upgrade("1.1.0", 8, &|| {
        world.sql("DELETE FROM notes; CREATE TABLE intruder (x); PRAGMA user_version = 7;");
        world.write("config.php", "");
        fs::remove_dir_all(world.root().join("uploads")).unwrap();
        world.write("uploads", "now a file");
        world.write("lib/new/intruder", "x");
        fs::remove_file(world.root().join("keys/server.key")).unwrap();
        world.signals.note(15);
    });
    let Ok(Outcome::RolledBack { proof, cause, problems, .. }) = outcome else {
        panic!("{outcome:?}")
    };
    assert!(proof.is_equal());
    assert_eq!(cause.kind, event::CauseKind::Signal(15));
    assert_eq!(problems, [""; 0]);
    assert_eq!(world.fingerprint(), before);
    assert_eq!(world.leftovers(), [""; 0].map(PathBuf::from));
}

#[test]
fn a_database_whose_directory_the_migration_removed_comes_back() {
    let world = World::new();
    let before = world.fingerprint();
    let outcome = world.upgrade("1.1.0", 8, &|| {
        fs::remove_dir_all(world.root().join("data")).unwrap();
        world.signals.note(2);
    });
    assert!(matches!(outcome, Ok(Outcome::RolledBack { .. })), "{outcome:?}");
    assert_eq!(world.fingerprint(), before);
}

#[test]
fn a_panic_of_ours_is_rolled_back_like_any_failure() {
    let world = World::new();
    let before = world.fingerprint();
    let outcome = world.upgrade("1.1.0", 9, &|| panic!("planted"));
    let Ok(Outcome::RolledBack { cause, .. }) = outcome else { panic!("{outcome:?}") };
    assert_eq!(cause.kind, event::CauseKind::Panic);
    assert_eq!(world.fingerprint(), before);
}

#[test]
fn a_migration_that_changes_a_release_file_or_loses_a_key_is_not_believed() {
    let meddle: [(&str, &str); 3] = [
        ("lib/a.php", "not what was shipped"),
        ("config.php", "<?php return ['driver' => 'sqlite', 'name' => 'n'];"),
        ("keys/server.key", "another"),
    ];
    for (path, text) in meddle {
        let world = World::new();
        let before = world.fingerprint();
        let outcome = world.upgrade("1.1.0", 9, &|| world.write(path, text));
        let Ok(Outcome::RolledBack { error, .. }) = outcome else { panic!("{path}: {outcome:?}") };
        assert!(error.unwrap().to_string().contains(path), "{path}");
        assert_eq!(world.fingerprint(), before, "{path}");
    }
}

#[test]
fn a_write_while_the_site_is_shut_ends_the_upgrade_untouched() {
    let world = World::new();
    let outcome =
        world.upgrade("1.1.0", 6, &|| world.sql("INSERT INTO notes (title) VALUES ('late')"));
    let Ok(Outcome::Untouched { error, .. }) = outcome else { panic!("{outcome:?}") };
    assert!(matches!(*error.unwrap(), UpgradeError::NotQuiet { .. }));
    assert_eq!(world.rows(), "1one,2two,3late");
    assert_eq!(fs::read_to_string(world.root().join("VERSION")).unwrap(), "1.0.0\n");

    let outcome = world.upgrade("1.1.0", 6, &|| world.write("uploads/late", "x"));
    let Ok(Outcome::Untouched { error, .. }) = outcome else { panic!("{outcome:?}") };
    assert!(matches!(*error.unwrap(), UpgradeError::ChangedUnderQuiesce { .. }));
}

#[test]
fn an_upload_after_the_plan_survives_and_a_core_file_edited_after_it_stops() {
    let world = World::new();
    let outcome = world.upgrade("1.1.0", 3, &|| world.write("uploads/late", "x"));
    assert!(matches!(outcome, Ok(Outcome::Committed(_))), "{outcome:?}");
    assert!(world.root().join("uploads/late").exists());

    let world = World::new();
    let outcome = world.upgrade("1.1.0", 3, &|| world.write("lib/a.php", "edited"));
    let Ok(Outcome::Untouched { error, .. }) = outcome else { panic!("{outcome:?}") };
    let error = error.unwrap().to_string();
    assert!(error.contains("lib/a.php"), "{error}");
}

#[test]
fn an_edited_core_file_is_refused_until_somebody_decides() {
    let world = World::new();
    world.write("lib/a.php", "edited");
    world.write("lib/same.php", "edited too");
    let refused = world.upgrade("1.1.0", 0, &nothing).unwrap_err();
    let UpgradeError::Refused(refusals) = refused else { panic!("{refused:?}") };
    assert_eq!(refusals.len(), 1, "the release leaves the other alone: {refusals:?}");
    assert_eq!(refusals[0].kind, RefusalKind::Edited);

    let (app, release) = (world.app(), world.staged("1.1.0"));
    let base = world.staged("1.0.0").snapshot;
    let path = TreePath::parse(b"lib/a.php").unwrap();
    let typed = BTreeMap::from([(path, Typed::Keep)]);
    let request = PlanRequest { typed, ..request(&app, &release, Some(base)) };
    let outcome = world.upgrade_as(&request, 0, &nothing);
    assert!(matches!(outcome, Ok(Outcome::Committed(_))), "{outcome:?}");
    assert_eq!(fs::read_to_string(world.root().join("lib/a.php")).unwrap(), "edited");
    assert_eq!(fs::read_to_string(world.root().join("lib/same.php")).unwrap(), "edited too");
}

#[test]
fn a_plan_that_no_longer_fits_is_refused_by_name() {
    let world = World::new();
    let (app, release) = (world.app(), world.staged("1.1.0"));
    let base = world.staged("1.0.0").snapshot;
    let wanted = request(&app, &release, Some(base));
    let recorder = Recorder::default();
    world.with_context(&recorder, |ctx| {
        let made = plan(ctx, &wanted).unwrap();
        world.write(
            "config.php",
            "<?php return ['driver' => 'sqlite', 'name' => __DIR__ . '/data/n.db'];",
        );
        let wish =
            Wish::Upgrade(PlanRequest { typed: BTreeMap::new(), answered: Vec::new(), ..wanted });
        let refused = run(ctx, &wish, &made, &RunOptions::default()).unwrap_err();
        assert!(
            matches!(&refused, UpgradeError::StalePlan { what } if what.contains("config.php")),
            "{refused:?}"
        );
    });
    assert!(history(&world.path("state")).unwrap().is_empty(), "nothing was begun");
}

#[test]
fn a_finished_upgrade_is_taken_back_by_a_restore_that_is_a_transaction() {
    let world = World::new();
    let before = world.fingerprint();
    assert!(matches!(world.upgrade("1.1.0", 0, &nothing), Ok(Outcome::Committed(_))));
    world.sql("DELETE FROM notes");
    let told = history(&world.path("state")).unwrap();
    let safety = told[0].armed().unwrap().safety.object();
    let app = world.app();
    let recorder = Recorder::default();
    let outcome = world.with_context(&recorder, |ctx| {
        let request = RestoreRequest {
            app: &app,
            snapshot: safety,
            undoes: Some(1),
            delete: true,
            files: true,
            databases: true,
            neighbours: &[],
        };
        let wish = Wish::Restore(request);
        let made = wish.plan(ctx).unwrap();
        run(ctx, &wish, &made, &RunOptions::default())
    });
    assert!(matches!(outcome, Ok(Outcome::Committed(_))), "{outcome:?}");
    assert_eq!(world.fingerprint(), before);
}

#[test]
fn what_a_transaction_made_on_the_way_is_let_go_and_its_way_back_stays() {
    let world = World::new();
    assert!(matches!(world.upgrade("1.1.0", 0, &nothing), Ok(Outcome::Committed(_))));
    let listed = crate::snapshot::list(&world.repository).unwrap();
    let safety: Vec<_> = listed.iter().filter(|one| one.class == Class::Safety).collect();
    assert_eq!(safety.len(), 1, "the warm one is forgotten");
    let pins = world.repository.pins().unwrap();
    assert_eq!(pins.iter().map(|pin| pin.snapshot).collect::<Vec<_>>(), [safety[0].id]);
    let before = world.fingerprint();
    world.signals.note(15);
    let stopped = world.upgrade("1.0.0", 0, &nothing);
    assert!(stopped.is_err() || matches!(stopped, Ok(Outcome::Untouched { .. })), "{stopped:?}");
    assert_eq!(world.fingerprint(), before);
}
