//! Where the demo lives: one temporary directory with everything in it, and children of this very
//! binary that work there as a person would.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::cli::failure::{Code, Failure};
use crate::os::file;
use crate::os::process::{self, CaptureLimits, Launch, Trampoline, Wiring};
use crate::repository::ObjectId;

use super::site::{self, Owner};

/// No scene takes nearly as long, or says nearly as much.
const LIMITS: CaptureLimits =
    CaptureLimits { timeout: Duration::from_mins(2), bytes_max: 64 << 20 };

/// The directory, and what is where in it.
#[derive(Debug)]
pub(super) struct House {
    /// All of it.
    pub(super) root: PathBuf,
    /// Where the releases were unpacked: in the first house.
    releases: PathBuf,
    /// This binary.
    trampoline: Trampoline,
    /// The database of a fresh installation.
    database: Vec<u8>,
    /// Whose the application is, if not the caller's.
    pub(super) owner: Option<Owner>,
}

/// What a run is to suffer, or to tell.
#[derive(Clone, Copy, Debug)]
pub(super) enum Mischief<'a> {
    /// Nothing.
    None,
    /// SIGKILL at this crash point.
    Kill(&'a str),
    /// To note the crash points that it meets.
    Note(&'a Path),
}

/// How a child ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// Its exit code; `None` if a signal killed it.
    pub(super) code: Option<i32>,
    /// The signal that killed it.
    pub(super) signal: Option<i32>,
    /// The lines of its JSON stream.
    pub(super) lines: Vec<Value>,
    /// What it wrote to stderr.
    pub(super) stderr: String,
}

impl House {
    /// Makes the directory; what is in it is as private as its owner needs.
    pub(super) fn build(temp: &Path, owner: Option<Owner>) -> Result<Self, Failure> {
        let root = temp.join(format!("snap-demo-{}", ObjectId::random().short()));
        Self::at(root, owner)
    }

    fn at(root: PathBuf, owner: Option<Owner>) -> Result<Self, Failure> {
        // Another account runs the migration and must be able to pass through, not to look.
        let mode = if owner.is_some() { 0o711 } else { 0o700 };
        file::create_dir(&root, mode).map_err(Failure::cannot("create", &root))?;
        let releases = root.join("releases");
        Ok(Self { root, releases, trampoline: Trampoline::own(), database: Vec::new(), owner })
    }

    /// Fills it: releases, the application, and its profile.
    pub(super) fn furnish(&mut self) -> Result<(), Failure> {
        let scratch = self.root.join("seed.db");
        self.database = site::database(&scratch).map_err(|error| {
            Failure::new(Code::E0706, "cannot make the demo's database").because(error.to_string())
        })?;
        for version in [site::INSTALLED, site::GOOD, site::BROKEN] {
            let place = self.release(version);
            site::unpack(&place, version).map_err(Failure::cannot("write", &place))?;
        }
        self.move_in()
    }

    /// Another house inside this one, with an application, a repository and a journal of its own.
    pub(super) fn twin(&self, number: usize) -> Result<Self, Failure> {
        let twin = Self::at(self.root.join(format!("world-{number}")), self.owner)?;
        let (releases, database) = (self.releases.clone(), self.database.clone());
        let twin = Self { releases, database, ..twin };
        twin.move_in()?;
        twin.must(0, &["init", "--no-recovery"].map(str::to_owned))?;
        Ok(twin)
    }

    /// Installs the application and makes it known.
    fn move_in(&self) -> Result<(), Failure> {
        self.reset()?;
        let apps_d = self.root.join("config/apps.d");
        let profile = format!(
            "extends = \"builtin:sql-files\"\nroot = {:?}\n\n[[maintenance]]\nkind = \"file\"\n\
             file = \"MAINTENANCE\"\ncontent = \"notes is being upgraded\\n\"\n",
            self.app().display().to_string()
        );
        file::create_dirs(&apps_d, 0o700)
            .and_then(|()| file::replace(&apps_d, "notes.toml", profile.as_bytes(), 0o600))
            .map_err(Failure::cannot("write", &apps_d))
    }

    /// Puts a fresh 1.1.0 in the place of whatever is installed.
    pub(super) fn reset(&self) -> Result<(), Failure> {
        let app = self.app();
        file::remove_dir_all(&app).map_err(Failure::cannot("remove", &app))?;
        site::install(&app, &self.database, self.owner).map_err(Failure::cannot("write", &app))
    }

    /// Where the application is installed.
    pub(super) fn app(&self) -> PathBuf {
        self.root.join("site")
    }

