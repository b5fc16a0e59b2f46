//! What can go wrong with an application.

use std::path::PathBuf;

use crate::app::profile::ProfileError;
use crate::app::release::ReleaseError;
use crate::database::DatabaseError;
use crate::repository::RepositoryError;
use crate::snapshot::SnapshotError;
use crate::tree::TreeError;

/// What happened, and to what. The source is left to `source()`.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// A profile is not valid.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// A file of a stored tree could not be read.
    #[error("cannot read {path} in {place}")]
    ReadStored {
        /// Which.
        path: String,
        /// What the tree is called.
        place: String,
        /// Why.
        source: TreeError,
    },
    /// A release was not taken in.
    #[error(transparent)]
    Release(#[from] ReleaseError),
    /// The repository failed.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// A stored tree could not be read or made.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A snapshot could not be read or made.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// A database failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// A file could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A link leads out of the tree, or in circles.
    #[error("{path} leads out of {place}")]
    LeadsOut {
        /// From the root.
        path: String,
        /// Which tree.
        place: String,
    },
    /// Something else stands where a file should.
    #[error("{path} in {place} is no regular file")]
    NotAFile {
        /// From the root.
        path: String,
        /// Which tree.
        place: String,
    },
    /// A file is larger than such a file can be.
    #[error("{path} in {place} is larger than {max_bytes} bytes")]
    TooLarge {
        /// From the root.
        path: String,
        /// Which tree.
        place: String,
        /// The limit.
        max_bytes: u64,
    },
    /// A pattern became none once its variables were filled in.
    #[error("{pattern:?} is no pattern")]
    BadPattern {
        /// The pattern.
        pattern: String,
        /// Why.
        source: globset::Error,
    },
    /// A template names a variable for which nothing was found.
    #[error("nothing gives {{{name}}} a value, which {template:?} needs")]
    NoValue {
        /// The variable.
        name: String,
        /// Where it is used.
        template: String,
    },
    /// A configuration value is not written literally, so what it is cannot be known.
    #[error("{file}:{line}: {} is not literal: {what}", key.as_deref().unwrap_or("the file"))]
    NotLiteral {
        /// From the root.
        file: String,
        /// Counted from 1.
        line: usize,
        /// The value that was asked for; `None` if the whole file cannot be read.
        key: Option<String>,
        /// What stands there instead.
        what: String,
    },
    /// No layout of a profile fits a tree.
    #[error("{place} does not look like {app}: {why_not}")]
    NoLayout {
        /// The profile's application.
        app: String,
        /// Which tree.
        place: String,
        /// Why each layout does not fit.
        why_not: String,
    },
    /// Several layouts fit a tree, so none can be believed.
    #[error("{place} fits several layouts: {}", layouts.join(", "))]
    AmbiguousLayout {
        /// Which tree.
        place: String,
        /// Their ids, with the profile's where they are of several.
        layouts: Vec<String>,
    },
    /// A variable needs itself.
    #[error("the variable {name} needs itself")]
    CircularVariable {
        /// Which.
        name: String,
    },
    /// A variable has no value in a tree, and no default.
    #[error("the variable {name} has no value in {place}")]
    VariableNotFound {
        /// Which.
        name: String,
        /// Which tree.
        place: String,
    },
    /// A variable could be several things.
    #[error("the variable {name} could be any of {}", found.join(", "))]
    AmbiguousVariable {
        /// Which.
        name: String,
        /// The candidates.
        found: Vec<String>,
    },
    /// None of the files that would name a database is there.
    #[error("{place} has none of the files that name its database: {files}")]
    NoConfig {
        /// Those looked for.
        files: String,
        /// Which tree.
        place: String,
    },
    /// Two configuration files name different databases.
    #[error("{one} and {other} do not agree about {key}")]
    ConfigsDisagree {
        /// The key.
        key: String,
        /// A file.
        one: String,
        /// Another.
        other: String,
    },
    /// The configuration does not say all that an address needs.
    #[error("the configuration says no usable {part} for the database {database}")]
    AddressLacks {
        /// Which database.
        database: String,
        /// Which part.
        part: &'static str,
    },
    /// A database of a kind that this version does not know.
    #[error("the database {database} uses {driver}, which is not supported by this version")]
    UnsupportedDriver {
        /// Which database.
        database: String,
        /// What the configuration calls its driver.
        driver: String,
    },
    /// The URL that a profile gives for a database is none.
    #[error("the profile's URL for the database {database} is not valid")]
    BadDatabaseUrl {
        /// Which database.
        database: String,
        /// Why.
        source: crate::database::BadUrl,
    },
    /// A file with secrets or commands may be read or written by others.
    #[error("{} may be read or written by others", path.display())]
    Exposed {
        /// Which.
        path: PathBuf,
    },
    /// None of the accounts that a profile names exists.
    #[error("none of the accounts {} exists", names.join(", "))]
    NoAccount {
        /// Those looked for.
        names: Vec<String>,
    },
    /// The account that the profile names is root.
    #[error("the commands of {app} would run as root")]
    WouldRunAsRoot {
        /// The application.
        app: String,
    },
    /// Only root can run commands as another account.
    #[error("only root can run commands as {account}")]
    CannotBecome {
        /// The account.
        account: String,
    },
    /// A profile does not say where its application is installed.
    #[error("the profile {app} names no root")]
    NoRoot {
        /// The profile.
        app: String,
    },
    /// A release's migration file has no id where the profile looks for it.
    #[error("{file} looks like a migration, but has no id")]
    NoMigrationId {
        /// Which.
        file: String,
    },
    /// A database that is needed was not opened.
    #[error("the database {database} is not open")]
    DatabaseNotOpen {
        /// Which.
        database: String,
    },
    /// A switch that shuts the site could not be looked at or turned.
    #[error("cannot turn {what}")]
    SwitchFailed {
        /// Which, and what it said.
        what: String,
        /// Why, where something else says so.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
}
