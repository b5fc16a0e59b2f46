use std::fs;

use super::*;

/// A small repository with every kind of object in it.
fn small_world() -> (World, Vec<(ChunkId, Vec<u8>)>) {
    let world = World::new();
    let chunks = some_chunks(40);
    let ids = world.commit(&chunks);
    let snapshot = world.repository.record_ids(RecordKind::Snapshot).unwrap()[0];
    world.repository.pin(&snapshot).unwrap();
    world.repository.forget(&snapshot).unwrap();
    world.repository.export_key("second").unwrap();
    (world, ids.into_iter().zip(chunks).collect())
}

/// Reads every chunk: each is right, or an error.
fn nothing_wrong_is_given(world: &World, chunks: &[(ChunkId, Vec<u8>)], what: &str) {
    let Ok(repository) = world.reopen() else { return };
    for (id, chunk) in chunks {
        if let Ok(read) = repository.get(id) {
            assert!(read == *chunk, "{what}: wrong bytes were given");
        }
    }
}

/// Whether a check, or the attempt to open, finds anything.
fn is_noticed(world: &World) -> bool {
    match world.reopen() {
        Err(_) => true,
        Ok(repository) => {
            let report = repository.check(CheckDepth::ReadData, &Recorder::default()).unwrap();
            !report.findings.is_empty()
        }
    }
}

#[test]
fn a_flipped_bit_anywhere_is_found_and_never_given_out() {
    let (world, chunks) = small_world();
    assert!(!is_noticed(&world));
    for file in files_below(world.root()) {
        let sound = fs::read(&file).unwrap();
        // Every header and trailer, and enough between them to meet each part.
        let (head, tail) = (sound.len().min(20), sound.len().saturating_sub(20));
        let step = (sound.len() / 30).max(1);
        for at in (0..head).chain((head..tail).step_by(step)).chain(tail.max(head)..sound.len()) {
            let mut hurt = sound.clone();
            hurt[at] ^= 1 << (at % 8);
            fs::write(&file, hurt).unwrap();
            let what = format!("byte {at} of {}", file.display());
            assert!(is_noticed(&world), "{what}");
            nothing_wrong_is_given(&world, &chunks, &what);
        }
        fs::write(&file, sound).unwrap();
    }
    assert!(!is_noticed(&world));
}

#[test]
fn a_truncated_or_lengthened_file_is_found() {
    let (world, chunks) = small_world();
    for file in files_below(world.root()) {
        let sound = fs::read(&file).unwrap();
        for length in [0, 1, 16, sound.len() / 2, sound.len() - 1, sound.len() + 1] {
            let mut hurt = sound.clone();
            hurt.resize(length, 0);
            fs::write(&file, hurt).unwrap();
            let what = format!("{} cut to {length}", file.display());
            assert!(is_noticed(&world), "{what}");
            nothing_wrong_is_given(&world, &chunks, &what);
        }
        fs::write(&file, sound).unwrap();
    }
}

#[test]
fn packs_that_changed_places_are_refused() {
    let world = World::new();
    let chunks = some_chunks(30);
    let first = world.commit(&chunks[..15]);
    let second = world.commit(&chunks[15..]);
    let packs = world.files(ObjectKind::Pack);
    assert_eq!(packs.len(), 3, "the directory object is the same in both");
    for (one, other) in [(0, 1), (1, 2), (0, 2)] {
        let (a, b) = (fs::read(&packs[one]).unwrap(), fs::read(&packs[other]).unwrap());
        fs::write(&packs[one], &b).unwrap();
        fs::write(&packs[other], &a).unwrap();
        let ids = first.iter().chain(&second).copied();
        let expected: Vec<_> = ids.zip(chunks.iter().cloned()).collect();
        assert!(is_noticed(&world));
        nothing_wrong_is_given(&world, &expected, "two packs swapped");
        fs::write(&packs[one], &a).unwrap();
        fs::write(&packs[other], &b).unwrap();
    }
    // A pack under another name, or a second copy of it, is not that pack.
    let copy = packs[0].with_file_name(packs[0].file_name().unwrap().to_str().unwrap().replacen(
        |c: char| c.is_ascii_hexdigit(),
        "f",
        64,
    ));
    fs::copy(&packs[0], &copy).unwrap();
    let report = world.check();
    assert!(!report.is_sound() && report.lost.is_empty(), "{:?}", report.findings);
}

