//! Where the demo lives: one temporary directory with everything in it, and children of this very
//! binary that work there as a person would.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cli::again::{self, Again, Ended};
use crate::cli::failure::{Code, Failure};
use crate::os::file;

use super::site::{self, Owner};

/// No scene takes nearly as long.
const SCENE_MAY_TAKE: Duration = Duration::from_mins(2);

/// The directory, and what is where in it.
#[derive(Debug)]
pub(super) struct House {
    /// All of it.
    pub(super) root: PathBuf,
    /// Where the releases were unpacked: in the first house.
    releases: PathBuf,
    again: Again,
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

impl House {
    /// Makes the directory; what is in it is as private as its owner needs.
    pub(super) fn build(temp: &Path, owner: Option<Owner>) -> Result<Self, Failure> {
        let root = again::workplace(temp, "demo", mode_for(owner))?;
        Ok(Self::at(root, owner))
    }

    fn at(root: PathBuf, owner: Option<Owner>) -> Self {
        let again = Again::below(&root, SCENE_MAY_TAKE);
        let releases = root.join("releases");
        Self { root, releases, again, database: Vec::new(), owner }
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
        let root = self.root.join(format!("world-{number}"));
        file::create_dir(&root, mode_for(self.owner)).map_err(Failure::cannot("create", &root))?;
        let (releases, database) = (self.releases.clone(), self.database.clone());
        let twin = Self { releases, database, ..Self::at(root, self.owner) };
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
        let more = match mischief {
            Mischief::None => None,
            Mischief::Kill(point) => Some(("SNAP_CRASH_AT", OsStr::new(point))),
            Mischief::Note(file) => Some(("SNAP_CRASH_LOG", file.as_os_str())),
        };
        self.again.run(&self.root, arguments.iter().map(OsStr::new), more.as_slice())
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
        if ended.code == Some(code) {
            return Ok(ended);
        }
        let (words, how) = (arguments.join(" "), ended.how());
        Err(ended.explains(broken(format!("snap {words} ended with {how}, not exit {code}"))))
    }

    /// Removes everything.
    pub(super) fn remove(self) -> Result<(), Failure> {
        again::clear(&self.root)
    }
}

/// Another account runs the migration, and must be able to pass through, not to look.
const fn mode_for(owner: Option<Owner>) -> u32 {
    if owner.is_some() { 0o711 } else { 0o700 }
}

/// An identity that does not hold.
pub(super) fn broken(what: impl Into<String>) -> Failure {
    Failure::new(Code::E0902, what)
}
