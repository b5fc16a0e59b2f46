use std::sync::Arc;

use super::*;
use crate::repository::ObjectId;
use crate::tree::{Content, Kind, Meta};

fn origin() -> Origin {
    let snapshot = Some(ObjectId::from_bytes([7; 32]));
    Origin { snapshot, boot_id: "boot".to_owned(), source: [1; 32], root: "/root".into() }
}

fn stat() -> Stat {
    let place = tempfile::tempdir().unwrap();
    let dir = crate::os::beneath::Dir::open_root(place.path()).unwrap();
    dir.create_file(b"f").unwrap();
    dir.stat(b"f").unwrap()
}

fn entry(stat: &Stat) -> Entry {
    let meta = Meta {
        mode: stat.mode,
        uid: stat.uid,
        gid: stat.gid,
        mtime: stat.mtime.into(),
        xattrs: Vec::new(),
    };
    let kind = Kind::File { size: 0, content: Content::Empty };
    Entry { name: b"f".as_slice().into(), meta, kind, link_group: None }
}

fn block(object: ChunkId, entries: &[Entry], marks: &[Mark]) -> Block {
    Block { object, entries: entries.to_vec(), marks: marks.to_vec(), holds_all: true }
}

fn written(path: &Path) {
    let (file, temp) = create_beside(path).unwrap();
    let writer = StatCacheWriter::new(file);
    let stat = stat();
    let mark = Mark::new(&stat, Stamp::default());
    for n in 0..50_u8 {
        let key = [b'a', n + 1];
        let id = ChunkId::from_bytes([n; 32]);
        writer.add(&key, &block(id, &[entry(&stat)], &[mark]));
    }
    writer.finish(&origin()).unwrap();
    file::rename_over(&temp, path).unwrap();
}

#[test]
fn a_block_is_found_by_the_path_of_its_directory() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("cache");
    written(&path);
    let cache = StatCache::open(&path, &[1; 32]).unwrap();
    assert_eq!(cache.origin(), &origin());
    assert_eq!(*cache.recall(&[b'a', 30]).unwrap().object(), ChunkId::from_bytes([29; 32]));
    assert!(cache.recall(b"b").is_none());
    assert!(StatCache::open(&path, &[2; 32]).is_none(), "a cache of something else");
    assert_eq!(root_of(&std::fs::File::open(&path).unwrap()).unwrap(), Path::new("/root"));
}

#[test]
fn a_damaged_cache_is_as_if_it_were_absent() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("cache");
    written(&path);
    let whole = std::fs::read(&path).unwrap();
    let sound = StatCache::open(&path, &[1; 32]).unwrap();
    let truth: Vec<_> = (0..50_u8).map(|n| sound.recall(&[b'a', n + 1])).collect();
    for at in (0..whole.len()).step_by(7) {
        let mut raw = whole.clone();
        raw[at] ^= 0x10;
        let damaged = place.path().join("damaged");
        file::replace(place.path(), "damaged", &raw, 0o600).unwrap();
        let Some(cache) = StatCache::open(&damaged, &[1; 32]) else { continue };
        for n in 0..50_u8 {
            let block = cache.recall(&[b'a', n + 1]);
            assert!(block.is_none() || block == truth[usize::from(n)], "byte {at}");
        }
    }
}

#[test]
fn a_file_that_changed_in_the_same_tick_is_marked() {
    let stat = stat();
    let mark = Mark::new(&stat, stat.ctime);
    assert!(mark.is_racy && mark.fits(&entry(&stat), &stat));
    let later = Stamp { secs: stat.ctime.secs + 1, nanos: 0 };
    assert!(!Mark::new(&stat, later).is_racy);
}

#[test]
fn whole_seconds_are_young_for_longer() {
    let at = |secs, nanos| Stamp { secs, nanos };
    assert!(is_young(at(10, 0), at(11, 500)) && !is_young(at(10, 0), at(13, 0)));
    assert!(is_young(at(10, 7), at(10, 7)) && !is_young(at(10, 7), at(10, 8)));
}

#[test]
fn any_difference_in_stat_counts() {
    let stat = stat();
    let (entry, mark) = (entry(&stat), Mark::new(&stat, Stamp::default()));
    assert!(mark.fits(&entry, &stat));
    let others = [
        Stat { mode: 0, ..stat },
        Stat { uid: 77, ..stat },
        Stat { gid: 77, ..stat },
        Stat { size: 1, ..stat },
        Stat { mtime: Stamp::default(), ..stat },
        Stat { ctime: Stamp::default(), ..stat },
        Stat { inode: Inode::default(), ..stat },
        Stat { kind: crate::os::meta::FileKind::Fifo, ..stat },
    ];
    for other in others {
        assert!(!mark.fits(&entry, &other), "{other:?}");
    }
}

