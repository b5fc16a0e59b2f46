//! What a profile says, once everything in it has been checked.

use std::path::PathBuf;
use std::time::Duration;

use regex::Regex;

use crate::app::version::{Scheme, VersionRange};

use super::template::Template;

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
    pub(super) text: String,
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

/// As whom the application's own commands run.
#[derive(Clone, Debug, Default)]
pub struct Runtime {
    /// The account; never root.
    pub run_as: Option<RunAs>,
}

/// How the account is found.
#[derive(Clone, Debug)]
pub enum RunAs {
    /// Whoever owns this file.
    OwnerOf(Template),
    /// The first of these accounts that exists.
    FirstOf(Vec<String>),
}

/// Which jumps the vendor supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathRule {
    /// All of them.
    Any,
    /// Those within one major version.
    SameMajor,
    /// Those within a major version or into the next.
    NextMajor,
}

/// One way of shutting the site.
#[derive(Clone, Debug)]
pub enum Switch {
    /// A whole file whose presence and content shut it.
    File {
        /// From the root.
        file: Template,
        /// What it holds while the site is shut.
        content: Template,
    },
    /// A column of some rows.
    Row {
        /// Which database.
        database: String,
        /// The table.
        table: Template,
        /// Column and value of the rows meant.
        filter: Vec<(String, String)>,
        /// The column that is set.
        column: String,
        /// To what.
        on: String,
        /// Columns that tell the rows apart, where their values may differ.
        key_columns: Vec<String>,
    },
    /// The application's own command.
    Command {
        /// Prints the present state.
        get: Vec<Template>,
        /// Matches that output when the site is shut.
        is_on: Regex,
        /// Shuts it.
        on: Vec<Template>,
        /// Opens it.
        off: Vec<Template>,
    },
    /// Services that are stopped.
    Units(Vec<String>),
}

/// What else must stand still.
#[derive(Clone, Debug, Default)]
pub struct Quiesce {
    /// Services that are stopped: workers, timers.
    pub units: Vec<String>,
}

/// How pending migrations are found.
#[derive(Clone, Debug)]
pub struct PendingRule {
    /// From data alone: all that a plan does.
    pub scan: Option<Scan>,
    /// By the application's own status command: only under `Armed`.
    pub status: Option<StatusCommand>,
}

/// Ids in the release minus rows of a table.
#[derive(Clone, Debug)]
pub struct Scan {
    /// The release's migration files.
    pub files: Template,
    /// Where the id is found.
    pub within: ScanWithin,
    /// Group `id` (else the first) is the id.
    pub id: Regex,
    /// Which database.
    pub database: String,
    /// What was applied. A missing table means nothing was.
    pub table: Template,
    /// Its column of ids.
    pub column: String,
    /// Group 1 is the question that a migration of numbered SQL files asks.
    pub asks: Option<Regex>,
}

/// Where a migration's id is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanWithin {
    /// In the file's name.
    Name,
    /// In its text.
    Content,
}

/// A status command and how its output says that something is pending.
#[derive(Clone, Debug)]
pub struct StatusCommand {
    /// Program and arguments.
    pub argv: Vec<Template>,
    /// Matches its output when something is pending.
    pub pending_if: Regex,
}

/// One step of the migration.
#[derive(Clone, Debug)]
pub struct MigrateStep {
    /// Only for these releases and trees.
    pub when: When,
    /// What is run.
    pub run: MigrateRun,
    /// What success is.
    pub expect: Expect,
    /// Questions it may ask. Any other fails the step.
    pub prompts: Vec<PromptRule>,
    /// Without output for this long, it hangs.
    pub idle_timeout: Duration,
    /// It may take no longer.
    pub timeout: Duration,
}

/// What a migration step runs.
#[derive(Clone, Debug)]
pub enum MigrateRun {
    /// The application's own command.
    Command(Vec<Template>),
    /// The release's numbered SQL files, by `snap` itself as a child process.
    Sql {
        /// The files, from the root.
        glob: String,
        /// Where applied files are recorded.
        table: String,
        /// Which database.
        database: String,
    },
}

/// To which layouts something applies; empty lists mean all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct When {
    /// Layouts of the live tree.
    pub from: Vec<String>,
    /// Layouts of the release.
    pub to: Vec<String>,
}

impl When {
    /// Whether it applies to a change between these layouts.
    pub fn holds(&self, from: &str, to: &str) -> bool {
        let fits = |list: &[String], id: &str| list.is_empty() || list.iter().any(|one| one == id);
        fits(&self.from, from) && fits(&self.to, to)
    }
}

/// What success is. The exit code alone never says it where a text is asked for.
#[derive(Clone, Debug)]
pub struct Expect {
    /// Allowed exit codes.
    pub exit: Vec<i32>,
    /// Must be found in the output.
    pub must: Option<Regex>,
    /// Must not.
    pub must_not: Option<Regex>,
}

/// A known question.
#[derive(Clone, Debug)]
pub struct PromptRule {
    /// Matched against the end of the output.
    pub pattern: Regex,
    /// Typed, with a newline.
    pub answer: String,
    /// How often it may be asked.
    pub max: u32,
    /// Whether being asked at all fails the step.
    pub fails: bool,
}

/// One way of judging the application's health.
#[derive(Clone, Debug)]
pub struct ProbeRule {
    /// Unique within the profile; named by `--skip-probe`.
    pub name: String,
    /// Only for these layouts.
    pub when: When,
    /// What is looked at.
    pub kind: ProbeKind,
}

/// What a probe looks at.
#[derive(Clone, Debug)]
pub enum ProbeKind {
    /// The live tree declares what the release declares.
    Version,
    /// A page.
    Http(HttpProbe),
    /// A command's exit and output.
    Command {
        /// Program and arguments.
        argv: Vec<Template>,
        /// What success is.
        expect: Expect,
        /// Keys of a JSON object on its standard output, and their values.
        json: Vec<(String, JsonValue)>,
    },
    /// A command's list of failures, compared line by line with that of before.
    Checklist {
        /// Program and arguments; the exit code is ignored.
        argv: Vec<Template>,
        /// Group `id` (else the first) names what failed.
        fail: Regex,
        /// Names that are none.
        ignore: Option<Regex>,
    },
    /// Tables that must not lose rows.
    Rows {
        /// Which database.
        database: String,
        /// The tables.
        tables: Vec<Template>,
    },
}

/// A page and what it must look like.
#[derive(Clone, Debug)]
pub struct HttpProbe {
    /// A path below `{base_url}`, or a whole URL.
    pub url: Template,
    /// Allowed status codes.
    pub status: Vec<u16>,
    /// At least this long.
    pub min_bytes: u64,
    /// Must be found in it.
    pub must: Option<Regex>,
    /// Must not.
    pub must_not: Option<Regex>,
    /// Keys of the JSON object that it is, and their values.
    pub json: Vec<(String, JsonValue)>,
    /// Allowed status codes while `snap` keeps the site shut.
    pub shut: Option<Vec<u16>>,
}

/// A value that a JSON answer must have.
#[derive(Clone, Debug)]
pub enum JsonValue {
    /// A string.
    Text(Template),
    /// A whole number.
    Int(i64),
    /// True or false.
    Bool(bool),
}

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
