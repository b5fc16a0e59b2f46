//! A site installed by `git clone`: its HEAD and index follow the release that its files became, so
//! that `git status` lists only what is the operator's, and the next `git checkout` works.
//!
//! The files themselves are never git's to write. Whatever git changes lies in `.git`, which the
//! snapshots cover like the rest of the tree.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::path::{Path, PathBuf};

use crate::app::AppError;
use crate::os::crash::{CrashPoint, reach};
use crate::os::process::{self, Fed, Trampoline, Wiring};

use super::ReleaseError;
use super::git_command::{Git, QUESTION};

/// A commit, and a repository on this machine that holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitCommit {
    /// The repository's own directory: a `.git`, a bare repository, or our copy.
    pub repository: PathBuf,
    /// The commit's id.
    pub id: String,
}

/// What became of the checkout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Followed {
    /// HEAD and index are the release's.
    Done,
    /// Nothing was changed, and why.
    Left(String),
}

/// Whether the site at `root` is a checkout whose repository lies in it. Where `.git` is a file, the
/// repository lies elsewhere, and nothing that covers the root would bring it back.
pub fn is_checkout(root: &Path) -> bool {
    root.join(".git").symlink_metadata().is_ok_and(|meta| meta.is_dir())
}

/// Gives the checkout at `root` the HEAD and index of `commit`. `token` is the transaction's, by
/// which its children are found.
///
/// An error means that only a part was done.
pub fn follow(
    root: &Path,
    commit: &GitCommit,
    trampoline: &Trampoline,
    token: &str,
) -> Result<Followed, AppError> {
    let dir = root.join(".git");
    let io = |source| ReleaseError::Unreadable { path: dir.clone(), source };
    let git = Git::of_its_owner(trampoline, &dir).map_err(io)?.with_work_tree(root, token);
    if !git.has(&commit.id)? {
        let lender = Git::of_its_owner(trampoline, &commit.repository);
        let lender = match lender {
            Ok(lender) if lender.has(&commit.id)? => lender,
            _ => return Ok(Followed::Left(format!("it lacks commit {}", commit.id))),
        };
        if let Err(error) = git.borrow_from(&lender, &commit.id) {
            return Ok(Followed::Left(error.to_string()));
        }
    }
    if let Err(error) = git.must(&["read-tree", &commit.id], QUESTION) {
        return Ok(Followed::Left(error.to_string()));
    }
    reach(CrashPoint::CheckoutIndex);
    // Detached, as after `git checkout` of a tag: no branch of the operator's is moved.
    git.must(&["update-ref", "--no-deref", "HEAD", &commit.id], QUESTION)?;
    // What the operator keeps differs, which is no failure.
    git.ask(&["update-index", "-q", "--refresh"], QUESTION)?;
    Ok(Followed::Done)
}

impl Git<'_> {
    fn has(&self, id: &str) -> Result<bool, AppError> {
        let asked = self.ask(&["cat-file", "-e", &format!("{id}^{{commit}}")], QUESTION)?;
        Ok(asked.code() == Some(0))
    }

    /// Takes a commit and its history from another repository, as one pack. Each git runs as the
    /// owner of its own: neither need read the other's files.
    fn borrow_from(&self, lender: &Git<'_>, id: &str) -> Result<(), AppError> {
        let known = self.history_ends_at(lender);
        let pack = ["pack-objects", "--quiet", "--revs", "--stdout"];
        let mut from = lender.launch(&pack, Wiring::Fed, process::feed)?;
        let index = ["index-pack", "--stdin", "--strict"];
        let mut to = self.launch(&index, Wiring::Fed, process::feed)?;
        let carried = (|| {
            writeln!(from.input, "{id}")?;
            if let Some(known) = known {
                writeln!(from.input, "^{known}")?;
            }
            from.input.shutdown(Shutdown::Write)?;
            io::copy(&mut from.output, &mut to.input)?;
            to.input.shutdown(Shutdown::Write)?;
            to.output.read_to_end(&mut Vec::new())
        })();
        if carried.is_err() {
            // Who cannot go on closes its end; the other would wait for ever.
            from.kill();
        } else {
            lender.ended("pack-objects", from)?;
        }
        // A pack that was cut off does not pass the other's check of it.
        self.ended("index-pack", to)?;
        carried.map(drop).map_err(|source| self.silent(source))
    }

    fn ended(&self, command: &str, fed: Fed) -> Result<(), AppError> {
        let (status, said) = fed.finish_heard().map_err(|source| self.silent(source))?;
        if status.success() {
            return Ok(());
        }
        let said = said.lines().last().unwrap_or("nothing").trim().to_owned();
        let (command, path) = (command.to_owned(), self.dir.clone());
        Err(ReleaseError::Git { command, path, said }.into())
    }

    fn silent(&self, source: io::Error) -> AppError {
        ReleaseError::Unreadable { path: self.dir.clone(), source }.into()
    }

    /// What need not be carried: the history of HEAD, unless it is cut short here.
    fn history_ends_at(&self, lender: &Git<'_>) -> Option<String> {
        if self.dir.join("shallow").exists() {
            return None;
        }
        let head = self.must(&["rev-parse", "--verify", "HEAD^{commit}"], QUESTION).ok()?;
        let head = String::from_utf8(head).ok()?.trim().to_owned();
        lender.has(&head).ok()?.then_some(head)
    }
}
