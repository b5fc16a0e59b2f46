//! A tag, branch or commit of a git repository.
//!
//! Objects are read by `ls-tree` and `cat-file`: `archive` would leave out what the authors marked
//! export-ignore. Git runs as the owner of the repository, with no hooks and no configuration but
//! the repository's own; the live repository is only read. What it lacks is fetched into a bare
//! copy of ours.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use crate::app::AppError;
use crate::os::beneath::Dir;
use crate::os::meta::Stamp;
use crate::os::process::{self, Trampoline, Wiring};
use crate::os::{clock, file};
use crate::repository::RepositoryError;
use crate::snapshot::tidy_directories;
use crate::tree::Mtime;

use super::ReleaseError;
use super::checkout::GitCommit;
use super::collect::{Collection, bad};
use super::git_command::{FETCH, Git, QUESTION, is_id};

/// A commit in a git repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitSource {
    /// A work tree or a bare repository on this machine; or, to fetch from, a URL.
    pub repository: PathBuf,
    /// A tag, a branch or a commit.
    pub reference: String,
    /// Where it is fetched from if the repository lacks it: a URL or path. `None`: the
    /// repository's own `origin`.
    pub remote: Option<String>,
    /// Whether anything may be fetched.
    pub fetch: bool,
}

/// How git is run.
pub(super) struct Tools<'a> {
    pub(super) trampoline: &'a Trampoline,
    /// Where bare copies are kept.
    pub(super) cache_dir: &'a Path,
}

/// What a copy is called has so many digits.
const NAME_DIGITS: usize = 32;

/// Asked for at once, so that git and we work at the same time.
const BATCH: usize = 128;

/// Reads the commit that `source` names into `collection`.
pub(super) fn read(
    source: &GitSource,
    tools: &Tools<'_>,
    collection: &mut Collection<'_, '_>,
) -> Result<GitCommit, AppError> {
    let git = locate(source, tools)?;
    let commit = git.find_commit(&source.reference)?;
    let (git, id) = match commit {
        Some(id) => (git, id),
        None if source.fetch => fetched(&git, source, tools)?,
        None => return Err(no_reference(source)),
    };
    let mtime = git.commit_time(&id)?;
    let entries = git.list(&id)?;
    take(&git, &entries, mtime, collection)?;
    Ok(GitCommit { repository: git.dir.clone(), id })
}

fn no_reference(source: &GitSource) -> AppError {
    ReleaseError::NoReference {
        path: source.repository.clone(),
        reference: source.reference.clone(),
    }
    .into()
}

/// The repository directory of a work tree, or the bare repository itself.
fn locate<'a>(source: &GitSource, tools: &Tools<'a>) -> Result<Git<'a>, AppError> {
    let not_found = |source_error| ReleaseError::NotFound {
        path: source.repository.clone(),
        source: source_error,
    };
    let inner = source.repository.join(".git");
    let dir = if inner.exists() { inner } else { source.repository.clone() };
    std::fs::metadata(&dir).map_err(not_found)?;
    if !dir.join("HEAD").exists() && !dir.is_file() {
        return Err(not_found(io::Error::other("it is no git repository")).into());
    }
    Git::of_its_owner(tools.trampoline, &dir).map_err(|error| not_found(error).into())
}

