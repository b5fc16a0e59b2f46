//! What a profile says, once everything in it has been checked.

mod change;
mod databases;
mod files;
mod hooks;
mod probes;

use std::path::PathBuf;

use regex::Regex;

use crate::app::version::{Scheme, VersionRange};

use super::template::Template;

pub use self::change::{
    Expect, MigrateRun, MigrateStep, PathRule, PendingRule, PromptRule, Quiesce, RunAs, Runtime,
    Scan, ScanWithin, StatusCommand, Switch, When,
};
pub use self::databases::{
    ConfigParser, ConfigSource, DatabaseRule, DatabaseSource, Driver, FieldMap, Var, VarRule,
};
pub use self::files::{Edited, Extra, FileRules, Review};
pub use self::hooks::{HookFailure, HookPoint, HookRule};
pub use self::probes::{HttpProbe, JsonValue, ProbeKind, ProbeRule};

/// Everything `snap` knows about one kind of application.
#[derive(Clone, Debug)]
pub struct Profile {
    /// What this profile is called: a built-in's name, or the stem of its file.
    pub name: String,
    /// The application's id, as in `snap upgrade --app ID`. Several profiles may share it.
    pub app: String,
    /// Where it is installed, if the profile says so.
    pub root: Option<PathBuf>,
    /// How it numbers its releases.
    pub scheme: Scheme,
    /// Where a tree declares its version; a layout may have its own.
    pub version: Option<VersionRule>,
    /// The shapes its tree can have. Exactly one must match.
    pub layouts: Vec<Layout>,
    /// Values found in the tree, for use as `{name}`.
    pub vars: Vec<Var>,
    /// Its databases.
    pub databases: Vec<DatabaseRule>,
    /// What a snapshot of it covers.
    pub snapshot: SnapshotRules,
    /// What its releases look like.
    pub release: ReleaseRules,
    /// Whose each file is.
    pub files: FileRules,
    /// As whom and with what its own commands run.
    pub runtime: Runtime,
    /// Which jumps its vendor supports.
    pub path: PathRule,
    /// The switches that shut the site; all apply, in order.
    pub maintenance: Vec<Switch>,
    /// What else must stand still.
    pub quiesce: Quiesce,
    /// How pending migrations are found.
    pub pending: Vec<PendingRule>,
    /// Its migration, step by step.
    pub migrate: Vec<MigrateStep>,
    /// How its health is judged.
    pub probes: Vec<ProbeRule>,
    /// Commands of the operator's at fixed points.
    pub hooks: Vec<HookRule>,
    pub(super) origin: String,
    pub(super) text: String,
}

impl Profile {
    /// Where it was read: a path, or `builtin:NAME`.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The whole profile as one TOML text that extends nothing, to be kept with a plan.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// A file that declares a version, and the expression whose group `v` (else the first) is it.
#[derive(Clone, Debug)]
pub struct VersionRule {
    /// From the root.
    pub file: String,
    /// Matched against the file's text.
    pub regex: Regex,
}

/// One shape of the application's tree, live or released.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Named by `when` conditions.
    pub id: String,
    /// Paths that must exist; those ending in `/` must be directories.
    pub require: Vec<String>,
    /// Paths that must not.
    pub forbid: Vec<String>,
    /// The versions that have this shape.
    pub range: Option<VersionRange>,
    /// Instead of the profile's own rule.
    pub version: Option<VersionRule>,
}

/// What a snapshot of the application covers besides its root.
#[derive(Clone, Debug, Default)]
pub struct SnapshotRules {
    /// Directories outside the root; those that do not exist are left out.
    pub external: Vec<Template>,
    /// Directories whose inside is not covered.
    pub skip_content: Vec<Template>,
    /// Paths that are never written.
    pub guarded: Vec<Template>,
}

/// What the application's releases look like.
#[derive(Clone, Debug, Default)]
pub struct ReleaseRules {
    /// Leading directories of an archive that are dropped; the first pattern that fits counts.
    pub strip: Vec<String>,
    /// Where a release declares the PHP it needs.
    pub php: Option<VersionRule>,
}
