//! What live content would be called, without storing it.

use std::io::Read;

use super::content::{Extent, Sink, Stored, take_apart};
use super::error::RepositoryError;
use super::id::ChunkId;
use super::media::Kind;
use super::repository::{Inner, Repository};
use super::window::Window;

/// Gives content the name it would get. Cuts as a bundle does; keeps its buffer between files.
pub struct ContentHasher<'a> {
    repository: &'a Repository,
    window: Window,
}

impl Repository {
    /// A hasher of live content, for one thread.
    pub fn content_hasher(&self) -> ContentHasher<'_> {
        ContentHasher { repository: self, window: Window::default() }
    }
}

impl ContentHasher<'_> {
    /// Reads content once; where its pieces would be, and how many bytes there were.
    pub fn hash(
        &mut self,
        reader: &mut dyn Read,
        extent: Extent,
    ) -> Result<(Stored, u64), RepositoryError> {
        let inner = &*self.repository.inner;
        take_apart(&inner.chunker, reader, extent, &mut self.window, &mut OnlyHash(inner))
    }
}

struct OnlyHash<'a>(&'a Inner);

impl Sink for OnlyHash<'_> {
    fn chunk(&mut self, plain: &[u8]) -> Result<ChunkId, RepositoryError> {
        Ok(self.0.hash(plain))
    }

    fn piece(
        &mut self,
        _: Kind,
        window: &mut Window,
        bytes: usize,
    ) -> Result<ChunkId, RepositoryError> {
        let id = self.0.hash(&window.rest()[..bytes]);
        window.pass(bytes);
        Ok(id)
    }

    fn list(&mut self, plain: &[u8]) -> Result<ChunkId, RepositoryError> {
        Ok(self.0.hash(plain))
    }
}
