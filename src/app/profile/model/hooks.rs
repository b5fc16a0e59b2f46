//! Commands of the operator's at fixed points.

use std::time::Duration;

use crate::app::profile::template::Template;

/// A command of the operator's.
#[derive(Clone, Debug)]
pub struct HookRule {
    /// When it runs.
    pub at: HookPoint,
    /// Program and arguments.
    pub run: Vec<Template>,
    /// What its failure means.
    pub on_failure: HookFailure,
    /// It may take no longer.
    pub timeout: Duration,
}

/// When a hook runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookPoint {
    /// Before the migration, under `Armed`.
    BeforeMigrate,
    /// After the upgrade was committed and the site is open.
    AfterUpgrade,
    /// After it failed and was put back.
    Failed,
    /// At the end, whatever it is.
    Finally,
}

/// What a hook's failure means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookFailure {
    /// The upgrade ends; before the commit it is rolled back.
    Abort,
    /// It is reported.
    Warn,
    /// Nothing.
    Ignore,
}
