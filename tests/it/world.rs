//! The stage of one test: a directory of its own, a repository of its own, the real `snap`.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::run::{Run, Running};
use crate::server::Schema;
use crate::site::{Notes, Passbolt};
use crate::stage::write;

/// The binary under test: what `tests/all.sh` built for users, else what cargo built beside us.
pub(crate) fn binary() -> PathBuf {
    let given = std::env::var_os("SNAP_TEST_BINARY").map(PathBuf::from);
    given.unwrap_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_snap")))
}

/// Everything one test has. It is gone when the test ends.
#[derive(Debug)]
pub(crate) struct World {
    dir: TempDir,
}

impl World {
    /// Directories, and no repository yet.
    pub(crate) fn bare() -> Self {
        Self::bare_on(|_| {}).0
    }

    /// The same on what `mount` puts over the place first.
    pub(crate) fn bare_on<T>(mount: impl FnOnce(&Path) -> T) -> (Self, T) {
        let dir = TempDir::with_prefix("snap-it-").expect("a temporary directory");
        let mounted = mount(dir.path());
        // Applications run as other users, who must be able to walk to their files.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("ours");
        let world = Self { dir };
        for name in ["config", "state", "cache", "run", "tmp", "output"] {
            fs::create_dir(world.path(name)).expect("a fresh directory");
        }
        (world, mounted)
    }

    /// Directories and a repository.
    pub(crate) fn new() -> Self {
        let world = Self::bare();
        world.snap(["init", "--no-recovery"]).ok();
        world
    }

    /// A path of this world.
    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The repository's place.
    pub(crate) fn repository(&self) -> PathBuf {
        self.path("repository")
    }

    /// The command `snap ARGS`, in nothing but this world: no HOME, no terminal.
    pub(crate) fn command<I, S>(&self, args: I) -> Command
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let mut command = Command::new(binary());
        command.args(args).env_clear().envs(self.environment()).stdin(Stdio::null());
        command.current_dir(self.dir.path());
        command
    }

    /// The environment every command of this world gets.
    pub(crate) fn environment(&self) -> Vec<(OsString, OsString)> {
        let mut environment: Vec<(OsString, OsString)> = vec![
            ("PATH".into(), "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin".into()),
            ("LC_ALL".into(), "C.UTF-8".into()),
            ("SNAP_REPOSITORY".into(), self.repository().into()),
        ];
        for (name, dir) in [
            ("SNAP_CONFIG_DIR", "config"),
            ("SNAP_STATE_DIR", "state"),
            ("SNAP_CACHE_DIR", "cache"),
            ("SNAP_RUNTIME_DIR", "run"),
            ("TMPDIR", "tmp"),
        ] {
            environment.push((name.into(), self.path(dir).into()));
        }
        if let Some(mark) = std::env::var_os("SNAP_TEST_RUN") {
            environment.push(("SNAP_TEST_RUN".into(), mark));
        }
        environment
    }

    /// Runs `snap ARGS` with the password of `schema` in a file of its owner's alone.
    #[track_caller]
    pub(crate) fn snap_as(&self, schema: &Schema, args: Vec<OsString>) -> Run {
        let file = self.path(format!("{}.password", schema.name));
        write(&file, &schema.password);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("ours");
        let mut command = self.command(args);
        command.env("SNAP_DB_PASSWORD_FILE", file);
        self.start_command(command).end()
    }

    /// Starts `snap ARGS` and does not wait.
    pub(crate) fn start<I, S>(&self, args: I) -> Running
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        self.start_command(self.command(args))
    }

    /// Starts a command prepared by hand.
    pub(crate) fn start_command(&self, command: Command) -> Running {
        Running::start(command, &self.path("output"))
    }

    /// Runs `snap ARGS` to its end.
    #[track_caller]
    pub(crate) fn snap<I, S>(&self, args: I) -> Run
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        self.start(args).end()
    }

    /// Runs `snap ARGS` with death ordered at `crash`, as `SNAP_CRASH_AT` spells it.
    #[track_caller]
    pub(crate) fn snap_dying_at<I, S>(&self, crash: &str, args: I) -> Run
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let mut command = self.command(args);
        command.env("SNAP_CRASH_AT", crash);
        self.start_command(command).end()
    }

    /// Registers an application under `name`, as an administrator does: a file in apps.d.
    pub(crate) fn register(&self, name: &str, profile: &str, root: &Path, more: &str) {
        let text =
            format!("extends = \"builtin:{profile}\"\nroot = \"{}\"\n{more}", root.display());
        let file = self.path(format!("config/apps.d/{name}.toml"));
        write(&file, text);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("ours");
    }

    /// A site of notes 1.1.0, registered as `notes`.
    pub(crate) fn with_notes() -> (Self, Notes) {
        let world = Self::new();
        let site = world.install_notes();
        (world, site)
    }

    /// The same in a world that is there.
    pub(crate) fn install_notes(&self) -> Notes {
        let site = Notes::install(&self.path(""));
        // A switch in a file of the root: open and shut are part of what the oracle compares.
        let switch =
            "[[maintenance]]\nkind = \"file\"\nfile = \"maintenance.flag\"\ncontent = \"shut\"\n";
        self.register("notes", "sql-files", &site.root, switch);
        site
    }

    /// A site of passbolt 1.1.0 on a real MariaDB, registered as `passbolt`.
    pub(crate) fn with_passbolt() -> (Self, Passbolt) {
        Self::with_passbolt_and("")
    }

    /// The same, with more lines in its apps.d file.
    pub(crate) fn with_passbolt_and(more: &str) -> (Self, Passbolt) {
        let world = Self::new();
        let site = Passbolt::install(&world.path(""));
        world.register("passbolt", "passbolt-v1", &site.root, more);
        (world, site)
    }
}