#[test]
fn a_wide_directory_comes_back_run_by_run_and_moves_to_another_cache() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("cache");
    let (file, temp) = create_beside(&path).unwrap();
    let writer = StatCacheWriter::new(file);
    let stat = stat();
    let marks = [Mark::new(&stat, Stamp::default()); 2];
    let named =
        |names: [&str; 2]| names.map(|name| Entry { name: name.as_bytes().into(), ..entry(&stat) });
    let (first, second) = (named(["b", "c"]), named(["e", "f"]));
    let runs = [&first, &second].map(|run| writer.put_aside(run, &marks).unwrap());
    assert_eq!(writer.take_up(&runs[1]).unwrap().entries, second);
    let object = ChunkId::from_bytes([3; 32]);
    writer.add_wide(b"dir", &object, &runs);
    writer.add(b"narrow", &block(object, &first, &marks));
    writer.finish(&origin()).unwrap();
    file::rename_over(&temp, &path).unwrap();
    let one = StatCache::open(&path, &[1; 32]).unwrap();

    let (file, _) = create_beside(&path).unwrap();
    let writer = StatCacheWriter::new(file);
    let newer = ChunkId::from_bytes([4; 32]);
    writer.add(b"narrow", &block(newer, &second, &marks));
    writer.adopt(&one).unwrap();
    let other = writer.into_cache(&origin()).unwrap();
    assert_eq!(*other.recall(b"narrow").unwrap().object(), newer, "what is there stays");
    let (file, _) = create_beside(&path).unwrap();
    let writer = StatCacheWriter::new(file);
    writer.adopt(&one).unwrap();
    let copy = writer.into_cache(&origin()).unwrap();
    assert_eq!(copy.recall(b"narrow"), one.recall(b"narrow"), "whole, and where it was");
    for cache in [&one, &other, &copy] {
        let Some(Recalled::Wide(wide)) = cache.recall(b"dir") else { panic!("it is wide") };
        let run_of = |name: &[u8]| wide.run_of(name).map(|run| cache.run(run).unwrap().entries);
        assert_eq!(run_of(b"a"), None);
        assert_eq!(run_of(b"d").as_deref(), Some(&first[..]));
        assert_eq!(run_of(b"f").as_deref(), Some(&second[..]));
        let (entries, all): (Vec<Entry>, Vec<Mark>) =
            cache.list(b"dir").unwrap().map(Result::unwrap).unzip();
        assert_eq!((wide.object, all.len()), (object, 4));
        assert!(entries.iter().eq(first.iter().chain(&second)));
    }
}

#[test]
fn what_stays_is_taken_from_the_cache_before_and_only_if_something_else_changed() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("cache");
    written(&path);
    let old = Arc::new(StatCache::open(&path, &[1; 32]).unwrap());
    let after = || StatCacheWriter::after(Some(Arc::clone(&old)), create_beside(&path).unwrap().0);
    let keep = |writer: &StatCacheWriter, numbers: &[u8]| {
        for n in numbers {
            let Some(Recalled::Whole(held)) = old.recall(&[b'a', *n]) else { panic!() };
            writer.add_again(held.place.unwrap());
        }
    };
    let all: Vec<u8> = (1..=50).rev().collect();
    let same = after();
    keep(&same, &all[1..]);
    assert!(same.unchanged().is_none(), "one is gone");
    keep(&same, &all[..1]);
    assert!(same.unchanged().is_some_and(|cache| cache.is_at(&path)));

    let other = after();
    keep(&other, &[1, 2, 3, 30, 49, 50]);
    let id = ChunkId::from_bytes([99; 32]);
    other.add(&[b'a', 31], &block(id, &[], &[]));
    assert!(other.unchanged().is_none());
    let other = other.into_cache(&origin()).unwrap();
    for n in 1..=50_u8 {
        let found = other.recall(&[b'a', n]).map(|found| *found.object());
        let expected = match n {
            1..=3 | 30 | 49 | 50 => Some(ChunkId::from_bytes([n - 1; 32])),
            31 => Some(id),
            _ => None,
        };
        assert_eq!(found, expected, "{n}");
    }
}
