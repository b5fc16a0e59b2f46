//! Every chunk that a stored state needs: for whoever checks that all are there, or keeps them.

use super::DatabaseError;
use super::state::{Id, Image, ObjectPage, Root, Table, decode, decode_refs};
use crate::repository::{ChunkId, Repository};

/// Calls `visit` with the id of every chunk that `state` is made of, the state's own first. Chunks
/// of rows and pages are not read, so a missing one is for the visitor to notice.
pub fn visit_chunks<E: From<DatabaseError>>(
    repository: &Repository,
    state: &ChunkId,
    visit: &mut dyn FnMut(&ChunkId) -> Result<(), E>,
) -> Result<(), E> {
    visit(state)?;
    let root = Root::decode(&get(repository, state)?)?;
    if let Some(Image { lists, .. }) = &root.image {
        visit_lists(repository, lists, visit)?;
    }
    for page in root.schema.iter().flat_map(|schema| &schema.pages) {
        let page = ChunkId::from_bytes(page.0);
        visit(&page)?;
        let page: ObjectPage = decode(&get(repository, &page)?, "a page of objects")?;
        for object in &page.objects {
            let Some(part) = object.chunk.map(|chunk| ChunkId::from_bytes(chunk.0)) else {
                continue;
            };
            visit(&part)?;
            if object.kind == TABLE {
                let table: Table = decode(&get(repository, &part)?, "a table")?;
                visit_lists(repository, &table.lists, visit)?;
            }
        }
    }
    Ok(())
}

/// The kind that has rows, as STATE.md numbers it.
const TABLE: u32 = 2;

fn visit_lists<E: From<DatabaseError>>(
    repository: &Repository,
    lists: &[Id],
    visit: &mut dyn FnMut(&ChunkId) -> Result<(), E>,
) -> Result<(), E> {
    for list in lists {
        let list = ChunkId::from_bytes(list.0);
        visit(&list)?;
        for one in decode_refs(&get(repository, &list)?)? {
            visit(&one.id)?;
        }
    }
    Ok(())
}

fn get(repository: &Repository, id: &ChunkId) -> Result<Vec<u8>, DatabaseError> {
    Ok(repository.get(id)?)
}
