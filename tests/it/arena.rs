//! One installed application that is killed, recovered, compared and set up again, many times.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Instant;

use crate::notes_upgrade;
use crate::oracle::{Tree, difference};
use crate::run::{Run, args};
use crate::site::{Notes, Passbolt, passbolt};
use crate::stage::{copy, fixture, read, write};
use crate::world::World;

/// What an application is, by the oracle.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    files: Tree,
    database: String,
}

impl Seen {
    /// The lines in which two states differ.
    fn against(&self, other: &Self) -> String {
        format!(
            "files:\n{}\ndatabase:\n{}",
            difference(&self.files.0, &other.files.0),
            difference(&self.database, &other.database)
        )
    }
}

/// Which transaction is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// Ends with exit 0.
    Good,
    /// An upgrade whose migration fails half way; ends with exit 20.
    Failing,
}

impl Act {
    const fn exits(self) -> i32 {
        match self {
            Self::Good => 0,
            Self::Failing => 20,
        }
    }
}

/// An installed application of either kind.
enum Installed {
    Notes(Notes),
    Passbolt(Box<Passbolt>),
}

/// The installed application, and a copy of everything as it was before the first run.
pub(crate) struct Arena {
    world: World,
    site: Installed,
    pristine: PathBuf,
    good: Vec<OsString>,
    failing: Option<Vec<OsString>>,
    old: Seen,
    new: Seen,
    hits: BTreeMap<(bool, String), u64>,
}

/// What of a world an upgrade may write, beside the site itself.
const WRITTEN: &[&str] = &["config", "state", "cache", "run", "repository"];

impl Arena {
    /// Upgrades of notes on SQLite.
    pub(crate) fn sqlite() -> Self {
        let (world, site) = World::with_notes();
        let upgrade = |version: &str| notes_upgrade::upgrade(version);
        Self::of(world, Installed::Notes(site), upgrade("1.3.2"), Some(upgrade("1.4.0")))
    }

    /// Upgrades of passbolt on MariaDB.
    pub(crate) fn mariadb() -> Self {
        let (world, site) = World::with_passbolt();
        Self::passbolt(world, site)
    }

    /// The same with triggers and views over what the migrations change.
    pub(crate) fn triggers() -> Self {
        let (world, site) = World::with_passbolt();
        let sql = world.path("triggers.sql");
        write(
            &sql,
            "CREATE TRIGGER trimmed BEFORE INSERT ON resources FOR EACH ROW SET NEW.name = TRIM(NEW.name);
CREATE TRIGGER renamed BEFORE UPDATE ON resources FOR EACH ROW SET NEW.name = TRIM(NEW.name);
CREATE TRIGGER moved AFTER UPDATE ON secrets FOR EACH ROW
  UPDATE controller_logs SET message = CONCAT('moved ', OLD.id) WHERE user_id = NEW.user_id;
CREATE VIEW present AS SELECT * FROM users WHERE deleted = 0;
CREATE VIEW present_admins AS SELECT * FROM present WHERE role_id = 'r-admin';
",
        );
        site.schema.load(&sql);
        Self::passbolt(world, site)
    }

    fn passbolt(world: World, site: Passbolt) -> Self {
        let release = |version: &str| fixture("apps/passbolt-v1").join(version);
        let failing = world.path("failing-release");
        copy(release("1.3.2"), &failing);
        copy(fixture("apps/passbolt-v1/overlays/fails-asking"), &failing);
        let upgrade = |from: PathBuf| {
            args![
                "upgrade",
                "--app",
                "passbolt",
                "--from-dir",
                from,
                "--base",
                release("1.1.0"),
                "--yes"
            ]
        };
        let (good, failing) = (upgrade(release("1.3.2")), upgrade(failing));
        Self::of(world, Installed::Passbolt(Box::new(site)), good, Some(failing))
    }

