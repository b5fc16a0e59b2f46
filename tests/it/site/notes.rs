//! A site that runs notes 1.1.0 (an application of numbered SQL files) on SQLite.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::is_root;
use crate::oracle::{Skip, Tree, sqlite, tree};
use crate::stage::{copy, edit, fixture, give};

/// What the product's definition of equal leaves out for this application.
pub(crate) const SKIP: Skip<'static> =
    Skip { inside: &["tmp", "logs", "cache"], database: &["data/notes.db"] };

/// An installed site.
#[derive(Debug)]
pub(crate) struct Notes {
    pub(crate) root: PathBuf,
}

impl Notes {
    /// Installs the site below `dir`, where the app is called `notes`.
    pub(crate) fn install(dir: &Path) -> Self {
        let root = dir.join("notes");
        copy(release("1.1.0"), &root);
        copy(fixture("apps/sql-notes/site"), &root);
        edit(root.join("keys/secret.key"), "@KEY@", "key-canary-77d3b0");
        let site = Self { root };
        let sql = fs::File::open(fixture("apps/sql-notes/site.sql")).expect("the fixture is there");
        let mut command = Command::new("sqlite3");
        command.arg(site.database()).stdin(Stdio::from(sql));
        assert!(command.status().expect("sqlite3 runs").success());
        if is_root() {
            give(&site.root, super::OWNER);
        }
        site
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.root.join("data/notes.db")
    }

    /// Runs SQL, as the site itself would.
    #[track_caller]
    pub(crate) fn ask(&self, sql: &str) -> String {
        let out = crate::run::tool("sqlite3", &[&self.database(), &sql]);
        String::from_utf8_lossy(&out).into_owned()
    }

    /// Asks while somebody else may hold the database; `None` if it is locked.
    pub(crate) fn ask_if_free(&self, sql: &str) -> Option<String> {
        let mut command = Command::new("sqlite3");
        command.args(["-readonly", "-batch"]).arg(self.database()).arg(sql);
        let output = command.output().expect("sqlite3 runs");
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The fingerprints of files and database, by the oracle.
    pub(crate) fn fingerprint(&self) -> (Tree, String) {
        (tree(&self.root, SKIP), sqlite(self.database()))
    }
}

/// Where a release of notes lies.
pub(crate) fn release(version: &str) -> PathBuf {
    fixture("apps/sql-notes").join(version)
}
