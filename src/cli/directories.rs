//! Where configuration, state and caches lie: root's places, the user's, or those given.

use std::path::PathBuf;

use crate::app::release;
use crate::snapshot;

use super::environment::Environment;
use super::failure::{Code, Failure};

/// The four directories; each is known only if something says where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Directories {
    config: Option<PathBuf>,
    state: Option<PathBuf>,
    cache: Option<PathBuf>,
    runtime: Option<PathBuf>,
}

impl Directories {
    /// By the environment: `SNAP_*_DIR`, else root's places, else XDG's, else below the home.
    pub(super) fn of(environment: &Environment) -> Self {
        let place = |own: &str, root: &str, xdg: &str, home: Option<&str>| {
            if let Some(given) = environment.path(own) {
                return Some(environment.directory.join(given));
            }
            if environment.is_root {
                return Some(PathBuf::from(root));
            }
            let base = environment.path(xdg).filter(|path| path.is_absolute()).or_else(|| {
                let account = || environment.account_home.clone();
                let dir = environment.path("HOME").filter(|path| path.is_absolute());
                Some(dir.or_else(account)?.join(home?))
            });
            base.map(|base| base.join("snap-backup"))
        };
        Self {
            config: place(
                "SNAP_CONFIG_DIR",
                "/etc/snap-backup",
                "XDG_CONFIG_HOME",
                Some(".config"),
            ),
            state: place(
                "SNAP_STATE_DIR",
                "/var/lib/snap-backup",
                "XDG_STATE_HOME",
                Some(".local/state"),
            ),
            cache: place(
                "SNAP_CACHE_DIR",
                "/var/cache/snap-backup",
                "XDG_CACHE_HOME",
                Some(".cache"),
            ),
            runtime: place("SNAP_RUNTIME_DIR", "/run/snap-backup", "XDG_RUNTIME_DIR", None),
        }
    }

    /// config.toml, apps.d and keys.
    pub(super) fn config(&self) -> Result<&PathBuf, Failure> {
        self.config.as_ref().ok_or_else(|| unknown("configuration", "SNAP_CONFIG_DIR"))
    }

    /// The journal, locks and logs.
    pub(super) fn state(&self) -> Result<&PathBuf, Failure> {
        self.state.as_ref().ok_or_else(|| unknown("state", "SNAP_STATE_DIR"))
    }

    /// Index, catalogue and stat cache; `None` means to work without.
    pub(super) fn cache(&self) -> Option<&PathBuf> {
        self.cache.as_ref()
    }

    /// Removes the caches that nobody uses any more.
    pub(super) fn tidy(&self) {
        if let Some(cache) = self.cache() {
            snapshot::tidy(cache);
            release::tidy(cache);
        }
    }

    /// Sockets and scratch that a reboot may forget; the state directory where there is none.
    #[cfg_attr(not(test), expect(dead_code, reason = "the verbs of transactions need it"))]
    pub(super) fn runtime(&self) -> Result<&PathBuf, Failure> {
        self.runtime.as_ref().map_or_else(|| self.state(), Ok)
    }
}

fn unknown(what: &str, variable: &str) -> Failure {
    Failure::new(Code::E0004, format!("no directory for {what} is known"))
        .because(format!("neither {variable} nor HOME is set, and the account has no home"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn what_is_given_beats_everything() {
        let mut environment =
            Environment::of(&[("SNAP_STATE_DIR", "/s"), ("XDG_CONFIG_HOME", "/x"), ("HOME", "/h")]);
        let dirs = Directories::of(&environment);
        assert_eq!(dirs.state().unwrap(), Path::new("/s"));
        assert_eq!(dirs.config().unwrap(), Path::new("/x/snap-backup"));
        assert_eq!(dirs.cache().unwrap(), Path::new("/h/.cache/snap-backup"));
        assert_eq!(dirs.runtime().unwrap(), Path::new("/s"));
        environment.is_root = true;
        let dirs = Directories::of(&environment);
        assert_eq!(dirs.state().unwrap(), Path::new("/s"));
        assert_eq!(dirs.config().unwrap(), Path::new("/etc/snap-backup"));
    }

    #[test]
    fn without_home_the_account_tells_and_without_both_only_what_needs_it_fails() {
        let mut environment = Environment::of(&[]);
        environment.account_home = Some(PathBuf::from("/home/anna"));
        let dirs = Directories::of(&environment);
        assert_eq!(dirs.config().unwrap(), Path::new("/home/anna/.config/snap-backup"));
        let dirs = Directories::of(&Environment::of(&[]));
        assert_eq!(dirs.config().unwrap_err().code, Code::E0004);
        assert_eq!(dirs.cache(), None);
    }
}
