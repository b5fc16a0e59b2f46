//! Promises of the repository as a whole.

use std::path::Path;

use secrecy::SecretString;

use super::*;

const CHEAP: Argon = Argon { memory_kib: 8, passes: 1, lanes: 1 };

/// A repository in a directory of its own, and its key file.
struct World {
    dir: tempfile::TempDir,
    repository: Repository,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = dir.path().join("key");
        let options =
            InitOptions { machine_key_file: Some(&key), argon: CHEAP, ..Default::default() };
        let repository = Repository::init(&dir.path().join("repository"), &options).unwrap();
        Self { dir, repository }
    }

    fn root(&self) -> &Path {
        self.repository.location()
    }

    fn reopen(&self) -> Result<Repository, RepositoryError> {
        Repository::open(self.root(), &Unlock::KeyFile(&self.dir.path().join("key")), None)
    }
}

#[test]
fn what_was_committed_is_read_by_the_next_who_opens_it() {
    let world = World::new();
    let writer = world.repository.begin(&WriteOptions::default()).unwrap();
    let mut bundle = writer.bundle(PackClass::Data);
    let ids: Vec<_> =
        (0..3000_u32).map(|n| bundle.put(n.to_string().repeat(50).as_bytes()).unwrap()).collect();
    let long: Vec<u8> = (0..5_000_000_u32).flat_map(|n| n.wrapping_mul(n).to_le_bytes()).collect();
    let (stored, size) = bundle.put_content(&mut &long[..], Extent::ToEnd).unwrap();
    assert_eq!(size, long.len() as u64);
    bundle.finish().unwrap();
    let snapshot = writer.commit(b"record").unwrap();

    let again = world.reopen().unwrap();
    assert_eq!(again.record_ids(RecordKind::Snapshot).unwrap(), [snapshot]);
    assert_eq!(again.record(RecordKind::Snapshot, &snapshot).unwrap().unwrap(), b"record");
    for (n, id) in ids.iter().enumerate() {
        assert_eq!(again.get(id).unwrap(), n.to_string().repeat(50).as_bytes());
    }
    let mut read = Vec::new();
    for piece in again.pieces(&stored) {
        read.extend(again.get(&piece.unwrap().id).unwrap());
    }
    assert_eq!(read, long);
    let hashed = again.content_hasher().hash(&mut &long[..], Extent::ToEnd).unwrap();
    assert_eq!(hashed, (stored, size));
}

#[test]
fn a_passphrase_opens_what_it_made_and_nothing_else_does() {
    let dir = tempfile::tempdir().unwrap();
    let location = dir.path().join("r");
    let passphrase = SecretString::from("a good one");
    let options = InitOptions { passphrase: Some(&passphrase), argon: CHEAP, ..Default::default() };
    Repository::init(&location, &options).unwrap();
    Repository::open(&location, &Unlock::Passphrase(&passphrase), None).unwrap();
    let wrong = SecretString::from("a bad one");
    let refused = Repository::open(&location, &Unlock::Passphrase(&wrong), None);
    assert!(matches!(refused, Err(RepositoryError::WrongKey { .. })));
    let none = Repository::open(&dir.path().join("none"), &Unlock::Passphrase(&wrong), None);
    assert!(matches!(none, Err(RepositoryError::NotFound { .. })));
}
