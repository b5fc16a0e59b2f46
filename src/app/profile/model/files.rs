//! Whose each file of an application is.

use crate::app::profile::template::Template;

/// Whose each file is. Precedence: secret, purge, preserve, release.
#[derive(Clone, Debug)]
pub struct FileRules {
    /// The operator's: kept across the overwrite. `!` takes back, the last match counts.
    pub preserve: Vec<Template>,
    /// The operator's, and byte-equal after the migration.
    pub secret: Vec<Template>,
    /// Nobody's: emptied by an upgrade.
    pub purge: Vec<Template>,
    /// Templates that come with a release, and the live file each is the model of.
    pub review: Vec<Review>,
    /// What becomes of a core file that was edited here and that the release changes too.
    pub edited: Edited,
    /// What becomes of files that belong to no release.
    pub extra: Extra,
}

/// A shipped template and the configuration made from it.
#[derive(Clone, Debug)]
pub struct Review {
    /// Shipped, from the root.
    pub template: Template,
    /// The operator's.
    pub live: Template,
}

/// What becomes of a core file edited by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edited {
    /// The upgrade does not start.
    Stop,
    /// The release's is taken.
    Take,
    /// The operator's is kept.
    Keep,
}

/// What becomes of a file of no release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extra {
    /// It stays.
    Keep,
    /// The upgrade does not start.
    Stop,
}
