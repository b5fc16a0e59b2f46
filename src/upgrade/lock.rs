//! One at a time: who works on an application has its roots locked.
//!
//! The lock is the kernel's, on the opened directory of every root, so it excludes other users and
//! other state directories too, leaves nothing behind and is never stale. What lies in the state
//! directory beside it serves the message only.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::os::lock::{self, Lock};
use crate::os::{clock, file, host};

use super::UpgradeError;

/// Who holds an application, as the refused one is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    pid: u32,
    process_started: u64,
    since: i64,
    user: String,
    doing: String,
}

/// Held while dropped or the process ends.
#[derive(Debug)]
pub struct AppLock {
    note: Option<PathBuf>,
    _held: Vec<Lock>,
}

impl AppLock {
    /// Takes `roots` alone, for a change. `doing` is what another one is told.
    pub fn alone(
        state_dir: &Path,
        app: &str,
        roots: &[PathBuf],
        user: &str,
        doing: &str,
    ) -> Result<Self, UpgradeError> {
        let held = take(state_dir, app, roots, Lock::exclusive)?;
        let this = host::this_process();
        let note = Note {
            pid: this.pid,
            process_started: this.started_ticks,
            since: clock::now().0,
            user: user.to_owned(),
            doing: doing.to_owned(),
        };
        let text = serde_json::to_vec(&note).expect("a note is plain text");
        let (dir, name) = (notes(state_dir), note_name(app));
        // Without it the refused one learns less; that is no reason to stop.
        let written = file::create_dirs(&dir, 0o700)
            .and_then(|()| file::replace(&dir, &name, &text, 0o600))
            .is_ok();
        Ok(Self { note: written.then(|| dir.join(name)), _held: held })
    }

    /// Takes `roots` together with others who only read: backups.
    pub fn shared(state_dir: &Path, app: &str, roots: &[PathBuf]) -> Result<Self, UpgradeError> {
        let held = take(state_dir, app, roots, Lock::shared)?;
        Ok(Self { note: None, _held: held })
    }
}

impl Drop for AppLock {
    fn drop(&mut self) {
        if let Some(note) = &self.note {
            let _ = file::remove(note);
        }
    }
}

fn notes(state_dir: &Path) -> PathBuf {
    state_dir.join("locks")
}

/// An application's name may hold what a file's may not.
fn note_name(app: &str) -> String {
    app.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

fn take(
    state_dir: &Path,
    app: &str,
    roots: &[PathBuf],
    how: impl Fn(&Path) -> std::io::Result<Option<Lock>>,
) -> Result<Vec<Lock>, UpgradeError> {
    // One order for all, so that two who want the same roots never hold half of them each.
    let mut roots: Vec<&PathBuf> = roots.iter().collect();
    roots.sort();
    roots.dedup();
    let mut held = Vec::new();
    for root in roots {
        let lock = how(root).map_err(|source| UpgradeError::Io {
            doing: "lock",
            path: root.clone(),
            source,
        })?;
        let Some(lock) = lock else {
            let holder = describe(state_dir, app, root);
            return Err(UpgradeError::Locked { app: app.to_owned(), holder });
        };
        held.push(lock);
    }
    Ok(held)
}

/// Who else holds one of `roots`, without touching any lock.
pub(super) fn held_by_another(state_dir: &Path, app: &str, roots: &[PathBuf]) -> Option<String> {
    let other =
        |root: &&PathBuf| lock::holder(root).is_some_and(|pid| pid != host::this_process().pid);
    roots.iter().find(other).map(|root| describe(state_dir, app, root))
}

/// The note if it is the holder's, else what the kernel knows.
fn describe(state_dir: &Path, app: &str, root: &Path) -> String {
    let holder = lock::holder(root);
    let note = std::fs::read(notes(state_dir).join(note_name(app)))
        .ok()
        .and_then(|text| serde_json::from_slice::<Note>(&text).ok())
        .filter(|note| holder.is_none_or(|pid| pid == note.pid));
    match (note, holder) {
        (Some(note), _) => {
            let since_s = (clock::now().0 - note.since).max(0) / 1_000_000_000;
            format!("{} (pid {}, since {since_s} s): {}", note.user, note.pid, note.doing)
        }
        (None, Some(pid)) => host::describe(pid).unwrap_or_else(|| format!("pid {pid}")),
        (None, None) => "another process".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alone(state: &Path, root: &Path) -> Result<AppLock, UpgradeError> {
        AppLock::alone(state, "passbolt", &[root.to_owned()], "anna", "upgrade to 1.3.2")
    }

    #[test]
    fn the_second_one_is_told_who_works_on_the_application() {
        let (state, root) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let held = alone(state.path(), root.path()).unwrap();
        let refused = alone(state.path(), root.path()).unwrap_err().to_string();
        assert!(refused.contains("anna") && refused.contains("upgrade to 1.3.2"), "{refused}");
        let reader = AppLock::shared(state.path(), "passbolt", &[root.path().to_owned()]);
        assert!(matches!(reader, Err(UpgradeError::Locked { .. })));
        drop(held);
        assert!(alone(state.path(), root.path()).is_ok());
    }

    #[test]
    fn another_state_directory_does_not_let_a_second_one_in() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let root = tempfile::tempdir().unwrap();
        let _held = alone(one.path(), root.path()).unwrap();
        let refused = alone(other.path(), root.path()).unwrap_err().to_string();
        assert!(refused.contains(&std::process::id().to_string()), "{refused}");
    }

    #[test]
    fn backups_share() {
        let (state, root) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let roots = [root.path().to_owned()];
        let _one = AppLock::shared(state.path(), "a", &roots).unwrap();
        let _two = AppLock::shared(state.path(), "a", &roots).unwrap();
        assert!(alone(state.path(), root.path()).is_err());
    }
}