#[test]
fn a_lost_pack_is_named_with_what_was_in_it() {
    let world = World::new();
    let chunks = some_chunks(30);
    let ids = world.commit(&chunks);
    let pack = world
        .files(ObjectKind::Pack)
        .into_iter()
        .max_by_key(|pack| fs::metadata(pack).unwrap().len())
        .unwrap();
    fs::remove_file(&pack).unwrap();
    let report = world.check();
    let name = pack.file_name().unwrap().to_str().unwrap();
    assert!(report.findings.iter().any(|finding| finding.object.contains(name)));
    assert!(ids.iter().all(|id| report.lost.contains_key(id)));
    let directory = world.repository.hash(b"a directory object");
    assert_eq!(report.lack(&world.repository, &directory).unwrap(), [""; 0]);
    assert_eq!(report.lack(&world.repository, &ids[0]).unwrap(), [format!("packs/{name}")]);
}

#[test]
fn a_chunk_stored_twice_survives_the_loss_of_one() {
    let world = World::new();
    let other = world.reopen().unwrap();
    let chunks = some_chunks(20);
    // Both begin before either has published: neither knows of the other's chunks.
    let (one, two) = (
        world.repository.begin(&WriteOptions::default()).unwrap(),
        other.begin(&WriteOptions::default()).unwrap(),
    );
    for writer in [&one, &two] {
        let mut bundle = writer.bundle(PackClass::Data);
        for chunk in &chunks {
            bundle.put(chunk).unwrap();
        }
        bundle.finish().unwrap();
    }
    one.commit(b"one").unwrap();
    two.commit(b"two").unwrap();
    let packs = world.files(ObjectKind::Pack);
    assert_eq!(packs.len(), 2);
    for pack in &packs {
        let sound = fs::read(pack).unwrap();
        fs::write(pack, &sound[..200]).unwrap();
        let again = world.reopen().unwrap();
        for chunk in &chunks {
            assert_eq!(&again.get(&again.hash(chunk)).unwrap(), chunk);
        }
        let report = world.check();
        assert!(!report.is_sound() && report.lost.is_empty());
        fs::write(pack, sound).unwrap();
    }
}

#[test]
fn a_lost_index_is_rebuilt_from_the_packs() {
    let world = World::new();
    let chunks = some_chunks(300);
    let ids = world.commit(&chunks[..200]);
    let more = world.commit(&chunks[200..]);
    let places = |repository: &Repository| -> Vec<_> {
        ids.iter().chain(&more).map(|id| repository.locate(id).unwrap().unwrap()).collect()
    };
    let bare = |place: &Place| (place.frame, place.chunk, place.bytes);
    let before = places(&world.reopen().unwrap());

    let segments = world.files(ObjectKind::Index);
    fs::remove_file(&segments[0]).unwrap();
    let mut bytes = fs::read(&segments[1]).unwrap();
    bytes[100] ^= 1;
    fs::write(&segments[1], bytes).unwrap();
    let broken = world.reopen().unwrap();
    assert_eq!(broken.damaged_segments().unwrap().len(), 1);
    assert!(matches!(broken.get(&ids[0]), Err(RepositoryError::MissingChunk { .. })));

    let planned = broken.rebuild_index(RepairMode::DryRun, &Recorder::default()).unwrap();
    assert!(!planned.was_right && planned.segments_after == 1);
    assert_eq!(world.files(ObjectKind::Index), segments[1..], "a dry run changes nothing");

    let done = broken.rebuild_index(RepairMode::Write, &Recorder::default()).unwrap();
    assert_eq!((done.packs, done.scanned, done.chunks), (planned.packs, 0, planned.chunks));
    assert_eq!(world.files(ObjectKind::Quarantine).len(), 1, "what was damaged is kept");
    let again = world.reopen().unwrap();
    let after = places(&again);
    assert_eq!(
        before.iter().map(bare).collect::<Vec<_>>(),
        after.iter().map(bare).collect::<Vec<_>>()
    );
    assert!(world.check().findings.is_empty());
    for (chunk, id) in chunks.iter().zip(ids.iter().chain(&more)) {
        assert_eq!(&again.get(id).unwrap(), chunk);
        // The repository that made the repair sees it too.
        assert_eq!(&broken.get(id).unwrap(), chunk);
    }
    let again = again.rebuild_index(RepairMode::Write, &Recorder::default()).unwrap();
    assert!(again.was_right);
}

