//! The rows of one table, read to the end and cut into chunks, with memory for one row and one
//! chunk.

use std::sync::atomic::{AtomicBool, Ordering};

use blake3::Hasher;
use mysql::Value;
use mysql::prelude::Queryable;

use super::catalog::TableInfo;
use super::session::{Door, Purpose, Session};
use super::sink::Sink;
use super::text::{name, qualified};
use crate::database::DatabaseError;
use crate::database::fingerprint::{Hashers, RowSum};
use crate::database::rows::{Cell, Cutter, RowCodec};
use crate::database::state::{ChunkRef, Id, REFS_PER_LIST, encode_refs};
use crate::monitor::{Counter, Monitor};
use crate::os::crash::{CrashPoint, reach};

/// What was read of a table.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Reading {
    pub(super) rows: u64,
    pub(super) bytes: u64,
    pub(super) digest: [u8; 32],
    pub(super) lists: Vec<Id>,
    /// The largest row, encoded.
    pub(super) row_bytes_max: u64,
}

/// What all readings of one run share.
pub(super) struct Task<'a> {
    pub(super) door: &'a Door,
    pub(super) schema: &'a str,
    pub(super) hashers: &'a Hashers,
    pub(super) cut_target: u32,
    pub(super) monitor: &'a dyn Monitor,
    /// Set when another reader failed: then there is no point in going on.
    pub(super) stop: &'a AtomicBool,
}

/// Reads all rows of `table` on `session`, whose snapshot decides what there is.
pub(super) fn read(
    task: &Task<'_>,
    session: &mut Session,
    table: &TableInfo,
    sink: &mut impl Sink,
) -> Result<Reading, DatabaseError> {
    let columns = table.stored_columns().expect("what cannot be read was refused before");
    let codec = RowCodec::new(columns.len()).expect("a table has no more columns than a row");
    let key = key_places(table, &columns.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>());
    let wanted: Vec<_> = columns.iter().map(|(name, spelling)| spelling.read(name)).collect();
    let sql = format!(
        "SELECT {} FROM {}{}",
        wanted.join(", "),
        qualified(task.schema, &table.name),
        order(table)
    );
    let mut reader = Reader {
        cutter: Cutter::new(task.hashers.cuts.clone(), task.cut_target),
        out: Output {
            task,
            sink,
            refs: Vec::new(),
            lists: Vec::new(),
            ids: task.hashers.rows.clone(),
        },
        sum: table.key.is_empty().then(|| RowSum::new(task.hashers.row.clone())),
        key_bytes: Vec::new(),
        rows: 0,
        bytes: 0,
        row_bytes_max: 0,
    };
    match stream(task.door, session, sql, |row| reader.take(codec, &key, row)) {
        Ok(()) => reader.end(),
        Err(Failed::Ours(why)) => Err(why),
        Err(Failed::Server(why)) => Err(session.failed(&format!("read table {}", table.name), why)),
    }
}

enum Failed {
    Server(mysql::Error),
    Ours(DatabaseError),
}

/// Hands every row of a result to `take`, one at a time.
fn stream(
    door: &Door,
    session: &mut Session,
    sql: String,
    mut take: impl FnMut(&[Value]) -> Result<(), DatabaseError>,
) -> Result<(), Failed> {
    let id = session.id();
    let mut rows = session.conn().query_iter(sql).map_err(Failed::Server)?;
    for row in rows.by_ref() {
        let row = row.map_err(Failed::Server)?;
        if let Err(why) = take(&row.unwrap()) {
            // Letting go of the result would read it to its end, which may be hours away.
            if let Ok(mut other) = door.open(Purpose::Read) {
                other.end_query_of(id);
            }
            return Err(Failed::Ours(why));
        }
    }
    Ok(())
}

/// How many rows the server counts, in the same snapshot: a stream that ended early must show.
pub(super) fn count(
    session: &mut Session,
    schema: &str,
    table: &TableInfo,
) -> Result<u64, DatabaseError> {
    let sql = format!("SELECT COUNT(*) FROM {}", qualified(schema, &table.name));
    let doing = format!("count the rows of {}", table.name);
    let counted = session.value(&doing, &sql)?;
    counted.parse().map_err(|_| DatabaseError::DamagedState { what: "the server's count" })
}

