//! Writers and prunes beside each other, step by step.

use std::time::Duration;

use super::*;

/// Prunes as far as the record that condemns: what `wanted` names stays.
pub(super) fn condemned<'a>(repository: &'a Repository, wanted: &[ChunkId]) -> Pruner<'a> {
    let mut pruner = repository.begin_prune(PruneMode::Write).unwrap();
    mark_all(&mut pruner, wanted);
    let thrift = Thrift { unused_permille: 0, ..Thrift::default() };
    pruner.plan(&thrift).unwrap();
    pruner.condemn(Vec::new(), &Recorder::default()).unwrap();
    pruner
}

pub(super) fn mark_all(pruner: &mut Pruner<'_>, wanted: &[ChunkId]) {
    pruner.begin_marks().unwrap();
    for id in wanted {
        pruner.mark(id, true).unwrap();
    }
}

pub(super) fn purged(pruner: Pruner<'_>) -> Pruned {
    pruner.purge(&|_| true, &Recorder::default()).unwrap()
}

/// Chunks that no other call of this gives.
fn chunks(seed: u32) -> Vec<Vec<u8>> {
    (0..40_u32).map(|n| [seed, n].map(u32::to_le_bytes).concat().repeat(50)).collect()
}

fn all_there(repository: &Repository, chunks: &[Vec<u8>]) {
    for chunk in chunks {
        assert_eq!(&repository.get(&repository.hash(chunk)).unwrap(), chunk);
    }
}

#[test]
fn what_a_prune_condemned_waits_for_those_who_began_before() {
    let world = World::new();
    let old = chunks(1);
    let ids = world.commit(&old);
    let packs = world.files(ObjectKind::Pack).len();
    let reader = world.reopen().unwrap();
    all_there(&reader, &old);

    let (before, other) = (world.reopen().unwrap(), world.reopen().unwrap());
    let writer = before.begin(&WriteOptions::default()).unwrap();
    let mut pruner = condemned(&other, &[]);
    assert!(!pruner.wait(Duration::ZERO).unwrap(), "somebody began before");
    assert!(purged(pruner).is_awaiting);
    assert_eq!(world.files(ObjectKind::Pack).len(), packs);

    // It does not know, and relies on what it finds.
    let mut bundle = writer.bundle(PackClass::Data);
    bundle.put(&old[0]).unwrap();
    bundle.finish().unwrap();
    assert_eq!(writer.totals().chunks, 0);
    // Who comes now knows: to them it is absent.
    let after = world.reopen().unwrap();
    let late = after.begin(&WriteOptions::default()).unwrap();
    let mut bundle = late.bundle(PackClass::Data);
    bundle.put(&old[1]).unwrap();
    bundle.finish().unwrap();
    late.sync().unwrap();
    assert_eq!(late.totals().chunks, 1);
    late.commit(b"").unwrap();
    writer.commit(b"").unwrap();

    let third = world.reopen().unwrap();
    let mut pruner = condemned(&third, &ids[..2]);
    pruner.wait(Duration::ZERO).unwrap();
    let done = purged(pruner);
    assert!(done.packs_removed > 0 && !done.is_awaiting, "{done:?}");
    assert!(world.files(ObjectKind::Condemned).is_empty());
    all_there(&reader, &old[..2]);
    let gone = world.reopen().unwrap().get(&ids[2]);
    assert!(matches!(gone, Err(RepositoryError::MissingChunk { .. })), "{gone:?}");
    let report = world.check();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
}

#[test]
fn what_was_saved_while_a_prune_went_on_is_rescued_from_what_it_condemned() {
    let world = World::new();
    let old = chunks(1);
    world.commit(&old);
    let (one, other) = (world.reopen().unwrap(), world.reopen().unwrap());
    let writer = one.begin(&WriteOptions::default()).unwrap();
    let new = chunks(2);
    let mut bundle = writer.bundle(PackClass::Data);
    let mut ids: Vec<_> = new.iter().map(|chunk| bundle.put(chunk).unwrap()).collect();
    ids.push(bundle.put(&old[7]).unwrap());
    bundle.finish().unwrap();
    // In the index, and named by no snapshot: a prune takes it for garbage.
    writer.sync().unwrap();
    let mut pruner = condemned(&other, &[]);
    writer.commit(b"").unwrap();
    assert!(pruner.wait(Duration::ZERO).unwrap());
    mark_all(&mut pruner, &ids);
    pruner.rescue(&Recorder::default()).unwrap();
    let done = purged(pruner);
    assert!(done.packs_removed >= 2 && done.bytes_written > 0, "{done:?}");
    for repository in [&one, &other, &world.reopen().unwrap()] {
        all_there(repository, &new);
        all_there(repository, &old[7..8]);
    }
    assert!(world.check().findings.is_empty());
    // Who opened the repository long ago must not rely on what is gone.
    let writer = world.repository.begin(&WriteOptions::default()).unwrap();
    let mut bundle = writer.bundle(PackClass::Data);
    bundle.put(&old[3]).unwrap();
    bundle.finish().unwrap();
    writer.commit(b"").unwrap();
    all_there(&world.reopen().unwrap(), &old[3..4]);
}

#[test]
fn a_pruner_that_lost_its_lease_deletes_nothing() {
    let world = World::new();
    let old = chunks(1);
    world.commit(&old);
    let mut pruner = condemned(&world.repository, &[]);
    assert!(pruner.wait(Duration::ZERO).unwrap());
    for lease in world.files(ObjectKind::Lease) {
        std::fs::remove_file(lease).unwrap();
    }
    let done = pruner.purge(&|_| true, &Recorder::default());
    assert!(matches!(done, Err(RepositoryError::LeaseLost)), "{done:?}");
    all_there(&world.reopen().unwrap(), &old);
}

#[test]
fn one_prune_excludes_another_and_no_writer() {
    let world = World::new();
    let old = chunks(1);
    let ids = world.commit(&old);
    let pruner = world.repository.begin_prune(PruneMode::Write).unwrap();
    let other = world.reopen().unwrap();
    let refused = other.begin_prune(PruneMode::Write).map(drop);
    assert!(matches!(refused, Err(RepositoryError::Locked { .. })), "{refused:?}");
    assert!(matches!(other.remember(&ObjectId::random()), Err(RepositoryError::Locked { .. })));
    commit(&other, &chunks(2));
    drop(pruner);
    let again = condemned(&other, &ids);
    drop(again);
    all_there(&other, &old);
}

#[test]
fn a_chunk_that_is_stored_twice_is_kept_once() {
    let world = World::new();
    let old = chunks(1);
    let (one, other) = (world.reopen().unwrap(), world.reopen().unwrap());
    let writers = [&one, &other].map(|it| it.begin(&WriteOptions::default()).unwrap());
    let mut ids = Vec::new();
    for writer in &writers {
        let mut bundle = writer.bundle(PackClass::Data);
        ids = old.iter().map(|chunk| bundle.put(chunk).unwrap()).collect();
        bundle.finish().unwrap();
    }
    for writer in writers {
        writer.commit(b"").unwrap();
    }
    assert_eq!(world.files(ObjectKind::Pack).len(), 2);
    let mut pruner = condemned(&world.repository, &ids);
    pruner.wait(Duration::ZERO).unwrap();
    assert_eq!(purged(pruner).packs_removed, 1);
    all_there(&world.reopen().unwrap(), &old);
    assert!(world.check().findings.is_empty());
}
