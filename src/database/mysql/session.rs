//! One connection whose settings are ours, whatever the server's defaults are.

use std::path::Path;
use std::time::Duration;

use mysql::prelude::Queryable;
use mysql::{Conn, Error, OptsBuilder, Value};
use secrecy::ExposeSecret;

use super::text::name;
use crate::database::{DatabaseError, MySqlAddress, Said};

/// Where servers keep their socket when nothing else is said; `localhost` means the first of them.
const SOCKETS: [&str; 4] = [
    "/run/mysqld/mysqld.sock",
    "/var/lib/mysql/mysql.sock",
    "/run/mysql/mysql.sock",
    "/tmp/mysql.sock",
];

/// The largest packet that we take from the server, so that none makes us run out of memory.
/// A row beyond it ends the dump by name, for hardly a server would take it back.
const PACKET_BYTES_MAX: usize = 256 * 1024 * 1024;

/// The way to the schema: whoever holds it can connect.
#[derive(Clone, Debug)]
pub(super) struct Door {
    pub(super) address: MySqlAddress,
    /// How long we wait for a lock. The server's default is a day, and a waiting `FLUSH TABLES WITH
    /// READ LOCK` stops every writer behind it.
    pub(super) lock_wait_s: u64,
}

/// What a connection is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Reading definitions and rows exactly.
    Read,
    /// Writing rows exactly.
    Load,
    /// Dropping and creating.
    Define,
}

/// One connection to the schema.
pub(super) struct Session {
    conn: Conn,
    address: String,
    lock_wait_s: u64,
}

/// A row of a small result, as the server spelled it.
pub(super) type Texts = Vec<Option<Vec<u8>>>;

impl Door {
    /// Connects, and fixes everything that a server or an account may have set otherwise.
    pub(super) fn open(&self, purpose: Purpose) -> Result<Session, DatabaseError> {
        let (address, shown) = (&self.address, self.address.to_string());
        if !address.is_local() {
            return Err(DatabaseError::NotLocal { address: shown });
        }
        let conn = Conn::new(options(address)).map_err(|why| refused(&shown, address, why))?;
        let mut session = Session { conn, address: shown, lock_wait_s: self.lock_wait_s };
        session.settle(purpose)?;
        Ok(session)
    }
}

impl Session {
    fn settle(&mut self, purpose: Purpose) -> Result<(), DatabaseError> {
        let doing = "set up the connection";
        match purpose {
            Purpose::Read => {
                self.run(doing, "SET NAMES utf8mb4")?;
                self.run(doing, "SET SESSION sql_mode = '', character_set_results = NULL")?;
                // Keys may be longer than what a server compares when it sorts.
                self.run(doing, "SET SESSION max_sort_length = 8192")?;
                // A repository slower than the server must not cost us the connection.
                self.run(doing, "SET SESSION net_write_timeout = 3600, net_read_timeout = 3600")?;
                self.run(doing, "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")?;
            }
            Purpose::Load | Purpose::Define => {
                let names = if purpose == Purpose::Load { "binary" } else { "utf8mb4" };
                self.run(doing, &format!("SET NAMES {names}, max_error_count = 65535"))?;
                let modes = "NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES,NO_ENGINE_SUBSTITUTION";
                self.run(doing, &format!("SET SESSION sql_mode = '{modes}'"))?;
                self.run(doing, "SET SESSION foreign_key_checks = 0, unique_checks = 0")?;
                // Otherwise the server would round our AUTO_INCREMENT marks up.
                self.run(
                    doing,
                    "SET SESSION auto_increment_increment = 1, auto_increment_offset = 1",
                )?;
                // Values that were there may break a CHECK that was added without looking.
                self.run_if_known("SET SESSION check_constraint_checks = 0");
                // Definitions that a less strict server once took are taken again.
                self.run_if_known("SET SESSION innodb_strict_mode = 0");
                // A TIMESTAMP without a default would get one; read-only on older servers.
                self.run_if_known("SET SESSION explicit_defaults_for_timestamp = 1");
            }
        }
        self.run(doing, "SET SESSION time_zone = '+00:00', sql_quote_show_create = 1")?;
        self.run(
            doing,
            &format!(
                "SET SESSION lock_wait_timeout = {0}, innodb_lock_wait_timeout = {0}",
                self.lock_wait_s
            ),
        )?;
        // An account may be limited; our statements are as long as its tables are large.
        self.run_if_known("SET SESSION max_statement_time = 0");
        self.run_if_known("SET SESSION max_execution_time = 0");
        self.run_if_known("SET SESSION sql_select_limit = DEFAULT, sql_big_selects = 1");
        Ok(())
    }

    /// Runs a statement that returns nothing we need; `doing` is said after "cannot".
    pub(super) fn run(&mut self, doing: &str, sql: &str) -> Result<(), DatabaseError> {
        self.conn.query_drop(sql).map_err(|why| self.failed(doing, why))
    }

    /// Runs a setting that other servers do not have.
    fn run_if_known(&mut self, sql: &str) {
        let _ = self.conn.query_drop(sql);
    }

