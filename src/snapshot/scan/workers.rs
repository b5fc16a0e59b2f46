//! The workers of a scan, and what each of them works with.

use std::io::Read;
use std::sync::Mutex;

use crate::os::crew::Crew;
use crate::repository::{
    Bundle, ChunkId, ContentHasher, Extent, PackClass, Repository, RepositoryError, Stored, Writer,
};
use crate::snapshot::SnapshotError;

/// The workers of one run, each with buffers of its own.
pub(in crate::snapshot) struct Workers<'a> {
    pub(super) pool: Crew,
    hands: Vec<Mutex<Hands<'a>>>,
    pub(super) keep: Keep<'a>,
}

/// What becomes of content and directory objects.
#[derive(Clone, Copy)]
pub(in crate::snapshot) enum Keep<'a> {
    Store(&'a Writer<'a>),
    Hash(&'a Repository),
}

/// What one worker works with.
#[expect(clippy::large_enum_variant, reason = "there are as many as cores, all of one kind")]
pub(super) enum Hands<'a> {
    Store { data: Bundle<'a>, metadata: Bundle<'a> },
    Hash { repository: &'a Repository, content: ContentHasher<'a> },
}

impl Keep<'_> {
    pub(super) fn repository(&self) -> &Repository {
        match self {
            Self::Store(writer) => writer.repository(),
            Self::Hash(repository) => repository,
        }
    }
}

impl Hands<'_> {
    pub(super) fn take_content(
        &mut self,
        reader: &mut dyn Read,
        extent: Extent,
        before: Option<&Stored>,
    ) -> Result<(Stored, u64), RepositoryError> {
        match self {
            Self::Store { data, .. } => data.put_content_after(reader, extent, before),
            Self::Hash { content, .. } => content.hash(reader, extent),
        }
    }

    pub(super) fn take_object(
        &mut self,
        plain: &[u8],
        before: Option<&ChunkId>,
    ) -> Result<ChunkId, RepositoryError> {
        match self {
            Self::Store { metadata, .. } => metadata.put_after(plain, before),
            Self::Hash { repository, .. } => Ok(repository.hash(plain)),
        }
    }
}

impl<'a> Workers<'a> {
    /// As many as there are cores, or `threads`.
    pub(in crate::snapshot) fn new(keep: Keep<'a>, threads: Option<usize>) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let pool = Crew::of(threads.unwrap_or(cores).max(1));
        let hands = || match keep {
            Keep::Store(writer) => Hands::Store {
                data: writer.bundle(PackClass::Data),
                metadata: writer.bundle(PackClass::Metadata),
            },
            Keep::Hash(repository) => {
                Hands::Hash { repository, content: repository.content_hasher() }
            }
        };
        let hands = (0..pool.threads()).map(|_| Mutex::new(hands())).collect();
        Self { pool, hands, keep }
    }

    /// The repository they work for.
    pub(in crate::snapshot) fn repository(&self) -> &Repository {
        self.keep.repository()
    }

    /// Stores some bytes beside the trees.
    pub(in crate::snapshot) fn put_bytes(&self, bytes: &[u8]) -> Result<Stored, SnapshotError> {
        let mut hands = self.hands[0].lock().expect("no holder of this lock panics");
        let extent = Extent::Bytes(bytes.len() as u64);
        Ok(hands.take_content(&mut &*bytes, extent, None)?.0)
    }

    /// Hands over what is left in the bundles.
    pub(in crate::snapshot) fn finish(self) -> Result<(), SnapshotError> {
        for hands in self.hands {
            let hands = hands.into_inner().expect("no holder of this lock panics");
            if let Hands::Store { data, metadata } = hands {
                data.finish()?;
                metadata.finish()?;
            }
        }
        Ok(())
    }

    /// What the calling worker works with.
    pub(super) fn with_hands<T>(&self, work: impl FnOnce(&mut Hands<'a>) -> T) -> T {
        let index = rayon::current_thread_index().unwrap_or(0);
        work(&mut self.hands[index].lock().expect("no holder of this lock panics"))
    }
}
