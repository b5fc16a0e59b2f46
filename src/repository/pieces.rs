//! The chunks of a file, as its chunk lists name them.

use super::content::{List, Piece, Stored};
use super::error::RepositoryError;
use super::id::ChunkId;
use super::repository::Repository;

impl Repository {
    /// The chunks of a file, in order. Holds one list of each level, however long the file.
    pub fn pieces(&self, stored: &Stored) -> Pieces<'_> {
        Pieces { repository: self, root: Some(*stored), open: Vec::new() }
    }

    /// What one list names itself: its level, and chunks (level 0) or lists one level below.
    pub fn list_of(&self, id: &ChunkId) -> Result<(u8, Vec<Piece>), RepositoryError> {
        let list = List::decode(&self.get(id)?).ok_or_else(|| RepositoryError::Damaged {
            object: format!("chunk list {id}"),
            what: "it is not a list".to_owned(),
        })?;
        Ok((list.level, list.pieces))
    }
}

/// The chunks of a file, in order. Ends after the first error.
pub struct Pieces<'a> {
    repository: &'a Repository,
    root: Option<Stored>,
    /// What is left of the list of each level, the highest first.
    open: Vec<(u8, std::vec::IntoIter<Piece>)>,
}

impl Pieces<'_> {
    fn begin(&mut self, root: Stored) -> Result<(), RepositoryError> {
        match root {
            Stored::Empty => Ok(()),
            Stored::List(id) => self.descend(&id, None),
            Stored::Chunk(id) => {
                let place = self.repository.locate(&id)?;
                let bytes = place.ok_or(RepositoryError::MissingChunk { id })?.bytes;
                let one = vec![Piece { id, bytes: u64::from(bytes) }];
                self.open.push((0, one.into_iter()));
                Ok(())
            }
        }
    }

    /// Goes into a list, which must lie one level below the list that names it.
    fn descend(&mut self, id: &ChunkId, above: Option<u8>) -> Result<(), RepositoryError> {
        let list = List::decode(&self.repository.get(id)?);
        let list = list.filter(|list| above.is_none_or(|above| list.level + 1 == above));
        let list = list.ok_or_else(|| RepositoryError::Damaged {
            object: format!("chunk list {id}"),
            what: "it is not a list of the expected level".to_owned(),
        })?;
        self.open.push((list.level, list.pieces.into_iter()));
        Ok(())
    }

    fn step(&mut self) -> Result<Option<Piece>, RepositoryError> {
        if let Some(root) = self.root.take() {
            self.begin(root)?;
        }
        while let Some((level, pieces)) = self.open.last_mut() {
            let level = *level;
            match pieces.next() {
                None => drop(self.open.pop()),
                Some(piece) if level == 0 => return Ok(Some(piece)),
                Some(list) => self.descend(&list.id, Some(level))?,
            }
        }
        Ok(None)
    }
}

impl Iterator for Pieces<'_> {
    type Item = Result<Piece, RepositoryError>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step();
        if step.is_err() {
            self.open.clear();
        }
        step.transpose()
    }
}
