//! Loads the rows of one stored table into an empty live one.
//!
//! Prepared statements of many rows: no value is escaped or parsed, and of the ways measured
//! (literals in quotes, in hexadecimal, bulk execution) none cost the server less that every
//! server has.

use std::sync::atomic::{AtomicBool, Ordering};

use mysql::prelude::Queryable;
use mysql::{Params, Value};

use super::column::Spelling;
use super::session::Session;
use super::stored::{Stored, spellings};
use super::text::{name, qualified};
use crate::database::DatabaseError;
use crate::database::rows::{Cell, RowStream};
use crate::database::state::{ObjectRecord, Table};
use crate::monitor::{Counter, Monitor};
use crate::os::crash::{CrashPoint, reach};

/// A prepared statement has at most this many places for values.
const PLACES_MAX: usize = 65_535;

/// Beyond this many rows a statement is not faster, and only takes memory.
const ROWS_MAX: usize = 4000;

/// How much of a table one statement is meant to hold. The number of rows follows from it and
/// stays the same, so that the statement is prepared once.
const STATEMENT_BYTES: usize = 1024 * 1024;

/// Rows larger than the rest make a statement this large at most, or stand alone.
const STATEMENT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How much is loaded in one transaction.
const TRANSACTION_BYTES: usize = 16 * 1024 * 1024;

/// What all loads of one restore share.
pub(super) struct Task<'a> {
    pub(super) stored: &'a Stored<'a>,
    /// Where to.
    pub(super) schema: &'a str,
    /// The server's `max_allowed_packet`.
    pub(super) packet_bytes_max: u64,
    pub(super) monitor: &'a dyn Monitor,
    /// Set when another loader failed.
    pub(super) stop: &'a AtomicBool,
}

/// Loads `table`, which was just created.
pub(super) fn load(
    session: &mut Session,
    task: &Task<'_>,
    record: &ObjectRecord,
    table: &Table,
) -> Result<(), DatabaseError> {
    let (spellings, codec) = spellings(table)?;
    let mut loader = Loader::new(session, task, record, table, &spellings);
    let mut stream = RowStream::new(codec);
    loader.session.run("begin to load", "SET autocommit = 0")?;
    task.stored.chunks(table, |one, chunk| {
        if task.stop.load(Ordering::Relaxed) {
            return Err(DatabaseError::Stopped);
        }
        stream.feed(chunk);
        stream.drain(|cells, bytes| loader.row(cells, bytes))?;
        task.monitor.count(Counter::Rows, one.rows.into());
        task.monitor.count(Counter::BytesWritten, one.len.into());
        Ok::<_, DatabaseError>(())
    })?;
    loader.send()?;
    loader.commit()?;
    if !stream.is_at_end() || loader.rows != record.rows {
        return Err(DatabaseError::DamagedState { what: "the rows of a table" });
    }
    Ok(())
}

struct Loader<'a> {
    session: &'a mut Session,
    table: &'a str,
    spellings: &'a [Spelling],
    head: String,
    /// The places of one row.
    places: String,
    rows_a_statement: usize,
    bytes_max: usize,
    values: Vec<Value>,
    waiting_rows: usize,
    waiting_bytes: usize,
    uncommitted_bytes: usize,
    /// Cells of the waiting rows of which the server may say that they hold no valid value.
    invalid: usize,
    rows: u64,
}

impl<'a> Loader<'a> {
    fn new(
        session: &'a mut Session,
        task: &Task<'_>,
        record: &'a ObjectRecord,
        table: &Table,
        spellings: &'a [Spelling],
    ) -> Self {
        let columns: Vec<_> = table.columns.iter().map(|column| name(&column.name)).collect();
        let places: Vec<_> = spellings.iter().map(|spelling| spelling.placeholder()).collect();
        let row_bytes = usize::try_from(record.bytes / record.rows.max(1)).unwrap_or(usize::MAX);
        let rows_a_statement = (STATEMENT_BYTES / row_bytes.max(1))
            .min(PLACES_MAX / spellings.len())
            .clamp(1, ROWS_MAX);
        Self {
            session,
            table: &record.name,
            spellings,
            head: format!(
                "INSERT INTO {} ({}) VALUES ",
                qualified(task.schema, &record.name),
                columns.join(",")
            ),
            places: format!("({})", places.join(",")),
            rows_a_statement,
            bytes_max: usize::try_from(task.packet_bytes_max / 2)
                .unwrap_or(usize::MAX)
                .min(STATEMENT_BYTES_MAX),
            values: Vec::new(),
            waiting_rows: 0,
            waiting_bytes: 0,
            uncommitted_bytes: 0,
            invalid: 0,
            rows: 0,
        }
    }

