//! One instant that all connections of a reading see, with the least lock that the server and the
//! account allow.
//!
//! ```text
//! writers to tables without transactions end and wait    BACKUP STAGE BLOCK_DDL | FTWRL | LOCK TABLES
//! those tables are locked for reading on a connection of their own
//! commits wait                                           BACKUP STAGE BLOCK_COMMIT
//! every reader begins its snapshot
//! all goes on; only the tables without transactions stay locked until they are read (with
//! LOCK TABLES all of them: they cannot be let go in part)
//! ```
//! MariaDB ends a definition on a table without transactions as a deadlock (1213) when it meets
//! backup stages: `CREATE TRIGGER` on MyISAM nearly always, `ALTER TABLE` seldom, rows never
//! (measured on 10.11). The global lock does not do that, but it waits for the longest SELECT of
//! the server with every writer behind it, which happens far more often than such a definition.
//!
//! Without any of these rights there is one reader: its snapshot is one instant by itself, and
//! tables without transactions are read as they come, which is recorded.

use super::blocker::explain;
use super::catalog::{Catalog, TRANSACTIONAL};
use super::define::DEADLOCK;
use super::rights::Rights;
use super::server::Server;
use super::session::{Door, Purpose, Session, code_in};
use super::text::{literal, qualified};
use crate::database::{Consistency, DatabaseError};

/// How often the instant is tried for.
const TRIES: u32 = 10;

/// Connections that see one instant.
pub(super) struct Point {
    /// Each in a snapshot of its own, all equal.
    pub(super) readers: Vec<Session>,
    /// Reads what has no snapshots; holds a read lock on all of it where that was granted.
    pub(super) still: Option<Session>,
    pub(super) consistency: Consistency,
    /// Keeps MySQL 8 from changing definitions, as long as it lives.
    _instance: Option<Session>,
}

/// How the instant is held while the snapshots begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rung {
    BackupStages,
    GlobalLock,
    TableLocks,
    Nothing,
}

impl Rung {
    /// The rungs of a server, the least lock first.
    fn ladder(server: &Server) -> Vec<Self> {
        let all = [Self::BackupStages, Self::GlobalLock, Self::TableLocks, Self::Nothing];
        let has = |rung: &Self| *rung != Self::BackupStages || server.has_backup_stages();
        all.into_iter().filter(has).collect()
    }
}

/// Lets up to `readers` connections begin at one instant.
pub(super) fn open(
    door: &Door,
    server: &Server,
    catalog: &Catalog,
    readers: usize,
) -> Result<Point, DatabaseError> {
    let mut tries = 1;
    let mut ladder = Rung::ladder(server).into_iter().peekable();
    while let Some(rung) = ladder.peek() {
        match try_rung(*rung, door, server, catalog, readers) {
            // Two backups met, or a backup and a definition.
            Err(why) if code_in(&why) == Some(DEADLOCK) && tries < TRIES => tries += 1,
            // The next rung needs less.
            Err(DatabaseError::MissingRight { .. }) if *rung != Rung::Nothing => {
                ladder.next();
            }
            done => return done,
        }
    }
    unreachable!("the last rung returns whatever it came to")
}

/// How far what is read now would belong to one instant.
pub(super) fn foretell(door: &Door) -> Result<Consistency, DatabaseError> {
    let mut session = door.open(Purpose::Read)?;
    let schema = session.value("ask for the schema", "SELECT DATABASE()")?;
    if Rights::ask(&mut session, &schema)?.may_lock() {
        return Ok(Consistency::OnePoint);
    }
    let engines: Vec<String> = TRANSACTIONAL.iter().map(|engine| literal(engine)).collect();
    let unmoving = format!(
        "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = {} \
         AND TABLE_TYPE = 'BASE TABLE' AND ENGINE NOT IN ({})",
        literal(&schema),
        engines.join(", ")
    );
    let count = session.value("look for tables without transactions", &unmoving)?;
    Ok(if count == "0" { Consistency::OnePoint } else { Consistency::PerTable })
}

