use super::index::{Named, build};
use super::pack::{Contents, FramePlace};
use super::*;

/// A pack of so many chunks that nobody has.
fn made_up(number: u64, frames: u32) -> (ObjectId, Contents) {
    let mut contents = Contents::default();
    for frame in 0..frames {
        let chunks = 1_000;
        contents.frames.push(FramePlace { offset: frame * 900 + 64, sealed_bytes: 900, chunks });
        for chunk in 0..chunks {
            let seed = [number, frame.into(), chunk.into()].map(u64::to_le_bytes).concat();
            contents.ids.push(ChunkId::from_bytes(*blake3::hash(&seed).as_bytes()));
            contents.lengths.push(64);
        }
    }
    (ObjectId::random(), contents)
}

const SEGMENTS: u64 = 24;
const PLACE: &str = "SNAP_TEST_REPOSITORY";

/// Some of the chunks that the made-up segments name.
fn some() -> impl Iterator<Item = ChunkId> {
    (0..SEGMENTS).flat_map(|segment| {
        let (_, contents) = made_up(segment, 60);
        contents.ids.into_iter().step_by(20_000)
    })
}

#[test]
fn without_a_cache_directory_the_index_of_a_large_repository_is_not_held_in_memory() {
    let world = World::new();
    for segment in 0..SEGMENTS {
        let (id, contents) = made_up(segment, 60);
        let body = build(&[Named { id, class: PackClass::Data, contents: &contents }]);
        let name = ObjectId::random();
        world.repository.inner.put_sealed(ObjectKind::Index, &name, &body).unwrap();
    }
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "repository::tests::nowhere::looks_up_without_a_cache", "--ignored"]);
    let done = child.env(PLACE, world.dir.path()).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
    assert!(files_below(&world.root().join("tmp")).is_empty(), "they have no name");
}

/// In a process of its own, whose peak is then its own.
#[test]
#[ignore = "run by the test above"]
fn looks_up_without_a_cache() {
    let Some(dir) = std::env::var_os(PLACE).map(PathBuf::from) else { return };
    let (key, nowhere) = (dir.join("key"), Path::new("/proc/no/such/place"));
    let unlock = Unlock::KeyFile(&key);
    let opened = Repository::open(&dir.join("repository"), &unlock, Some(nowhere)).unwrap();
    let index = opened.inner.index().unwrap();
    let held: u64 = index.segments.iter().map(|one| one.table.memory_bytes().0).sum();
    assert!(held <= 8 << 20, "{held} bytes of tables are held");
    let peak = crate::os::usage::so_far().peak_bytes;
    assert!(some().all(|id| opened.locate(&id).unwrap().is_some()));
    // The tables alone are 63 MB.
    assert!(peak < 48 << 20, "{peak} bytes at the most");
}
