//! Which migrations a release brings that the database has not seen.
//!
//! A plan reads files and rows only: some applications' own status commands create tables. Their
//! answer is asked under `Armed`, before and after the migration.

use std::collections::BTreeSet;

use crate::app::files::{CONFIG_BYTES_MAX, Files};
use crate::app::profile::{PendingRule, PromptRule, Scan, ScanWithin, StatusCommand};
use crate::app::{App, AppError, sql_files};
use crate::database::Database;
use crate::tree::TreePath;

/// A migration that would run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingMigration {
    /// As the database would record it.
    pub id: String,
    /// The release's file that holds it.
    pub file: TreePath,
    /// The question it will ask, as it will stand on the terminal, where its text says so.
    pub asks: Option<String>,
}

impl PendingMigration {
    /// The rule that answers what it asks.
    pub fn answered_by<'a>(&self, rules: &'a [PromptRule]) -> Option<&'a PromptRule> {
        let question = self.asks.as_deref()?;
        rules.iter().find(|rule| rule.pattern.is_match(question))
    }
}

/// The migrations in `release` that no row names, in the order of their files.
///
/// A table that is not there has no rows: then none was applied.
pub fn scan(
    app: &App,
    release: &dyn Files,
    databases: &mut [Box<dyn Database>],
) -> Result<Vec<PendingMigration>, AppError> {
    let mut pending = Vec::new();
    for scan in app.profile.pending.iter().filter_map(|rule| rule.scan.as_ref()) {
        let applied = applied(app, scan, databases)?;
        for migration in shipped(app, scan, release)? {
            if !applied.contains(&migration.id) {
                pending.push(migration);
            }
        }
    }
    Ok(pending)
}

/// All migrations that a release ships.
fn shipped(app: &App, scan: &Scan, release: &dyn Files) -> Result<Vec<PendingMigration>, AppError> {
    let mut shipped = Vec::new();
    for file in release.matching(&scan.files.fill_pattern(&app.vars)?)? {
        let bytes = release.read(&file, CONFIG_BYTES_MAX)?.unwrap_or_default();
        let content = String::from_utf8_lossy(&bytes);
        let name = String::from_utf8_lossy(file.name()).into_owned();
        let text = match scan.within {
            ScanWithin::Name => name.as_str(),
            ScanWithin::Content => &content,
        };
        let found = scan.id.captures(text);
        let id = found.as_ref().and_then(|found| found.name("id").or_else(|| found.get(1)));
        // A file that has the place of a migration and no id could be one that we fail to read.
        let id = id.ok_or_else(|| AppError::NoMigrationId { file: file.to_string() })?;
        let asked = scan.asks.as_ref().and_then(|asks| asks.captures(&content)?.get(1));
        let asks = asked.map(|question| sql_files::as_asked(question.as_str()));
        shipped.push(PendingMigration { id: id.as_str().to_owned(), file, asks });
    }
    Ok(shipped)
}

fn applied(
    app: &App,
    scan: &Scan,
    databases: &mut [Box<dyn Database>],
) -> Result<BTreeSet<String>, AppError> {
    let database = named(databases, &scan.database)?;
    let table = scan.table.fill(&app.vars)?;
    let rows = database.read(&table, &[&scan.column], &[])?.unwrap_or_default();
    let texts = rows.into_iter().flatten().flatten();
    Ok(texts.map(|raw| String::from_utf8_lossy(&raw).into_owned()).collect())
}

/// The status commands of the profile, to be run under `Armed`.
pub fn status_commands(app: &App) -> impl Iterator<Item = &StatusCommand> {
    app.profile.pending.iter().filter_map(|rule: &PendingRule| rule.status.as_ref())
}

impl StatusCommand {
    /// Whether its output says that something is pending.
    pub fn says_pending(&self, output: &str) -> bool {
        self.pending_if.is_match(output)
    }
}

/// The opened database that a profile calls `name`.
pub(crate) fn named<'a>(
    databases: &'a mut [Box<dyn Database>],
    name: &str,
) -> Result<&'a mut Box<dyn Database>, AppError> {
    let found = databases.iter_mut().find(|database| database.name() == name);
    found.ok_or_else(|| AppError::DatabaseNotOpen { database: name.to_owned() })
}
