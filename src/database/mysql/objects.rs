//! From what was read of a schema to the records that are stored and fingerprinted.

use super::catalog::{Catalog, TableInfo, TriggerInfo, ViewInfo};
use super::definition::{move_trigger, move_view};
use super::server::Server;
use super::sink::Sink;
use super::survey::Readings;
use crate::database::fingerprint::Hashers;
use crate::database::state::{Column, Id, ObjectRecord, Table, Trigger, View, encode};
use crate::database::{DatabaseError, ObjectKind};

/// The number of a kind in the format.
pub(super) const fn kind_number(kind: ObjectKind) -> u32 {
    match kind {
        ObjectKind::Schema => 1,
        ObjectKind::Table => 2,
        ObjectKind::View => 3,
        ObjectKind::Trigger => 4,
        ObjectKind::Procedure => 5,
        ObjectKind::Function => 6,
        ObjectKind::Package => 7,
        ObjectKind::Event => 8,
        ObjectKind::Sequence => 9,
        ObjectKind::Image => 10,
    }
}

/// The kind with this number.
pub(super) fn kind_from(number: u32) -> ObjectKind {
    let all = [
        ObjectKind::Schema,
        ObjectKind::Table,
        ObjectKind::View,
        ObjectKind::Trigger,
        ObjectKind::Procedure,
        ObjectKind::Function,
        ObjectKind::Package,
        ObjectKind::Event,
        ObjectKind::Sequence,
    ];
    all.into_iter().find(|kind| kind_number(*kind) == number).unwrap_or(ObjectKind::Image)
}

/// Digests of definitions, the same wherever the schema is called.
pub(super) struct Digests<'a> {
    pub(super) hashers: &'a Hashers,
    pub(super) schema: &'a str,
}

impl Digests<'_> {
    pub(super) fn schema(&self, charset: &str, collation: &str) -> [u8; 32] {
        self.hashers.definition(&[charset.as_bytes(), collation.as_bytes()])
    }

    /// Zeroes for a table that cannot be read: like no table of a state.
    pub(super) fn table(&self, table: &TableInfo) -> [u8; 32] {
        let text = table.definition.as_deref();
        text.map_or([0; 32], |text| self.hashers.definition(&[text]))
    }

    pub(super) fn view(&self, view: &ViewInfo) -> [u8; 32] {
        let Some(text) = &view.definition else { return [0; 32] };
        let text = move_view(text, self.schema, "").text;
        let (charset, collation) = (&view.client_charset, &view.collation);
        self.hashers.definition(&[&text, charset.as_bytes(), collation.as_bytes()])
    }

    pub(super) fn trigger(&self, trigger: &TriggerInfo) -> [u8; 32] {
        let Some(text) = &trigger.definition else { return [0; 32] };
        let text = move_trigger(text, self.schema, &trigger.sql_mode).text;
        self.hashers.definition(&[
            &text,
            trigger.client_charset.as_bytes(),
            trigger.collation.as_bytes(),
            trigger.schema_collation.as_bytes(),
            trigger.sql_mode.as_bytes(),
            trigger.table.as_bytes(),
            trigger.when.as_bytes(),
            &trigger.place.to_le_bytes(),
        ])
    }
}

/// The records of all objects, sorted, with their parts put into `sink`.
pub(super) fn records(
    catalog: &Catalog,
    readings: &Readings,
    server: &Server,
    hashers: &Hashers,
    sink: &mut impl Sink,
) -> Result<Vec<ObjectRecord>, DatabaseError> {
    let digests = Digests { hashers, schema: &catalog.schema };
    let definition = digests.schema(&catalog.charset, &catalog.collation);
    let mut records = vec![record(ObjectKind::Schema, "", definition)];
    for table in &catalog.tables {
        let mut one = record(ObjectKind::Table, &table.name, digests.table(table));
        if let Some(reading) = readings.get(&table.name) {
            (one.rows, one.bytes, one.rows_digest) = (reading.rows, reading.bytes, reading.digest);
            one.chunk = Some(put(sink, &encode(&stored_table(table, reading.lists.clone())))?);
        }
        let kept = server.keeps_counters() || !table.engine.eq_ignore_ascii_case("InnoDB");
        one.auto_increment = table.auto_increment.filter(|_| kept);
        records.push(one);
    }
    for view in &catalog.views {
        let mut one = record(ObjectKind::View, &view.name, digests.view(view));
        one.chunk = Some(put(sink, &encode(&stored_view(view)))?);
        records.push(one);
    }
    for trigger in &catalog.triggers {
        let mut one = record(ObjectKind::Trigger, &trigger.name, digests.trigger(trigger));
        one.chunk = Some(put(sink, &encode(&stored_trigger(trigger)))?);
        records.push(one);
    }
    // Only a live schema can hold these: then it is not equal to any state.
    let others = catalog.others.iter();
    records.extend(others.map(|(kind, name)| record(*kind, name, [0; 32])));
    records.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
    Ok(records)
}

fn record(kind: ObjectKind, name: &str, definition: [u8; 32]) -> ObjectRecord {
    ObjectRecord {
        kind: kind_number(kind),
        name: name.to_owned(),
        definition,
        rows_digest: [0; 32],
        rows: 0,
        bytes: 0,
        auto_increment: None,
        chunk: None,
    }
}

fn put(sink: &mut impl Sink, chunk: &[u8]) -> Result<Id, DatabaseError> {
    Ok(Id(*sink.record(chunk)?.as_bytes()))
}

fn stored_table(table: &TableInfo, lists: Vec<Id>) -> Table {
    let columns = table.stored_columns().unwrap_or_default().into_iter();
    Table {
        definition: table.definition.clone().unwrap_or_default(),
        columns: columns
            .map(|(name, spelling)| Column { name, spelling: spelling as u32 })
            .collect(),
        key: table.key.clone(),
        lists,
    }
}

fn stored_view(view: &ViewInfo) -> View {
    View {
        definition: view.definition.clone().unwrap_or_default(),
        client_charset: view.client_charset.clone(),
        collation: view.collation.clone(),
    }
}

fn stored_trigger(trigger: &TriggerInfo) -> Trigger {
    Trigger {
        definition: trigger.definition.clone().unwrap_or_default(),
        client_charset: trigger.client_charset.clone(),
        collation: trigger.collation.clone(),
        schema_collation: trigger.schema_collation.clone(),
        sql_mode: trigger.sql_mode.clone(),
        table: trigger.table.clone(),
        when: trigger.when.clone(),
        place: trigger.place,
    }
}
