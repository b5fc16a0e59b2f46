//! The hidden migrator of `sql-files` applications: applies numbered `.sql` files to a SQLite
//! database, as an application's own migration would.
//!
//! It runs as a child on a terminal of its own, like every migration. It commits each statement by
//! itself, so a file that fails half way leaves its first half behind, as MySQL's would.

use std::fs;
use std::io::BufRead;
use std::path::PathBuf;

use rusqlite::fallible_iterator::FallibleIterator;
use rusqlite::{Batch, Connection, OpenFlags};

use super::context::Context;
use super::failure::{Code, Exit, Failure};

const RULE: &str = "---------------------------------------------------------------";

/// What is migrated.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The SQLite file
    #[arg(long, value_name = "FILE")]
    database: PathBuf,
    /// The directory of the numbered .sql files
    #[arg(long, value_name = "DIR")]
    files: PathBuf,
    /// The table that lists what was applied
    #[arg(long, value_name = "NAME", default_value = "schema_migrations")]
    table: String,
    /// Its column that holds a file's name
    #[arg(long, value_name = "NAME", default_value = "id")]
    column: String,
}

/// One step that did not work, in the words of the one who made it.
#[derive(Debug)]
struct Refused(String);

impl<E: std::error::Error> From<E> for Refused {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// Applies what is not yet applied, in the order of the names.
pub(super) fn run(cx: &Context<'_>, args: &Args) -> Result<Exit, Failure> {
    let failed = |what: &str, Refused(why)| Failure::new(Code::E0706, what).because(why);
    // Never created: an empty database would look like one that needs every migration.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(&args.database, flags)
        .map_err(|error| failed("cannot open the database", error.into()))?;
    let pending = pending(&db, args).map_err(|why| failed("cannot tell what is pending", why))?;
    if pending.is_empty() {
        cx.out.print("No migrations are pending.\n");
    } else {
        cx.out.print("Running migrations:\n");
    }
    for (name, file) in pending {
        cx.out.print(&format!("  [{name}]\n"));
        if let Err(Refused(why)) = apply(cx, &db, args, &name, &file) {
            cx.out.print(&format!(
                "An error occurred when processing the migration:\n  Migration: {name}\n  Error: {why}\n{RULE}\n"
            ));
            return Ok(Exit::Error);
        }
    }
    cx.out.print(&format!("{RULE}\nAll migrations have completed.\n"));
    Ok(Exit::Ok)
}

fn pending(db: &Connection, args: &Args) -> Result<Vec<(String, PathBuf)>, Refused> {
    let sql = format!("SELECT 1 FROM \"{}\" WHERE \"{}\" = ?1", args.table, args.column);
    let mut applied = db.prepare(&sql)?;
    let mut found = Vec::new();
    for entry in fs::read_dir(&args.files)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some(id) = name.strip_suffix(".sql") else { continue };
        if !applied.exists([id])? {
            found.push((id.to_owned(), path));
        }
    }
    found.sort();
    Ok(found)
}

fn apply(
    cx: &Context<'_>,
    db: &Connection,
    args: &Args,
    name: &str,
    file: &std::path::Path,
) -> Result<(), Refused> {
    let sql = fs::read_to_string(file)?;
    let question = sql.lines().find_map(|line| line.strip_prefix("-- ask: "));
    let answer = question.map(|question| ask(cx, question)).transpose()?;
    let mut statements = Batch::new(db, &sql);
    while let Some(mut statement) = statements.next()? {
        let first = statement.expanded_sql().unwrap_or_default();
        let first = first.lines().find(|line| !line.starts_with("--")).unwrap_or_default();
        cx.out.print(&format!("      > {}\n", first.trim_end_matches([';', ' ', '('])));
        if statement.parameter_count() > 0 {
            let answer = answer.as_deref().ok_or_else(|| Refused("nobody was asked".into()))?;
            statement.execute([answer])?;
        } else {
            statement.raw_execute()?;
        }
    }
    let done = format!("INSERT INTO \"{}\" (\"{}\") VALUES (?1)", args.table, args.column);
    db.execute(&done, [name])?;
    Ok(())
}

/// Asks as passbolt does: over two lines, without a newline at the end, until `y` or `n` is said.
fn ask(cx: &Context<'_>, question: &str) -> Result<String, Refused> {
    loop {
        cx.out.print(&format!("{question}\n(y/n)\n[n] > "));
        let mut line = String::new();
        if std::io::stdin().lock().read_line(&mut line)? == 0 {
            return Err(Refused("the terminal was closed before the answer".to_owned()));
        }
        match line.trim() {
            "" => return Ok("n".to_owned()),
            answer @ ("y" | "n") => return Ok(answer.to_owned()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::command::Global;
    use crate::cli::environment::Environment;
    use std::path::Path;

    /// A database with one table, and `files` beside it.
    fn world(dir: &Path, files: &[(&str, &str)]) -> Args {
        let database = dir.join("app.db");
        let db = Connection::open(&database).unwrap();
        db.execute_batch("CREATE TABLE schema_migrations (id TEXT PRIMARY KEY)").unwrap();
        for (name, sql) in files {
            let made = crate::os::file::replace(dir, name, sql.as_bytes(), 0o600);
            made.unwrap();
        }
        let table = "schema_migrations".to_owned();
        Args { database, files: dir.to_owned(), table, column: "id".to_owned() }
    }

    fn applied(args: &Args) -> Vec<String> {
        let db = Connection::open(&args.database).unwrap();
        let mut rows = db.prepare("SELECT id FROM schema_migrations ORDER BY id").unwrap();
        rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn a_file_that_fails_half_way_leaves_its_first_half_and_is_not_recorded() {
        let dir = tempfile::tempdir().unwrap();
        let args = world(
            dir.path(),
            &[
                ("0001_a.sql", "CREATE TABLE a (x); CREATE TABLE b (x);"),
                ("0002_b.sql", "INSERT INTO a VALUES (1); ALTER TABLE a ADD COLUMN x;"),
                ("0003_c.sql", "DROP TABLE a;"),
            ],
        );
        let environment = Environment::of(&[]);
        let global = Global { json: true, ..Global::default() };
        let cx = Context::new(&environment, &global);
        assert_eq!(run(&cx, &args).unwrap(), Exit::Error);
        assert_eq!(applied(&args), ["0001_a"]);
        let db = Connection::open(&args.database).unwrap();
        let rows: i64 = db.query_row("SELECT count(*) FROM a", [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 1);
    }

    #[test]
    fn what_was_applied_is_not_applied_again() {
        let dir = tempfile::tempdir().unwrap();
        let args = world(dir.path(), &[("1.sql", "CREATE TABLE a (x);"), ("notes.txt", "no")]);
        let environment = Environment::of(&[]);
        let global = Global { json: true, ..Global::default() };
        let cx = Context::new(&environment, &global);
        assert_eq!(run(&cx, &args).unwrap(), Exit::Ok);
        assert_eq!(run(&cx, &args).unwrap(), Exit::Ok);
        assert_eq!(applied(&args), ["1"]);
    }
}