    /// Where a release was unpacked.
    pub(super) fn release(&self, version: &str) -> PathBuf {
        self.releases.join(version)
    }

    /// Runs `snap` with `arguments` on what is here.
    pub(super) fn snap(
        &self,
        arguments: &[String],
        mischief: Mischief<'_>,
    ) -> Result<Ended, Failure> {
        let dir = |name: &str| self.root.join(name).into_os_string();
        let mut env: Vec<(OsString, OsString)> = [
            ("SNAP_CONFIG_DIR", dir("config")),
            ("SNAP_STATE_DIR", dir("state")),
            ("SNAP_CACHE_DIR", dir("cache")),
            ("SNAP_RUNTIME_DIR", dir("run")),
            ("SNAP_REPOSITORY", dir("repository")),
            ("SNAP_OUTPUT", "json".into()),
            ("LC_ALL", "C.UTF-8".into()),
        ]
        .map(|(name, value)| (name.into(), value))
        .into();
        match mischief {
            Mischief::None => {}
            Mischief::Kill(point) => env.push(("SNAP_CRASH_AT".into(), point.into())),
            Mischief::Note(file) => env.push(("SNAP_CRASH_LOG".into(), file.into())),
        }
        let program = self.trampoline.program().as_os_str();
        let argv = process::argv(
            std::iter::once(program).chain(arguments.iter().map(std::ffi::OsStr::new)),
        );
        let launch = Launch {
            trampoline: &self.trampoline,
            argv: &argv,
            dir: &self.root,
            env: &env,
            identity: None,
            wiring: Wiring::Pipes,
            token: &self.token(),
        };
        let told = process::capture(&launch, LIMITS).map_err(|error| {
            Failure::new(Code::E0605, "cannot run this program again").because(error.to_string())
        })?;
        let lines = told
            .out
            .split(|byte| *byte == b'\n')
            .filter_map(|line| serde_json::from_slice(line).ok())
            .collect();
        let stderr = String::from_utf8_lossy(&told.err).into_owned();
        let signal = told.status.and_then(|status| status.signal());
        Ok(Ended { code: told.code(), signal, lines, stderr })
    }

    /// Tells the children of this house from those of another: whatever one leaves is ended.
    fn token(&self) -> String {
        self.root.display().to_string()
    }

    /// Runs `snap` and wants it to end with `code`.
    pub(super) fn must(&self, code: i32, arguments: &[String]) -> Result<Ended, Failure> {
        self.must_under(code, arguments, Mischief::None)
    }

    /// The same, with something to suffer or to tell.
    pub(super) fn must_under(
        &self,
        code: i32,
        arguments: &[String],
        mischief: Mischief<'_>,
    ) -> Result<Ended, Failure> {
        let ended = self.snap(arguments, mischief)?;
        if ended.code == Some(code) { Ok(ended) } else { Err(ended.unexpected(arguments, code)) }
    }

    /// Removes everything.
    pub(super) fn remove(self) -> Result<(), Failure> {
        let root = &self.root;
        file::remove_dir_all(root).map(drop).map_err(Failure::cannot("remove", root))
    }
}

impl Ended {
    /// The last line of that type.
    pub(super) fn last(&self, kind: &str) -> Option<&Value> {
        self.lines.iter().rev().find(|line| line["message_type"] == kind)
    }

    /// A text in the last line of that type.
    pub(super) fn text(&self, kind: &str, field: &str) -> String {
        let found = self.last(kind).and_then(|line| line[field].as_str());
        found.unwrap_or_default().to_owned()
    }

    /// A number in the last line of that type.
    pub(super) fn number(&self, kind: &str, field: &str) -> u64 {
        self.last(kind).and_then(|line| line[field].as_u64()).unwrap_or_default()
    }

    fn unexpected(&self, arguments: &[String], wanted: i32) -> Failure {
        let how = match (self.code, self.signal) {
            (Some(code), _) => format!("exit {code}"),
            (None, signal) => format!("signal {}", signal.unwrap_or_default()),
        };
        let message = format!("snap {} ended with {how}, not {wanted}", arguments.join(" "));
        let mut failure = broken(message);
        if let Some(error) = self.last("exit_error") {
            failure = failure.because(error["error"].as_str().unwrap_or_default());
            for cause in error["cause"].as_array().into_iter().flatten() {
                failure = failure.because(cause.as_str().unwrap_or_default());
            }
        }
        let stderr = self.stderr.trim();
        if stderr.is_empty() { failure } else { failure.because(stderr) }
    }
}

/// An identity that does not hold.
pub(super) fn broken(what: impl Into<String>) -> Failure {
    Failure::new(Code::E0902, what)
}
