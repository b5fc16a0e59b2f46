use proptest::prelude::*;

use super::faults::{memory_world, open};
use super::*;

#[test]
fn what_was_committed_is_read_by_the_next_who_opens_it() {
    let world = World::new();
    let chunks = some_chunks(3000);
    let ids = world.commit(&chunks);
    for again in [world.reopen().unwrap(), world.reopen_with_cache(), world.reopen_with_cache()] {
        let snapshots = again.record_ids(RecordKind::Snapshot).unwrap();
        let record = again.record(RecordKind::Snapshot, &snapshots[0]).unwrap();
        assert_eq!((snapshots.len(), record.as_deref()), (1, Some(&b"record"[..])));
        for (chunk, id) in chunks.iter().zip(&ids) {
            assert_eq!(&again.get(id).unwrap(), chunk);
        }
    }
    assert!(world.check().findings.is_empty());
}

#[test]
fn nothing_is_stored_twice() {
    let world = World::new();
    let chunks = some_chunks(500);
    world.commit(&chunks);
    let packs = world.files(ObjectKind::Pack).len();
    let again = world.reopen().unwrap();
    let writer = again.begin(&WriteOptions::default()).unwrap();
    let mut bundle = writer.bundle(PackClass::Data);
    for chunk in &chunks {
        bundle.put(chunk).unwrap();
    }
    bundle.finish().unwrap();
    assert_eq!(writer.sync().unwrap().packs, []);
    assert_eq!(writer.totals(), Totals::default());
    writer.commit(b"the same").unwrap();
    assert_eq!(world.files(ObjectKind::Pack).len(), packs);
    assert_eq!(world.files(ObjectKind::Index).len(), 1);
}

#[test]
fn a_large_file_is_cut_the_same_way_stored_or_only_hashed() {
    let world = World::new();
    let writer = world.repository.begin(&WriteOptions::default()).unwrap();
    for length in [0, 1, 256 << 10, (256 << 10) + 1, 1 << 20, 5_000_001] {
        let mut plain = vec![0; length];
        blake3::Hasher::new().finalize_xof().fill(&mut plain);
        let mut bundle = writer.bundle(PackClass::Data);
        let stored = bundle.put_content(&mut &plain[..], Extent::ToEnd).unwrap();
        bundle.finish().unwrap();
        writer.sync().unwrap();

        assert_eq!(stored.1, length as u64);
        let mut hasher = world.repository.content_hasher();
        for extent in [Extent::ToEnd, Extent::Bytes(length as u64), Extent::Bytes(u64::MAX)] {
            // A reader that gives a few bytes at a time must make no difference.
            let mut dribble = Dribble(&plain);
            assert_eq!(hasher.hash(&mut dribble, extent).unwrap(), stored, "{length} bytes");
        }
        let mut read = Vec::new();
        for piece in world.repository.pieces(&stored.0) {
            let piece = piece.unwrap();
            let chunk = world.repository.get(&piece.id).unwrap();
            assert_eq!(chunk.len() as u64, piece.bytes);
            read.extend(chunk);
        }
        assert!(read == plain, "{length} bytes");
    }
}

/// Gives its bytes, then fails.
struct Torn<'a>(&'a [u8]);

impl std::io::Read for Torn<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        match self.0.read(into)? {
            0 => Err(std::io::Error::other("torn")),
            read => Ok(read),
        }
    }
}

#[test]
fn large_files_known_in_parts_short_ones_and_torn_ones_share_a_bundle_and_come_back() {
    let world = World::new();
    let mut noise = vec![0; 6 << 20];
    blake3::Hasher::new().finalize_xof().fill(&mut noise);
    let put = |files: &[&[u8]]| {
        let writer = world.repository.begin(&WriteOptions::default()).unwrap();
        let mut bundle = writer.bundle(PackClass::Data);
        let mut stored = Vec::new();
        for file in files {
            let short = &file[file.len() / 2..][..1000];
            bundle.put_content(&mut Torn(file), Extent::ToEnd).unwrap_err();
            for plain in [short, file] {
                let (content, bytes) = bundle.put_content(&mut &*plain, Extent::ToEnd).unwrap();
                assert_eq!(bytes, plain.len() as u64);
                stored.push((content, plain.to_vec()));
            }
        }
        bundle.finish().unwrap();
        writer.commit(b"record").unwrap();
        stored
    };
    let mut stored = put(&[&noise[1 << 20..2 << 20], &noise[3 << 20..(4 << 20) + 77_777]]);
    let mut edited = noise.clone();
    (0..edited.len()).step_by(700_000).for_each(|at| edited[at] ^= 1);
    stored.extend(put(&[&noise, &edited, &noise[5..3 << 20]]));
    for (content, plain) in stored {
        let read = match content {
            Stored::Empty => Vec::new(),
            Stored::Chunk(id) => world.repository.get(&id).unwrap(),
            Stored::List(_) => {
                let pieces = world.repository.pieces(&content);
                pieces.flat_map(|piece| world.repository.get(&piece.unwrap().id).unwrap()).collect()
            }
        };
        assert!(read == plain, "{} bytes", plain.len());
    }
}

