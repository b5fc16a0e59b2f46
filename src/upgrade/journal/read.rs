//! Reading: nothing is handed out before its chain and its order have been checked.

use rusqlite::{Connection, OptionalExtension, Row};

use super::super::event::Event;
use super::super::state::{EventKind, State, after};
use super::super::stored::Digest;
use super::{FORMAT, Journal, JournalError, Number, chain};

/// What a transaction is, its plan apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Counted up on this machine.
    pub number: Number,
    /// Names everything made on the way.
    pub token: [u8; 16],
    /// The application.
    pub app: String,
    /// The plan's digest.
    pub plan_digest: [u8; 32],
    /// The format of its events.
    pub format: u32,
    /// What a reader must know beyond the format; empty in this version.
    pub features: String,
    /// The version of `snap` that began it.
    pub binary_version: String,
    /// The machine on which it began.
    pub machine_id: String,
}

/// One event as it stands in the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Counted from 1.
    pub seq: i64,
    /// Nanoseconds since 1970; nothing is ordered by it.
    pub at: i64,
    /// What happened.
    pub event: Event,
    pub(super) hash: [u8; 32],
}

/// A transaction whose chain is whole and whose events are in a legal order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// What it is.
    pub header: Header,
    /// What happened, in order; never empty.
    pub events: Vec<Recorded>,
    /// Where that leads.
    pub state: State,
}

impl Header {
    /// As children carry it in their environment: 32 hex digits. Names of what is made on the way
    /// hold the first 8.
    pub fn token_hex(&self) -> String {
        format!("{:032x}", u128::from_be_bytes(self.token))
    }
}

pub(super) fn header(db: &Connection, number: Number) -> rusqlite::Result<Header> {
    let text = "SELECT id, token, app, plan_digest, format, features, binary_version, machine_id \
                FROM tx WHERE id = ?1";
    db.query_row(text, [number.0], read_header)
}

fn read_header(row: &Row<'_>) -> rusqlite::Result<Header> {
    Ok(Header {
        number: Number(row.get(0)?),
        token: row.get(1)?,
        app: row.get(2)?,
        plan_digest: row.get(3)?,
        format: row.get(4)?,
        features: row.get(5)?,
        binary_version: row.get(6)?,
        machine_id: row.get(7)?,
    })
}

/// One row of `event`, believed by nobody yet.
struct Raw {
    seq: i64,
    kind: String,
    body: String,
    at: i64,
    prev: [u8; 32],
    hash: [u8; 32],
}

fn read_raw(row: &Row<'_>) -> rusqlite::Result<Raw> {
    Ok(Raw {
        seq: row.get(0)?,
        kind: row.get(1)?,
        body: row.get(2)?,
        at: row.get(3)?,
        prev: row.get(4)?,
        hash: row.get(5)?,
    })
}

impl Journal {
    /// Every transaction's number, oldest first.
    pub fn numbers(&self) -> Result<Vec<Number>, JournalError> {
        let read = || {
            let mut query = self.db.prepare("SELECT id FROM tx ORDER BY id")?;
            query.query_map([], |row| row.get(0).map(Number))?.collect::<Result<Vec<_>, _>>()
        };
        read().map_err(JournalError::Read)
    }

    /// The transactions that are not closed, oldest first.
    pub fn unfinished(&self) -> Result<Vec<Header>, JournalError> {
        let mut open = Vec::new();
        for number in self.numbers()? {
            let transaction = self.transaction(number)?;
            if transaction.state != State::Closed {
                open.push(transaction.header);
            }
        }
        Ok(open)
    }

    /// One transaction, checked.
    pub fn transaction(&self, number: Number) -> Result<Transaction, JournalError> {
        let header = header(&self.db, number)
            .optional()
            .map_err(JournalError::Read)?
            .ok_or(JournalError::Unknown(number))?;
        if header.format > FORMAT || !header.features.is_empty() {
            let (format, features) = (header.format, header.features);
            return Err(JournalError::TooNew { format, features });
        }
        let (events, state) = believe(&header, self.raw_events(number)?)?;
        Ok(Transaction { header, events, state })
    }

