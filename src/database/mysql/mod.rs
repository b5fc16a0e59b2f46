//! One schema of a MySQL or MariaDB server, through the native protocol.

mod activity;
mod blocker;
mod catalog;
mod column;
mod define;
mod definition;
mod dump;
mod facts;
mod keys;
mod live;
mod load;
mod lossy;
mod objects;
mod plan;
mod point;
mod read;
mod refuse;
mod restore;
mod rights;
mod script;
mod server;
mod session;
mod sink;
mod stored;
mod survey;
mod table;
mod text;
mod token;

pub(super) use script::write_script;

use std::path::Path;

use catalog::Scope;
use live::Live;
use server::Server;
use session::{Door, Purpose};
use stored::{Stored, spellings};

use crate::database::fingerprint::Hashers;
use crate::database::rows::RowStream;
use crate::database::{
    Activity, Consistency, Database, DatabaseError, DatabaseKind, DatabaseState, Fingerprint,
    MySqlAddress, ObjectKind, OpenOptions, Proof, Value, Where,
};
use crate::monitor::{Counter, Monitor, News, Problem};
use crate::repository::{ChunkId, Repository, Writer};

/// One schema.
#[derive(Debug)]
pub(super) struct MySql {
    name: String,
    door: Door,
    scope: Scope,
}

impl MySql {
    pub(super) fn new(name: String, address: &MySqlAddress, options: &OpenOptions) -> Self {
        let scope = Scope { prefix: options.prefix.clone().unwrap_or_default() };
        let door = Door { address: address.clone(), lock_wait_s: options.lock_wait_s };
        Self { name, door, scope }
    }
}

impl Database for MySql {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> DatabaseKind {
        DatabaseKind::MySql
    }

    fn address(&self) -> String {
        self.door.address.to_string()
    }

    fn identity(&mut self) -> Result<String, DatabaseError> {
        let mut session = self.door.open(Purpose::Read)?;
        let server = Server::ask(&mut session)?;
        server::identity(&mut session, &server)
    }

    fn dump(
        &mut self,
        writer: &Writer<'_>,
        monitor: &dyn Monitor,
    ) -> Result<DatabaseState, DatabaseError> {
        dump::dump(&self.door, &self.scope, writer, monitor)
    }

    fn fingerprint(
        &mut self,
        repository: &Repository,
        state: &ChunkId,
    ) -> Result<Fingerprint, DatabaseError> {
        let stored = Stored::open(repository, state)?;
        let hashers = Hashers::of(repository);
        let live = Live {
            door: &self.door,
            repository,
            hashers: &hashers,
            schema: &stored.schema,
            monitor: &Silent,
        };
        Ok(hashers.fingerprint(&live.all()?.objects))
    }

    fn restore(
        &mut self,
        repository: &Repository,
        state: &ChunkId,
        monitor: &dyn Monitor,
    ) -> Result<Fingerprint, DatabaseError> {
        restore::restore(&self.door, repository, state, monitor)
    }

    fn prove(
        &mut self,
        repository: &Repository,
        state: &ChunkId,
        _scratch_dir: &Path,
    ) -> Result<Proof, DatabaseError> {
        let stored = Stored::open(repository, state)?;
        let hashers = Hashers::of(repository);
        if hashers.fingerprint(&stored.objects) != stored.root.fingerprint {
            return Err(DatabaseError::DamagedState { what: "its fingerprint" });
        }
        for record in stored.of(ObjectKind::Table) {
            let table = stored.table(record)?;
            let mut stream = RowStream::new(spellings(&table)?.1);
            let mut rows = 0;
            stored.chunks(&table, |_, chunk| {
                stream.feed(chunk);
                stream.drain(|_, _| {
                    rows += 1;
                    Ok::<_, DatabaseError>(())
                })
            })?;
            if !stream.is_at_end() || rows != record.rows {
                return Err(DatabaseError::DamagedState { what: "the rows of a table" });
            }
        }
        for record in stored.of(ObjectKind::View) {
            stored.view(record)?;
        }
        for record in stored.of(ObjectKind::Trigger) {
            stored.trigger(record)?;
        }
        Ok(Proof::Verified)
    }

    fn consistency(&mut self) -> Result<Consistency, DatabaseError> {
        point::foretell(&self.door)
    }

    fn activity(&mut self) -> Result<Activity, DatabaseError> {
        activity::look(&self.door)
    }

    fn end_sessions(&mut self) -> Result<(), DatabaseError> {
        activity::end(&self.door)
    }

    fn read(
        &mut self,
        table: &str,
        columns: &[&str],
        matching: &[Where<'_>],
    ) -> Result<Option<Vec<Vec<Value>>>, DatabaseError> {
        table::read(&self.door, table, columns, matching)
    }

    fn count(&mut self, table: &str) -> Result<Option<u64>, DatabaseError> {
        table::count(&self.door, table)
    }

    fn write(
        &mut self,
        table: &str,
        column: &str,
        value: Option<&[u8]>,
        matching: &[Where<'_>],
    ) -> Result<u64, DatabaseError> {
        table::write(&self.door, table, column, value, matching)
    }
}

/// A fingerprint is no work that the operator asked for.
struct Silent;

impl Monitor for Silent {
    fn count(&self, _: Counter, _: u64) {}
    fn problem(&self, _: Problem) {}
    fn tell(&self, _: News) {}
}
