//! Git, run as the owner of a repository, with no hooks and no configuration but the repository's
//! own.

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::app::{Account, AppError};
use crate::os::process::{self, CaptureLimits, Captured, Launch, Trampoline, Wiring};

use super::ReleaseError;

/// Questions are answered at once; a fetch may have to bring a whole history.
pub(super) const QUESTION: CaptureLimits =
    CaptureLimits { timeout: Duration::from_mins(2), bytes_max: 256 << 20 };
pub(super) const FETCH: CaptureLimits =
    CaptureLimits { timeout: Duration::from_mins(30), bytes_max: 1 << 20 };

/// A repository, and as whom git works on it.
pub(super) struct Git<'a> {
    trampoline: &'a Trampoline,
    pub(super) dir: PathBuf,
    work_tree: Option<PathBuf>,
    account: Option<Account>,
    /// Of the transaction that it works for.
    token: Option<String>,
}

impl<'a> Git<'a> {
    /// A repository that this program made for itself.
    pub(super) fn ours(trampoline: &'a Trampoline, dir: &Path) -> Self {
        Self { trampoline, dir: dir.to_owned(), work_tree: None, account: None, token: None }
    }

    /// A repository of whoever owns its directory.
    pub(super) fn of_its_owner(trampoline: &'a Trampoline, dir: &Path) -> io::Result<Self> {
        let meta = std::fs::metadata(dir)?;
        let owner = Account::by_id(meta.uid(), meta.gid());
        let account = (Account::caller().is_root() && !owner.is_root()).then_some(owner);
        Ok(Self { account, ..Self::ours(trampoline, dir) })
    }

    /// The same with its work tree, on behalf of a transaction.
    pub(super) fn with_work_tree(self, root: &Path, token: &str) -> Self {
        Self { work_tree: Some(root.to_owned()), token: Some(token.to_owned()), ..self }
    }
}

impl Git<'_> {
    fn argv(&self, arguments: &[&str]) -> Vec<OsString> {
        let mut argv = process::argv(["git", "--git-dir"]);
        argv.push(self.dir.clone().into_os_string());
        if let Some(root) = &self.work_tree {
            argv.push("--work-tree".into());
            argv.push(root.clone().into_os_string());
        }
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

    pub(super) fn launch<T>(
        &self,
        arguments: &[&str],
        wiring: Wiring,
        run: impl FnOnce(&Launch<'_>) -> Result<T, process::LaunchError>,
    ) -> Result<T, AppError> {
        let identity = self.account.as_ref().map(Account::identity);
        let argv = self.argv(arguments);
        // Whatever has one token is ended together: two that work side by side must not share one.
        let token = self.token.clone().unwrap_or_else(process::fresh_token);
        let launched = run(&Launch {
            trampoline: self.trampoline,
            argv: &argv,
            dir: Path::new("/"),
            env: &Self::environment(),
            identity: identity.as_ref(),
            wiring,
            token: &token,
        });
        Ok(launched.map_err(ReleaseError::NoGit)?)
    }

    /// What it says, whatever it comes to.
    pub(super) fn ask(
        &self,
        arguments: &[&str],
        limits: CaptureLimits,
    ) -> Result<Captured, AppError> {
        self.launch(arguments, Wiring::Pipes, |launch| process::capture(launch, limits))
    }

    /// What it says; an error unless it succeeds.
    pub(super) fn must(
        &self,
        arguments: &[&str],
        limits: CaptureLimits,
    ) -> Result<Vec<u8>, AppError> {
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

    /// It said what nobody understands.
    pub(super) fn odd(&self, command: &str) -> AppError {
        ReleaseError::Git {
            command: command.to_owned(),
            path: self.dir.clone(),
            said: "what cannot be understood".to_owned(),
        }
        .into()
    }
}

/// Whether `text` is the id of an object.
pub(super) fn is_id(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|digit| digit.is_ascii_hexdigit())
}
