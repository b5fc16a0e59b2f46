//! Chunks stored as what changed since an older one.

use std::collections::HashSet;

use super::*;
use crate::repository::backend::Freshness;
use crate::repository::pack::Contents;

/// A file of a release, and what the next releases make of it.
fn version(file: usize, release: usize) -> Vec<u8> {
    let mut text = Vec::new();
    for line in 0..200 {
        let release = if line % 40 == file % 40 { release } else { 0 };
        let hash = blake3::hash(format!("{file} {line} {release}").as_bytes());
        text.extend_from_slice(format!("$value_{line} = '{hash}';\n").as_bytes());
    }
    text
}

pub(super) fn versions(release: usize) -> Vec<Vec<u8>> {
    (0..60).map(|file| version(file, release)).collect()
}

/// Commits chunks that take the place of others; their ids.
pub(super) fn commit_after(
    repository: &Repository,
    chunks: &[Vec<u8>],
    before: &[ChunkId],
) -> Vec<ChunkId> {
    let writer = repository.begin(&WriteOptions::default()).unwrap();
    let mut bundle = writer.bundle(PackClass::Data);
    let pairs = chunks.iter().zip(before);
    let ids = pairs.map(|(chunk, before)| bundle.put_after(chunk, Some(before)).unwrap());
    let ids = ids.collect();
    bundle.finish().unwrap();
    writer.commit(b"record").unwrap();
    ids
}

pub(super) fn contents(repository: &Repository) -> Vec<Contents> {
    let names = repository.inner.backend.list(ObjectKind::Pack).unwrap();
    let ids = names.iter().map(|name| ObjectId::parse(name).unwrap());
    let read = |id| repository.inner.read_footer(&id, Freshness::Cached).unwrap().contents;
    ids.map(read).collect()
}

pub(super) fn bytes_of_packs(world: &World) -> u64 {
    world.files(ObjectKind::Pack).iter().map(|path| path.metadata().unwrap().len()).sum()
}

pub(super) fn assert_reads(repository: &Repository, chunks: &[Vec<u8>], ids: &[ChunkId]) {
    for (chunk, id) in chunks.iter().zip(ids) {
        assert_eq!(&repository.get(id).unwrap(), chunk);
    }
}

#[test]
fn what_changed_little_takes_little_room_and_comes_back_whole() {
    let world = World::new();
    let first = world.commit(&versions(0));
    let full = bytes_of_packs(&world);
    let second = commit_after(&world.repository, &versions(1), &first);
    let added = bytes_of_packs(&world) - full;
    assert!(added * 5 < full, "{added} bytes after {full}");
    let reopened = world.reopen().unwrap();
    assert_reads(&reopened, &versions(1), &second);
    assert_reads(&reopened, &versions(0), &first);
    let report = world.check();
    assert!(report.is_sound(), "{:?}", report.findings);
}

#[test]
fn a_delta_never_builds_on_a_delta() {
    let world = World::new();
    let first = world.commit(&versions(0));
    let mut before = first.clone();
    for release in 1..4 {
        before = commit_after(&world.reopen().unwrap(), &versions(release), &before);
    }
    let contents = contents(&world.repository);
    let bases: Vec<_> = contents.iter().flat_map(Contents::all_bases).collect();
    assert_eq!(bases.len(), 3 * first.len());
    assert!(bases.iter().all(|base| first.contains(base)));
    assert_reads(&world.reopen().unwrap(), &versions(3), &before);
}

#[test]
fn the_bases_of_a_delta_frame_lie_in_one_frame() {
    let world = World::new();
    let release = |release| (0..200).map(|file| version(file, release)).collect::<Vec<_>>();
    let first = world.commit(&release(0));
    // From here and there, as a tree is edited and not as it was stored.
    let mixed = |n: usize| n * 77 % 200;
    let (chunks, before): (Vec<_>, Vec<_>) =
        (0..200).map(|n| (version(mixed(n), 1), first[mixed(n)])).unzip();
    let ids = commit_after(&world.repository, &chunks, &before);
    let reopened = world.reopen().unwrap();
    let frame_of = |base: &ChunkId| {
        let place = reopened.locate(base).unwrap().expect("it is stored");
        (place.pack, place.frame)
    };
    let contents = contents(&reopened);
    let frames: Vec<_> = contents.iter().flat_map(|contents| contents.bases.values()).collect();
    assert!(frames.len() >= 4, "{}", frames.len());
    for bases in frames {
        assert!(bases.iter().all(|base| frame_of(base) == frame_of(&bases[0])));
    }
    assert_reads(&reopened, &chunks, &ids);
}

