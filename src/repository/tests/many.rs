use std::collections::BTreeMap;

use super::*;

fn assert_shared<T: Send + Sync>() {}

#[test]
fn what_workers_share_may_be_shared() {
    assert_shared::<Repository>();
    assert_shared::<Writer<'_>>();
    assert_shared::<Frame>();
}

#[test]
fn four_workers_store_each_chunk_once() {
    let world = World::new();
    let chunks = some_chunks(4000);
    let writer = world.repository.begin(&WriteOptions::default()).unwrap();
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let (writer, chunks) = (&writer, &chunks);
            scope.spawn(move || {
                let mut bundle = writer.bundle(PackClass::Data);
                // Each begins elsewhere, so that they meet each chunk in another order.
                for n in 0..chunks.len() {
                    bundle.put(&chunks[(n + worker * 1000) % chunks.len()]).unwrap();
                }
                bundle.finish().unwrap();
            });
        }
    });
    let distinct: std::collections::BTreeSet<_> = chunks.iter().collect();
    assert_eq!(writer.sync().unwrap().packs.len(), 1);
    assert_eq!(writer.totals().chunks, distinct.len() as u64);
    writer.commit(b"").unwrap();
    for chunk in chunks {
        assert_eq!(world.repository.get(&world.repository.hash(&chunk)).unwrap(), chunk);
    }
    assert!(world.check().findings.is_empty());
}

#[test]
fn workers_that_write_much_at_once_make_few_packs_and_lose_nothing() {
    let world = World::new();
    let writer = world.repository.begin(&WriteOptions::default()).unwrap();
    let noise = |n: u32| {
        let mut plain = vec![0; 900_000];
        blake3::Hasher::new().update(&n.to_le_bytes()).finalize_xof().fill(&mut plain);
        plain
    };
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let writer = &writer;
            scope.spawn(move || {
                let mut bundle = writer.bundle(PackClass::Data);
                (0..12).for_each(|n| _ = bundle.put(&noise(worker * 12 + n)).unwrap());
                bundle.finish().unwrap();
            });
        }
    });
    // 43 MB: one pack could hold it, and each that is begun has a quarter of one before it.
    assert!((1..=3).contains(&writer.sync().unwrap().packs.len()));
    writer.commit(b"").unwrap();
    for n in 0..48 {
        assert_eq!(world.repository.get(&world.repository.hash(&noise(n))).unwrap(), noise(n));
    }
    assert!(world.check().findings.is_empty());
}

#[test]
fn two_writers_at_once_do_not_disturb_each_other() {
    let world = World::new();
    let (one, other) = (world.repository.clone(), world.reopen().unwrap());
    let chunks = some_chunks(2000);
    std::thread::scope(|scope| {
        for repository in [&one, &other] {
            let chunks = &chunks;
            scope.spawn(move || commit(repository, chunks));
        }
    });
    let again = world.reopen().unwrap();
    assert_eq!(again.record_ids(RecordKind::Snapshot).unwrap().len(), 2);
    for chunk in &chunks {
        assert_eq!(&again.get(&again.hash(chunk)).unwrap(), chunk);
        // Each process finds what the other stored, also after its index was loaded.
        assert_eq!(&one.get(&again.hash(chunk)).unwrap(), chunk);
    }
    assert!(world.check().is_sound());
    assert!(world.files(ObjectKind::Lease).is_empty());
}

#[test]
fn a_bundle_left_unfinished_makes_its_run_fail() {
    let world = World::new();
    let writer = world.repository.begin(&WriteOptions::default()).unwrap();
    let mut bundle = writer.bundle(PackClass::Data);
    bundle.put(b"claimed, never stored").unwrap();
    assert!(matches!(writer.sync(), Err(RepositoryError::RunFailed { .. })), "it is open");
    drop(bundle);
    assert!(matches!(writer.sync(), Err(RepositoryError::RunFailed { .. })), "it was dropped");
    assert!(matches!(writer.commit(b""), Err(RepositoryError::RunFailed { .. })));
    assert!(world.files(ObjectKind::Snapshot).is_empty());
}