    /// The rows of a small result.
    pub(super) fn rows(&mut self, doing: &str, sql: &str) -> Result<Vec<Texts>, DatabaseError> {
        let rows: Result<Vec<mysql::Row>, Error> = self.conn.query(sql);
        let rows = rows.map_err(|why| self.failed(doing, why))?;
        Ok(rows.into_iter().map(|row| row.unwrap().into_iter().map(bytes).collect()).collect())
    }

    /// The first row of a small result.
    pub(super) fn row(&mut self, doing: &str, sql: &str) -> Result<Option<Texts>, DatabaseError> {
        Ok(self.rows(doing, sql)?.into_iter().next())
    }

    /// One value as text; empty if it is NULL or there is no row.
    pub(super) fn value(&mut self, doing: &str, sql: &str) -> Result<String, DatabaseError> {
        let row = self.row(doing, sql)?;
        Ok(row.and_then(|row| row.into_iter().next()).map(text).unwrap_or_default())
    }

    /// Makes `schema` the one that unqualified names mean.
    pub(super) fn choose(&mut self, schema: &str) -> Result<(), DatabaseError> {
        self.run("use the schema", &format!("USE {}", name(schema)))
    }

    /// The warnings of the last statement: code and message.
    pub(super) fn warnings(&mut self) -> Result<Vec<(u16, String)>, DatabaseError> {
        let rows = self.rows("read the warnings", "SHOW WARNINGS")?;
        let one = |row: Texts| {
            let mut cells = row.into_iter().map(text).skip(1);
            let code = cells.next().and_then(|code| code.parse().ok()).unwrap_or(0);
            (code, cells.next().unwrap_or_default())
        };
        Ok(rows.into_iter().map(one).collect())
    }

    /// How long this connection waits for a lock.
    pub(super) fn lock_wait_s(&self) -> u64 {
        self.lock_wait_s
    }

    /// The server's number for this connection.
    pub(super) fn id(&self) -> u32 {
        self.conn.connection_id()
    }

    /// Ends the statement that another connection runs, so that nobody has to read it to its end.
    pub(super) fn end_query_of(&mut self, id: u32) {
        // It may have ended by itself.
        let _ = self.conn.query_drop(format!("KILL QUERY {id}"));
    }

    /// The connection itself, for what streams.
    pub(super) fn conn(&mut self) -> &mut Conn {
        &mut self.conn
    }

    /// Names what happened when `doing` failed.
    pub(super) fn failed(&self, doing: &str, why: Error) -> DatabaseError {
        failure(&self.address, doing, why)
    }
}

/// Names what happened when `doing` failed on a connection to `address`.
fn failure(address: &str, doing: &str, why: Error) -> DatabaseError {
    let (address, doing) = (address.to_owned(), doing.to_owned());
    let source = Box::new(Said::from(why));
    match source.code() {
        // Shut down, killed, or the connection itself.
        None | Some(1053 | 1079 | 1317 | 1927 | 3169) => {
            DatabaseError::Unreachable { address, source }
        }
        Some(1044 | 1045 | 1142 | 1143 | 1227 | 1370 | 1410 | 1419 | 1698) => {
            DatabaseError::MissingRight { doing, source }
        }
        Some(_) => DatabaseError::Statement { doing, source },
    }
}

/// Names what happened when the server did not let us in.
fn refused(shown: &str, address: &MySqlAddress, why: Error) -> DatabaseError {
    let source = Box::new(Said::from(why));
    match source.code() {
        Some(1049) => DatabaseError::NoSchema { schema: address.schema.clone() },
        Some(1044 | 1045 | 1130 | 1251 | 1698 | 1820 | 1862 | 3118) => {
            DatabaseError::LoginRefused { address: shown.to_owned(), source }
        }
        _ => DatabaseError::Unreachable { address: shown.to_owned(), source },
    }
}

/// The server's error number in an error of ours.
pub(super) fn code_in(why: &DatabaseError) -> Option<u16> {
    match why {
        DatabaseError::Statement { source, .. }
        | DatabaseError::MissingRight { source, .. }
        | DatabaseError::Unreachable { source, .. } => source.code(),
        _ => None,
    }
}

fn options(address: &MySqlAddress) -> OptsBuilder {
    let options = OptsBuilder::new()
        .user(Some(address.user.as_str()))
        .pass(Some(address.password.expose_secret()))
        .db_name(Some(address.schema.as_str()))
        .prefer_socket(false)
        .stmt_cache_size(32)
        .max_allowed_packet(Some(PACKET_BYTES_MAX))
        .tcp_connect_timeout(Some(Duration::from_secs(10)));
    let socket = address.socket.as_deref().or_else(|| {
        let default = SOCKETS.iter().map(Path::new).find(|path| path.exists());
        default.filter(|_| address.host == "localhost")
    });
    match socket {
        Some(path) => options.socket(Some(path.to_string_lossy())),
        None => options.ip_or_hostname(Some(address.host.as_str())).tcp_port(address.port),
    }
}

fn bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::Bytes(bytes) => Some(bytes),
        Value::NULL => None,
        // The text protocol knows bytes and NULL only.
        other => Some(other.as_sql(true).into_bytes()),
    }
}

/// A value of the server's own tables, which are UTF-8.
pub(super) fn text(value: Option<Vec<u8>>) -> String {
    value.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}
