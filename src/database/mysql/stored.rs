//! A state as it is read back from the repository.

use super::column::Spelling;
use super::objects::kind_number;
use crate::database::rows::RowCodec;
use crate::database::state::{
    ChunkRef, ObjectPage, ObjectRecord, Root, SchemaRecord, Table, Trigger, View, decode,
    decode_refs,
};
use crate::database::{DatabaseError, ObjectKind};
use crate::repository::{ChunkId, Repository};

/// The state of a schema; its objects are read when they are needed.
pub(super) struct Stored<'r> {
    repository: &'r Repository,
    pub(super) root: Root,
    pub(super) schema: SchemaRecord,
    /// Sorted by kind and name.
    pub(super) objects: Vec<ObjectRecord>,
}

impl<'r> Stored<'r> {
    pub(super) fn open(repository: &'r Repository, state: &ChunkId) -> Result<Self, DatabaseError> {
        let mut root = Root::decode(&repository.get(state)?)?;
        let stored = if root.image.is_some() { "SQLite" } else { "unknown" };
        let wanted = "MySQL or MariaDB";
        let schema = root.schema.take().ok_or(DatabaseError::OtherKind { stored, wanted })?;
        let mut objects = Vec::new();
        for page in &schema.pages {
            let page = repository.get(&ChunkId::from_bytes(page.0))?;
            objects.extend(decode::<ObjectPage>(&page, "a page of objects")?.objects);
        }
        if !objects.is_sorted_by_key(|one| (one.kind, one.name.clone())) {
            return Err(DatabaseError::DamagedState { what: "the order of objects" });
        }
        Ok(Self { repository, root, schema, objects })
    }

    /// The objects of one kind.
    pub(super) fn of(&self, kind: ObjectKind) -> impl Iterator<Item = &ObjectRecord> {
        let number = kind_number(kind);
        self.objects.iter().filter(move |one| one.kind == number)
    }

    fn part(&self, record: &ObjectRecord) -> Result<Vec<u8>, DatabaseError> {
        let chunk = record.chunk.ok_or(DatabaseError::DamagedState { what: "an object" })?;
        Ok(self.repository.get(&ChunkId::from_bytes(chunk.0))?)
    }

    pub(super) fn table(&self, record: &ObjectRecord) -> Result<Table, DatabaseError> {
        decode(&self.part(record)?, "a table")
    }

    pub(super) fn view(&self, record: &ObjectRecord) -> Result<View, DatabaseError> {
        decode(&self.part(record)?, "a view")
    }

    pub(super) fn trigger(&self, record: &ObjectRecord) -> Result<Trigger, DatabaseError> {
        decode(&self.part(record)?, "a trigger")
    }

    /// Hands every chunk of a table's rows to `take`, in order.
    pub(super) fn chunks<E: From<DatabaseError>>(
        &self,
        table: &Table,
        mut take: impl FnMut(&ChunkRef, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let get = |id: &ChunkId| self.repository.get(id).map_err(DatabaseError::from);
        for list in &table.lists {
            for one in decode_refs(&get(&ChunkId::from_bytes(list.0))?)? {
                take(&one, &get(&one.id)?)?;
            }
        }
        Ok(())
    }
}

/// How the cells of a stored table are spelled, and the codec of its rows.
pub(super) fn spellings(table: &Table) -> Result<(Vec<Spelling>, RowCodec), DatabaseError> {
    let spellings = table.columns.iter().map(|column| Spelling::from_number(column.spelling));
    let spellings: Option<Vec<_>> = spellings.collect();
    let spellings = spellings.ok_or(DatabaseError::DamagedState { what: "a column's spelling" })?;
    let codec = RowCodec::new(spellings.len());
    Ok((spellings, codec.ok_or(DatabaseError::DamagedState { what: "a table's columns" })?))
}
