//! Directories with too many names to be held.

use std::collections::BTreeSet;

use super::*;
use crate::repository::ChunkId;
use crate::tree::manifest;

/// More names than are held, among them what is done later than the names beside it: directories,
/// a large file, files with several names here and elsewhere.
fn fill(world: &World) {
    for n in 0..5_000 {
        world.write(&format!("f{n:05}"), format!("{n}"));
    }
    for n in 0..20 {
        world.write(&format!("f{:05}.d/inside", n * 250), format!("{n}"));
    }
    world.write("f03000.big", "big".repeat(3 << 20));
    let link = |from: &str, to: &str| {
        fs::hard_link(world.tree().join(from), world.tree().join(to)).unwrap();
    };
    link("f00010", "f04000.link");
    link("f00011", "f02500.d/link");
    fs::hard_link(world.tree().join("f00012"), world.place.path().join("outside")).unwrap();
}

fn rules() -> ExclusionRules {
    let path = |path: &[u8]| TreePath::parse(path).unwrap();
    let databases = [&b"f01000.db"[..], b"f02500.d/main.db", b"z.db"];
    let databases = databases.into_iter().enumerate();
    ExclusionRules {
        databases: databases.map(|(n, file)| (path(file), format!("db{n}"))).collect(),
        ..ExclusionRules::default()
    }
}

fn object(snapshot: &Snapshot) -> ChunkId {
    let Kind::Directory { object } = snapshot.roots[0].entry.kind else { panic!("a directory") };
    object
}

#[test]
fn a_wide_directory_is_the_tree_that_is_there() {
    let world = World::new();
    fill(&world);
    age(&world.tree());
    let one = world.take_with(rules(), Some(1), &Recorder::default());
    let root = &one.roots[0].entry;
    // The same object as of all entries at once.
    let entries = read::read_dir(&world.repository, &object(&one)).unwrap();
    let whole: Result<_, std::convert::Infallible> =
        manifest::put_directory(&entries, |raw| Ok(world.repository.hash(raw)));
    assert_eq!(whole.unwrap(), object(&one));
    // And all names that are there, with what is declared.
    let listed = walkdir::WalkDir::new(world.tree()).min_depth(1);
    let mut expected: BTreeSet<Vec<u8>> = listed
        .into_iter()
        .map(|entry| entry.unwrap())
        .map(|entry| entry.path().strip_prefix(world.tree()).unwrap().as_os_str().as_bytes().into())
        .collect();
    expected.extend([&b"f01000.db"[..], b"f02500.d/main.db", b"z.db"].map(<[u8]>::to_vec));
    let stored: BTreeSet<Vec<u8>> = read::Entries::below(&world.repository, root)
        .map(|entry| entry.unwrap().0.as_bytes().to_vec())
        .collect();
    assert_eq!(stored, expected);
    let group = |path: &[u8]| {
        let path = TreePath::parse(path).unwrap();
        let found = read::find(&world.repository, root, &path).unwrap().unwrap();
        found.link_group.map(|first| first.to_string())
    };
    assert_eq!(group(b"f04000.link"), Some("f00010".to_owned()));
    assert_eq!(group(b"f00011"), group(b"f02500.d/link"));
    assert_eq!(group(b"f00012"), None);
    // Nothing is read again, whoever looks, and it stays the same.
    for threads in [None, Some(1), Some(3)] {
        let recorder = Recorder::default();
        let again = world.take_with(rules(), threads, &recorder);
        assert_eq!(recorder.total(Counter::FilesRead), 0, "{threads:?}");
        assert_eq!((object(&again), again.files_digest), (object(&one), one.files_digest));
    }
}

#[test]
fn of_a_wide_directory_only_what_changed_is_read() {
    let world = World::new();
    fill(&world);
    age(&world.tree());
    world.take(&Recorder::default());
    let first = world.tree().join("f00000");
    fs::remove_file(&first).unwrap();
    world.write("a-new-one", "new");
    world.write("f04999", "changed");
    age(&world.tree());
    let recorder = Recorder::default();
    let second = world.take(&recorder);
    assert_eq!(recorder.total(Counter::FilesRead), 2);
    assert_eq!(world.digest(Trust::Never).digest, second.files_digest);
    assert_eq!(world.digest(Trust::SameBoot).digest, second.files_digest);
    // Made narrow, and wide again: what is remembered of the one serves the other.
    for n in 1_000..5_000 {
        let path = world.tree().join(format!("f{n:05}"));
        fs::rename(path, world.place.path().join(format!("away{n}"))).unwrap();
    }
    let recorder = Recorder::default();
    let narrow = world.take(&recorder);
    assert_eq!(recorder.total(Counter::FilesRead), 0);
    assert_eq!(narrow.counts.files, second.counts.files - 4_000);
}
