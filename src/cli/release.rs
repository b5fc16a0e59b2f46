//! Which release is meant, and what was decided about it on the command line.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use regex::Regex;

use crate::app::App;
use crate::app::profile::Profile;
use crate::app::release::{
    self, Checksum, GitCommit, GitSource, Import, Imported, Limits, ReleaseSource,
};
use crate::monitor::{Monitor, News};
use crate::os::clock;
use crate::repository::{ObjectId, Repository};
use crate::tree::TreePath;
use crate::upgrade::Staged;
use crate::upgrade::merge::Typed;
use crate::upgrade::plan::PlannedCommit;
use crate::upgrade::plan::judge::Allowed;

use super::failure::{Code, Failure};
use super::render::{counted, size};
use super::text;
use super::transaction::Place;

/// The flags of `plan` and `upgrade`.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct Args {
    /// The version to go to, as a tag of the installation's own git repository
    #[arg(long, value_name = "VERSION", group = "source", help_heading = "What")]
    to: Option<String>,
    /// A directory with the release
    #[arg(long, value_name = "DIR", group = "source", help_heading = "What")]
    from_dir: Option<PathBuf>,
    /// A tar archive, plain or packed by gzip or zstd
    #[arg(long, value_name = "FILE", group = "source", help_heading = "What")]
    from_archive: Option<PathBuf>,
    /// A tag, branch or commit of the installation's git repository, or REPOSITORY#REF
    #[arg(long, value_name = "REF", group = "source", help_heading = "What")]
    from_git: Option<String>,
    /// What the archive must come to: sha256:HEX or sha512:HEX
    #[arg(long, value_name = "SUM", requires = "from_archive", help_heading = "Safety")]
    checksum: Option<String>,
    /// The pristine old release: a directory, an archive or a git reference
    #[arg(long, value_name = "RELEASE", help_heading = "What")]
    base: Option<String>,
    /// Keep yours of a file edited by hand
    #[arg(long, value_name = "PATH", help_heading = "What")]
    keep: Vec<String>,
    /// Take the release's of a file edited by hand
    #[arg(long, value_name = "PATH", help_heading = "What")]
    take: Vec<String>,
    /// Answer a question of the migration: 'REGEX=REPLY'
    #[arg(long, value_name = "REGEX=REPLY", help_heading = "What")]
    answer: Vec<String>,
    /// A major release is fine
    #[arg(long, help_heading = "Safety")]
    pub(super) allow_major: bool,
    /// An older release is fine
    #[arg(long, help_heading = "Safety")]
    allow_downgrade: bool,
    /// Fetch nothing
    #[arg(long, help_heading = "Safety")]
    no_fetch: bool,
}

/// A release and its base, taken into the repository.
pub(super) struct Found {
    pub(super) staged: Staged,
    pub(super) base: Option<ObjectId>,
}

impl Args {
    /// Takes the release, and the base if one is named, into the repository.
    pub(super) fn import(
        &self,
        place: &Place<'_>,
        repository: &Repository,
        app: &App,
    ) -> Result<Found, Failure> {
        let here = &place.cx.environment.directory;
        let sum = self.checksum.as_deref().map(Checksum::parse).transpose()?;
        let base = match &self.base {
            Some(base) => {
                let source = self.base_source(app, here, base);
                Some(bring(place, repository, &app.profile, "old release", &source, None)?.snapshot)
            }
            None => None,
        };
        let source = self.source(app, here)?;
        let release = bring(place, repository, &app.profile, "release", &source, sum.as_ref())?;
        let staged = Staged {
            snapshot: release.snapshot,
            version: release.version,
            layout: release.layout,
            origin: release.origin,
            commit: release
                .commit
                .map(|GitCommit { repository, id }| PlannedCommit { repository, id }),
            warnings: release.warnings,
        };
        Ok(Found { staged, base })
    }

    fn source(&self, app: &App, here: &Path) -> Result<ReleaseSource, Failure> {
        if let Some(dir) = &self.from_dir {
            return Ok(ReleaseSource::Directory(here.join(dir)));
        }
        if let Some(archive) = &self.from_archive {
            return Ok(ReleaseSource::Archive(here.join(archive)));
        }
        if let Some(reference) = &self.from_git {
            return Ok(self.git(app, here, reference));
        }
        if let Some(version) = &self.to {
            // Tags are written with or without the letter; the release itself says what it is.
            let bare = version.trim_start_matches('v');
            return Ok(self.git(app, here, &format!("v{bare}")));
        }
        Err(Failure::new(Code::E0501, "upgrade to what? no release is named")
            .tip("--to VERSION, --from-dir, --from-archive or --from-git"))
    }

