//! From a source to a snapshot of class `release`.

use std::path::{Path, PathBuf};

use crate::app::AppError;
use crate::app::detect::{self, Declared};
use crate::app::files::{Files, Stored};
use crate::app::profile::Profile;
use crate::app::version::AppVersion;
use crate::monitor::{Counter, Monitor};
use crate::os::crash::{CrashPoint, reach};
use crate::os::process::Trampoline;
use crate::repository::{ObjectId, PackClass, Repository, WriteOptions};
use crate::snapshot::{self, AppMark, Class};
use crate::tree::{Entry, TreePath};

use super::checkout::GitCommit;
use super::collect::{Collection, Totals};
use super::git::Tools;
use super::{Checksum, Limits, ReleaseError, ReleaseSource, archive, directory, git};

/// What is taken in, and with what.
pub struct Import<'a> {
    /// Where it is.
    pub source: &'a ReleaseSource,
    /// Whose release it must be.
    pub profile: &'a Profile,
    /// What an archive must come to.
    pub checksum: Option<&'a Checksum>,
    /// How much it may be.
    pub limits: Limits,
    /// How git is started.
    pub trampoline: &'a Trampoline,
    /// Where bare copies of git repositories are kept.
    pub cache_dir: &'a Path,
}

/// A release that is in the repository.
#[derive(Clone, Debug)]
pub struct Imported {
    /// Its snapshot.
    pub snapshot: ObjectId,
    /// Its root.
    pub root: Entry,
    /// What it declares itself.
    pub version: AppVersion,
    /// Which of the profile's layouts it has.
    pub layout: String,
    /// The PHP it says that it needs.
    pub php: Option<String>,
    /// Where it came from, as the user reads it.
    pub origin: String,
    /// Files in it.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Whether its archive had the checksum that was asked for, or that lay beside it.
    pub checksum: Option<String>,
    /// The commit that it was read from, if it came from git.
    pub commit: Option<GitCommit>,
    /// What was strange about it.
    pub warnings: Vec<String>,
}

/// Where a release came from, in the words of its source.
#[derive(Default)]
struct Origin {
    said: String,
    checksum: Option<String>,
    commit: Option<GitCommit>,
}

/// Takes a release in. A release that is in the repository already is not stored twice.
///
/// On an error there is no snapshot of it; what was stored is found by the next prune.
pub fn import(
    repository: &Repository,
    import: &Import<'_>,
    monitor: &dyn Monitor,
) -> Result<Imported, AppError> {
    let writer = repository.begin(&WriteOptions::default()).map_err(AppError::Repository)?;
    let bundle = writer.bundle(PackClass::Data);
    let mut collection = Collection::new(repository, bundle, import.limits);
    let Origin { said: origin, checksum, commit } = read(import, &mut collection)?;
    let prefix = prefix(import.profile, &collection);
    let (root, totals, warnings) = collection.finish(prefix.as_ref())?;
    writer.sync().map_err(AppError::Repository)?;
    monitor.count(Counter::Entries, totals.files + totals.directories + totals.links);
    monitor.count(Counter::BytesRead, totals.bytes);

    let files = Stored::new(repository, &root, "the release");
    let files: &dyn Files = &files;
    let Declared { layout, version } = detect::declared(import.profile, files)
        .map_err(|error| not_of_app(import.profile, error))?;
    let php = import.profile.release.php.as_ref();
    let php = php.map(|rule| detect::declared_text(rule, files)).transpose()?.flatten();
    reach(CrashPoint::ReleaseStored);
    let snapshot = if let Some(id) = known(repository, import.profile, &root)? {
        id
    } else {
        let mark = AppMark {
            name: import.profile.app.clone(),
            version: version.as_str().to_owned(),
            profile: import.profile.name.clone(),
        };
        let told = snapshot::Told { mark, note: origin.clone(), counts: counts(totals) };
        snapshot::keep_tree(writer, Class::Release, root.clone(), told)?
    };
    Ok(Imported {
        snapshot,
        root,
        version,
        layout,
        php,
        origin,
        files: totals.files,
        bytes: totals.bytes,
        checksum,
        commit,
        warnings,
    })
}