    /// The stored plan, if it is still what its digest says.
    pub fn plan(&self, header: &Header) -> Result<Vec<u8>, JournalError> {
        let plan: Vec<u8> = self
            .db
            .query_row("SELECT plan FROM tx WHERE id = ?1", [header.number.0], |row| row.get(0))
            .map_err(JournalError::Read)?;
        if Digest::from(blake3::hash(&plan)).0 != header.plan_digest {
            let what = "its plan is not what its digest says";
            return Err(JournalError::Damaged { number: header.number, seq: 0, what });
        }
        Ok(plan)
    }

    fn raw_events(&self, number: Number) -> Result<Vec<Raw>, JournalError> {
        let read = || {
            let mut query = self.db.prepare(
                "SELECT seq, kind, body, at, prev, hash FROM event WHERE tx = ?1 ORDER BY seq",
            )?;
            query.query_map([number.0], read_raw)?.collect::<Result<Vec<_>, _>>()
        };
        read().map_err(JournalError::Read)
    }

    /// SQLite remembers the highest id it ever gave: an event cut from the end leaves a trace there
    /// that the chain alone could not show.
    pub(super) fn check_not_cut(&self) -> Result<(), JournalError> {
        let given = |table: &str, newest: &str| -> rusqlite::Result<(i64, i64)> {
            let seq = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = ?1";
            Ok((
                self.db.query_row(seq, [table], |row| row.get(0))?,
                self.db.query_row(newest, [], |row| row.get(0))?,
            ))
        };
        let checks = [
            ("tx", "SELECT coalesce(max(id), 0) FROM tx"),
            ("event", "SELECT coalesce(max(id), 0) FROM event"),
        ];
        for (table, newest) in checks {
            let (ever, now) = given(table, newest).map_err(JournalError::Read)?;
            if ever != now {
                let number = self.numbers()?.last().copied().unwrap_or(Number(ever));
                let what = "its newest rows are gone";
                return Err(JournalError::Damaged { number, seq: 0, what });
            }
        }
        Ok(())
    }
}

/// Checks the chain, then reads the bodies, then folds.
fn believe(header: &Header, raw: Vec<Raw>) -> Result<(Vec<Recorded>, State), JournalError> {
    let number = header.number;
    let mut prev = chain::of_header(header);
    let mut state = None;
    let mut events = Vec::with_capacity(raw.len());
    for (index, raw) in raw.into_iter().enumerate() {
        let damaged = |what| JournalError::Damaged { number, seq: raw.seq, what };
        if usize::try_from(raw.seq) != Ok(index + 1) {
            return Err(damaged("an event is missing before it"));
        }
        if raw.prev != prev {
            return Err(damaged("it does not follow the event before it"));
        }
        if raw.hash
            != chain::of_event(&prev, number, raw.seq, &raw.kind, raw.body.as_bytes(), raw.at)
        {
            return Err(damaged("its content is not what its hash says"));
        }
        let kind = EventKind::parse(&raw.kind).ok_or_else(|| damaged("its kind is unknown"))?;
        let event = Event::decode(kind, &raw.body)
            .map_err(|source| JournalError::Body { number, source })?;
        state =
            Some(after(state, kind).map_err(|source| JournalError::Illegal { number, source })?);
        prev = raw.hash;
        events.push(Recorded { seq: raw.seq, at: raw.at, event, hash: raw.hash });
    }
    let what = "it has no event";
    let state = state.ok_or(JournalError::Damaged { number, seq: 0, what })?;
    Ok((events, state))
}

#[cfg(test)]
impl Recorded {
    pub(in crate::upgrade) fn for_test(at: i64, event: Event) -> Self {
        Self { seq: 0, at, event, hash: [0; 32] }
    }
}
