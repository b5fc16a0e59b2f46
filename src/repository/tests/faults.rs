use secrecy::SecretString;

use super::memory::Memory;
use super::*;

pub(super) fn memory_world() -> (Memory, SecretString) {
    let memory = Memory::new();
    let passphrase = SecretString::from("p");
    let options = InitOptions { passphrase: Some(&passphrase), argon: CHEAP, ..Default::default() };
    Repository::init_in(Box::new(memory.clone()), PathBuf::from("memory"), &options).unwrap();
    (memory, passphrase)
}

pub(super) fn open(memory: &Memory, passphrase: &SecretString) -> Repository {
    let backend = Box::new(memory.clone());
    let unlock = Unlock::Passphrase(passphrase);
    Repository::open_in(backend, PathBuf::from("memory"), &unlock, None).unwrap()
}

fn try_commit(
    repository: &Repository,
    chunks: &[Vec<u8>],
) -> Result<Vec<ChunkId>, RepositoryError> {
    let writer = repository.begin(&WriteOptions::default())?;
    let mut bundle = writer.bundle(PackClass::Data);
    let ids = chunks.iter().map(|chunk| bundle.put(chunk)).collect::<Result<_, _>>()?;
    bundle.finish()?;
    writer.pin()?;
    writer.commit(b"record")?;
    Ok(ids)
}

#[test]
fn whichever_call_fails_the_repository_stays_sound_and_the_next_run_works() {
    let chunks = some_chunks(60);
    let calls = {
        let (memory, passphrase) = memory_world();
        let repository = open(&memory, &passphrase);
        memory.fail_after(u64::MAX - 1);
        try_commit(&repository, &chunks).unwrap();
        memory.calls_since(u64::MAX - 1)
    };
    assert!(calls > 10, "{calls}");
    for n in 0..calls {
        let (memory, passphrase) = memory_world();
        let repository = open(&memory, &passphrase);
        memory.fail_after(n);
        let done = try_commit(&repository, &chunks);
        memory.fail_after(u64::MAX);

        let again = open(&memory, &passphrase);
        let snapshots = again.record_ids(RecordKind::Snapshot).unwrap();
        match &done {
            // The last call of all lets go of the lease: the snapshot exists.
            Ok(_) => assert_eq!(snapshots.len(), 1, "call {n}"),
            Err(RepositoryError::NoSpace { .. } | RepositoryError::RunFailed { .. }) => {
                assert!(snapshots.len() <= 1, "call {n}");
            }
            Err(other) => panic!("call {n}: {other}"),
        }
        let report = again.check(CheckDepth::ReadData, &Recorder::default()).unwrap();
        assert!(report.is_sound(), "call {n}: {:?}", report.findings);
        if !snapshots.is_empty() {
            for chunk in &chunks {
                assert_eq!(&again.get(&again.hash(chunk)).unwrap(), chunk, "call {n}");
            }
        }
        try_commit(&again, &chunks).unwrap();
        for chunk in &chunks {
            assert_eq!(&again.get(&again.hash(chunk)).unwrap(), chunk, "call {n}");
        }
    }
}

#[test]
fn a_list_that_fails_is_never_taken_for_an_empty_one() {
    let (memory, passphrase) = memory_world();
    let repository = open(&memory, &passphrase);
    try_commit(&repository, &some_chunks(10)).unwrap();
    memory.fail_after(0);
    assert!(repository.record_ids(RecordKind::Snapshot).is_err());
    assert!(repository.check(CheckDepth::Structure, &Recorder::default()).is_err());
    assert!(repository.rebuild_index(RepairMode::DryRun, &Recorder::default()).is_err());
}
