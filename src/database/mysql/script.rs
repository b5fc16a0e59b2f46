//! A stored schema as a script that the server's own client runs.
//!
//! ```text
//! the session as restores have it · the schema's defaults
//! tables: DROP, CREATE, rows
//! views, those first that others stand on · triggers, each under the settings of its making
//! ```
//! Values are spelled as bytes, so that no character set can alter them on the way.

use std::collections::BTreeMap;
use std::io::Write;

use super::column::Spelling;
use super::define::word;
use super::definition::with_counter;
use super::stored::{Stored, spellings};
use super::text::{literal, name, push_escaped, push_hex};
use crate::database::export::unwritten;
use crate::database::rows::{Cell, RowStream};
use crate::database::state::{ObjectRecord, Trigger, View};
use crate::database::{DatabaseError, ObjectKind};
use crate::repository::{ChunkId, Repository};

/// Rows are gathered into statements of about so many bytes.
const STATEMENT_BYTES: usize = 256 * 1024;

/// What every session is that loads: nothing is converted, adjusted or refused.
const SESSION: &str = "\
SET NAMES utf8mb4;
SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES,NO_ENGINE_SUBSTITUTION';
SET SESSION foreign_key_checks = 0, unique_checks = 0, time_zone = '+00:00';
SET SESSION auto_increment_increment = 1, auto_increment_offset = 1;
/*M!100201 SET SESSION check_constraint_checks = 0 */;
";

/// Writes the schema of `state`; the same bytes for the same state.
pub(in crate::database) fn write_script(
    repository: &Repository,
    state: &ChunkId,
    out: &mut dyn Write,
) -> Result<(), DatabaseError> {
    let stored = Stored::open(repository, state)?;
    let mut script = Script { out };
    let schema = &stored.schema;
    // A name may hold a line break, and a comment ends there.
    let called = schema.name.escape_default();
    script.say(&format!(
        "-- Schema {called}. Into an empty schema of that name:\n\
         -- mariadb --default-character-set=utf8mb4 SCHEMA < FILE\n\n{SESSION}"
    ))?;
    script.defaults(&schema.charset, &schema.collation)?;
    for record in stored.of(ObjectKind::Table) {
        script.table(&stored, record)?;
    }
    let mut views = BTreeMap::new();
    for record in stored.of(ObjectKind::View) {
        views.insert(record.name.clone(), stored.view(record)?);
    }
    for of in in_order(&views) {
        script.view(of, &views[of])?;
    }
    let mut triggers = Vec::new();
    for record in stored.of(ObjectKind::Trigger) {
        triggers.push((record.name.clone(), stored.trigger(record)?));
    }
    triggers
        .sort_by(|(_, a), (_, b)| (&a.table, &a.when, a.place).cmp(&(&b.table, &b.when, b.place)));
    script.triggers(&triggers, &schema.collation)
}

/// Views, those first that others stand on. A view names another by its quoted name; where that
/// only looks so, an order is as good as another.
fn in_order(views: &BTreeMap<String, View>) -> Vec<&String> {
    let mut left: Vec<&String> = views.keys().collect();
    let mut ordered = Vec::new();
    while !left.is_empty() {
        let stands_on = |of: &String, other: &String| {
            let quoted = name(other).into_bytes();
            of != other && views[of].definition.windows(quoted.len()).any(|part| part == quoted)
        };
        let (free, rest): (Vec<_>, Vec<_>) =
            left.iter().copied().partition(|of| !left.iter().any(|other| stands_on(of, other)));
        if free.is_empty() {
            ordered.extend(rest);
            break;
        }
        ordered.extend(free);
        left = rest;
    }
    ordered
}

struct Script<'a> {
    out: &'a mut dyn Write,
}