#[test]
fn a_pack_without_its_footer_costs_a_scan_and_no_data() {
    let world = World::new();
    let chunks = some_chunks(2000);
    let ids = world.commit(&chunks);
    for pack in world.files(ObjectKind::Pack) {
        let bytes = fs::read(&pack).unwrap();
        let at = u32::from_le_bytes(*bytes[bytes.len() - 16..].first_chunk().unwrap());
        fs::write(&pack, &bytes[..at as usize]).unwrap();
    }
    for segment in world.files(ObjectKind::Index) {
        fs::remove_file(segment).unwrap();
    }
    let repository = world.reopen().unwrap();
    let done = repository.rebuild_index(RepairMode::Write, &Recorder::default()).unwrap();
    assert_eq!((done.packs, done.scanned), (2, 2));
    for (chunk, id) in chunks.iter().zip(&ids) {
        assert_eq!(&repository.get(id).unwrap(), chunk);
    }
    assert!(world.check().lost.is_empty());
}

#[test]
fn a_hole_in_the_middle_of_a_pack_costs_only_the_frames_it_hit() {
    let world = World::new();
    let chunks = some_chunks(3000);
    let ids = world.commit(&chunks);
    let packs = world.files(ObjectKind::Pack);
    let pack = packs.iter().max_by_key(|pack| fs::metadata(pack).unwrap().len()).unwrap();
    let mut bytes = fs::read(pack).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 40].fill(0);
    let at = u32::from_le_bytes(*bytes[bytes.len() - 16..].first_chunk().unwrap());
    fs::write(pack, &bytes[..at as usize]).unwrap();
    let report = world.check();
    assert!(!report.lost.is_empty() && report.lost.len() < ids.len() / 2);

    for segment in world.files(ObjectKind::Index) {
        fs::remove_file(segment).unwrap();
    }
    let repository = world.reopen().unwrap();
    repository.rebuild_index(RepairMode::Write, &Recorder::default()).unwrap();
    for (chunk, id) in chunks.iter().zip(&ids) {
        match repository.get(id) {
            Ok(read) => assert_eq!(&read, chunk),
            Err(_) => assert!(report.lost.contains_key(id)),
        }
    }
}

#[test]
fn a_damaged_cache_or_a_foreign_file_never_makes_wrong_bytes() {
    let world = World::new();
    let chunks = some_chunks(200);
    let ids = world.commit(&chunks);
    world.reopen_with_cache().get(&ids[0]).unwrap();
    for file in files_below(&world.cache()) {
        let sound = fs::read(&file).unwrap();
        for at in (0..sound.len()).step_by(41) {
            let mut hurt = sound.clone();
            hurt[at] ^= 0x10;
            fs::write(&file, hurt).unwrap();
            let repository = world.reopen_with_cache();
            for (chunk, id) in chunks.iter().zip(&ids) {
                if let Ok(read) = repository.get(id) {
                    assert_eq!(&read, chunk);
                }
            }
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, &sound).unwrap();
        }
    }
}
