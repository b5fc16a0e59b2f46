//! A profile met with an installation.

use std::path::{Path, PathBuf};

use crate::app::account::{self, Account};
use crate::app::credentials::{self, AppDatabase};
use crate::app::detect::{self, Declared};
use crate::app::files::Files;
use crate::app::profile::{Profile, Vars};
use crate::app::rules::Rules;
use crate::app::version::AppVersion;
use crate::app::{AppError, variables};
use crate::database::Address;
use crate::tree::{ExclusionRules, TreePath};

/// An installed application: everything `snap` must know to back it up and to change it.
#[derive(Clone, Debug)]
pub struct App {
    /// What it is called: `passbolt`, or another name given when it was added.
    pub name: String,
    /// What is known about its kind.
    pub profile: Profile,
    /// Where it is installed.
    pub root: PathBuf,
    /// The layout that matched.
    pub layout: String,
    /// What its tree declares.
    pub version: AppVersion,
    /// The values of the profile's variables.
    pub vars: Vars,
    /// Its databases, in the profile's order.
    pub databases: Vec<AppDatabase>,
    /// Whose each path below the root is.
    pub rules: Rules,
}

/// A directory that belongs to an application, and what a snapshot of it leaves out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Area {
    /// `app` for the root, `external-1` and so on for directories outside.
    pub label: String,
    /// Where it is.
    pub path: PathBuf,
    /// What is left out of it.
    pub exclusions: ExclusionRules,
}

impl App {
    /// Meets `profile` with what `files` shows of the installation at `root`.
    ///
    /// `files` may be the live tree or a snapshot of it: addresses and paths come out the same.
    pub fn meet(profile: Profile, root: &Path, files: &dyn Files) -> Result<Self, AppError> {
        let Declared { layout, version } = detect::declared(&profile, files)?;
        let mut vars = variables::find(&profile, root, files)?;
        let mut databases = Vec::new();
        for rule in &profile.databases {
            databases.push(credentials::find(rule, &vars, root, files)?);
        }
        let first = databases.first();
        vars.set("prefix", first.map_or("", |database: &AppDatabase| &database.prefix));
        vars.set("old.version", version.as_str());
        let rules = Rules::compile(&profile.files, &vars)?;
        Ok(Self {
            name: profile.app.clone(),
            root: root.to_owned(),
            layout,
            version,
            vars,
            databases,
            rules,
            profile,
        })
    }

    /// The database that the profile calls `name`.
    pub fn database(&self, name: &str) -> Option<&AppDatabase> {
        self.databases.iter().find(|database| database.name == name)
    }

    /// As whom its commands run, as `files` (the live tree) shows it.
    pub fn account(&self, files: &dyn Files) -> Result<Account, AppError> {
        account::find(&self.profile, &self.vars, files)
    }

    /// The directories that a snapshot of it covers: the root, then those outside that exist.
    ///
    /// A database file in one of them belongs to its database and is left out of the tree.
    pub fn areas(&self) -> Result<Vec<Area>, AppError> {
        let snapshot = &self.profile.snapshot;
        let fill = |templates: &[crate::app::profile::Template]| {
            templates.iter().map(|one| one.fill_pattern(&self.vars)).collect::<Result<_, _>>()
        };
        let root = ExclusionRules {
            skip_content: fill(&snapshot.skip_content)?,
            guarded: fill(&snapshot.guarded)?,
            databases: self.database_files(&self.root),
            ..ExclusionRules::default()
        };
        let mut areas =
            vec![Area { label: "app".to_owned(), path: self.root.clone(), exclusions: root }];
        for (index, template) in snapshot.external.iter().enumerate() {
            let path = PathBuf::from(template.fill(&self.vars)?);
            // Only what lies outside and is there; the label does not depend on the others.
            if !path.is_absolute() || path.starts_with(&self.root) || !path.is_dir() {
                continue;
            }
            let exclusions = ExclusionRules {
                databases: self.database_files(&path),
                ..ExclusionRules::default()
            };
            areas.push(Area { label: format!("external-{}", index + 1), path, exclusions });
        }
        Ok(areas)
    }

    /// SQLite files below `root`, from there, with their database's name.
    fn database_files(&self, root: &Path) -> Vec<(TreePath, String)> {
        use std::os::unix::ffi::OsStrExt;
        let inside = |database: &AppDatabase| match &database.address {
            Address::Sqlite(path) => {
                let below = path.strip_prefix(root).ok()?;
                let below = TreePath::parse(below.as_os_str().as_bytes()).ok()?;
                Some((below, database.name.clone()))
            }
            Address::MySql(_) => None,
        };
        self.databases.iter().filter_map(inside).collect()
    }

    /// The same application with the version that a release declares, for `{new.version}`.
    #[must_use]
    pub fn vars_for(&self, new: &AppVersion, txn: &str) -> Vars {
        let mut vars = self.vars.clone();
        vars.set("new.version", new.as_str());
        vars.set("txn", txn);
        vars
    }
}