/// Fetches into our own bare copy what the repository lacks.
fn fetched<'a>(
    git: &Git<'a>,
    source: &GitSource,
    tools: &Tools<'a>,
) -> Result<(Git<'a>, String), AppError> {
    let remote = match &source.remote {
        Some(remote) => remote.clone(),
        None => git.origin()?.ok_or_else(|| no_reference(source))?,
    };
    let name = blake3::hash(remote.as_bytes()).to_hex();
    let dir = tools.cache_dir.join("git").join(&name[..NAME_DIGITS]);
    let io = |source| AppError::Read { path: dir.clone(), source };
    file::create_dirs(&dir, 0o700).map_err(io)?;
    note_use(&dir);
    let copy = Git::ours(tools.trampoline, &dir);
    copy.must(&["init", "--quiet", "--bare"], QUESTION)?;
    let refspecs = ["+refs/tags/*:refs/tags/*", "+refs/heads/*:refs/remotes/origin/*"];
    let mut arguments = vec![
        "fetch",
        "--quiet",
        "--no-auto-gc",
        "--no-write-fetch-head",
        "--end-of-options",
        &remote,
    ];
    arguments.extend(refspecs);
    copy.must(&arguments, FETCH)?;
    let id = copy.find_commit(&source.reference)?.ok_or_else(|| no_reference(source))?;
    Ok((copy, id))
}

/// Its time says when a copy was last used: see [`tidy`].
fn note_use(dir: &Path) {
    let secs = clock::now().0 / 1_000_000_000;
    let _ = Dir::open_root(dir).and_then(|dir| dir.at().set_mtime(Stamp { secs, nanos: 0 }));
}

/// Removes our copies of repositories that nobody asked for in months.
pub fn tidy(cache_dir: &Path) {
    let is_ours = |name: &[u8]| name.len() == NAME_DIGITS && name.iter().all(u8::is_ascii_hexdigit);
    tidy_directories(&cache_dir.join("git"), is_ours);
}