    fn row(&mut self, cells: &[Cell<'_>], bytes: usize) -> Result<(), DatabaseError> {
        if self.waiting_rows > 0 && self.waiting_bytes + bytes > self.bytes_max {
            self.send()?;
        }
        for (cell, spelling) in cells.iter().zip(self.spellings) {
            let value = value(*cell, *spelling)?;
            self.invalid += usize::from(value == Value::UInt(0) && *spelling == Spelling::Number);
            self.values.push(value);
        }
        self.waiting_rows += 1;
        self.waiting_bytes += bytes;
        self.rows += 1;
        if self.waiting_rows == self.rows_a_statement { self.send() } else { Ok(()) }
    }

    /// Sends the waiting rows.
    fn send(&mut self) -> Result<(), DatabaseError> {
        if self.waiting_rows == 0 {
            return Ok(());
        }
        let doing = format!("load table {}", self.table);
        let mut sql =
            String::with_capacity(self.head.len() + self.waiting_rows * (self.places.len() + 1));
        sql.push_str(&self.head);
        for row in 0..self.waiting_rows {
            if row > 0 {
                sql.push(',');
            }
            sql.push_str(&self.places);
        }
        let values = std::mem::take(&mut self.values);
        let count = values.len();
        let conn = self.session.conn();
        let sent = conn.prep(sql).and_then(|statement| {
            conn.exec_drop(&statement, Params::Positional(values))?;
            Ok(conn.warnings())
        });
        let warnings = sent.map_err(|why| self.session.failed(&doing, why))?;
        self.judge(warnings)?;
        self.values.reserve(count);
        self.uncommitted_bytes += self.waiting_bytes;
        (self.waiting_rows, self.waiting_bytes, self.invalid) = (0, 0, 0);
        if self.uncommitted_bytes >= TRANSACTION_BYTES { self.commit() } else { Ok(()) }
    }

    fn commit(&mut self) -> Result<(), DatabaseError> {
        self.session.run("commit what was loaded", "COMMIT")?;
        self.uncommitted_bytes = 0;
        reach(CrashPoint::RowsLoaded);
        Ok(())
    }

    /// The server altered a value if it warns. Only of an ENUM without a valid value it warns
    /// although it takes it as it is; a SET without values looks the same to us, but it says
    /// nothing of that.
    fn judge(&mut self, warnings: u16) -> Result<(), DatabaseError> {
        const TRUNCATED: u16 = 1265;
        if warnings == 0 {
            return Ok(());
        }
        let all = self.session.warnings()?;
        let other = all.iter().find(|(code, _)| *code != TRUNCATED);
        if other.is_none() && usize::from(warnings) <= self.invalid {
            return Ok(());
        }
        let first = other.or(all.first());
        let warning = first.map_or_else(String::new, |(code, what)| format!("{what} ({code})"));
        Err(DatabaseError::LoadWarning { table: self.table.to_owned(), warning })
    }
}

fn value(cell: Cell<'_>, spelling: Spelling) -> Result<Value, DatabaseError> {
    let Some(bytes) = cell else { return Ok(Value::NULL) };
    if spelling != Spelling::Number {
        return Ok(Value::Bytes(bytes.to_vec()));
    }
    // As a number: a text would be taken for the name of a value.
    let number = std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok());
    number.map(Value::UInt).ok_or(DatabaseError::DamagedState { what: "the number of a value" })
}