impl Script<'_> {
    fn say(&mut self, text: &str) -> Result<(), DatabaseError> {
        self.write(text.as_bytes())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), DatabaseError> {
        self.out.write_all(bytes).map_err(unwritten)
    }

    fn defaults(&mut self, charset: &str, collation: &str) -> Result<(), DatabaseError> {
        let (charset, collation) = (word(charset)?, word(collation)?);
        self.say(&format!("ALTER DATABASE CHARACTER SET = {charset} COLLATE = {collation};\n"))
    }

    fn table(&mut self, stored: &Stored<'_>, record: &ObjectRecord) -> Result<(), DatabaseError> {
        let table = stored.table(record)?;
        let quoted = name(&record.name);
        self.say(&format!("\nDROP TABLE IF EXISTS {quoted};\n"))?;
        self.write(&with_counter(&table.definition, record.auto_increment))?;
        self.say(";\n")?;
        let (spellings, codec) = spellings(&table)?;
        let columns: Vec<_> = table.columns.iter().map(|column| name(&column.name)).collect();
        let head = format!("INSERT INTO {quoted} ({}) VALUES\n", columns.join(","));
        let mut stream = RowStream::new(codec);
        let (mut statement, mut rows) = (String::new(), 0_u64);
        stored.chunks(&table, |_, chunk| {
            stream.feed(chunk);
            stream.drain(|cells, _| {
                statement.push_str(if statement.is_empty() { &head } else { ",\n" });
                push_row(cells, &spellings, &mut statement)?;
                rows += 1;
                if statement.len() < STATEMENT_BYTES {
                    return Ok(());
                }
                statement.push_str(";\n");
                self.say(&std::mem::take(&mut statement))
            })
        })?;
        if !statement.is_empty() {
            statement.push_str(";\n");
            self.say(&statement)?;
        }
        if stream.is_at_end() && rows == record.rows {
            Ok(())
        } else {
            Err(DatabaseError::DamagedState { what: "the rows of a table" })
        }
    }

    fn view(&mut self, of: &str, view: &View) -> Result<(), DatabaseError> {
        self.say(&format!("\nDROP VIEW IF EXISTS {};\n", name(of)))?;
        self.settings(None, &view.client_charset, &view.collation)?;
        self.definition(&view.definition, &view.client_charset)
    }

    /// Each under the schema's collation of its time.
    fn triggers(
        &mut self,
        triggers: &[(String, Trigger)],
        collation: &str,
    ) -> Result<(), DatabaseError> {
        let charset_of = |collation: &str| -> String {
            collation.split('_').next().unwrap_or_default().to_owned()
        };
        let mut current = collation;
        for (of, trigger) in triggers {
            if trigger.schema_collation != current {
                current = &trigger.schema_collation;
                self.defaults(&charset_of(current), current)?;
            }
            self.say(&format!("\nDROP TRIGGER IF EXISTS {};\n", name(of)))?;
            self.settings(Some(&trigger.sql_mode), &trigger.client_charset, &trigger.collation)?;
            self.definition(&trigger.definition, &trigger.client_charset)?;
        }
        if current != collation {
            self.defaults(&charset_of(collation), collation)?;
        }
        Ok(())
    }

    fn settings(
        &mut self,
        sql_mode: Option<&str>,
        charset: &str,
        collation: &str,
    ) -> Result<(), DatabaseError> {
        let mode = sql_mode.map(|mode| format!("sql_mode = {}, ", literal(mode)));
        self.say(&format!(
            "SET SESSION {}character_set_client = {}, collation_connection = {};\n",
            mode.unwrap_or_default(),
            word(charset)?,
            word(collation)?
        ))
    }

    /// A text that may hold semicolons: it ends with what it does not hold. One with carriage
    /// returns, which the client would drop, stands in hexadecimal.
    fn definition(&mut self, text: &[u8], charset: &str) -> Result<(), DatabaseError> {
        if text.contains(&b'\r') {
            let mut statement = format!("EXECUTE IMMEDIATE _{} ", word(charset)?);
            push_hex(text, &mut statement);
            statement.push_str(";\n");
            return self.say(&statement);
        }
        let holds = |end: &String| text.windows(end.len()).any(|part| part == end.as_bytes());
        let mut end = "$$".to_owned();
        while holds(&end) {
            end.push('$');
        }
        self.say(&format!("DELIMITER {end}\n"))?;
        self.write(text)?;
        self.say(&format!("{end}\nDELIMITER ;\n"))
    }
}