fn counts(totals: Totals) -> snapshot::Counts {
    snapshot::Counts {
        files: totals.files,
        directories: totals.directories + 1,
        others: totals.links,
        bytes: totals.bytes,
        files_read: totals.files,
        bytes_read: totals.bytes,
        ..snapshot::Counts::default()
    }
}

/// Reads the source.
fn read(import: &Import<'_>, collection: &mut Collection<'_, '_>) -> Result<Origin, AppError> {
    match import.source {
        ReleaseSource::Directory(path) => {
            directory::read(path, collection)?;
            Ok(Origin { said: format!("directory {}", path.display()), ..Origin::default() })
        }
        ReleaseSource::Archive(path) => {
            let beside = match import.checksum {
                Some(_) => None,
                None => checksum_beside(path)?,
            };
            let wanted = import.checksum.or(beside.as_ref());
            archive::read(path, wanted, import.limits, collection)?;
            let checksum = wanted.map(ToString::to_string);
            Ok(Origin { said: format!("archive {}", path.display()), checksum, commit: None })
        }
        ReleaseSource::Git(source) => {
            let tools = Tools { trampoline: import.trampoline, cache_dir: import.cache_dir };
            let commit = git::read(source, &tools, collection)?;
            let short = &commit.id[..12];
            let said = format!("git {} ({short})", source.reference);
            Ok(Origin { said, checksum: None, commit: Some(commit) })
        }
    }
}

/// `x.tar.gz.sha256` beside `x.tar.gz`, as vendors publish it. If it is there it must fit.
fn checksum_beside(archive: &Path) -> Result<Option<Checksum>, AppError> {
    for ending in ["sha512", "sha256"] {
        let mut name = archive.as_os_str().to_owned();
        name.push(".");
        name.push(ending);
        if let Ok(text) = std::fs::read_to_string(PathBuf::from(name)) {
            return Ok(Some(Checksum::parse(&text)?));
        }
    }
    Ok(None)
}

/// The leading directory that is dropped: where the release really begins.
fn prefix(profile: &Profile, collection: &Collection<'_, '_>) -> Option<TreePath> {
    let fits = |prefix: Option<&TreePath>| {
        profile.layouts.iter().any(|layout| {
            layout.require.iter().all(|path| collection.has(prefix, path))
                && !layout.forbid.iter().any(|path| collection.has(prefix, path))
        })
    };
    if fits(None) {
        return None;
    }
    for pattern in &profile.release.strip {
        let Ok(glob) = globset::GlobBuilder::new(pattern).literal_separator(true).build() else {
            continue;
        };
        let glob = glob.compile_matcher();
        let depth = pattern.split('/').count();
        let mut dirs = collection.directories(depth).into_iter();
        let found =
            dirs.find(|dir| glob.is_match(crate::app::files::as_path(dir)) && fits(Some(dir)));
        if found.is_some() {
            return found;
        }
    }
    collection.only_top_directory().filter(|top| fits(Some(top)))
}

/// A tree that no layout fits is no release of this application; say so as such.
fn not_of_app(profile: &Profile, error: AppError) -> AppError {
    let why = match error {
        AppError::NoLayout { why_not, .. } => why_not,
        AppError::AmbiguousLayout { layouts, .. } => {
            format!("it fits several layouts: {}", layouts.join(", "))
        }
        other => return other,
    };
    ReleaseError::NotOfApp { app: profile.app.clone(), why }.into()
}

/// The snapshot of the very same tree, if the repository has one.
fn known(
    repository: &Repository,
    profile: &Profile,
    root: &Entry,
) -> Result<Option<ObjectId>, AppError> {
    let same = snapshot::list(repository)?.into_iter().find(|snapshot| {
        snapshot.class == Class::Release
            && snapshot.app.as_ref().is_some_and(|app| app.name == profile.app)
            && snapshot.roots.first().is_some_and(|one| one.entry == *root)
    });
    Ok(same.map(|snapshot| snapshot.id))
}