#[test]
fn a_run_that_is_dropped_leaves_nothing_that_is_seen() {
    let world = World::new();
    let writer = world.repository.begin(&WriteOptions::default()).unwrap();
    let mut bundle = writer.bundle(PackClass::Data);
    bundle.put(&[1; 4000]).unwrap();
    bundle.finish().unwrap();
    drop(writer);
    assert!(files_below(&world.root().join("tmp")).is_empty());
    for kind in [ObjectKind::Pack, ObjectKind::Index, ObjectKind::Snapshot, ObjectKind::Lease] {
        assert!(world.files(kind).is_empty(), "{kind:?}");
    }
}

#[test]
fn litter_of_the_dead_is_swept_and_work_of_the_living_is_not() {
    let world = World::new();
    let litter = world.root().join("tmp").join("ab".repeat(32));
    std::fs::write(&litter, "half a pack").unwrap();
    let living = world.repository.begin(&WriteOptions::default()).unwrap();
    let mut bundle = living.bundle(PackClass::Data);
    bundle.put(&vec![7; 600_000]).unwrap();
    bundle.finish().unwrap();
    assert_eq!(files_below(&world.root().join("tmp")).len(), 2, "opened before: swept once a run");

    drop(world.reopen().unwrap().begin(&WriteOptions::default()).unwrap());
    let left = files_below(&world.root().join("tmp"));
    assert!(left.len() == 1 && left[0] != litter, "{left:?}");
    living.commit(b"").unwrap();
    assert!(world.check().findings.is_empty());
}

#[test]
fn a_run_whose_lease_was_taken_away_does_not_commit() {
    let world = World::new();
    let writer = world.repository.begin(&WriteOptions::default()).unwrap();
    for lease in world.files(ObjectKind::Lease) {
        std::fs::remove_file(lease).unwrap();
    }
    assert!(matches!(writer.commit(b""), Err(RepositoryError::LeaseLost)));
    assert!(world.files(ObjectKind::Snapshot).is_empty());
}

#[test]
fn many_snapshots_leave_few_files_in_the_cache() {
    let world = World::new();
    let mut expected = BTreeMap::new();
    for n in 0..40_u32 {
        let chunks: Vec<Vec<u8>> =
            (0..50_u32).map(|m| [n.to_le_bytes(), m.to_le_bytes()].concat()).collect();
        let repository = world.reopen_with_cache();
        expected.extend(commit(&repository, &chunks).into_iter().zip(chunks));
    }
    let repository = world.reopen_with_cache();
    for (id, chunk) in &expected {
        assert_eq!(&repository.get(id).unwrap(), chunk);
    }
    assert_eq!(world.files(ObjectKind::Index).len(), 40);
    let cached = files_below(&world.cache());
    assert!(cached.len() < 12, "{} files", cached.len());

    // A torn or foreign cache is no cache.
    for (n, file) in cached.iter().enumerate() {
        std::fs::write(file, &std::fs::read(file).unwrap()[n..]).unwrap();
    }
    let repository = world.reopen_with_cache();
    for (id, chunk) in &expected {
        assert_eq!(&repository.get(id).unwrap(), chunk);
    }
}

#[test]
fn packs_are_read_back_from_the_medium() {
    let world = World::new();
    let writer = world.repository.begin(&WriteOptions::default()).unwrap();
    let mut bundle = writer.bundle(PackClass::Data);
    for chunk in some_chunks(3000) {
        bundle.put(&chunk).unwrap();
    }
    bundle.finish().unwrap();
    let written = writer.sync().unwrap();
    writer.read_back(&written.packs).unwrap();
    let pack = &world.files(ObjectKind::Pack)[0];
    let mut bytes = std::fs::read(pack).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(pack, bytes).unwrap();
    assert!(matches!(writer.read_back(&written.packs), Err(RepositoryError::Damaged { .. })));
}