fn push_row(
    cells: &[Cell<'_>],
    spellings: &[Spelling],
    out: &mut String,
) -> Result<(), DatabaseError> {
    out.push('(');
    for (index, (cell, spelling)) in cells.iter().zip(spellings).enumerate() {
        if index > 0 {
            out.push(',');
        }
        match cell {
            None => out.push_str("NULL"),
            Some(bytes) => push_value(bytes, *spelling, out)?,
        }
    }
    out.push(')');
    Ok(())
}

fn push_value(bytes: &[u8], spelling: Spelling, out: &mut String) -> Result<(), DatabaseError> {
    match spelling {
        Spelling::Number => {
            let number = std::str::from_utf8(bytes).ok().and_then(|text| text.parse::<u64>().ok());
            let wrong = DatabaseError::DamagedState { what: "the number of a value" };
            out.push_str(&number.ok_or(wrong)?.to_string());
        }
        Spelling::Bytes | Spelling::Text | Spelling::Float => push_bytes(bytes, out),
        Spelling::Ascii => {
            out.push_str("CONVERT(");
            push_bytes(bytes, out);
            out.push_str(" USING latin1)");
        }
        Spelling::Json => {
            out.push_str("CONVERT(");
            push_bytes(bytes, out);
            out.push_str(" USING utf8mb4)");
        }
    }
    Ok(())
}

/// Bytes that are text are readable; others stand in hexadecimal. Neither is converted.
fn push_bytes(bytes: &[u8], out: &mut String) {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => {
            let mut escaped = String::with_capacity(text.len());
            push_escaped(text, &mut escaped);
            out.push_str("_binary'");
            // The client makes one line break of two, and takes this control for the end.
            let escaped = escaped.replace('\r', "\\r").replace('\n', "\\n");
            out.push_str(&escaped.replace('\u{1a}', "\\Z"));
            out.push('\'');
        }
        _ => push_hex(bytes, out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_spelled_so_that_nothing_converts_them() {
        let spelled = |bytes: &[u8], spelling| {
            let mut out = String::new();
            push_value(bytes, spelling, &mut out).map(|()| out).unwrap()
        };
        assert_eq!(spelled(b"it's", Spelling::Bytes), r"_binary'it\'s'");
        assert_eq!(spelled(b"a\r\n\x1a", Spelling::Bytes), r"_binary'a\r\n\Z'");
        assert_eq!(spelled(&[0xff, 0], Spelling::Bytes), "x'ff00'");
        assert_eq!(spelled(b"7", Spelling::Number), "7");
        assert_eq!(spelled(b"1.5", Spelling::Float), "_binary'1.5'");
        assert_eq!(spelled(b"{}", Spelling::Json), "CONVERT(_binary'{}' USING utf8mb4)");
        let mut out = String::new();
        assert!(push_value(b"x", Spelling::Number, &mut out).is_err());
    }

    #[test]
    fn a_view_comes_after_those_it_stands_on() {
        let view = |text: &str| View {
            definition: text.as_bytes().to_vec(),
            client_charset: "utf8mb4".to_owned(),
            collation: "utf8mb4_general_ci".to_owned(),
        };
        let views = BTreeMap::from([
            ("a".to_owned(), view("CREATE VIEW `a` AS select * from `c`")),
            ("b".to_owned(), view("CREATE VIEW `b` AS select * from `t`")),
            ("c".to_owned(), view("CREATE VIEW `c` AS select * from `b`")),
        ]);
        assert_eq!(in_order(&views), ["b", "c", "a"]);
    }
}