impl Git<'_> {
    /// A tag before a branch of the same name; `tags/v1` and ids are understood too.
    fn find_commit(&self, reference: &str) -> Result<Option<String>, AppError> {
        let candidates = ["refs/tags/", "refs/", "refs/heads/", "refs/remotes/origin/", ""];
        for prefix in candidates {
            let name = format!("{prefix}{reference}^{{commit}}");
            let asked = ["rev-parse", "--verify", "--quiet", "--end-of-options", &name];
            let captured = self.ask(&asked, QUESTION)?;
            let id = String::from_utf8_lossy(&captured.out).trim().to_owned();
            if captured.code() == Some(0) && is_id(&id) {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    fn origin(&self) -> Result<Option<String>, AppError> {
        let captured = self.ask(&["config", "--local", "--get", "remote.origin.url"], QUESTION)?;
        let url = String::from_utf8_lossy(&captured.out).trim().to_owned();
        Ok((captured.code() == Some(0) && !url.is_empty()).then_some(url))
    }

    /// When the commit was made: the time of all its files.
    fn commit_time(&self, id: &str) -> Result<Mtime, AppError> {
        let raw = self.must(&["cat-file", "commit", id], QUESTION)?;
        let text = String::from_utf8_lossy(&raw);
        let line = text.lines().take_while(|line| !line.is_empty());
        let mut committer = line.filter_map(|line| line.strip_prefix("committer "));
        let time = committer.next().and_then(|line| line.rsplit(' ').nth(1)?.parse().ok());
        let secs = time.ok_or_else(|| self.odd("cat-file"))?;
        Ok(Mtime { secs, nanos: 0 })
    }

    fn list(&self, id: &str) -> Result<Vec<Listed>, AppError> {
        let raw = self.must(&["ls-tree", "-r", "-t", "-z", "-l", "--full-tree", id], QUESTION)?;
        let lines = raw.split(|byte| *byte == 0).filter(|line| !line.is_empty());
        lines.map(|line| Listed::parse(line).ok_or_else(|| self.odd("ls-tree"))).collect()
    }
}

/// One line of `ls-tree`.
struct Listed {
    mode: u32,
    id: String,
    /// Of a blob.
    size: u64,
    path: Vec<u8>,
}

impl Listed {
    /// `100644 blob ID    SIZE<TAB>PATH`
    fn parse(line: &[u8]) -> Option<Self> {
        let tab = line.iter().position(|byte| *byte == b'\t')?;
        let head = std::str::from_utf8(&line[..tab]).ok()?;
        let mut fields = head.split_ascii_whitespace();
        let mode = u32::from_str_radix(fields.next()?, 8).ok()?;
        let _kind = fields.next()?;
        let id = fields.next().filter(|id| is_id(id))?.to_owned();
        let size = fields.next()?.parse().unwrap_or_default();
        Some(Self { mode, id, size, path: line[tab + 1..].to_vec() })
    }
}

const TREE: u32 = 0o040_000;
const FILE: u32 = 0o100_644;
const GROUP_WRITABLE: u32 = 0o100_664;
const EXECUTABLE: u32 = 0o100_755;
const LINK: u32 = 0o120_000;
const SUBMODULE: u32 = 0o160_000;

/// Stores all entries; the blobs come through one conversation with git.
fn take(
    git: &Git<'_>,
    entries: &[Listed],
    mtime: Mtime,
    collection: &mut Collection<'_, '_>,
) -> Result<(), AppError> {
    let mut blobs = Vec::new();
    for entry in entries {
        let Some(path) = collection.path(&entry.path)? else { continue };
        match entry.mode {
            TREE => collection.directory(path, mtime)?,
            SUBMODULE => {
                let what = format!("{path} is a submodule, which the release does not bring");
                collection.warnings.push(what);
                collection.directory(path, mtime)?;
            }
            FILE | GROUP_WRITABLE | EXECUTABLE | LINK => blobs.push((entry, path)),
            _ => return Err(bad(&entry.path, "it is of an unknown kind")),
        }
    }
    let arguments = ["cat-file", "--batch"];
    let mut fed = git.launch(&arguments, Wiring::Fed, process::feed)?;
    let talked = (|| {
        let mut answers = BufReader::with_capacity(256 * 1024, &mut fed.output);
        for batch in blobs.chunks(BATCH) {
            let mut asked = String::new();
            for (entry, _) in batch {
                asked.push_str(&entry.id);
                asked.push('\n');
            }
            fed.input.write_all(asked.as_bytes()).map_err(|error| silent(git, error))?;
            for (entry, path) in batch {
                blob(git, entry, path.clone(), mtime, &mut answers, collection)?;
            }
        }
        Ok(())
    })();
    match talked {
        Ok(()) => {
            let status = fed.finish().map_err(|error| silent(git, error))?;
            if status.success() { Ok(()) } else { Err(git.odd("cat-file")) }
        }
        Err(error) => {
            fed.kill();
            Err(error)
        }
    }
}

fn silent(git: &Git<'_>, source: io::Error) -> AppError {
    ReleaseError::Unreadable { path: git.dir.clone(), source }.into()
}

/// `ID blob SIZE`, the bytes, a newline.
fn blob(
    git: &Git<'_>,
    entry: &Listed,
    path: crate::tree::TreePath,
    mtime: Mtime,
    answers: &mut impl BufRead,
    collection: &mut Collection<'_, '_>,
) -> Result<(), AppError> {
    let mut head = Vec::new();
    answers.take(200).read_until(b'\n', &mut head).map_err(|error| silent(git, error))?;
    if head != format!("{} blob {}\n", entry.id, entry.size).as_bytes() {
        return Err(git.odd("cat-file"));
    }
    if entry.mode == LINK {
        let mut target = Vec::new();
        answers.take(entry.size.min(4096)).read_to_end(&mut target).map_err(|e| silent(git, e))?;
        collection.link(path, &target, mtime)?;
    } else {
        let mut content = (&mut *answers).take(entry.size);
        let kept = collection.file(path, &mut content, entry.size, entry.mode == EXECUTABLE, mtime);
        kept.map_err(|error| match error {
            AppError::Repository(RepositoryError::Source(error)) => silent(git, error),
            other => other,
        })?;
    }
    let mut newline = [0];
    answers.read_exact(&mut newline).map_err(|error| silent(git, error))?;
    if newline == [b'\n'] { Ok(()) } else { Err(git.odd("cat-file")) }
}
