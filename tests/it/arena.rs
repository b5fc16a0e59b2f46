//! One installed application that is killed, recovered, compared and set up again, many times.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Instant;

use crate::oracle::{Tree, difference};
use crate::run::{Run, args};
use crate::site::notes::release;
use crate::site::{Notes, Passbolt, passbolt};
use crate::stage::{copy, fixture, read};
use crate::world::World;

/// What an application is, by the oracle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
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

/// Which upgrade is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Upgrade {
    /// Ends with exit 0.
    Good,
    /// Its migration fails half way; ends with exit 20.
    Failing,
}

/// An installed application of either kind.
enum Installed {
    Notes(Notes),
    Passbolt(Passbolt),
}

/// The installed application, and a copy of everything as it was before the first run.
pub(crate) struct Arena {
    pub(crate) world: World,
    site: Installed,
    pristine: PathBuf,
    failing: PathBuf,
    pub(crate) old: Seen,
    pub(crate) new: Seen,
    hits: BTreeMap<(bool, String), u64>,
}

/// What of a world an upgrade may write, beside the site itself.
const WRITTEN: &[&str] = &["config", "state", "cache", "run", "repository"];

impl Arena {
    /// Notes on SQLite.
    pub(crate) fn sqlite() -> Self {
        let (world, site) = World::with_notes();
        let failing = release("1.4.0");
        Self::of(world, Installed::Notes(site), failing)
    }

    /// Passbolt on MariaDB.
    pub(crate) fn mariadb() -> Self {
        let (world, site) = World::with_passbolt();
        let failing = world.path("failing-release");
        copy(fixture("apps/passbolt-v1/1.3.2"), &failing);
        copy(fixture("apps/passbolt-v1/overlays/fails-asking"), &failing);
        Self::of(world, Installed::Passbolt(site), failing)
    }

    fn of(world: World, site: Installed, failing: PathBuf) -> Self {
        let pristine = world.path("pristine");
        let nothing = Seen { files: Tree(String::new()), database: String::new() };
        let mut arena = Self {
            world,
            site,
            pristine,
            failing,
            old: nothing.clone(),
            new: nothing,
            hits: BTreeMap::new(),
        };
        arena.keep();
        arena.old = arena.look();
        for upgrade in [Upgrade::Failing, Upgrade::Good] {
            arena.count_hits(upgrade);
            match upgrade {
                Upgrade::Failing => arena.expect(&[&arena.old.clone()], "a failing upgrade unhurt"),
                Upgrade::Good => arena.new = arena.look(),
            }
            arena.set_up();
        }
        assert_ne!(arena.old, arena.new, "an upgrade that changes nothing proves nothing");
        assert_eq!(arena.old, arena.look(), "the arena sets itself up as it was");
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
    pub(crate) fn set_up(&self) {
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
    pub(crate) fn look(&self) -> Seen {
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

    /// The command line of an upgrade.
    pub(crate) fn upgrade(&self, upgrade: Upgrade) -> Vec<OsString> {
        let (app, base, good) = match self.site {
            Installed::Notes(_) => ("notes", release("1.1.0"), release("1.3.2")),
            Installed::Passbolt(_) => {
                ("passbolt", fixture("apps/passbolt-v1/1.1.0"), fixture("apps/passbolt-v1/1.3.2"))
            }
        };
        let from = if upgrade == Upgrade::Good { &good } else { &self.failing };
        args!["upgrade", "--app", app, "--from-dir", from, "--base", base, "--yes"]
    }

    /// Runs an upgrade unhurt and counts how often each crash point is met.
    fn count_hits(&mut self, upgrade: Upgrade) {
        let log = self.world.path("hits");
        let mut command = self.world.command(self.upgrade(upgrade));
        command.env("SNAP_CRASH_LOG", &log);
        let run = self.world.start_command(command).end();
        run.exits(if upgrade == Upgrade::Good { 0 } else { 20 });
        for name in read(&log).lines() {
            *self.hits.entry((upgrade == Upgrade::Good, name.to_owned())).or_default() += 1;
        }
        fs::remove_file(&log).expect("ours");
    }

    /// How often an unhurt upgrade meets the point.
    pub(crate) fn hits(&self, upgrade: Upgrade, point: &str) -> u64 {
        let key = (upgrade == Upgrade::Good, point.to_owned());
        self.hits.get(&key).copied().unwrap_or(0)
    }

    /// Every point that an unhurt upgrade meets, with how often.
    pub(crate) fn points(&self, upgrade: Upgrade) -> Vec<(String, u64)> {
        let good = upgrade == Upgrade::Good;
        let mine = self.hits.iter().filter(|((which, _), _)| *which == good);
        mine.map(|((_, name), hits)| (name.clone(), *hits)).collect()
    }

    /// Fails unless the application is exactly one of `allowed`.
    #[track_caller]
    pub(crate) fn expect(&self, allowed: &[&Seen], when: &str) {
        let now = self.look();
        if !allowed.contains(&&now) {
            let nearest: Vec<String> = allowed.iter().map(|one| one.against(&now)).collect();
            panic!("{when}: neither wholly old nor wholly new\n{}", nearest.join("\nor\n"));
        }
    }

    /// Kills an upgrade at `crash` (`POINT:N`), then recovers, each time killed at one of
    /// `in_recovery` first, and compares. `false` if the upgrade was not killed there.
    #[track_caller]
    pub(crate) fn kill_and_recover(
        &self,
        upgrade: Upgrade,
        crash: &str,
        in_recovery: &[String],
    ) -> bool {
        let run = self.world.snap_dying_at(crash, self.upgrade(upgrade));
        let killed = died(&run);
        if !killed {
            // Threads may share work another way this time, and never come here.
            let code = if upgrade == Upgrade::Good { 0 } else { 20 };
            run.exits(code);
        }
        for second in in_recovery {
            let run = self.world.snap_dying_at(second, args!["recover"]);
            assert!(died(&run) || run.code() == 0, "{crash}, then {second}: {run}");
        }
        let when = format!("{upgrade:?} upgrade died at {crash}, recover at {in_recovery:?}");
        let run = self.world.snap(args!["recover"]);
        assert_eq!(run.code(), 0, "{when}: {run}");
        match upgrade {
            Upgrade::Good => self.expect(&[&self.old, &self.new], &when),
            Upgrade::Failing => self.expect(&[&self.old], &when),
        }
        killed
    }
}

fn died(run: &Run) -> bool {
    std::os::unix::process::ExitStatusExt::signal(&run.status) == Some(9)
}

/// One kill of a campaign.
#[derive(Clone, Debug)]
pub(crate) struct Kill {
    pub(crate) upgrade: Upgrade,
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
                    let attempt = std::panic::AssertUnwindSafe(|| {
                        arena.kill_and_recover(kill.upgrade, &kill.crash, &kill.in_recovery)
                    });
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
    eprintln!(
        "{name}: {total} kills on {workers} installations in {:.0?}, {missed} not met, {} bad ends",
        begun.elapsed(),
        bad.len()
    );
    assert!(bad.is_empty(), "{name}: bad ends: {bad:#?}");
    assert!(missed * 10 <= total, "{name}: {missed} of {total} kills never happened");
}

/// Whether the long campaigns run whole.
pub(crate) fn is_full() -> bool {
    std::env::var_os("SNAP_TEST_CAMPAIGN").is_some_and(|value| value == "full")
}
