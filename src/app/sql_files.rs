//! The migrator of the profile `sql-files`: numbered SQL files, applied once each, in order.
//!
//! It is a program of its own, behind a hidden verb: a real child on a terminal like any
//! application's migrator, which prints, asks and fails as they do. A file's statements are not
//! wrapped in a transaction, as those of most servers cannot be: what a failing file has done
//! stays done, and only a rollback puts it back.

use std::ffi::OsString;
use std::fs;
use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};

use rusqlite::fallible_iterator::FallibleIterator;
use rusqlite::{Connection, OpenFlags};

/// The hidden verb.
pub const MIGRATE_VERB: &str = "__migrate-sql";

/// The line that makes a file ask before it runs.
const ASK: &str = "-- ask: ";

/// A question as it stands on the terminal.
pub fn as_asked(question: &str) -> String {
    format!("{} (y/n) \n[n] > ", question.trim())
}

/// What the verb was told on its command line.
struct Order {
    database: PathBuf,
    files: PathBuf,
    table: String,
}

/// Why a migration ended.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("usage: {MIGRATE_VERB} --database FILE --files DIRECTORY --table NAME")]
    Usage,
    #[error("{0}: {1}")]
    File(PathBuf, io::Error),
    #[error("{0}")]
    Terminal(#[from] io::Error),
    #[error("{0}")]
    Database(#[from] rusqlite::Error),
    #[error("no answer")]
    NoAnswer,
}

/// Applies what is pending. `arguments` are those behind the verb; the result is the exit code.
pub fn migrate(arguments: &[OsString], input: &mut dyn BufRead, output: &mut dyn Write) -> u8 {
    let told = parse(arguments).and_then(|order| run(&order, input, output));
    match told {
        Ok(()) => 0,
        Err((migration, trouble)) => {
            // Nobody may be left to read it; the exit code says it, too.
            let _ = complain(output, migration.as_deref(), &trouble);
            1
        }
    }
}

type Told<T> = Result<T, (Option<String>, Trouble)>;

fn complain(output: &mut dyn Write, migration: Option<&str>, trouble: &Trouble) -> io::Result<()> {
    writeln!(output, "An error occurred when processing the migration:")?;
    if let Some(migration) = migration {
        writeln!(output, "  Migration: {migration}")?;
    }
    writeln!(output, "  Error: {}", trouble.to_string().replace('\n', " ").trim())?;
    output.flush()
}

fn parse(arguments: &[OsString]) -> Told<Order> {
    let usage = || (None, Trouble::Usage);
    let [a, database, b, files, c, table] = arguments else { return Err(usage()) };
    if a != "--database" || b != "--files" || c != "--table" {
        return Err(usage());
    }
    let table = table.to_str().filter(|name| is_plain(name)).ok_or_else(usage)?;
    Ok(Order { database: database.into(), files: files.into(), table: table.to_owned() })
}

/// The profile's door lets only such names in; the verb can be called by anybody.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
}

fn run(order: &Order, input: &mut dyn BufRead, output: &mut dyn Write) -> Told<()> {
    let general = |trouble: Trouble| (None, trouble);
    // The database must be there: a migration never makes an empty one beside the real.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || -> Result<Connection, Trouble> {
        let connection = Connection::open_with_flags(&order.database, flags)?;
        connection.busy_timeout(std::time::Duration::from_secs(30))?;
        Ok(connection)
    };
    let connection = open().map_err(general)?;
    let table = &order.table;
    let make = format!("CREATE TABLE IF NOT EXISTS \"{table}\" (id TEXT PRIMARY KEY)");
    connection.execute_batch(&make).map_err(|error| general(error.into()))?;
    say(output, "Running migrations:").map_err(general)?;
    for file in sql_files(&order.files).map_err(general)? {
        let id = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let one = |trouble: Trouble| (Some(id.clone()), trouble);
        if is_applied(&connection, table, &id).map_err(one)? {
            continue;
        }
        apply(&connection, &file, &id, input, output).map_err(one)?;
        let record = format!("INSERT INTO \"{table}\" (id) VALUES (?1)");
        connection.execute(&record, [&id]).map_err(|error| one(error.into()))?;
    }
    say(output, "All migrations have completed.").map_err(general)
}

fn say(output: &mut dyn Write, line: &str) -> Result<(), Trouble> {
    writeln!(output, "{line}")?;
    Ok(output.flush()?)
}