#[test]
fn whoever_reads_from_many_packs_learns_what_their_frames_build_on() {
    let world = World::new();
    let first = world.commit(&versions(0));
    let mut last = first.clone();
    let mut places = Vec::new();
    for release in 1..10 {
        let repository = world.reopen().unwrap();
        last = commit_after(&repository, &versions(release), &last);
        let repository = world.reopen().unwrap();
        let of_all = |ids: &[ChunkId]| -> Vec<Place> {
            ids.iter().map(|id| repository.locate(id).unwrap().unwrap()).collect()
        };
        places.extend(last.iter().copied());
        let mut bases = BaseFrames::default();
        let places = of_all(&places);
        bases.learn(&repository, places.iter()).unwrap();
        let firsts: HashSet<_> =
            of_all(&first).iter().map(|place| (place.pack, place.frame)).collect();
        let is_known = places.len() / last.len() >= 8;
        for place in &places {
            let own = (place.pack, place.frame);
            assert_eq!(firsts.contains(&bases.of(own)), is_known, "release {release}");
            assert!(is_known || bases.of(own) == own);
        }
        assert!(firsts.iter().all(|own| bases.of(*own) == *own));
    }
}

#[test]
fn a_delta_that_saves_too_little_is_not_kept() {
    let world = World::new();
    let first = world.commit(&versions(0));
    let others: Vec<_> = (100..160).map(|file| version(file, 7)).collect();
    let ids = commit_after(&world.repository, &others, &first);
    assert!(contents(&world.repository).iter().all(|contents| contents.bases.is_empty()));
    assert_reads(&world.reopen().unwrap(), &others, &ids);
}

#[test]
fn a_lost_base_is_found_and_what_builds_on_it_is_named() {
    let world = World::new();
    let first = world.commit(&versions(0));
    let old = world.files(ObjectKind::Pack);
    let second = commit_after(&world.repository, &versions(1), &first);
    for pack in old {
        std::fs::remove_file(pack).unwrap();
    }
    let report = world.check();
    assert!(!report.is_sound());
    assert!(second.iter().all(|id| report.lost.contains_key(id)));
    assert!(world.reopen().unwrap().get(&second[0]).is_err());
}

#[test]
fn the_index_of_deltas_is_rebuilt_without_their_footers() {
    let world = World::new();
    let first = world.commit(&versions(0));
    let second = commit_after(&world.repository, &versions(1), &first);
    for segment in world.files(ObjectKind::Index) {
        std::fs::remove_file(segment).unwrap();
    }
    for pack in world.files(ObjectKind::Pack) {
        let length = pack.metadata().unwrap().len();
        std::fs::File::options().write(true).open(pack).unwrap().set_len(length - 1).unwrap();
    }
    let repository = world.reopen().unwrap();
    repository.rebuild_index(RepairMode::Write, &Recorder::default()).unwrap();
    assert_reads(&world.reopen().unwrap(), &versions(1), &second);
}

#[test]
fn a_repository_that_did_not_announce_them_gets_no_deltas() {
    let world = World::new();
    let inner = &world.repository.inner;
    let mut config = inner.config.clone();
    config.read.clear();
    let (kind, name) = (ObjectKind::Config, crate::repository::format::config_name(9));
    let master = &inner.secrets.master;
    let bytes = crate::repository::object::tagged(master, &inner.id, kind, &name, &config.encode());
    inner.backend.put(kind, "9", &bytes).unwrap();
    let repository = world.reopen().unwrap();
    let first = commit(&repository, &versions(0));
    let second = commit_after(&repository, &versions(1), &first);
    assert!(contents(&repository).iter().all(|contents| contents.bases.is_empty()));
    assert_reads(&repository, &versions(1), &second);
}
