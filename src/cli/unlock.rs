//! Which repository is meant, and what opens it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::repository::{Local, Repository, RepositoryError, Unlock};

use super::context::Context;
use super::failure::{Code, Failure};
use super::secret::{self, Which};
use super::{suggest, text};

/// Where the repository lies: the flag, the environment, the configuration, else the usual place
/// if one is there.
pub(super) fn location(cx: &Context<'_>) -> Result<PathBuf, Failure> {
    if let Some(named) = named(cx)? {
        return supported(cx, &named);
    }
    let usual = usual(cx)?;
    if Local::open(&usual).is_ok() {
        return Ok(usual);
    }
    Err(Failure::new(Code::E0112, "no repository is named")
        .because(format!("and there is none at the usual place, {}", text::path(&usual)))
        .fix("snap init"))
}

/// The directory that is named; a place that only a later version may reach is no directory.
pub(super) fn supported(cx: &Context<'_>, named: &Path) -> Result<PathBuf, Failure> {
    const SCHEMES: [&str; 8] = ["sftp", "s3", "rest", "gs", "azure", "b2", "swift", "rclone"];
    let scheme = named.to_str().and_then(|text| text.split_once(':')).map(|(scheme, _)| scheme);
    match scheme.filter(|scheme| SCHEMES.contains(scheme)) {
        Some(scheme) => {
            let message = format!("repositories behind {scheme}: are not supported");
            Err(Failure::new(Code::E0152, message))
        }
        None => Ok(cx.environment.directory.join(named)),
    }
}

/// The repository that is named somewhere, if any.
pub(super) fn named(cx: &Context<'_>) -> Result<Option<PathBuf>, Failure> {
    if let Some(flag) = &cx.global.repo {
        return Ok(Some(flag.clone()));
    }
    if let Some(place) = cx.environment.path("SNAP_REPOSITORY") {
        return Ok(Some(place));
    }
    if let Some(file) = cx.environment.path("SNAP_REPOSITORY_FILE") {
        let read = fs::read_to_string(&file).map_err(|error| {
            let message = format!("cannot read SNAP_REPOSITORY_FILE {}", text::path(&file));
            Failure::new(Code::E0009, message).because(error.to_string())
        })?;
        return Ok(Some(PathBuf::from(read.trim_end())));
    }
    Ok(cx.config()?.repository.location.clone())
}

/// Where a repository lies if nobody says otherwise.
pub(super) fn usual(cx: &Context<'_>) -> Result<PathBuf, Failure> {
    if cx.environment.is_root {
        return Ok(PathBuf::from("/srv/backup/snap-backup"));
    }
    let home = cx.environment.path("HOME").or_else(|| cx.environment.account_home.clone());
    let home = home.filter(|home| home.is_absolute()).ok_or_else(|| {
        Failure::new(Code::E0112, "no repository is named").because("and there is no home")
    })?;
    Ok(home.join(".local/share/snap-backup/repo"))
}

/// What opens the repository.
#[derive(Debug)]
pub(super) enum Opener {
    /// A key file: also what `recover` uses at boot.
    KeyFile(PathBuf),
    /// A passphrase that was named or typed.
    Passphrase(secrecy::SecretString),
}

/// An open repository, and by what it was opened.
pub(super) struct Opened {
    pub(super) repository: Repository,
    /// The key file, if one opened it.
    pub(super) key_file: Option<PathBuf>,
}

/// Opens the repository that is meant.
pub(super) fn open(cx: &Context<'_>) -> Result<Opened, Failure> {
    open_at(cx, &location(cx)?, explicit(cx)?)
}

/// Opens a second repository, named on the command line: by a machine key, or its passphrase. The
/// key file of the command line is the first one's.
pub(super) fn open_other(cx: &Context<'_>, named: &Path) -> Result<Repository, Failure> {
    Ok(open_at(cx, &supported(cx, named)?, None)?.repository)
}