/// Where the key's cells are in a row; empty if not all of them are stored, or there is no key.
fn key_places(table: &TableInfo, columns: &[&str]) -> Vec<usize> {
    let places = table.key.iter().map(|part| columns.iter().position(|name| name == part));
    places.collect::<Option<Vec<_>>>().unwrap_or_default()
}

fn order(table: &TableInfo) -> String {
    if table.key.is_empty() {
        return String::new();
    }
    let columns: Vec<_> = table.key.iter().map(|column| name(column)).collect();
    format!(" ORDER BY {}", columns.join(", "))
}

/// A reading that is under way.
struct Reader<'a, 't, S> {
    cutter: Cutter,
    out: Output<'a, 't, S>,
    sum: Option<RowSum>,
    key_bytes: Vec<u8>,
    rows: u64,
    bytes: u64,
    row_bytes_max: u64,
}

/// What becomes of the chunks.
struct Output<'a, 't, S> {
    task: &'a Task<'t>,
    sink: &'a mut S,
    refs: Vec<ChunkRef>,
    lists: Vec<Id>,
    ids: Hasher,
}

impl<S: Sink> Reader<'_, '_, S> {
    fn take(&mut self, codec: RowCodec, key: &[usize], row: &[Value]) -> Result<(), DatabaseError> {
        let buffer = self.cutter.buffer();
        let start = buffer.len();
        codec.encode(row.iter().map(cell), buffer);
        let encoded = &buffer[start..];
        let row_bytes = encoded.len();
        if let Some(sum) = &mut self.sum {
            sum.add(encoded);
        }
        self.key_bytes.clear();
        if key.is_empty() {
            self.key_bytes.extend_from_slice(encoded);
        } else {
            let codec = RowCodec::new(key.len()).expect("a key has no more columns than a row");
            codec.encode(key.iter().map(|place| cell(&row[*place])), &mut self.key_bytes);
        }
        self.rows += 1;
        self.bytes += row_bytes as u64;
        self.row_bytes_max = self.row_bytes_max.max(row_bytes as u64);
        let out = &mut self.out;
        self.cutter.end_row(&self.key_bytes, row_bytes, &mut |chunk, rows| out.keep(chunk, rows))
    }

    fn end(mut self) -> Result<Reading, DatabaseError> {
        let out = &mut self.out;
        self.cutter.flush(&mut |chunk, rows| out.keep(chunk, rows))?;
        out.list()?;
        let digest = match self.sum {
            Some(sum) => sum.finish(),
            None => *self.out.ids.finalize().as_bytes(),
        };
        Ok(Reading {
            rows: self.rows,
            bytes: self.bytes,
            digest,
            lists: self.out.lists,
            row_bytes_max: self.row_bytes_max,
        })
    }
}

impl<S: Sink> Output<'_, '_, S> {
    fn keep(&mut self, chunk: &[u8], rows: u32) -> Result<(), DatabaseError> {
        if self.task.stop.load(Ordering::Relaxed) {
            return Err(DatabaseError::Stopped);
        }
        let id = self.sink.rows(chunk)?;
        self.ids.update(id.as_bytes());
        let len = u32::try_from(chunk.len()).expect("a chunk has at most 1 MiB");
        self.refs.push(ChunkRef { id, len, rows });
        self.task.monitor.count(Counter::Rows, rows.into());
        self.task.monitor.count(Counter::BytesRead, len.into());
        if self.refs.len() == REFS_PER_LIST {
            self.list()?;
        }
        reach(CrashPoint::RowsRead);
        Ok(())
    }

    fn list(&mut self) -> Result<(), DatabaseError> {
        if !self.refs.is_empty() {
            let id = self.sink.record(&encode_refs(&self.refs))?;
            self.lists.push(Id(*id.as_bytes()));
            self.refs.clear();
        }
        Ok(())
    }
}

fn cell(value: &Value) -> Cell<'_> {
    match value {
        Value::Bytes(bytes) => Some(bytes),
        // The text protocol knows bytes and NULL only.
        _ => None,
    }
}
