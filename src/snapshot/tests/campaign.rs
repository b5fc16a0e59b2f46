//! Damage of every sort to every object: all of it is found, named with whom it hurts, and never
//! given out; what it does not hurt is read as it was.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::repository::tests::memory::Memory as Objects;
use crate::repository::{CheckDepth, ObjectId, ObjectKind, RecordKind, Unlock};
use crate::tree::Entry;

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % below as u64).unwrap()
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.roll(of.len())]
    }
}

/// So many rounds in the whole campaign; a sample of them otherwise.
fn rounds(whole: usize) -> usize {
    let full = std::env::var_os("SNAP_TEST_CAMPAIGN").is_some_and(|it| it == "full");
    if full { whole } else { whole / 25 }
}

/// What a path of a snapshot reads as; an error for what cannot be read.
type Contents = BTreeMap<String, Result<blake3::Hash, ()>>;

struct Stage {
    place: tempfile::TempDir,
    base: Objects,
    snapshots: BTreeMap<ObjectId, Contents>,
}

impl Stage {
    fn new() -> Self {
        let place = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let keys = [place.path().join("key0"), place.path().join("key1")];
        let options = InitOptions { machine_key_file: Some(&keys[0]), ..InitOptions::default() };
        let base = Objects::new();
        let repository =
            Repository::init_in(Box::new(base.clone()), "memory".into(), &options).unwrap();
        repository.add_key_file(&keys[1], "second").unwrap();
        let write = |path: &str, bytes: &[u8]| {
            let path = place.path().join("tree").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        };
        let noise = |seed: u8, bytes: usize| {
            let mut noise = vec![0; bytes];
            blake3::Hasher::new_derive_key("noise").update(&[seed]).finalize_xof().fill(&mut noise);
            noise
        };
        for n in 0..9_u8 {
            write(&format!("dir{}/deep/file{n}", n % 3), &noise(n, 50 + 900 * usize::from(n)));
        }
        // Of several chunks, and a list.
        write("dir1/long", &noise(100, 700_000));
        write("text", "all work and no play ".repeat(900).as_bytes());
        write("empty", b"");
        let mut taken =
            vec![super::faults::backup(&repository, &place.path().join("tree")).unwrap()];
        write("dir0/deep/file0", &noise(101, 20_000));
        write("dir2/added", &noise(102, 5_000));
        taken.push(super::faults::backup(&repository, &place.path().join("tree")).unwrap());
        write("dir1/long", &[noise(100, 350_000), noise(103, 350_000)].concat());
        taken.push(super::faults::backup(&repository, &place.path().join("tree")).unwrap());
        repository.forget(&ObjectId::random()).unwrap();
        let contents = |one: &Snapshot| (one.id, contents(&repository, one));
        let snapshots = taken.iter().map(contents).collect();
        Self { place, base, snapshots }
    }

    /// Opens with the first key that works.
    fn open(&self, objects: &Objects) -> Option<Repository> {
        ["key0", "key1"].into_iter().find_map(|key| {
            let key = self.place.path().join(key);
            let unlock = Unlock::KeyFile(&key);
            Repository::open_in(Box::new(objects.clone()), "memory".into(), &unlock, None).ok()
        })
    }

    /// Everything that must be so after one object was harmed. `named` is what findings call it.
    fn is_found(&self, objects: &Objects, named: &str, what: &str) {
        let repository = self.open(objects).unwrap_or_else(|| panic!("{what}: cannot be opened"));
        let report = repository.check(CheckDepth::ReadData, &Recorder::default()).unwrap();
        let examined = examine(&repository, report).unwrap();
        let found = examined.report.findings.iter().any(|finding| finding.object == named);
        assert!(found, "{what}: not named, only {:?}", examined.report.findings);
        assert!(!examined.report.is_sound(), "{what}: called sound");
        for (id, before) in &self.snapshots {
            let Some(snapshot) = examined.snapshots.iter().find(|one| one.id == *id) else {
                let record = format!("snapshots/{id}");
                let lost = examined.unreadable.iter().any(|one| one.object == record);
                // Under another name a record is no record, and nothing says what it was.
                assert!(lost || what.contains("snapshots/"), "{what}: {record} is not called lost");
                continue;
            };
            is_honest(&repository, &examined, snapshot, before, named, what);
        }
    }
}

