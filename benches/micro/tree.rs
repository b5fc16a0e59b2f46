//! Directory objects and the stat cache.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use snap_backup::repository::{ChunkId, Repository};
use snap_backup::tree::statcache::{Block, Mark, Origin, StatCacheWriter};
use snap_backup::tree::{Content, Entry, Kind, Meta, Mtime, manifest};

use crate::stage::Stage;

/// Entries of one directory, sorted by name.
fn entries(repository: &Repository, files: u32) -> Vec<Entry> {
    (0..files)
        .map(|number| Entry {
            name: format!("Controller{number:05}.php").into_bytes().into(),
            meta: Meta {
                mode: 0o644,
                uid: 33,
                gid: 33,
                mtime: Mtime { secs: 1_700_000_000 + i64::from(number) * 7, nanos: number * 997 },
                xattrs: Vec::new(),
            },
            kind: Kind::File {
                size: 3_000 + u64::from(number),
                content: Content::Chunk(repository.hash(&number.to_le_bytes())),
            },
            link_group: None,
        })
        .collect()
}

pub(crate) fn directories(criterion: &mut Criterion) {
    let stage = Stage::new();
    let entries = entries(&stage.repository, 512);
    let raw = manifest::encode_leaf(&entries);
    let mut group = criterion.benchmark_group("directory");
    group.throughput(Throughput::Elements(entries.len() as u64));
    group.bench_function("encode", |b| b.iter(|| manifest::encode_leaf(black_box(&entries))));
    group.bench_function("decode", |b| b.iter(|| manifest::decode_leaf(black_box(&raw))));
    group.finish();
}

/// Written directory by directory, and asked in the same order: as a walk merges with it.
pub(crate) fn stat_cache(criterion: &mut Criterion) {
    const DIRECTORIES: u32 = 2_000;
    let stage = Stage::new();
    let entries = entries(&stage.repository, 8);
    let marks = vec![Mark::nothing(); entries.len()];
    let object: ChunkId = stage.repository.hash(b"an object");
    let block = Block { object, entries, marks, holds_all: true };
    let key = |number: u32| format!("app/plugin-{number:06}").into_bytes();
    let origin = Origin {
        snapshot: None,
        boot_id: "boot".to_owned(),
        source: [7; 32],
        root: "/root".into(),
    };
    let write = || {
        let file = tempfile::tempfile_in(stage.place.path()).expect("a file can be made");
        let writer = StatCacheWriter::new(file);
        for number in 0..DIRECTORIES {
            writer.add(&key(number), &block);
        }
        writer.into_cache(&origin).expect("it can be read again")
    };
    let cache = write();
    let mut group = criterion.benchmark_group("stat-cache");
    group.throughput(Throughput::Elements(u64::from(DIRECTORIES) * block.entries.len() as u64));
    group.sample_size(10);
    group.bench_function("write", |b| b.iter(write));
    group.bench_function("merge", |b| {
        b.iter(|| {
            let found = (0..DIRECTORIES).filter_map(|number| cache.list(&key(number)));
            found.map(Iterator::count).sum::<usize>()
        });
    });
    group.finish();
}