fn open_at(cx: &Context<'_>, location: &Path, explicit: Option<Opener>) -> Result<Opened, Failure> {
    let located = |error: RepositoryError| {
        let missing = matches!(error, RepositoryError::NotFound { .. });
        let failure = Failure::from(error).with("repo", repo_flag(cx, location));
        match like(location).filter(|_| missing) {
            Some(near) => failure.tip(format!("did you mean {}?", text::path(&near))),
            None => failure,
        }
    };
    // Nobody is asked for the passphrase of a repository that is not there.
    Local::open(location).map_err(located)?;
    let cache = cx.directories.cache().map(PathBuf::as_path);
    let opener = if let Some(opener) = explicit {
        opener
    } else if let Some(opened) = with_machine_keys(cx, location, cache)? {
        return Ok(opened);
    } else {
        let named = secret::named(cx, Which::Existing)?;
        let asked = || secret::asked(cx, Which::Existing, "recovery passphrase");
        Opener::Passphrase(named.map_or_else(asked, Ok)?)
    };
    let unlock = match &opener {
        Opener::KeyFile(path) => Unlock::KeyFile(path),
        Opener::Passphrase(passphrase) => Unlock::Passphrase(passphrase),
    };
    let repository = Repository::open(location, &unlock, cache).map_err(located)?;
    scratch(cx, &repository);
    let key_file = match opener {
        Opener::KeyFile(path) => Some(path),
        Opener::Passphrase(_) => None,
    };
    Ok(Opened { repository, key_file })
}

/// Where files without a name may lie.
fn scratch(cx: &Context<'_>, repository: &Repository) {
    if let Some(dir) = cx.environment.path("TMPDIR") {
        repository.scratch_in(cx.environment.directory.join(dir));
    }
}

/// The `-r` that a pasted command needs, with a blank after it.
pub(super) fn repo_flag(cx: &Context<'_>, location: &Path) -> String {
    match cx.global.repo {
        Some(_) => format!("-r {} ", text::path(location)),
        None => String::new(),
    }
}

/// What was named for this run: it is used, and nothing else is tried.
fn explicit(cx: &Context<'_>) -> Result<Option<Opener>, Failure> {
    if cx.global.password_file.is_some() || cx.global.password_command.is_some() {
        return Ok(secret::named(cx, Which::Existing)?.map(Opener::Passphrase));
    }
    let flag = cx.global.key_file.clone();
    let key = match flag.or_else(|| cx.environment.path("SNAP_KEY_FILE")) {
        Some(key) => Some(cx.environment.directory.join(key)),
        None => cx.config()?.repository.key_file.clone(),
    };
    Ok(key.or_else(|| cx.credential("snap-backup.key")).map(Opener::KeyFile))
}

/// Tries the machine keys of the configuration directory. It costs no key derivation.
fn with_machine_keys(
    cx: &Context<'_>,
    location: &Path,
    cache: Option<&Path>,
) -> Result<Option<Opened>, Failure> {
    let Ok(config) = cx.directories.config() else { return Ok(None) };
    let Ok(entries) = fs::read_dir(config.join("keys")) else { return Ok(None) };
    let mut keys: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "key"))
        .collect();
    keys.sort();
    for key in keys {
        match Repository::open(location, &Unlock::KeyFile(&key), cache) {
            Ok(repository) => {
                scratch(cx, &repository);
                return Ok(Some(Opened { repository, key_file: Some(key) }));
            }
            // A key of another repository, or one that is not ours to read.
            Err(RepositoryError::WrongKey { .. } | RepositoryError::KeyFile { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}

/// A repository beside the place that was named, with nearly that name.
fn like(location: &Path) -> Option<PathBuf> {
    let (parent, name) = (location.parent()?, location.file_name()?.to_str()?);
    let near = |dir: &Path, name: &str| -> Option<PathBuf> {
        let names: Vec<String> = fs::read_dir(dir)
            .ok()?
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|other| other != name)
            .collect();
        suggest::nearest(name, names.iter().map(String::as_str)).map(|name| dir.join(name))
    };
    if parent.is_dir() {
        return near(parent, name).filter(|path| Local::open(path).is_ok());
    }
    let beside = near(parent.parent()?, parent.file_name()?.to_str()?)?.join(name);
    Local::open(&beside).is_ok().then_some(beside)
}
