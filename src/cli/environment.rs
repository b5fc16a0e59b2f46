//! What the environment says, read once at the start. Nothing else in the crate looks there.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;

use crate::os::crash::Ordered;

use super::failure::{Code, Failure};

/// Every variable that is read. The variables of Ubuntu's snapd are none of them.
pub(super) const READ: &[(&str, &str)] = &[
    ("SNAP_REPOSITORY", "the repository, as -r"),
    ("SNAP_REPOSITORY_FILE", "a file that holds its place"),
    ("SNAP_PASSWORD_FILE", "a file with the recovery passphrase, as -p"),
    ("SNAP_PASSWORD_COMMAND", "a command that prints it"),
    ("SNAP_PASSWORD_FD", "a file descriptor to read it from"),
    ("SNAP_NEW_PASSWORD_FILE", "the passphrase of a new key slot: a file"),
    ("SNAP_NEW_PASSWORD_COMMAND", "the same, printed by a command"),
    ("SNAP_NEW_PASSWORD_FD", "the same, from a file descriptor"),
    ("SNAP_DB_PASSWORD_FILE", "the password of a database given by --db or --into"),
    ("SNAP_KEY_FILE", "the machine key file, as --key-file"),
    ("SNAP_APP", "the app, as --app"),
    ("SNAP_CONFIG", "only this configuration file, as -c"),
    ("SNAP_CONFIG_DIR", "the directory of config.toml, apps.d and keys"),
    ("SNAP_STATE_DIR", "the directory of the journal and of logs"),
    ("SNAP_CACHE_DIR", "the directory of caches; safe to delete"),
    ("SNAP_RUNTIME_DIR", "the directory of what a reboot may forget"),
    ("SNAP_OUTPUT", "json: as --json"),
    ("SNAP_NO_INPUT", "1: refuse instead of asking"),
    ("SNAP_PROGRESS", "auto, bar, plain or none"),
    ("SNAP_CRASH_AT", "POINT[:N], for tests: die there by SIGKILL"),
    ("SNAP_CRASH_LOG", "FILE, for tests: note every such point"),
    ("NO_COLOR", "no colour; beats CLICOLOR_FORCE"),
    ("CLICOLOR_FORCE", "colour also when piped"),
    ("TERM", "dumb: no colour and no redrawn line"),
    ("COLUMNS", "the width to write for"),
    ("LC_ALL", "with LC_CTYPE and LANG: not UTF-8 means --ascii"),
    ("LC_CTYPE", "see LC_ALL"),
    ("LANG", "see LC_ALL"),
    ("SUDO_USER", "who called sudo: for the history"),
    ("HOME", "where the user's directories are"),
    ("XDG_CONFIG_HOME", "the user's configuration"),
    ("XDG_STATE_HOME", "the user's state"),
    ("XDG_CACHE_HOME", "the user's cache"),
    ("XDG_RUNTIME_DIR", "the user's runtime directory"),
    ("TMPDIR", "where the index lies while no cache directory works"),
    ("CREDENTIALS_DIRECTORY", "systemd's: snap-backup.password, snap-backup.key"),
];

/// The environment of this run.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each asked by name")]
pub(super) struct Environment {
    variables: BTreeMap<&'static str, OsString>,
    /// Who called it, for the history.
    user: String,
    /// What was typed.
    typed: Vec<String>,
    /// Where the program was called by name; only what is printed depends on it.
    pub(super) directory: PathBuf,
    /// Whether the caller is root.
    pub(super) is_root: bool,
    /// The home directory by the account, where HOME is not set.
    pub(super) account_home: Option<PathBuf>,
    /// Whether a question can be read and answered.
    pub(super) can_ask: bool,
    /// Whether results go to a terminal.
    pub(super) stdout_is_terminal: bool,
    /// Whether progress goes to a terminal.
    pub(super) stderr_is_terminal: bool,
}

impl Environment {
    /// Reads what [`READ`] names.
    pub(super) fn read() -> Self {
        let variables = READ
            .iter()
            .filter_map(|(name, _)| Some((*name, std::env::var_os(name)?)))
            .filter(|(_, value)| !value.is_empty())
            .collect();
        let user = nix::unistd::User::from_uid(nix::unistd::Uid::effective()).ok().flatten();
        let stderr_is_terminal = std::io::stderr().is_terminal();
        Self {
            variables,
            user: user.as_ref().map_or_else(|| "?".to_owned(), |user| user.name.clone()),
            typed: std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect(),
            directory: std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")),
            is_root: nix::unistd::Uid::effective().is_root(),
            account_home: user.map(|user| user.dir).filter(|dir| dir.is_absolute()),
            can_ask: std::io::stdin().is_terminal() && stderr_is_terminal,
            stdout_is_terminal: std::io::stdout().is_terminal(),
            stderr_is_terminal,
        }
    }

    /// An environment that holds nothing but `variables`: for tests.
    #[cfg(test)]
    pub(super) fn of(variables: &[(&'static str, &str)]) -> Self {
        Self {
            variables: variables.iter().map(|(name, value)| (*name, value.into())).collect(),
            user: "anna".to_owned(),
            typed: Vec::new(),
            directory: PathBuf::from("/nowhere"),
            is_root: false,
            account_home: None,
            can_ask: false,
            stdout_is_terminal: false,
            stderr_is_terminal: false,
        }
    }

    /// A variable as a path.
    pub(super) fn path(&self, name: &str) -> Option<PathBuf> {
        self.variables.get(name).map(PathBuf::from)
    }

    /// A variable as text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.variables.get(name).and_then(|value| value.to_str())
    }

    /// Whether a switch is on: set, and not `0`.
    pub(super) fn is_on(&self, name: &str) -> bool {
        self.text(name).is_some_and(|value| value != "0")
    }

    /// Whether the locale's characters are UTF-8; true if it says nothing but `C` is not meant.
    pub(super) fn is_utf8(&self) -> bool {
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|name| self.text(name));
        locale.is_some_and(|locale| {
            let locale = locale.to_ascii_lowercase();
            locale.ends_with("utf-8") || locale.ends_with("utf8")
        })
    }

    /// Who typed the command: the account, and behind sudo the one that called it.
    pub(super) fn user(&self) -> String {
        match self.text("SUDO_USER") {
            Some(caller) if self.is_root => format!("{caller} (sudo)"),
            _ => self.user.clone(),
        }
    }

    /// What was typed, answers to questions left out: they may be anything.
    pub(super) fn argv(&self) -> Vec<String> {
        let mut argv: Vec<String> = Vec::new();
        for word in &self.typed {
            let after_answer = argv.last().is_some_and(|last| last == "--answer");
            argv.push(match word.strip_prefix("--answer=") {
                Some(_) => "--answer=••••".to_owned(),
                None if after_answer => "••••".to_owned(),
                None => word.clone(),
            });
        }
        argv
    }

    /// The crash that a test ordered.
    pub(super) fn crash(&self) -> Result<Option<Ordered>, Failure> {
        let Some(text) = self.text("SNAP_CRASH_AT") else { return Ok(None) };
        let wrong = || Failure::new(Code::E0009, format!("SNAP_CRASH_AT names no point: {text}"));
        Ordered::parse(text).map(Some).ok_or_else(wrong)
    }
}