/// What is said of one snapshot is what reading it shows, and nothing wrong is read.
fn is_honest(
    repository: &Repository,
    examined: &Examined,
    snapshot: &Snapshot,
    before: &Contents,
    named: &str,
    what: &str,
) {
    let now = contents(repository, snapshot);
    let lost: BTreeSet<String> =
        now.iter().filter(|(_, read)| read.is_err()).map(|(path, _)| path.clone()).collect();
    let said: BTreeSet<String> = examined
        .hurt_by(named)
        .into_iter()
        .filter(|(hurt, _)| hurt.id == snapshot.id)
        .flat_map(|(_, lost)| lost)
        .filter_map(|lost| match &lost.part {
            Part::Tree { path, .. } => {
                Some(path.as_ref().map_or_else(String::new, TreePath::to_string))
            }
            _ => None,
        })
        .collect();
    assert_eq!(said, lost, "{what}: of snapshot {} other paths are named", snapshot.id);
    for (path, read) in now {
        if let Ok(read) = read {
            assert_eq!(Ok(read), before[&path], "{what}: {path} was read wrong");
        }
    }
    let inside = |path: &String| {
        lost.iter()
            .any(|lost| lost.is_empty() || path == lost || path.starts_with(&format!("{lost}/")))
    };
    let again = contents(repository, snapshot);
    let rest = before.keys().filter(|path| !inside(path));
    for path in rest {
        assert!(matches!(again.get(path), Some(Ok(_))), "{what}: {path} is lost and unnamed");
    }
}

/// Reads every file of a snapshot, directory by directory, without the code that names damage.
fn contents(repository: &Repository, snapshot: &Snapshot) -> Contents {
    let mut found = Contents::new();
    let mut open: Vec<(String, Entry)> =
        snapshot.roots.iter().map(|root| (String::new(), root.entry.clone())).collect();
    while let Some((path, entry)) = open.pop() {
        match &entry.kind {
            Kind::Directory { object } => match read::read_dir(repository, object) {
                Err(_) => drop(found.insert(path, Err(()))),
                Ok(entries) => {
                    for entry in entries {
                        let name = String::from_utf8(entry.name.to_vec()).unwrap();
                        let slash = if path.is_empty() { "" } else { "/" };
                        open.push((format!("{path}{slash}{name}"), entry));
                    }
                }
            },
            Kind::File { content, .. } => {
                let mut hasher = blake3::Hasher::new();
                let read = repository.pieces(content).try_for_each(|piece| {
                    hasher.update(&repository.get(&piece?.id)?);
                    Ok::<_, crate::repository::RepositoryError>(())
                });
                found.insert(path, read.map(|()| hasher.finalize()).map_err(drop));
            }
            _ => {}
        }
    }
    found
}

#[test]
fn ten_thousand_flipped_bits_are_all_found_named_and_never_given_out() {
    let stage = Stage::new();
    let all = stage.base.all();
    let mut dice = Dice(1);
    let (mut tried, mut kinds) = (0, BTreeSet::new());
    for round in 0..rounds(10_000) {
        // Every object is met often, and every byte of the long ones as often as any other.
        let (kind, name, bytes) = if round % 2 == 0 {
            dice.pick(&all)
        } else {
            let mut at = dice.roll(all.iter().map(|(.., bytes)| bytes.len()).sum());
            all.iter()
                .find(|(.., bytes)| {
                    let here = at < bytes.len();
                    at = at.saturating_sub(bytes.len());
                    here
                })
                .unwrap()
        };
        let (at, bit) = (dice.roll(bytes.len()), dice.roll(8));
        let mut hurt = bytes.clone();
        hurt[at] ^= 1 << bit;
        let objects = stage.base.copy();
        objects.set(*kind, name, Some(hurt));
        let named = format!("{}/{name}", kind.directory());
        stage.is_found(&objects, &named, &format!("bit {bit} of byte {at} of {named}"));
        tried += 1;
        kinds.insert(*kind);
    }
    assert!(tried >= 400 && kinds.len() == 7, "{tried} flips in {kinds:?}");
}

