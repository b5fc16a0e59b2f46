//! Promises of the repository as a whole.

#![expect(clippy::disallowed_methods, reason = "the tests harm files as no part of us would")]

mod damage;
mod delta;
mod delta_prune;
mod faults;
pub(crate) mod faulty;
pub(super) mod golden;
mod leases;
mod many;
pub(crate) mod memory;
mod nowhere;
mod reader;
mod round_trip;
mod slots;

use std::path::{Path, PathBuf};

use super::*;
use crate::monitor::Recorder;

const CHEAP: Argon = Argon { memory_kib: 8, passes: 1, lanes: 1 };

/// A repository in a directory of its own, and its key file.
struct World {
    dir: tempfile::TempDir,
    repository: Repository,
}

impl World {
    fn new() -> Self {
        // In memory where there is such a place: hundreds of repositories are made here, and what
        // a disk does at a sync is not what these tests are about.
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let key = dir.path().join("key");
        let options =
            InitOptions { machine_key_file: Some(&key), argon: CHEAP, ..Default::default() };
        let repository = Repository::init(&dir.path().join("repository"), &options).unwrap();
        Self { dir, repository }
    }

    fn root(&self) -> &Path {
        self.repository.location()
    }

    fn key(&self) -> PathBuf {
        self.dir.path().join("key")
    }

    fn cache(&self) -> PathBuf {
        self.dir.path().join("cache")
    }

    fn reopen(&self) -> Result<Repository, RepositoryError> {
        Repository::open(self.root(), &Unlock::KeyFile(&self.key()), None)
    }

    fn reopen_with_cache(&self) -> Repository {
        let key = self.key();
        Repository::open(self.root(), &Unlock::KeyFile(&key), Some(&self.cache())).unwrap()
    }

    /// Commits a snapshot of these chunks; their ids.
    fn commit(&self, chunks: &[Vec<u8>]) -> Vec<ChunkId> {
        commit(&self.repository, chunks)
    }

    /// The files of one kind of object.
    fn files(&self, kind: ObjectKind) -> Vec<PathBuf> {
        files_below(&self.root().join(kind.directory()))
    }

    fn check(&self) -> CheckReport {
        let depth = CheckDepth::ReadData;
        self.reopen().unwrap().check(depth, &Recorder::default()).unwrap()
    }
}

fn commit(repository: &Repository, chunks: &[Vec<u8>]) -> Vec<ChunkId> {
    let writer = repository.begin(&WriteOptions::default()).unwrap();
    let mut bundle = writer.bundle(PackClass::Data);
    let ids = chunks.iter().map(|chunk| bundle.put(chunk).unwrap()).collect();
    bundle.finish().unwrap();
    let mut bundle = writer.bundle(PackClass::Metadata);
    bundle.put(b"a directory object").unwrap();
    bundle.finish().unwrap();
    writer.commit(b"record").unwrap();
    ids
}

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in walkdir::WalkDir::new(dir).sort_by_file_name() {
        let entry = entry.unwrap();
        // What lies in the reserve says nothing.
        if entry.file_type().is_file() && entry.file_name() != "reserve" {
            files.push(entry.into_path());
        }
    }
    files
}

/// `count` chunks, some of which compress.
fn some_chunks(count: usize) -> Vec<Vec<u8>> {
    (0..count)
        .map(|n| match n % 3 {
            0 => format!("<?php echo {n};\n").repeat(n % 90 + 1).into_bytes(),
            1 => blake3::hash(&n.to_le_bytes()).as_bytes().repeat(n % 5 + 1),
            _ => {
                let mut noise = vec![0; 97 * n % 4096 + 1];
                blake3::Hasher::new_derive_key("noise")
                    .update(&n.to_le_bytes())
                    .finalize_xof()
                    .fill(&mut noise);
                noise
            }
        })
        .collect()
}