    /// A restore in place of notes over a site that has gone wrong in every way.
    pub(crate) fn restore() -> Self {
        let (world, site) = World::with_notes();
        world.snap(["backup", "--app", "notes"]).ok();
        site.ask("DELETE FROM notes WHERE id > 100; DROP TABLE tags; CREATE TABLE intruder (x)");
        fs::remove_dir_all(site.root.join("lib")).expect("ours");
        write(site.root.join("lib"), "a file where a directory was");
        write(site.root.join("public/intruder.php"), "<?php // intruder");
        write(site.root.join("VERSION"), "1.1.0-edited\n");
        let restore = notes_upgrade::back_in_place();
        Self::of(world, Installed::Notes(site), restore, None)
    }

    fn of(
        world: World,
        site: Installed,
        good: Vec<OsString>,
        failing: Option<Vec<OsString>>,
    ) -> Self {
        let pristine = world.path("pristine");
        let nothing = Seen { files: Tree(String::new()), database: String::new() };
        let (old, new) = (nothing.clone(), nothing);
        let hits = BTreeMap::new();
        let mut arena = Self { world, site, pristine, good, failing, old, new, hits };
        arena.keep();
        arena.old = arena.look();
        if arena.failing.is_some() {
            arena.count_hits(Act::Failing);
            arena.expect(&[&arena.old], "a failing upgrade unhurt");
            arena.set_up();
        }
        arena.count_hits(Act::Good);
        arena.new = arena.look();
        arena.set_up();
        assert_ne!(arena.old, arena.new, "a transaction that changes nothing proves nothing");
        arena.expect(&[&arena.old], "the arena sets itself up as it was");
        arena
    }

    fn root(&self) -> &PathBuf {
        match &self.site {
            Installed::Notes(site) => &site.root,
            Installed::Passbolt(site) => &site.root,
        }
    }

    fn keep(&self) {
        for name in WRITTEN {
            copy(self.world.path(name), self.pristine.join(name));
        }
        copy(self.root(), self.pristine.join("site"));
        if let Installed::Passbolt(site) = &self.site {
            fs::write(self.pristine.join("schema.sql"), site.schema.dump()).expect("ours");
        }
    }

    /// Puts everything back as it was before the first run, without `snap`.
    fn set_up(&self) {
        for name in WRITTEN {
            let path = self.world.path(name);
            fs::remove_dir_all(&path).expect("ours");
            copy(self.pristine.join(name), &path);
        }
        fs::remove_dir_all(self.root()).expect("ours");
        copy(self.pristine.join("site"), self.root());
        if let Installed::Passbolt(site) = &self.site {
            site.schema.reload(&self.pristine.join("schema.sql"));
        }
    }

    /// What is there now. What no two runs can share (a random id, the time of a migration) is
    /// made the same first, for both databases' sake.
    fn look(&self) -> Seen {
        match &self.site {
            Installed::Notes(site) => {
                let (files, database) = site.fingerprint();
                Seen { files, database }
            }
            Installed::Passbolt(site) => {
                let (files, database) = site.fingerprint();
                Seen {
                    files: passbolt::without_chance(&files),
                    database: passbolt::without_times(&database),
                }
            }
        }
    }

    fn command_line(&self, act: Act) -> &[OsString] {
        match act {
            Act::Good => &self.good,
            Act::Failing => self.failing.as_deref().expect("this arena has one that fails"),
        }
    }

    /// Runs a transaction unhurt and counts how often each crash point is met.
    fn count_hits(&mut self, act: Act) {
        let log = self.world.path("hits");
        let mut command = self.world.command(self.command_line(act));
        command.env("SNAP_CRASH_LOG", &log);
        self.world.start_command(command).end().exits(act.exits());
        for name in read(&log).lines() {
            *self.hits.entry((act == Act::Good, name.to_owned())).or_default() += 1;
        }
        fs::remove_file(&log).expect("ours");
    }

