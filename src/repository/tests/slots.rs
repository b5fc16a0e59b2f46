use secrecy::{ExposeSecret, SecretString};

use super::*;

fn opens(world: &World, unlock: &Unlock<'_>) -> bool {
    match Repository::open(world.root(), unlock, None) {
        Ok(_) => true,
        Err(RepositoryError::WrongKey { .. }) => false,
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn each_key_opens_until_its_slot_is_removed() {
    let world = World::new();
    let passphrase = SecretString::from("a good one");
    let wrong = SecretString::from("a bad one");
    let by_phrase = world.repository.add_passphrase(&passphrase, "ann", CHEAP).unwrap();
    let (by_export, exported) = world.repository.export_key("safe").unwrap();
    assert!(opens(&world, &Unlock::Passphrase(&passphrase)));
    assert!(opens(&world, &Unlock::Key(&exported)));
    assert!(!opens(&world, &Unlock::Passphrase(&wrong)));
    assert!(!opens(&world, &Unlock::Key(&wrong)));

    let kinds: Vec<_> =
        world.repository.list_keys().unwrap().into_iter().map(|slot| slot.kind).collect();
    assert_eq!(kinds, [SlotKind::Machine, SlotKind::Passphrase, SlotKind::Exported]);
    world.repository.remove_key(&by_phrase).unwrap();
    world.repository.remove_key(&by_export).unwrap();
    assert!(!opens(&world, &Unlock::Passphrase(&passphrase)));
    assert!(!opens(&world, &Unlock::Key(&exported)));
    let last = world.repository.list_keys().unwrap()[0].id;
    assert!(matches!(world.repository.remove_key(&last), Err(RepositoryError::KeySlot { .. })));
    assert!(opens(&world, &Unlock::KeyFile(&world.key())));
}

#[test]
fn a_key_of_another_repository_does_not_open_this_one() {
    let (world, other) = (World::new(), World::new());
    let (_, key) = other.repository.export_key("").unwrap();
    assert!(!opens(&world, &Unlock::Key(&key)));
    // Nor does its slot, carried over.
    for slot in other.files(ObjectKind::Key) {
        let to = world.root().join("keys").join(slot.file_name().unwrap());
        std::fs::copy(slot, to).unwrap();
    }
    let opened = Repository::open(world.root(), &Unlock::Key(&key), None);
    assert!(opened.is_err());
}

#[test]
fn without_a_key_no_repository_is_made_and_none_over_another() {
    let dir = tempfile::tempdir().unwrap();
    let refused = Repository::init(dir.path(), &InitOptions::default());
    assert!(matches!(refused, Err(RepositoryError::NoKey)));

    let world = World::new();
    let passphrase = SecretString::from("p");
    let options = InitOptions { passphrase: Some(&passphrase), argon: CHEAP, ..Default::default() };
    let refused = Repository::init(world.root(), &options);
    assert!(matches!(refused, Err(RepositoryError::AlreadyExists { .. })));
    let options = InitOptions { machine_key_file: Some(&world.key()), ..options };
    let refused = Repository::init(&world.dir.path().join("second"), &options);
    assert!(matches!(refused, Err(RepositoryError::KeyFile { .. })), "a key is never replaced");

    let unlock = Unlock::KeyFile(&world.key());
    let none = Repository::open(&world.dir.path().join("none"), &unlock, None);
    assert!(matches!(none, Err(RepositoryError::NotFound { .. })));
    let none = Repository::open(world.dir.path(), &unlock, None);
    assert!(matches!(none, Err(RepositoryError::NotFound { .. })), "a directory of other things");
}

#[test]
fn a_repository_that_could_not_be_made_can_be_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let location = dir.path().join("r");
    let nowhere = dir.path().join("no such directory").join("key");
    let options =
        InitOptions { machine_key_file: Some(&nowhere), argon: CHEAP, ..Default::default() };
    assert!(matches!(Repository::init(&location, &options), Err(RepositoryError::Io { .. })));
    let key = dir.path().join("key");
    let options = InitOptions { machine_key_file: Some(&key), ..options };
    Repository::init(&location, &options).unwrap();
    Repository::open(&location, &Unlock::KeyFile(&key), None).unwrap();
}

#[test]
fn no_secret_is_ever_shown() {
    let world = World::new();
    let (_, key) = world.repository.export_key("x").unwrap();
    let secret = key.expose_secret().lines().last().unwrap().split(' ').nth(1).unwrap();
    for file in files_below(world.root()) {
        let bytes = std::fs::read(&file).unwrap();
        let shown = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
        assert!(!shown, "{}", file.display());
    }
    assert!(!format!("{key:?}").contains(secret));
}

#[test]
fn what_an_init_left_that_was_cut_short_is_taken_unless_it_holds_anything_else() {
    let world = World::new();
    let passphrase = SecretString::from("p");
    let options = InitOptions { passphrase: Some(&passphrase), argon: CHEAP, ..Default::default() };
    let unfinish = || {
        for file in world.files(ObjectKind::Config) {
            std::fs::remove_file(file).unwrap();
        }
        let _ = std::fs::remove_file(world.root().join("reserve"));
    };
    unfinish();
    Repository::init(world.root(), &options).unwrap();
    assert!(opens(&world, &Unlock::Passphrase(&passphrase)));
    assert_eq!(world.files(ObjectKind::Key).len(), 1, "only what opens this one");
    for other in ["packs/00/pack", "index/segment", "note.txt"] {
        unfinish();
        let other = world.root().join(other);
        std::fs::write(&other, "anything").unwrap();
        let refused = Repository::init(world.root(), &options);
        assert!(matches!(refused, Err(RepositoryError::AlreadyExists { .. })), "{other:?}");
        std::fs::remove_file(&other).unwrap();
    }
}
