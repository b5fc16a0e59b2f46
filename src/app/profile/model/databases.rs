//! What is read of an application's configuration, and the databases it leads to.

use std::path::PathBuf;

use crate::app::profile::template::Template;

/// A named value.
#[derive(Clone, Debug)]
pub struct Var {
    /// Used as `{name}`.
    pub name: String,
    /// Where it comes from.
    pub rule: VarRule,
    /// Taken when the rule finds nothing.
    pub default: Option<Template>,
}

/// Where a value comes from.
#[derive(Clone, Debug)]
pub enum VarRule {
    /// It is written in the profile.
    Literal(Template),
    /// A literal in one of the application's configuration files.
    Config {
        /// How the file is read.
        parser: ConfigParser,
        /// From the root.
        file: Template,
        /// Parts joined by dots.
        key: String,
    },
    /// The one directory that holds all these.
    FindDir {
        /// Whose direct children are tried.
        dir: Template,
        /// What the directory must hold.
        containing: Vec<String>,
        /// Names that are not it.
        exclude: Vec<String>,
    },
}

/// How a configuration file is read. Nothing is executed; what is not literal is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigParser {
    /// `define('KEY', …);`
    PhpDefine,
    /// `$name = …;`, each variable a key.
    PhpVar,
    /// `$variable = array(…);`
    PhpArray {
        /// With its `$`.
        variable: String,
    },
    /// `return […];`
    PhpReturn,
    /// `class C { public $property = array(…); }`
    PhpClass {
        /// The class's name.
        class: String,
        /// With its `$`.
        property: String,
    },
    /// Sections and keys, also behind a `; <?php exit; ?>` line.
    Ini,
    /// `KEY=value` lines.
    Dotenv,
}

/// Where an application's database is.
#[derive(Clone, Debug)]
pub struct DatabaseRule {
    /// `default` where it has only one.
    pub name: String,
    /// What says so.
    pub source: DatabaseSource,
    pub(in crate::app::profile) text: String,
}

impl DatabaseRule {
    /// This rule as TOML, for a child process that reads the same configuration itself.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// What says where a database is.
#[derive(Clone, Debug)]
pub enum DatabaseSource {
    /// The application's own configuration.
    Config(Box<ConfigSource>),
    /// The profile (of `apps.d`): a URL without a password, and the file that holds that.
    Url {
        /// As `mysql://user@host/name`.
        url: Template,
        /// Readable by its owner only.
        password_file: Option<PathBuf>,
    },
}

/// Which keys of the application's configuration say where its database is.
#[derive(Clone, Debug)]
pub struct ConfigSource {
    /// How the files are read.
    pub parser: ConfigParser,
    /// Later files override earlier ones; the first must exist.
    pub files: Vec<Template>,
    /// Files that must say the same.
    pub agree_with: Vec<Template>,
    /// A `.env` file whose values `env()` takes before its default.
    pub env_file: Option<Template>,
    /// The configuration's key for each part of an address.
    pub map: FieldMap,
    /// What the configuration calls our drivers.
    pub driver_map: Vec<(String, Driver)>,
    /// The driver where the configuration names none.
    pub driver: Option<Driver>,
    /// The database file, where the driver is SQLite.
    pub sqlite_path: Option<Template>,
}

/// A kind of database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// MySQL or MariaDB.
    MySql,
    /// SQLite.
    Sqlite,
    /// PostgreSQL: known, not supported by this version.
    Postgres,
}

/// The configuration's key for each part of an address, parts joined by dots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldMap {
    /// Which driver.
    pub driver: Option<String>,
    /// Also `host:port` and `host:/socket`.
    pub host: Option<String>,
    /// A number, or its digits.
    pub port: Option<String>,
    /// A socket's path.
    pub socket: Option<String>,
    /// The account.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<String>,
    /// The schema; for SQLite, its path where no `sqlite_path` is given.
    pub name: Option<String>,
    /// Before each table's name.
    pub prefix: Option<String>,
}