fn sql_files(dir: &Path) -> Result<Vec<PathBuf>, Trouble> {
    let wrong = |error| Trouble::File(dir.to_owned(), error);
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).map_err(wrong)? {
        let path = entry.map_err(wrong)?.path();
        if path.extension().is_some_and(|extension| extension == "sql") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn is_applied(connection: &Connection, table: &str, id: &str) -> Result<bool, Trouble> {
    let ask = format!("SELECT EXISTS (SELECT 1 FROM \"{table}\" WHERE id = ?1)");
    Ok(connection.query_row(&ask, [id], |row| row.get(0))?)
}

fn apply(
    connection: &Connection,
    file: &Path,
    id: &str,
    input: &mut dyn BufRead,
    output: &mut dyn Write,
) -> Result<(), Trouble> {
    let text = fs::read_to_string(file).map_err(|error| Trouble::File(file.to_owned(), error))?;
    say(output, &format!("  [{id}]"))?;
    let question = text.lines().find_map(|line| line.strip_prefix(ASK));
    let answer = question.map(|question| ask(question, input, output)).transpose()?;
    let mut statements = rusqlite::Batch::new(connection, &text);
    while let Some(mut statement) = statements.next()? {
        let sql = statement.expanded_sql().unwrap_or_default();
        let first = sql.lines().find(|line| !line.trim().is_empty() && !line.starts_with("--"));
        say(output, &format!("      > {}", first.unwrap_or_default().trim()))?;
        if let (Some(answer), 1) = (&answer, statement.parameter_count()) {
            statement.raw_bind_parameter(1, answer)?;
        }
        let mut rows = statement.raw_query();
        while rows.next()?.is_some() {}
    }
    Ok(())
}

/// Asks until somebody answers; the end of the input is no answer.
fn ask(question: &str, input: &mut dyn BufRead, output: &mut dyn Write) -> Result<String, Trouble> {
    loop {
        write!(output, "{}", as_asked(question))?;
        output.flush()?;
        let mut line = String::new();
        if input.read_line(&mut line)? == 0 {
            return Err(Trouble::NoAnswer);
        }
        match line.trim() {
            "" => return Ok("n".to_owned()),
            answer @ ("y" | "n") => return Ok(answer.to_owned()),
            _ => {}
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests write the files that are applied")]
mod tests {
    use super::*;

    struct Site(tempfile::TempDir);

    impl Site {
        fn new(files: &[(&str, &str)]) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let database = Connection::open(dir.path().join("app.db")).unwrap();
            database
                .execute_batch("CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT)")
                .unwrap();
            for (name, sql) in files {
                fs::write(dir.path().join(name), sql).unwrap();
            }
            Self(dir)
        }

        fn migrate(&self, typed: &str) -> (u8, String) {
            let database = self.0.path().join("app.db");
            let arguments: [OsString; 6] = [
                "--database".into(),
                database.into(),
                "--files".into(),
                self.0.path().into(),
                "--table".into(),
                "schema_migrations".into(),
            ];
            let mut output = Vec::new();
            let code = super::migrate(&arguments, &mut typed.as_bytes(), &mut output);
            (code, String::from_utf8(output).unwrap())
        }

        fn ask(&self, sql: &str) -> String {
            let database = Connection::open(self.0.path().join("app.db")).unwrap();
            database.query_row(sql, [], |row| row.get(0)).unwrap()
        }
    }

    #[test]
    fn files_are_applied_once_in_order_and_an_answer_is_bound() {
        let site = Site::new(&[
            ("0002.sql", "-- ask: Send statistics?\nINSERT INTO s VALUES ('statistics', ?1);\n"),
            (
                "0001.sql",
                "CREATE TABLE s (k, v);\nCREATE TRIGGER t AFTER INSERT ON s BEGIN SELECT 1; END;\n",
            ),
        ]);
        let (code, text) = site.migrate("maybe\n\n");
        assert_eq!((code, site.ask("SELECT v FROM s").as_str()), (0, "n"), "{text}");
        assert_eq!(text.matches("Send statistics? (y/n) \n[n] > ").count(), 2, "asked again");
        assert!(text.ends_with("All migrations have completed.\n"), "{text}");
        let (code, text) = site.migrate("");
        assert_eq!(
            (code, text.as_str()),
            (0, "Running migrations:\nAll migrations have completed.\n")
        );
    }

    #[test]
    fn a_failing_file_leaves_what_it_did_and_is_not_recorded() {
        let site = Site::new(&[(
            "1.sql",
            "INSERT INTO notes VALUES (1, 'half');\nINSERT INTO missing VALUES (1);\n",
        )]);
        let (code, text) = site.migrate("");
        assert_eq!(code, 1);
        assert!(
            text.contains("An error occurred when processing the migration:\n  Migration: 1\n"),
            "{text}"
        );
        assert!(text.contains("no such table: missing"), "{text}");
        assert_eq!(site.ask("SELECT text FROM notes"), "half");
        assert_eq!(site.ask("SELECT CAST(COUNT(*) AS TEXT) FROM schema_migrations"), "0");
    }

    #[test]
    fn the_end_of_the_input_is_no_answer() {
        let site = Site::new(&[("1.sql", "-- ask: Sure?\nDELETE FROM notes;\n")]);
        assert_eq!(site.migrate("").0, 1);
    }

    #[test]
    fn a_database_that_is_not_there_is_not_made() {
        let site = Site::new(&[]);
        fs::remove_file(site.0.path().join("app.db")).unwrap();
        assert_eq!(site.migrate("").0, 1);
        assert!(!site.0.path().join("app.db").exists());
    }
}
