//! One open repository.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::backend::{Backend, Freshness, Range};
use super::chunker::Chunker;
use super::error::RepositoryError;
use super::format::Config;
use super::frame::Codec;
use super::id::{ChunkId, ObjectId, RepositoryId};
use super::index::{Place, Shelf};
use super::key::Secrets;
use super::object::{self, ObjectKind};
use super::reading::FrameCache;
use super::run::Compression;
use super::seal::Sealer;

/// One open repository. Shared by threads; what one run publishes, its later reads find.
#[derive(Clone)]
pub struct Repository {
    pub(super) inner: Arc<Inner>,
}

/// What all holders of a repository share.
pub(super) struct Inner {
    pub(super) backend: Box<dyn Backend>,
    pub(super) location: PathBuf,
    pub(super) id: RepositoryId,
    pub(super) config: Config,
    pub(super) secrets: Secrets,
    pub(super) chunker: Chunker,
    /// The id of the longest chunk of zeros, once it was asked for.
    pub(super) zeros: OnceLock<ChunkId>,
    pub(super) shelf: Shelf,
    pub(super) frames: FrameCache,
    codecs: Mutex<Vec<Codec>>,
}

impl Inner {
    pub(super) fn new(
        backend: Box<dyn Backend>,
        location: PathBuf,
        config: Config,
        secrets: Secrets,
        cache_dir: Option<PathBuf>,
    ) -> Self {
        Self {
            backend,
            location,
            id: config.repository(),
            chunker: Chunker::new(&config.cutting, secrets.chunker_seed()),
            zeros: OnceLock::new(),
            config,
            secrets,
            shelf: Shelf::new(cache_dir),
            frames: FrameCache::default(),
            codecs: Mutex::default(),
        }
    }

    pub(super) fn hash(&self, plain: &[u8]) -> ChunkId {
        self.hash_of_zeros(plain).unwrap_or_else(|| self.keyed_hash(plain))
    }

    pub(super) fn keyed_hash(&self, plain: &[u8]) -> ChunkId {
        ChunkId::from_bytes(*blake3::keyed_hash(&self.secrets.id_key, plain).as_bytes())
    }

    pub(super) fn sealer(&self, kind: ObjectKind, name: &ObjectId) -> Sealer {
        Sealer::new(&self.secrets.master, &self.id, kind, name)
    }

    /// Seals `body` and puts it under `name`; durable after the backend's next sync.
    pub(super) fn put_sealed(
        &self,
        kind: ObjectKind,
        name: &ObjectId,
        body: &[u8],
    ) -> Result<(), RepositoryError> {
        let bytes = object::seal(&self.sealer(kind, name), kind, body);
        self.backend.put(kind, &name.to_string(), &bytes)
    }

    /// Reads and opens what [`Self::put_sealed`] put.
    pub(super) fn get_sealed(
        &self,
        kind: ObjectKind,
        name: &ObjectId,
    ) -> Result<Vec<u8>, RepositoryError> {
        self.get_sealed_from(kind, name, Freshness::Cached)
    }

    pub(super) fn get_sealed_from(
        &self,
        kind: ObjectKind,
        name: &ObjectId,
        freshness: Freshness,
    ) -> Result<Vec<u8>, RepositoryError> {
        let mut bytes = Vec::new();
        let text = name.to_string();
        self.backend.read(kind, &text, Range::All, freshness, &mut bytes)?;
        object::open(&self.sealer(kind, name), kind, &text, &bytes)
    }

    pub(super) fn codec(&self) -> Codec {
        let kept = self.codecs.lock().unwrap_or_else(PoisonError::into_inner).pop();
        kept.unwrap_or_else(|| Codec::new(Compression::Off))
    }

    pub(super) fn keep_codec(&self, codec: Codec) {
        self.codecs.lock().unwrap_or_else(PoisonError::into_inner).push(codec);
    }

    /// An error of a local index file: the cache is damaged, not the repository.
    pub(super) fn index_error(&self, error: io::Error) -> RepositoryError {
        RepositoryError::io("search the index of", self.location.clone())(error)
    }
}

impl Repository {
    /// Tells it from every other repository.
    pub fn id(&self) -> RepositoryId {
        self.inner.id
    }

    /// Without a cache directory that works, what does not fit into memory may lie in `dir`, in files
    /// without a name.
    pub fn scratch_in(&self, dir: PathBuf) {
        self.inner.shelf.scratch_in(dir);
    }

    /// Where it is.
    pub fn location(&self) -> &Path {
        &self.inner.location
    }

    /// Whether it lies on a file system of this machine.
    pub fn is_local(&self) -> bool {
        self.inner.backend.traits().is_local
    }

    /// Whether what it saved survives a power cut, as far as syncs so far have shown.
    pub fn is_durable(&self) -> bool {
        self.inner.backend.traits().syncs
    }

    /// The id of these bytes as a chunk.
    pub fn hash(&self, plain: &[u8]) -> ChunkId {
        self.inner.hash(plain)
    }

    /// A keyed hasher for digests and fingerprints. Each use has a `context` of its own, so that
    /// no digest can be taken for another, or for a chunk's id.
    pub fn hasher(&self, context: &str) -> blake3::Hasher {
        let mut key = blake3::Hasher::new_derive_key(context);
        key.update(&self.inner.secrets.id_key);
        let key = zeroize::Zeroizing::new(*key.finalize().as_bytes());
        blake3::Hasher::new_keyed(&key)
    }

    /// Whether an index segment names the chunk.
    pub fn contains(&self, id: &ChunkId) -> Result<bool, RepositoryError> {
        let pack = self.inner.index()?.pack_of(id);
        Ok(pack.map_err(|error| self.inner.index_error(error))?.is_some())
    }

    /// Index segments that could not be used, in one line each. What only they name seems missing
    /// until the index is rebuilt.
    pub fn damaged_segments(&self) -> Result<Vec<String>, RepositoryError> {
        self.inner.index()?;
        Ok(self.inner.damaged_segments())
    }

    /// Where the chunk is; `None` if no index segment names it.
    pub fn locate(&self, id: &ChunkId) -> Result<Option<Place>, RepositoryError> {
        self.inner.index()?.locate(id).map_err(|error| self.inner.index_error(error))
    }
}
