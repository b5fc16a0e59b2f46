//! Entries of a tree in any order. More than may be held are put aside in batches, each sorted, as
//! the entries of wide directories are; in the end the batches are merged.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap, btree_map};
use std::fs::File;
use std::io;
use std::vec;

use super::statcache::{Mark, Run, StatCacheWriter};
use super::{Entry, TreePath, manifest};

/// What is held weighs at most this: some twenty thousand entries, and six times that in memory.
const HELD_WEIGHT_MAX: usize = 2 << 20;
/// What is read again at once weighs this. There may be hundreds of batches.
const RUN_WEIGHT: usize = 16 << 10;

/// Entries by their paths, in any order. The last of a path counts.
#[derive(Debug)]
pub struct Gathered {
    held: BTreeMap<TreePath, Entry>,
    weight: usize,
    aside: StatCacheWriter,
    /// Each in the order of paths; the oldest first.
    batches: Vec<Vec<Run>>,
    /// A disk that is full takes no more: the rest is held.
    is_full: bool,
}

impl Gathered {
    /// What is put aside goes into `file`, which is new and empty.
    pub fn new(file: File) -> Self {
        Self {
            held: BTreeMap::new(),
            weight: 0,
            aside: StatCacheWriter::new(file),
            batches: Vec::new(),
            is_full: false,
        }
    }

    /// Adds an entry, in the place of whatever the path had. It takes its name from the path.
    pub fn put(&mut self, path: TreePath, mut entry: Entry) {
        if *entry.name != *path.name() {
            entry.name = path.name().into();
        }
        self.weight += path.as_bytes().len() + manifest::weight_of(&entry);
        self.held.insert(path, entry);
        if self.weight > HELD_WEIGHT_MAX && !self.is_full {
            self.put_aside();
        }
    }

    /// The entry that `path` has so far.
    pub fn get(&self, path: &TreePath) -> io::Result<Option<Entry>> {
        if let Some(entry) = self.held.get(path) {
            return Ok(Some(entry.clone()));
        }
        let folded = fold(path);
        for batch in self.batches.iter().rev() {
            let beyond = batch.partition_point(|run| *run.first_name() <= *folded);
            let Some(run) = beyond.checked_sub(1).map(|at| &batch[at]) else { continue };
            let mut entries = self.aside.take_up(run)?.entries;
            if let Ok(at) = entries.binary_search_by(|entry| entry.name.cmp(&folded)) {
                return Ok(Some(Entry { name: path.name().into(), ..entries.swap_remove(at) }));
            }
        }
        Ok(None)
    }

    /// All entries, in the order of their paths.
    pub fn into_sorted(self) -> io::Result<Sorted> {
        let mut sorted = Sorted { aside: self.aside, heads: BinaryHeap::new(), last: None };
        let aside = self
            .batches
            .into_iter()
            .map(|batch| Source::Aside { read: Vec::new().into_iter(), runs: batch.into_iter() });
        let held = Source::Held(self.held.into_iter());
        for (age, source) in aside.chain([held]).enumerate() {
            sorted.next_of(age, source)?;
        }
        Ok(sorted)
    }

    fn put_aside(&mut self) {
        let mut batch = Vec::new();
        while let Some(entries) = self.next_run() {
            let folded =
                entries.iter().map(|(path, entry)| Entry { name: fold(path), ..entry.clone() });
            let folded: Vec<Entry> = folded.collect();
            let Some(run) = self.aside.put_aside(&folded, &vec![Mark::nothing(); folded.len()])
            else {
                self.held.extend(entries);
                self.is_full = true;
                break;
            };
            batch.push(run);
        }
        self.batches.push(batch);
        self.weight = 0;
    }

    /// Takes the first entries of what is held.
    fn next_run(&mut self) -> Option<Vec<(TreePath, Entry)>> {
        let mut run = Vec::new();
        let mut weight = 0;
        while weight < RUN_WEIGHT
            && let Some((path, entry)) = self.held.pop_first()
        {
            weight += path.as_bytes().len() + manifest::weight_of(&entry);
            run.push((path, entry));
        }
        (!run.is_empty()).then_some(run)
    }
}

/// The entries of a [`Gathered`], in the order of their paths.
#[derive(Debug)]
pub struct Sorted {
    aside: StatCacheWriter,
    /// The next of each batch, the first path on top.
    heads: BinaryHeap<Head>,
    last: Option<TreePath>,
}

#[derive(Debug)]
enum Source {
    Aside { read: vec::IntoIter<Entry>, runs: vec::IntoIter<Run> },
    Held(btree_map::IntoIter<TreePath, Entry>),
}

/// The next entry of a batch, and what comes behind it.
#[derive(Debug)]
struct Head {
    path: TreePath,
    entry: Entry,
    /// Of two entries of one path the one of the younger batch counts.
    age: usize,
    source: Source,
}

impl Sorted {
    fn next_of(&mut self, age: usize, mut source: Source) -> io::Result<()> {
        if let Some((path, entry)) = source.next(&self.aside)? {
            self.heads.push(Head { path, entry, age, source });
        }
        Ok(())
    }
}