fn try_rung(
    rung: Rung,
    door: &Door,
    server: &Server,
    catalog: &Catalog,
    readers: usize,
) -> Result<Point, DatabaseError> {
    let lone = rung == Rung::Nothing;
    let connect = || {
        let mut session = door.open(Purpose::Read)?;
        session.choose(&catalog.schema)?;
        Ok::<_, DatabaseError>(session)
    };
    // All connected before anything is locked, so that the lock is short.
    let mut sessions = Vec::new();
    for _ in 0..if lone { 1 } else { readers.max(1) } {
        sessions.push(connect()?);
    }
    let unmoving: Vec<&str> = catalog
        .tables
        .iter()
        .filter(|table| !table.is_transactional())
        .map(|table| table.name.as_str())
        .collect();
    // Table locks cannot be taken twice: a writer that waits for the first would let no second
    // pass. There the holder itself reads, and lets go of all tables together.
    let holder_reads = rung == Rung::TableLocks;
    let mut still = if unmoving.is_empty() || holder_reads { None } else { Some(connect()?) };
    let mut holder = connect()?;
    let mut instance = server.has_instance_lock().then(connect).transpose()?;
    if let Some(session) = &mut instance {
        // No DDL while the definitions are read; without the right, comparing them must do.
        let _ = session.run("stop changes of definitions", "LOCK INSTANCE FOR BACKUP");
    }
    hold(rung, &mut holder, catalog)?;
    if let Some(session) = still.as_mut().filter(|_| !lone) {
        lock_tables(session, &catalog.schema, &unmoving)?;
    }
    if rung == Rung::BackupStages {
        run(&mut holder, "the right to stop commits", "BACKUP STAGE BLOCK_COMMIT")?;
    }
    for session in &mut sessions {
        session.run("begin a snapshot", "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")?;
    }
    if holder_reads && !unmoving.is_empty() {
        still = Some(holder);
    } else {
        release(rung, &mut holder)?;
    }
    let per_table = lone && still.is_some();
    let consistency = if per_table { Consistency::PerTable } else { Consistency::OnePoint };
    Ok(Point { readers: sessions, still, consistency, _instance: instance })
}

fn hold(rung: Rung, holder: &mut Session, catalog: &Catalog) -> Result<(), DatabaseError> {
    match rung {
        Rung::BackupStages => {
            run(holder, "the backup lock", "BACKUP STAGE START")?;
            run(holder, "the right to stop changes of definitions", "BACKUP STAGE BLOCK_DDL")
        }
        Rung::GlobalLock => run(holder, "the global read lock", "FLUSH TABLES WITH READ LOCK"),
        Rung::TableLocks => {
            let names: Vec<&str> = catalog.tables.iter().map(|one| one.name.as_str()).collect();
            lock_tables(holder, &catalog.schema, &names)
        }
        Rung::Nothing => Ok(()),
    }
}

fn release(rung: Rung, holder: &mut Session) -> Result<(), DatabaseError> {
    match rung {
        Rung::BackupStages => holder.run("end the backup lock", "BACKUP STAGE END"),
        Rung::GlobalLock | Rung::TableLocks => holder.run("unlock the tables", "UNLOCK TABLES"),
        Rung::Nothing => Ok(()),
    }
}

fn lock_tables(session: &mut Session, schema: &str, names: &[&str]) -> Result<(), DatabaseError> {
    if names.is_empty() {
        return Ok(());
    }
    let list: Vec<_> =
        names.iter().map(|name| format!("{} READ", qualified(schema, name))).collect();
    run(session, "a read lock on the tables", &format!("LOCK TABLES {}", list.join(", ")))
}

/// Runs a statement that waits for a lock.
fn run(session: &mut Session, wanted: &str, sql: &str) -> Result<(), DatabaseError> {
    let done = session.run(&format!("get {wanted}"), sql);
    done.map_err(|error| {
        // 1290: the server runs in a mode that forbids it, which is as good as no right.
        match error {
            DatabaseError::Statement { doing, source } if source.code() == Some(1290) => {
                DatabaseError::MissingRight { doing, source }
            }
            error => explain(error, session, wanted),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::mysql::catalog::Scope;

    /// MariaDB has backup stages wherever it has the right to the global lock, so no dump of the
    /// tests would come to this rung by itself.
    #[test]
    #[ignore = "needs MariaDB; bash tests/all.sh runs it"]
    fn the_global_lock_serves_servers_without_backup_stages() {
        let socket = std::env::var_os("SNAP_TEST_MYSQL_SOCKET").expect("see tests/all.sh");
        let address = crate::database::MySqlAddress {
            host: "localhost".into(),
            port: 3306,
            socket: Some(socket.into()),
            user: "root".into(),
            password: "".into(),
            schema: "mysql".into(),
        };
        let door = Door { address, lock_wait_s: 10 };
        let mut session = door.open(Purpose::Read).expect("the server lets us in");
        let server = Server::ask(&mut session).expect("it has a version");
        let schema = format!("rungs_{}", std::process::id());
        let mut make = |sql: String| session.run("prepare", &sql).expect("root may do that");
        make(format!("CREATE DATABASE {schema}"));
        make(format!("CREATE TABLE {schema}.a (n INT) ENGINE=InnoDB"));
        make(format!("CREATE TABLE {schema}.b (n INT) ENGINE=MyISAM"));
        let catalog = Catalog::read(&mut session, &schema, &Scope::default()).expect("readable");
        for rung in [Rung::GlobalLock, Rung::TableLocks] {
            let point = try_rung(rung, &door, &server, &catalog, 2).expect("it has the right");
            assert_eq!(point.readers.len(), 2);
            assert!(point.still.is_some());
            assert_eq!(point.consistency, Consistency::OnePoint);
        }
        session.run("clean up", &format!("DROP DATABASE {schema}")).expect("no lock is left");
    }
}
