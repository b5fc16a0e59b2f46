//! How an application is shut, and how it is migrated.

use std::time::Duration;

use regex::Regex;

use crate::app::profile::template::Template;

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
