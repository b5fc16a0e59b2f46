//! The live schema as the same records that a state holds, for comparing the two.

use std::collections::BTreeMap;

use super::catalog::{Catalog, Scope, TableInfo};
use super::objects::records;
use super::server::Server;
use super::session::{Door, Purpose};
use super::sink::Hashing;
use super::survey::{Readings, Survey};
use crate::database::DatabaseError;
use crate::database::fingerprint::Hashers;
use crate::database::state::{ObjectRecord, SchemaRecord};
use crate::monitor::Monitor;
use crate::repository::Repository;

/// A live schema, looked at on one connection.
pub(super) struct Live<'a> {
    pub(super) door: &'a Door,
    pub(super) repository: &'a Repository,
    pub(super) hashers: &'a Hashers,
    /// How the state was read, so that this is read alike.
    pub(super) schema: &'a SchemaRecord,
    pub(super) monitor: &'a dyn Monitor,
}

/// What was found.
pub(super) struct Found {
    pub(super) server: Server,
    pub(super) catalog: Catalog,
    /// Sorted by kind and name; rows only of the tables that were read.
    pub(super) objects: Vec<ObjectRecord>,
}

impl Found {
    /// The table of each trigger.
    pub(super) fn trigger_tables(&self) -> BTreeMap<String, String> {
        let triggers = self.catalog.triggers.iter();
        triggers.map(|one| (one.name.clone(), one.table.clone())).collect()
    }
}

impl Live<'_> {
    /// Reads definitions only.
    pub(super) fn definitions(&self) -> Result<Found, DatabaseError> {
        let mut session = self.door.open(Purpose::Read)?;
        let server = Server::ask(&mut session)?;
        let name = session.value("ask for the schema", "SELECT DATABASE()")?;
        let scope = Scope { prefix: self.schema.prefix.clone() };
        let catalog = Catalog::read(&mut session, &name, &scope)?;
        let objects = self.records(&catalog, &Readings::new(), &server)?;
        Ok(Found { server, catalog, objects })
    }

    /// Reads the rows of the tables that are `wanted`.
    pub(super) fn rows(
        &self,
        found: &mut Found,
        wanted: &dyn Fn(&str) -> bool,
    ) -> Result<(), DatabaseError> {
        let survey = Survey {
            door: self.door,
            server: &found.server,
            hashers: self.hashers,
            cut_target: self.schema.cut_target,
            counts: false,
            monitor: self.monitor,
        };
        let readable = |table: &&TableInfo| {
            table.definition.is_some() && table.stored_columns().is_some_and(|all| !all.is_empty())
        };
        let tables: Vec<_> =
            found.catalog.tables.iter().filter(readable).filter(|one| wanted(&one.name)).collect();
        let (readings, _) = survey.run(&found.catalog, &tables, || Hashing(self.repository))?;
        found.objects = self.records(&found.catalog, &readings, &found.server)?;
        Ok(())
    }

    /// Reads everything.
    pub(super) fn all(&self) -> Result<Found, DatabaseError> {
        let mut found = self.definitions()?;
        self.rows(&mut found, &|_| true)?;
        Ok(found)
    }

    fn records(
        &self,
        catalog: &Catalog,
        readings: &Readings,
        server: &Server,
    ) -> Result<Vec<ObjectRecord>, DatabaseError> {
        records(catalog, readings, server, self.hashers, &mut Hashing(self.repository))
    }
}
