//! Where the chunks of a reading go: into the repository, or only through its hash.

use crate::database::DatabaseError;
use crate::repository::{Bundle, ChunkId, PackClass, Repository, Writer};

/// Takes chunks of rows and of records, and says their ids.
pub(super) trait Sink {
    /// A chunk of rows.
    fn rows(&mut self, chunk: &[u8]) -> Result<ChunkId, DatabaseError>;
    /// A list, object or page.
    fn record(&mut self, chunk: &[u8]) -> Result<ChunkId, DatabaseError>;
    /// Hands over what is left; called also when the reading failed.
    fn finish(self) -> Result<(), DatabaseError>;
}

/// Stores what it is given.
pub(super) struct Storing<'w> {
    data: Bundle<'w>,
    metadata: Bundle<'w>,
}

impl<'w> Storing<'w> {
    pub(super) fn into(writer: &'w Writer<'w>) -> Self {
        Self { data: writer.bundle(PackClass::Data), metadata: writer.bundle(PackClass::Metadata) }
    }
}

impl Sink for Storing<'_> {
    fn rows(&mut self, chunk: &[u8]) -> Result<ChunkId, DatabaseError> {
        Ok(self.data.put(chunk)?)
    }

    fn record(&mut self, chunk: &[u8]) -> Result<ChunkId, DatabaseError> {
        Ok(self.metadata.put(chunk)?)
    }

    fn finish(self) -> Result<(), DatabaseError> {
        self.data.finish()?;
        Ok(self.metadata.finish()?)
    }
}

/// Only says what the ids would be.
pub(super) struct Hashing<'r>(pub(super) &'r Repository);

impl Sink for Hashing<'_> {
    fn rows(&mut self, chunk: &[u8]) -> Result<ChunkId, DatabaseError> {
        Ok(self.0.hash(chunk))
    }

    fn record(&mut self, chunk: &[u8]) -> Result<ChunkId, DatabaseError> {
        Ok(self.0.hash(chunk))
    }

    fn finish(self) -> Result<(), DatabaseError> {
        Ok(())
    }
}