#[test]
fn a_thousand_cuts_swaps_renames_and_zeroed_ranges_are_all_found_and_named() {
    let stage = Stage::new();
    let all = stage.base.all();
    let mut dice = Dice(2);
    for _ in 0..rounds(1_000).max(150) {
        let (kind, name, bytes) = dice.pick(&all);
        let objects = stage.base.copy();
        let mut named = vec![format!("{}/{name}", kind.directory())];
        let how = ["cut", "lengthened", "zeroed", "swapped", "renamed", "doubled"];
        let how = *dice.pick(&how);
        match how {
            "cut" => objects.set(*kind, name, Some(bytes[..dice.roll(bytes.len())].to_vec())),
            "lengthened" => {
                let longer = [&bytes[..], &vec![0; dice.roll(5000) + 1]].concat();
                objects.set(*kind, name, Some(longer));
            }
            "zeroed" => {
                let start = dice.roll(bytes.len());
                let end = start + 1 + dice.roll(bytes.len() - start);
                let mut zeroed = bytes.clone();
                zeroed[start..end].fill(0);
                if zeroed == *bytes {
                    continue;
                }
                objects.set(*kind, name, Some(zeroed));
            }
            "swapped" => {
                let (other_kind, other, theirs) = dice.pick(&all);
                if (other_kind, other) == (kind, name) {
                    continue;
                }
                objects.set(*kind, name, Some(theirs.clone()));
                objects.set(*other_kind, other, Some(bytes.clone()));
                named.push(format!("{}/{other}", other_kind.directory()));
            }
            "renamed" | "doubled" => {
                if *kind == ObjectKind::Config {
                    continue;
                }
                let other = ObjectId::random().to_string();
                objects.set(*kind, &other, Some(bytes.clone()));
                if how == "renamed" {
                    objects.set(*kind, name, None);
                }
                named = vec![format!("{}/{other}", kind.directory())];
            }
            _ => unreachable!("all are named above"),
        }
        let what = format!("{how} {}/{name}", kind.directory());
        stage.is_noticed(&objects, &named, &what);
    }
}

impl Stage {
    /// Harm to two objects at once, or to a name: each is named, and nothing wrong is read.
    fn is_noticed(&self, objects: &Objects, named: &[String], what: &str) {
        // Both configs, or both keys, may be gone: then nothing opens, which nobody overlooks.
        let Some(repository) = self.open(objects) else {
            assert!(what.contains("config/") || what.contains("keys/") || named.len() == 2);
            return;
        };
        let report = repository.check(CheckDepth::ReadData, &Recorder::default()).unwrap();
        let examined = examine(&repository, report).unwrap();
        assert!(!examined.report.is_sound(), "{what}: called sound");
        for named in named {
            let found = examined.report.findings.iter().any(|finding| finding.object == *named);
            assert!(found, "{what}: {named} is not named, only {:?}", examined.report.findings);
        }
        let lists = repository.record_ids(RecordKind::Snapshot).unwrap();
        assert!(lists.len() + 1 >= self.snapshots.len());
        for snapshot in &examined.snapshots {
            let before = &self.snapshots[&snapshot.id];
            let now = contents(&repository, snapshot);
            let hurt = examined.hurt.iter().find(|hurt| hurt.snapshot == snapshot.id);
            let said: BTreeSet<String> = hurt
                .iter()
                .flat_map(|hurt| &hurt.lost)
                .filter_map(|lost| match &lost.part {
                    Part::Tree { path, .. } => {
                        Some(path.as_ref().map_or_else(String::new, TreePath::to_string))
                    }
                    _ => None,
                })
                .collect();
            for (path, read) in &now {
                match read {
                    Ok(_) => assert_eq!(*read, before[path], "{what}: {path} was read wrong"),
                    Err(()) => assert!(said.contains(path), "{what}: {path} is not named"),
                }
            }
            for path in &said {
                assert!(matches!(now.get(path), Some(Err(()))), "{what}: {path} is not lost");
            }
        }
    }
}
