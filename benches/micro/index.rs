//! The index: whether a chunk is there, and making one from packs.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use snap_backup::monitor::Recorder;
use snap_backup::repository::{ChunkId, PackClass, RepairMode, Repository, Unlock, WriteOptions};

use crate::stage::Stage;

const CHUNKS: u32 = 300_000;

/// A repository of many tiny chunks, opened anew: the index comes from its cache.
fn filled(stage: &Stage) -> (Repository, Vec<ChunkId>) {
    let options = WriteOptions::default();
    let writer = stage.repository.begin(&options).expect("a run can begin");
    let mut bundle = writer.bundle(PackClass::Data);
    let ids = (0..CHUNKS).map(|n| bundle.put(&n.to_le_bytes()).expect("it can be stored"));
    let ids = ids.collect();
    bundle.finish().expect("it can be stored");
    writer.sync().expect("it can be stored");
    drop(writer);
    let (key, cache) = (stage.place.path().join("key"), stage.place.path().join("cache"));
    std::fs::create_dir_all(&cache).expect("a directory can be made");
    let location = stage.repository.location();
    let again = Repository::open(location, &Unlock::KeyFile(&key), Some(&cache));
    (again.expect("it can be opened"), ids)
}

pub(crate) fn looking_up(criterion: &mut Criterion) {
    let stage = Stage::new();
    let (repository, ids) = filled(&stage);
    let strangers: Vec<ChunkId> =
        (0..CHUNKS).map(|n| repository.hash(&(u64::from(n) | 1 << 40).to_le_bytes())).collect();
    let mut group = criterion.benchmark_group("look-up");
    for (name, ids) in [("hit", &ids), ("miss", &strangers)] {
        // Not in the order in which they were written: a look-up's cost is the cache's misses.
        let mut order = (0..ids.len()).map(|n| n * 7_919 % ids.len()).cycle();
        group.bench_function(name, |b| {
            b.iter(|| {
                let id = &ids[order.next().expect("it goes round")];
                black_box(repository.contains(id).expect("the index can be read"))
            });
        });
    }
    group.finish();
}

pub(crate) fn building(criterion: &mut Criterion) {
    let stage = Stage::new();
    let (repository, _) = filled(&stage);
    let mut group = criterion.benchmark_group("index");
    group.throughput(Throughput::Elements(u64::from(CHUNKS))).sample_size(10);
    group.bench_function("rebuild-from-packs", |b| {
        b.iter(|| {
            repository
                .rebuild_index(RepairMode::DryRun, &Recorder::default())
                .expect("packs can be read")
        });
    });
    group.finish();
}