    fn git(&self, app: &App, here: &Path, typed: &str) -> ReleaseSource {
        let fetch = !self.no_fetch;
        let (repository, reference) = match typed.split_once('#') {
            Some((place, reference)) if place.contains("://") => (PathBuf::from(place), reference),
            Some((place, reference)) => (here.join(place), reference),
            None => (app.root.clone(), typed),
        };
        let reference = reference.to_owned();
        ReleaseSource::Git(GitSource { repository, reference, remote: None, fetch })
    }

    fn base_source(&self, app: &App, here: &Path, typed: &str) -> ReleaseSource {
        let path = here.join(typed);
        if path.is_dir() {
            ReleaseSource::Directory(path)
        } else if path.is_file() {
            ReleaseSource::Archive(path)
        } else {
            self.git(app, here, typed)
        }
    }

    /// `--keep` and `--take`: paths from the root, or absolute ones below it.
    pub(super) fn typed(&self, app: &App) -> Result<BTreeMap<TreePath, Typed>, Failure> {
        let mut typed = BTreeMap::new();
        for (paths, choice) in [(&self.keep, Typed::Keep), (&self.take, Typed::Take)] {
            for one in paths {
                let below = Path::new(one).strip_prefix(&app.root).unwrap_or(Path::new(one));
                let path = TreePath::parse(below.as_os_str().as_bytes()).map_err(|_| {
                    Failure::new(Code::E0001, format!("'{one}' is no path below the root"))
                        .tip(format!("the root is {}", text::path(&app.root)))
                })?;
                if typed.insert(path, choice).is_some_and(|other| other != choice) {
                    let message = format!("{one} cannot be both kept and taken");
                    return Err(Failure::new(Code::E0001, message));
                }
            }
        }
        Ok(typed)
    }

    /// The jumps that somebody gave their word for.
    pub(super) const fn allowed(&self) -> Allowed {
        Allowed { major: self.allow_major, downgrade: self.allow_downgrade }
    }

    /// Answers by the pattern of their questions.
    pub(super) fn answers(&self) -> Result<Vec<(Regex, String)>, Failure> {
        let answer = |typed: &String| {
            // A pattern may hold `=`; a reply that does would be a strange one.
            let (pattern, reply) = typed
                .rsplit_once('=')
                .ok_or_else(|| Failure::new(Code::E0001, "an answer is given as 'REGEX=REPLY'"))?;
            let regex = Regex::new(pattern).map_err(|error| {
                Failure::new(Code::E0001, format!("'{pattern}' is not a regular expression"))
                    .because(error.to_string())
            })?;
            Ok((regex, reply.to_owned()))
        };
        self.answer.iter().map(answer).collect()
    }
}

fn bring(
    place: &Place<'_>,
    repository: &Repository,
    profile: &Profile,
    what: &str,
    source: &ReleaseSource,
    checksum: Option<&Checksum>,
) -> Result<Imported, Failure> {
    let monitor = &place.progress;
    let (name, watch) = (format!("take in the {what}"), clock::stopwatch());
    monitor.tell(News::StepStarted { number: 0, name: name.clone() });
    let import = Import {
        source,
        profile,
        checksum,
        limits: Limits::default(),
        trampoline: place.trampoline(),
        cache_dir: place.cache_dir(),
    };
    let imported = monitor.during(|| release::import(repository, &import, monitor));
    let imported = imported.inspect_err(|error| {
        let (name, cause) = (name.clone(), error.to_string());
        monitor.tell(News::StepFailed { number: 0, name, took: watch.elapsed(), cause });
    })?;
    let (files, bytes) = (counted(imported.files, "file", "files"), size(imported.bytes));
    let note = format!("{} from {}: {files}, {bytes}", imported.version.as_str(), imported.origin);
    monitor.tell(News::StepDone { number: 0, name, took: watch.elapsed(), note });
    for what in &imported.warnings {
        monitor.tell(News::Warning { what: what.clone() });
    }
    Ok(imported)
}
