//! Making room where chunks build on others.

use std::time::Duration;

use proptest::prelude::*;

use super::delta::{assert_reads, bytes_of_packs, commit_after, contents, versions};
use super::leases::{condemned, mark_all, purged};
use super::*;
use crate::repository::pack::Contents;

/// Prunes to the end: what `wanted` names stays.
fn prune(repository: &Repository, wanted: &[ChunkId]) -> Pruned {
    let mut pruner = condemned(repository, wanted);
    if pruner.wait(Duration::ZERO).unwrap() {
        mark_all(&mut pruner, wanted);
        pruner.rescue(&Recorder::default()).unwrap();
    }
    purged(pruner)
}

fn assert_sound(world: &World) {
    let report = world.check();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
}

fn deltas(repository: &Repository) -> usize {
    contents(repository).iter().flat_map(Contents::all_bases).count()
}

#[test]
fn what_a_delta_builds_on_stays_when_nobody_else_needs_it() {
    let world = World::new();
    let first = world.commit(&versions(0));
    let second = commit_after(&world.repository, &versions(1), &first);
    assert_eq!(deltas(&world.repository), second.len());
    prune(&world.reopen().unwrap(), &second);
    assert_reads(&world.reopen().unwrap(), &versions(1), &second);
    assert_sound(&world);
}

#[test]
fn deltas_that_nobody_needs_go_and_free_what_they_build_on() {
    let world = World::new();
    let first = world.commit(&versions(0));
    let second = commit_after(&world.repository, &versions(1), &first);
    let third = world.commit(&versions(9));
    prune(&world.reopen().unwrap(), &first);
    assert_eq!(deltas(&world.reopen().unwrap()), 0);
    assert_reads(&world.reopen().unwrap(), &versions(0), &first);
    for id in [second[0], third[0]] {
        assert!(world.reopen().unwrap().get(&id).is_err());
    }
    assert_sound(&world);
    prune(&world.reopen().unwrap(), &[]);
    assert_eq!(world.files(ObjectKind::Pack).len(), 0);
}

#[test]
fn a_pack_that_stays_for_another_chunk_keeps_the_bases_of_its_deltas() {
    let world = World::new();
    let first = world.commit(&versions(0));
    let writer = world.repository.begin(&WriteOptions::default()).unwrap();
    let mut bundle = writer.bundle(PackClass::Data);
    // A large chunk that is needed lies beside deltas that are not.
    let needed = blake3::Hasher::new().finalize_xof();
    let mut large = vec![0; 900_000];
    { needed }.fill(&mut large);
    let id = bundle.put(&large).unwrap();
    for (chunk, before) in versions(1).iter().zip(&first) {
        bundle.put_after(chunk, Some(before)).unwrap();
    }
    bundle.finish().unwrap();
    writer.commit(b"").unwrap();
    let mut pruner = world.repository.begin_prune(PruneMode::Write).unwrap();
    mark_all(&mut pruner, &[id]);
    pruner.plan(&Thrift::NOTHING_ANEW).unwrap();
    pruner.condemn(Vec::new(), &Recorder::default()).unwrap();
    pruner.wait(Duration::ZERO).unwrap();
    mark_all(&mut pruner, &[id]);
    pruner.rescue(&Recorder::default()).unwrap();
    // They stay where they are, for there was no room to write them anew.
    assert_eq!(purged(pruner).bytes_written, 0);
    assert_eq!(deltas(&world.reopen().unwrap()), first.len());
    assert_sound(&world);
}

#[test]
fn packs_written_anew_stay_deltas() {
    let world = World::new();
    let first = world.commit(&versions(0));
    let full = bytes_of_packs(&world);
    let mut all = first.clone();
    for release in 1..20 {
        all.extend(commit_after(&world.reopen().unwrap(), &versions(release), &first));
    }
    let (packs, bytes) = (world.files(ObjectKind::Pack).len(), bytes_of_packs(&world));
    // Twenty small packs become few.
    prune(&world.reopen().unwrap(), &all);
    assert!(world.files(ObjectKind::Pack).len() * 4 < packs);
    let after = bytes_of_packs(&world);
    assert!(after < bytes + full / 10, "{after} bytes of {bytes}, the first alone {full}");
    for (release, ids) in all.chunks(first.len()).enumerate() {
        assert_reads(&world.reopen().unwrap(), &versions(release), ids);
    }
    assert_sound(&world);
}