struct Dribble<'a>(&'a [u8]);

impl std::io::Read for Dribble<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let count = into.len().min(self.0.len()).min(40_009);
        into[..count].copy_from_slice(&self.0[..count]);
        self.0 = &self.0[count..];
        Ok(count)
    }
}

#[test]
fn no_more_is_read_than_was_asked_for() {
    let world = World::new();
    let mut rest = &b"first second"[..];
    let mut hasher = world.repository.content_hasher();
    let first = hasher.hash(&mut rest, Extent::Bytes(5)).unwrap();
    assert_eq!(first, (Stored::Chunk(world.repository.hash(b"first")), 5));
    assert_eq!(rest, b" second");
}

#[test]
fn a_source_that_fails_leaves_the_bundle_usable() {
    struct Broken;
    impl std::io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("the disk is gone"))
        }
    }
    let world = World::new();
    let writer = world.repository.begin(&WriteOptions::default()).unwrap();
    let mut bundle = writer.bundle(PackClass::Data);
    let failed = bundle.put_content(&mut Broken, Extent::ToEnd);
    assert!(matches!(failed, Err(RepositoryError::Source(_))));
    let id = bundle.put(b"another file").unwrap();
    bundle.finish().unwrap();
    writer.commit(b"").unwrap();
    assert_eq!(world.repository.get(&id).unwrap(), b"another file");
}

#[test]
fn ids_and_digests_of_one_repository_say_nothing_in_another() {
    let (one, other) = (World::new(), World::new());
    assert_ne!(one.repository.hash(b"x"), other.repository.hash(b"x"));
    let digest = |context| one.repository.hasher(context).update(b"x").finalize();
    assert_ne!(digest("files digest"), digest("fingerprint"));
    assert_ne!(digest("files digest").as_bytes(), one.repository.hash(b"x").as_bytes());
    assert_eq!(digest("files digest"), digest("files digest"));
}

#[test]
fn a_repository_made_like_another_names_and_cuts_alike_and_opens_nothing_of_it() {
    let one = World::new();
    let (place, key) = (one.dir.path().join("like"), one.dir.path().join("like.key"));
    let options = InitOptions {
        machine_key_file: Some(&key),
        argon: CHEAP,
        like: Some(&one.repository),
        ..Default::default()
    };
    let other = Repository::init(&place, &options).unwrap();
    assert_ne!(one.repository.id(), other.id());
    assert_eq!(one.repository.hash(b"x"), other.hash(b"x"));
    let digest = |it: &Repository| it.hasher("files digest").update(b"x").finalize();
    assert_eq!(digest(&one.repository), digest(&other));
    // A large file is cut at the same places.
    let mut large = vec![0; 3 << 20];
    blake3::Hasher::new().finalize_xof().fill(&mut large);
    let ids = |it: &Repository| {
        let writer = it.begin(&WriteOptions::default()).unwrap();
        let mut bundle = writer.bundle(PackClass::Data);
        let content = bundle.put_content(&mut &large[..], Extent::ToEnd).unwrap();
        bundle.finish().unwrap();
        writer.commit(b"").unwrap();
        content
    };
    assert_eq!(ids(&one.repository), ids(&other));
    // Neither key opens the other, nor an object moved over.
    assert!(Repository::open(&place, &Unlock::KeyFile(&one.key()), None).is_err());
    for pack in files_below(&place.join("packs")) {
        std::fs::remove_file(pack).unwrap();
    }
    for pack in one.files(ObjectKind::Pack) {
        let name = pack.strip_prefix(one.root()).unwrap().to_owned();
        std::fs::copy(&pack, place.join(name)).unwrap();
    }
    let report = other.check(CheckDepth::ReadData, &Recorder::default()).unwrap();
    assert!(!report.findings.is_empty());
}

#[test]
fn pins_and_tombstones_come_and_go() {
    let world = World::new();
    let repository = &world.repository;
    let writer = repository.begin(&WriteOptions::default()).unwrap();
    let id = writer.snapshot_id();
    writer.pin().unwrap();
    assert_eq!(repository.record(RecordKind::Snapshot, &id).unwrap(), None, "pinned before it is");
    assert_eq!(repository.pins().unwrap()[0].snapshot, id);
    assert_eq!(writer.commit(b"r").unwrap(), id);
    repository.forget(&id).unwrap();
    assert_eq!(repository.forgotten().unwrap()[0].snapshot, id);
    assert_eq!((repository.unpin(&id).unwrap(), repository.remember(&id).unwrap()), (1, 1));
    assert!(repository.pins().unwrap().is_empty() && repository.forgotten().unwrap().is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_chunks_come_back(chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..3000), 0..60)) {
        let (memory, passphrase) = memory_world();
        let ids = commit(&open(&memory, &passphrase), &chunks);
        let again = open(&memory, &passphrase);
        for (chunk, id) in chunks.iter().zip(ids) {
            prop_assert_eq!(again.hash(chunk), id);
            prop_assert_eq!(&again.get(&id).unwrap(), chunk);
        }
    }
}