impl Iterator for Sorted {
    type Item = io::Result<(TreePath, Entry)>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Head { path, entry, age, source } = self.heads.pop()?;
            if let Err(error) = self.next_of(age, source) {
                return Some(Err(error));
            }
            if self.last.as_ref() != Some(&path) {
                self.last = Some(path.clone());
                return Some(Ok((path, entry)));
            }
        }
    }
}

impl Source {
    fn next(&mut self, aside: &StatCacheWriter) -> io::Result<Option<(TreePath, Entry)>> {
        let (read, runs) = match self {
            Self::Held(entries) => return Ok(entries.next()),
            Self::Aside { read, runs } => (read, runs),
        };
        loop {
            if let Some(entry) = read.next() {
                let path = unfold(&entry.name).ok_or(io::ErrorKind::InvalidData)?;
                let name = path.name().into();
                return Ok(Some((path, Entry { name, ..entry })));
            }
            let Some(run) = runs.next() else { return Ok(None) };
            *read = aside.take_up(&run)?.entries.into_iter();
        }
    }
}

/// The largest is taken first: the first path, and of equal ones the youngest.
impl Ord for Head {
    fn cmp(&self, other: &Self) -> Ordering {
        other.path.cmp(&self.path).then(self.age.cmp(&other.age))
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Head {}

/// Stands for what a name cannot hold; twice for a slash, before `LITERAL` for itself.
const ESCAPE: u8 = 1;
const LITERAL: u8 = 2;

/// A path as a name: without slashes, and in the same order, so that a run takes it.
fn fold(path: &TreePath) -> Box<[u8]> {
    let mut name = Vec::with_capacity(path.as_bytes().len() + 16);
    for byte in path.as_bytes() {
        match *byte {
            b'/' => name.extend([ESCAPE, ESCAPE]),
            ESCAPE => name.extend([ESCAPE, LITERAL]),
            byte => name.push(byte),
        }
    }
    name.into()
}

fn unfold(name: &[u8]) -> Option<TreePath> {
    let mut raw = Vec::with_capacity(name.len());
    let mut bytes = name.iter();
    while let Some(byte) = bytes.next() {
        raw.push(match *byte {
            ESCAPE if *bytes.next()? == ESCAPE => b'/',
            byte => byte,
        });
    }
    TreePath::parse(&raw).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::os::file;
    use crate::tree::{Content, Kind, Meta};

    fn entry(path: &TreePath, mode: u32) -> Entry {
        let kind = Kind::File { size: 0, content: Content::Empty };
        let meta = Meta { mode, ..Meta::default() };
        Entry { name: path.name().into(), meta, kind, link_group: None }
    }

    fn paths() -> impl Strategy<Value = TreePath> {
        let name = prop_oneof![
            prop::collection::vec(prop_oneof![Just(1_u8), Just(2), Just(b'-'), Just(b'a')], 1..4),
            "[a-z]{1,3}".prop_map(String::into_bytes),
        ];
        prop::collection::vec(name, 1..4)
            .prop_map(|parts| TreePath::parse(&parts.join(&b'/')).unwrap())
    }

    proptest! {
        #[test]
        fn a_folded_path_is_a_name_in_the_same_order(a in paths(), b in paths()) {
            prop_assert!(!fold(&a).contains(&b'/'));
            prop_assert_eq!(unfold(&fold(&a)), Some(a.clone()));
            prop_assert_eq!(fold(&a).cmp(&fold(&b)), a.cmp(&b));
        }

        #[test]
        fn what_is_put_aside_comes_back_as_a_map_would_hold_it(
            puts in prop::collection::vec((paths(), 0..0o7777_u32), 0..80),
            every in 1..20_usize,
        ) {
            let mut gathered = Gathered::new(file::anonymous().unwrap());
            let mut map = BTreeMap::new();
            for (number, (path, mode)) in puts.into_iter().enumerate() {
                map.insert(path.clone(), entry(&path, mode));
                gathered.put(path.clone(), entry(&path, mode));
                if number % every == 0 {
                    gathered.put_aside();
                }
            }
            for (path, entry) in &map {
                let found = gathered.get(path).unwrap();
                prop_assert_eq!(found.as_ref(), Some(entry));
            }
            let sorted: Vec<_> = gathered.into_sorted().unwrap().map(Result::unwrap).collect();
            prop_assert_eq!(sorted, map.into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_a_full_disk_does_not_take_is_held() {
        let mut gathered = Gathered::new(File::open("/dev/null").unwrap());
        let path = |n: usize| TreePath::parse(format!("{n:05}").as_bytes()).unwrap();
        (0..30_000).for_each(|n| gathered.put(path(n), entry(&path(n), 0o644)));
        assert!(gathered.is_full);
        assert!(gathered.get(&path(7)).unwrap().is_some());
        assert_eq!(gathered.into_sorted().unwrap().count(), 30_000);
    }
}
