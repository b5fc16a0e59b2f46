//! A tag, branch or commit of a git repository.
//!
//! Objects are read by `ls-tree` and `cat-file`: `archive` would leave out what the authors marked
//! export-ignore. Git runs as the owner of the repository, with no hooks and no configuration but
//! the repository's own; the live repository is only read. What it lacks is fetched into a bare
//! copy of ours.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::app::{Account, AppError};
use crate::os::file;
use crate::os::process::{self, CaptureLimits, Captured, Launch, Trampoline, Wiring};
use crate::repository::RepositoryError;
use crate::tree::Mtime;

use super::ReleaseError;
use super::collect::{Collection, bad};

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

/// What a commit is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Commit {
    pub(super) id: String,
}

/// How git is run.
pub(super) struct Tools<'a> {
    pub(super) trampoline: &'a Trampoline,
    /// Where bare copies are kept.
    pub(super) cache_dir: &'a Path,
}

/// Questions are answered at once; a fetch may have to bring a whole history.
const QUESTION: CaptureLimits =
    CaptureLimits { timeout: Duration::from_mins(2), bytes_max: 256 << 20 };
const FETCH: CaptureLimits = CaptureLimits { timeout: Duration::from_mins(30), bytes_max: 1 << 20 };

/// Asked for at once, so that git and we work at the same time.
const BATCH: usize = 128;

/// Reads the commit that `source` names into `collection`.
pub(super) fn read(
    source: &GitSource,
    tools: &Tools<'_>,
    collection: &mut Collection<'_, '_>,
) -> Result<Commit, AppError> {
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
    Ok(Commit { id })
}

fn no_reference(source: &GitSource) -> AppError {
    ReleaseError::NoReference {
        path: source.repository.clone(),
        reference: source.reference.clone(),
    }
    .into()
}

/// A repository, and as whom it is read.
struct Git<'a> {
    trampoline: &'a Trampoline,
    dir: PathBuf,
    account: Option<Account>,
}

/// The repository directory of a work tree, or the bare repository itself.
fn locate<'a>(source: &GitSource, tools: &Tools<'a>) -> Result<Git<'a>, AppError> {
    let not_found = |source_error| ReleaseError::NotFound {
        path: source.repository.clone(),
        source: source_error,
    };
    let inner = source.repository.join(".git");
    let dir = if inner.exists() { inner } else { source.repository.clone() };
    let meta = std::fs::metadata(&dir).map_err(not_found)?;
    if !dir.join("HEAD").exists() && !dir.is_file() {
        return Err(not_found(io::Error::other("it is no git repository")).into());
    }
    let owner = Account::by_id(meta.uid(), meta.gid());
    let caller = Account::caller();
    let account = (caller.is_root() && !owner.is_root()).then_some(owner);
    Ok(Git { trampoline: tools.trampoline, dir, account })
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
    let dir = tools.cache_dir.join("git").join(&name[..32]);
    let io = |source| AppError::Read { path: dir.clone(), source };
    file::create_dirs(&dir, 0o700).map_err(io)?;
    let copy = Git { trampoline: tools.trampoline, dir: dir.clone(), account: None };
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

impl Git<'_> {
    fn argv(&self, arguments: &[&str]) -> Vec<OsString> {
        let mut argv = process::argv(["git", "--git-dir"]);
        argv.push(self.dir.clone().into_os_string());
        // Transports that run commands named by a URL stay closed.
        for setting in [
            "core.hooksPath=/dev/null",
            "core.fsmonitor=false",
            "protocol.allow=never",
            "protocol.file.allow=always",
            "protocol.git.allow=always",
            "protocol.http.allow=always",
            "protocol.https.allow=always",
            "protocol.ssh.allow=always",
            "fetch.recurseSubmodules=false",
            "transfer.fsckObjects=true",
            "gc.auto=0",
        ] {
            argv.extend(process::argv(["-c", setting]));
        }
        argv.extend(process::argv(arguments));
        argv
    }

    fn environment() -> Vec<(OsString, OsString)> {
        [
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_OPTIONAL_LOCKS", "0"),
            ("GIT_NO_REPLACE_OBJECTS", "1"),
            ("GIT_NO_LAZY_FETCH", "1"),
            ("GIT_SSH_COMMAND", "ssh -oBatchMode=yes"),
            ("HOME", "/nonexistent"),
            ("LC_ALL", "C"),
        ]
        .map(|(name, value)| (name.into(), value.into()))
        .into()
    }

    fn launch<T>(
        &self,
        arguments: &[&str],
        wiring: Wiring,
        run: impl FnOnce(&Launch<'_>) -> Result<T, process::LaunchError>,
    ) -> Result<T, AppError> {
        let identity = self.account.as_ref().map(Account::identity);
        let argv = self.argv(arguments);
        let launched = run(&Launch {
            trampoline: self.trampoline,
            argv: &argv,
            dir: Path::new("/"),
            env: &Self::environment(),
            identity: identity.as_ref(),
            wiring,
            token: &process::fresh_token(),
        });
        Ok(launched.map_err(ReleaseError::NoGit)?)
    }

    fn ask(&self, arguments: &[&str], limits: CaptureLimits) -> Result<Captured, AppError> {
        self.launch(arguments, Wiring::Pipes, |launch| process::capture(launch, limits))
    }

    fn must(&self, arguments: &[&str], limits: CaptureLimits) -> Result<Vec<u8>, AppError> {
        let captured = self.ask(arguments, limits)?;
        if captured.code() == Some(0) {
            return Ok(captured.out);
        }
        let said = String::from_utf8_lossy(&captured.err);
        let last = said.lines().last().unwrap_or("nothing").trim();
        Err(ReleaseError::Git {
            command: arguments.first().map_or_else(String::new, |&first| first.to_owned()),
            path: self.dir.clone(),
            said: if captured.status.is_none() {
                "it was ended by its limits".to_owned()
            } else {
                last.to_owned()
            },
        }
        .into())
    }

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

    fn odd(&self, command: &str) -> AppError {
        ReleaseError::Git {
            command: command.to_owned(),
            path: self.dir.clone(),
            said: "what cannot be understood".to_owned(),
        }
        .into()
    }
}

fn is_id(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|digit| digit.is_ascii_hexdigit())
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
