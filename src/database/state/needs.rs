//! Which chunks a stored state is made of.

use crate::database::DatabaseError;
use crate::repository::{ChunkId, Repository};

use super::chunks::decode_refs;
use super::codec::decode;
use super::stored::{Id, ObjectPage, Root, Table};

/// What is said of each chunk; `false` if it cannot be read, so that nothing below it is asked for.
pub type Ask<'a> = dyn FnMut(&ChunkId) -> Result<bool, DatabaseError> + 'a;

/// Names every chunk that `state` needs, `state` itself first.
pub fn needs(
    repository: &Repository,
    state: &ChunkId,
    ask: &mut Ask<'_>,
) -> Result<(), DatabaseError> {
    if !ask(state)? {
        return Ok(());
    }
    let root = Root::decode(&repository.get(state)?)?;
    if let Some(image) = root.image {
        lists(repository, &image.lists, ask)?;
    }
    for page in root.schema.iter().flat_map(|schema| &schema.pages) {
        let page = ChunkId::from_bytes(page.0);
        if !ask(&page)? {
            continue;
        }
        let page: ObjectPage = decode(&repository.get(&page)?, "a page of objects")?;
        for object in page.objects {
            objects(repository, object.kind, object.chunk, ask)?;
        }
    }
    Ok(())
}

/// Of all objects only a table names further chunks.
fn objects(
    repository: &Repository,
    kind: u32,
    chunk: Option<Id>,
    ask: &mut Ask<'_>,
) -> Result<(), DatabaseError> {
    const TABLE: u32 = 2;
    let Some(chunk) = chunk.map(|id| ChunkId::from_bytes(id.0)) else { return Ok(()) };
    if ask(&chunk)? && kind == TABLE {
        let table: Table = decode(&repository.get(&chunk)?, "a table")?;
        lists(repository, &table.lists, ask)?;
    }
    Ok(())
}

fn lists(repository: &Repository, lists: &[Id], ask: &mut Ask<'_>) -> Result<(), DatabaseError> {
    for list in lists {
        let list = ChunkId::from_bytes(list.0);
        if ask(&list)? {
            for one in decode_refs(&repository.get(&list)?)? {
                ask(&one.id)?;
            }
        }
    }
    Ok(())
}