    /// Every point that an unhurt run meets, with how often.
    pub(crate) fn points(&self, act: Act) -> Vec<(String, u64)> {
        let mine = self.hits.iter().filter(|((good, _), _)| *good == (act == Act::Good));
        mine.map(|((_, name), hits)| (name.clone(), *hits)).collect()
    }

    /// What this arena can run.
    pub(crate) fn acts(&self) -> &'static [Act] {
        if self.failing.is_some() { &[Act::Good, Act::Failing] } else { &[Act::Good] }
    }

    /// Fails unless the application is exactly one of `allowed`.
    #[track_caller]
    fn expect(&self, allowed: &[&Seen], when: &str) {
        let now = self.look();
        if !allowed.contains(&&now) {
            let nearest: Vec<String> = allowed.iter().map(|one| one.against(&now)).collect();
            panic!("{when}: neither wholly old nor wholly new\n{}", nearest.join("\nor\n"));
        }
    }

    /// Kills a transaction, then recovers, each time killed at one of `in_recovery` first, and
    /// compares. `false` if it was not killed: threads may share work another way this time, and
    /// never come there.
    #[track_caller]
    fn kill_and_recover(&self, kill: &Kill) -> bool {
        let run = self.world.snap_dying_at(&kill.crash, self.command_line(kill.act));
        let killed = died(&run);
        if !killed {
            run.exits(kill.act.exits());
        }
        for second in &kill.in_recovery {
            let run = self.world.snap_dying_at(second, args!["recover"]);
            assert!(died(&run) || run.code() == 0, "{kill:?}: {run}");
        }
        let run = self.world.snap(args!["recover"]);
        assert_eq!(run.code(), 0, "{kill:?}: {run}");
        let allowed: &[&Seen] = match kill.act {
            Act::Good => &[&self.old, &self.new],
            Act::Failing => &[&self.old],
        };
        self.expect(allowed, &format!("{kill:?}"));
        killed
    }
}

fn died(run: &Run) -> bool {
    std::os::unix::process::ExitStatusExt::signal(&run.status) == Some(9)
}

/// One kill of a campaign.
#[derive(Clone, Debug)]
pub(crate) struct Kill {
    pub(crate) act: Act,
    pub(crate) crash: String,
    pub(crate) in_recovery: Vec<String>,
}

/// Runs kills on as many arenas as there are cores. Every bad end is collected; none may be.
#[track_caller]
pub(crate) fn campaign(name: &str, arenas: Vec<Arena>, kills: Vec<Kill>) {
    let begun = Instant::now();
    let (total, workers) = (kills.len(), arenas.len());
    let left = Mutex::new(kills.into_iter());
    let bad = Mutex::new(Vec::new());
    let missed = Mutex::new(0);
    std::thread::scope(|scope| {
        for arena in arenas {
            let (left, bad, missed) = (&left, &bad, &missed);
            scope.spawn(move || {
                loop {
                    let next = left.lock().expect("no holder panics").next();
                    let Some(kill) = next else { break };
                    arena.set_up();
                    let attempt = std::panic::AssertUnwindSafe(|| arena.kill_and_recover(&kill));
                    match std::panic::catch_unwind(attempt) {
                        Ok(true) => {}
                        Ok(false) => *missed.lock().expect("no holder panics") += 1,
                        Err(_) => bad.lock().expect("no holder panics").push(kill),
                    }
                }
            });
        }
    });
    let bad = bad.into_inner().expect("no holder panics");
    let missed = missed.into_inner().expect("no holder panics");
    crate::report(&format!(
        "{name}: {total} kills on {workers} installations in {:.0?}, {missed} not met, {} bad ends",
        begun.elapsed(),
        bad.len()
    ));
    assert!(bad.is_empty(), "{name}: bad ends: {bad:#?}");
    assert!(missed * 10 <= total, "{name}: {missed} of {total} kills never happened");
}

/// Whether the long campaigns run whole.
pub(crate) fn is_full() -> bool {
    std::env::var_os("SNAP_TEST_CAMPAIGN").is_some_and(|value| value == "full")
}