#[test]
fn what_was_built_on_a_condemned_chunk_meanwhile_has_it_rescued() {
    let world = World::new();
    let first = world.commit(&versions(0));
    let (one, other) = (world.reopen().unwrap(), world.reopen().unwrap());
    let writer = one.begin(&WriteOptions::default()).unwrap();
    let mut pruner = condemned(&other, &[]);
    // It began before, and does not know that its bases are to go.
    let mut bundle = writer.bundle(PackClass::Data);
    let pairs = versions(1).into_iter().zip(&first);
    let second: Vec<_> =
        pairs.map(|(chunk, before)| bundle.put_after(&chunk, Some(before)).unwrap()).collect();
    bundle.finish().unwrap();
    writer.commit(b"").unwrap();
    assert_eq!(deltas(&one), second.len());
    assert!(pruner.wait(Duration::ZERO).unwrap());
    mark_all(&mut pruner, &second);
    pruner.rescue(&Recorder::default()).unwrap();
    purged(pruner);
    assert_reads(&world.reopen().unwrap(), &versions(1), &second);
    assert_sound(&world);
}

#[test]
fn who_knows_that_a_chunk_is_condemned_does_not_build_on_it() {
    let world = World::new();
    let first = world.commit(&versions(0));
    let early = world.reopen().unwrap();
    let lease = early.begin(&WriteOptions::default()).unwrap();
    let pruner = condemned(&world.repository, &[]);
    let late = world.reopen().unwrap();
    let second = commit_after(&late, &versions(1), &first);
    assert_eq!(deltas(&late), 0);
    drop(pruner);
    drop(lease);
    prune(&world.reopen().unwrap(), &second);
    assert_reads(&world.reopen().unwrap(), &versions(1), &second);
    assert_sound(&world);
}

/// One thing that happens to a repository.
#[derive(Clone, Debug)]
enum Event {
    /// A snapshot after the newest.
    Save,
    /// The snapshot of that number, of those there are, is no longer wanted.
    Forget(usize),
    /// A prune with nobody beside it.
    Prune,
    /// A prune beside a writer that began before, and saves a snapshot after the newest.
    PruneBeside,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => Just(Event::Save),
        3 => (0_usize..8).prop_map(Event::Forget),
        1 => Just(Event::Prune),
        1 => Just(Event::PruneBeside),
    ]
}

/// Snapshots that are wanted: the release and its chunks.
type Wanted = Vec<(usize, Vec<ChunkId>)>;

fn ids(wanted: &Wanted) -> Vec<ChunkId> {
    wanted.iter().flat_map(|(_, ids)| ids.clone()).collect()
}

/// Chunks of the newest snapshot, or any where there is none.
fn newest(wanted: &Wanted, release: usize) -> Vec<ChunkId> {
    let nothing = || vec![ChunkId::from_bytes([0; 32]); versions(release).len()];
    wanted.last().map_or_else(nothing, |(_, ids)| ids.clone())
}

fn happen(world: &World, event: &Event, release: usize, wanted: &mut Wanted) {
    match event {
        Event::Save => {
            let before = newest(wanted, release);
            let ids = commit_after(&world.reopen().unwrap(), &versions(release), &before);
            wanted.push((release, ids));
        }
        Event::Forget(number) if !wanted.is_empty() => {
            wanted.remove(number % wanted.len());
        }
        Event::Forget(_) => {}
        Event::Prune => {
            prune(&world.reopen().unwrap(), &ids(wanted));
        }
        Event::PruneBeside => {
            let (one, other) = (world.reopen().unwrap(), world.reopen().unwrap());
            let writer = one.begin(&WriteOptions::default()).unwrap();
            let mut pruner = condemned(&other, &ids(wanted));
            let before = newest(wanted, release);
            let mut bundle = writer.bundle(PackClass::Data);
            let chunks = versions(release);
            let pairs = chunks.iter().zip(&before);
            let saved = pairs.map(|(chunk, before)| bundle.put_after(chunk, Some(before)).unwrap());
            let saved = saved.collect();
            bundle.finish().unwrap();
            writer.commit(b"").unwrap();
            wanted.push((release, saved));
            if pruner.wait(Duration::ZERO).unwrap() {
                mark_all(&mut pruner, &ids(wanted));
                pruner.rescue(&Recorder::default()).unwrap();
            }
            purged(pruner);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn whatever_is_saved_forgotten_and_pruned_what_is_wanted_is_whole(
        events in proptest::collection::vec(event(), 4..16),
    ) {
        let world = World::new();
        let mut wanted = Vec::new();
        for (number, event) in events.iter().enumerate() {
            happen(&world, event, number, &mut wanted);
            let repository = world.reopen().unwrap();
            for (release, ids) in &wanted {
                assert_reads(&repository, &versions(*release), ids);
            }
            assert_sound(&world);
        }
    }
}
