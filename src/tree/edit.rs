//! Makes a new tree out of a stored one: only the directories on the way to a change are new.

use std::collections::BTreeMap;

use super::read::{find, read_dir};
use super::{Entry, Kind, TreeError, TreePath, manifest};
use crate::repository::{Bundle, ChunkId, Repository};

/// What becomes of one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// It is this entry, whatever it was. The entry takes its name from the path. A directory
    /// brings along all that its object holds: [`empty_directory`] for one that holds nothing.
    Put(Entry),
    /// It is not there, nor is anything below it.
    Delete,
}

/// The object of a directory without entries.
pub fn empty_directory(repository: &Repository) -> ChunkId {
    repository.hash(&manifest::encode_leaf(&[]))
}

/// The entry of a root directory that holds nothing yet.
pub fn empty_root(repository: &Repository, meta: super::Meta) -> Entry {
    let kind = Kind::Directory { object: empty_directory(repository) };
    Entry { name: ROOT_NAME.into(), meta, kind, link_group: None }
}

/// The name of every root's entry, so that a tree that is moved keeps its digest.
pub const ROOT_NAME: &[u8] = b"root";

/// Stores the tree below `root` with `edits` made, and returns the id of its root object.
///
/// The edits come in the order of their paths; a path whose parent is not a directory in the result
/// is refused.
pub fn edit(
    repository: &Repository,
    bundle: &mut Bundle<'_>,
    root: &Entry,
    edits: impl IntoIterator<Item = (TreePath, Edit)>,
) -> Result<ChunkId, TreeError> {
    let Kind::Directory { object } = root.kind else {
        return Err(TreeError::NoSuchDirectory { path: None });
    };
    // Whoever grafts an empty directory means that it is stored.
    let empty = bundle.put(&manifest::encode_leaf(&[]))?;
    let mut work = Work { repository, root, empty, changes: BTreeMap::new() };
    let mut gone: Option<TreePath> = None;
    for (path, edit) in edits {
        if edit == Edit::Delete {
            // What lies below a directory that goes, goes with it.
            if gone.as_ref().is_some_and(|gone| path.is_within(gone)) {
                continue;
            }
            gone = Some(path.clone());
        }
        work.add(&path, edit);
    }
    // The deepest first, so that a directory's own object is known when its parent is edited.
    while let Some(((_, dir), changes)) = work.changes.pop_last() {
        let entries = work.apply(dir.as_ref(), changes)?;
        let object = manifest::put_directory(&entries, |raw| bundle.put(raw))?;
        match &dir {
            None => return Ok(object),
            Some(dir) => work.set_object(dir, object)?,
        }
    }
    Ok(object)
}

type Depth = usize;
type Changes = BTreeMap<Box<[u8]>, Change>;

/// An edit of the caller, or only a new object for a directory that stays.
enum Change {
    Edit(Edit),
    Object(ChunkId),
}

struct Work<'a> {
    repository: &'a Repository,
    root: &'a Entry,
    empty: ChunkId,
    changes: BTreeMap<(Depth, Option<TreePath>), Changes>,
}

impl Work<'_> {
    fn changes_in(&mut self, dir: Option<TreePath>) -> &mut Changes {
        let depth = dir.as_ref().map_or(0, |dir| dir.parts().count());
        self.changes.entry((depth, dir)).or_default()
    }

    fn add(&mut self, path: &TreePath, edit: Edit) {
        self.changes_in(path.parent()).insert(path.name().into(), Change::Edit(edit));
    }

    /// The new object of a directory goes into the edit that puts it, if one does.
    fn set_object(&mut self, dir: &TreePath, object: ChunkId) -> Result<(), TreeError> {
        let change = self
            .changes_in(dir.parent())
            .entry(dir.name().into())
            .or_insert(Change::Object(object));
        match change {
            Change::Object(old) => *old = object,
            Change::Edit(Edit::Put(Entry { kind: Kind::Directory { object: old }, .. })) => {
                *old = object;
            }
            Change::Edit(_) => {
                return Err(TreeError::NoSuchDirectory { path: Some(dir.clone()) });
            }
        }
        Ok(())
    }

    /// The entries of `dir` after `changes`.
    fn apply(&self, dir: Option<&TreePath>, changes: Changes) -> Result<Vec<Entry>, TreeError> {
        let before = self.entries_before(dir)?;
        if before.is_empty() && changes.values().all(is_put) {
            // A tree that is imported may have a million in one directory: they are not copied.
            return Ok(changes.into_iter().filter_map(put_entry).collect());
        }
        let mut entries: BTreeMap<_, _> =
            before.into_iter().map(|entry| (entry.name.clone(), entry)).collect();
        for (name, change) in changes {
            match change {
                Change::Edit(Edit::Delete) => drop(entries.remove(&name)),
                Change::Edit(Edit::Put(entry)) => {
                    entries.insert(name.clone(), Entry { name, ..entry });
                }
                Change::Object(object) => {
                    let kind = entries.get_mut(&name).map(|entry| &mut entry.kind);
                    let Some(Kind::Directory { object: old }) = kind else {
                        let path = TreePath::child(dir, &name).ok();
                        return Err(TreeError::NoSuchDirectory { path });
                    };
                    *old = object;
                }
            }
        }
        Ok(entries.into_values().collect())
    }

    /// The entries that `dir` has before edits inside it: of the base, or of what is put above it.
    fn entries_before(&self, dir: Option<&TreePath>) -> Result<Vec<Entry>, TreeError> {
        let missing = || TreeError::NoSuchDirectory { path: dir.cloned() };
        let entry = match dir {
            None => self.root.clone(),
            Some(dir) => self.base_of(dir)?.ok_or_else(missing)?,
        };
        match entry.kind {
            Kind::Directory { object } if object == self.empty => Ok(Vec::new()),
            Kind::Directory { object } => read_dir(self.repository, &object),
            _ => Err(missing()),
        }
    }

    fn base_of(&self, dir: &TreePath) -> Result<Option<Entry>, TreeError> {
        let mut above = Some(dir.clone());
        while let Some(path) = above {
            match self.edit_of(&path) {
                Some(Edit::Delete) => return Ok(None),
                Some(Edit::Put(entry)) => {
                    let below = dir.as_bytes().get(path.as_bytes().len() + 1..);
                    let Some(below) = below else { return Ok(Some(entry.clone())) };
                    let below = TreePath::parse(below).expect("the end of a path is a path");
                    return find(self.repository, entry, &below);
                }
                None => above = path.parent(),
            }
        }
        find(self.repository, self.root, dir)
    }

    fn edit_of(&self, path: &TreePath) -> Option<&Edit> {
        let parent = path.parent();
        let depth = parent.as_ref().map_or(0, |dir| dir.parts().count());
        match self.changes.get(&(depth, parent))?.get(path.name())? {
            Change::Edit(edit) => Some(edit),
            Change::Object(_) => None,
        }
    }
}

const fn is_put(change: &Change) -> bool {
    matches!(change, Change::Edit(Edit::Put(_)))
}

fn put_entry((name, change): (Box<[u8]>, Change)) -> Option<Entry> {
    match change {
        Change::Edit(Edit::Put(entry)) => Some(Entry { name, ..entry }),
        Change::Edit(Edit::Delete) | Change::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::{InitOptions, PackClass, WriteOptions};
    use crate::tree::read::Entries;
    use crate::tree::{Content, Meta};

    struct World {
        _place: tempfile::TempDir,
        repository: Repository,
    }

    impl World {
        fn new() -> Self {
            let place = tempfile::tempdir().unwrap();
            let key = place.path().join("key");
            let options = InitOptions { machine_key_file: Some(&key), ..InitOptions::default() };
            let repository = Repository::init(&place.path().join("r"), &options).unwrap();
            Self { _place: place, repository }
        }

        fn edit(&self, root: &Entry, edits: &[(&str, Edit)]) -> Result<Entry, TreeError> {
            let edits = edits
                .iter()
                .map(|(path, edit)| (TreePath::parse(path.as_bytes()).unwrap(), edit.clone()));
            let writer = self.repository.begin(&WriteOptions::default()).unwrap();
            let mut bundle = writer.bundle(PackClass::Metadata);
            let edits: BTreeMap<_, _> = edits.collect();
            let object = edit(&self.repository, &mut bundle, root, edits)?;
            bundle.finish().unwrap();
            writer.sync().unwrap();
            Ok(Entry { kind: Kind::Directory { object }, ..root.clone() })
        }

        fn names(&self, root: &Entry) -> Vec<String> {
            let entries = Entries::below(&self.repository, root);
            entries.map(|entry| entry.unwrap().0.to_string()).collect()
        }

        fn root(&self) -> Entry {
            empty_root(&self.repository, Meta::default())
        }

        fn dir(&self) -> Edit {
            Edit::Put(self.root())
        }
    }

    fn file(mode: u32) -> Edit {
        let kind = Kind::File { size: 0, content: Content::Empty };
        let meta = Meta { mode, ..Meta::default() };
        Edit::Put(Entry { name: Box::default(), meta, kind, link_group: None })
    }

    #[test]
    fn a_tree_grows_and_shrinks_by_edits() {
        let world = World::new();
        let edits = [
            ("a", world.dir()),
            ("a/b", world.dir()),
            ("a/b/deep", file(1)),
            ("a/x", file(2)),
            ("z", file(3)),
        ];
        let one = world.edit(&world.root(), &edits).unwrap();
        assert_eq!(world.names(&one), ["a", "a/b", "a/b/deep", "a/x", "z"]);
        let edits = [("a/b/deep", Edit::Delete), ("a/b/new", file(1)), ("z", Edit::Delete)];
        let two = world.edit(&one, &edits).unwrap();
        assert_eq!(world.names(&two), ["a", "a/b", "a/b/new", "a/x"]);
        let back = [("a/b/deep", file(1)), ("a/b/new", Edit::Delete), ("z", file(3))];
        assert_eq!(world.edit(&two, &back).unwrap(), one, "equal trees have equal ids");
        assert_eq!(world.edit(&one, &[]).unwrap(), one);
    }

    #[test]
    fn a_directory_of_another_tree_is_grafted_and_edited_in_one_go() {
        let world = World::new();
        let release = [("lib", world.dir()), ("lib/one", file(1)), ("lib/two", file(1))];
        let release = world.edit(&world.root(), &release).unwrap();
        let lib = TreePath::parse(b"lib").unwrap();
        let lib = find(&world.repository, &release, &lib).unwrap().unwrap();
        let edits = [
            ("vendor", Edit::Put(lib)),
            ("vendor/two", Edit::Delete),
            ("vendor/three", world.dir()),
            ("vendor/three/deep", file(1)),
        ];
        let grafted = world.edit(&world.root(), &edits).unwrap();
        let names = ["vendor", "vendor/one", "vendor/three", "vendor/three/deep"];
        assert_eq!(world.names(&grafted), names);
    }

    #[test]
    fn nothing_is_put_below_what_is_no_directory() {
        let world = World::new();
        let base = world.edit(&world.root(), &[("f", file(1)), ("d", world.dir())]).unwrap();
        for edits in [
            vec![("f/x", file(1))],
            vec![("absent/x", file(1))],
            vec![("d", Edit::Delete), ("d/x", file(1))],
            vec![("d", file(1)), ("d/x", file(1))],
        ] {
            let refused = world.edit(&base, &edits);
            assert!(matches!(refused, Err(TreeError::NoSuchDirectory { .. })), "{edits:?}");
        }
        // What goes takes along what is in it.
        let full = world.edit(&base, &[("d/x", file(1))]).unwrap();
        let gone = world.edit(&full, &[("d", Edit::Delete)]).unwrap();
        assert_eq!(world.names(&gone), ["f"]);
        let said_twice = [("d", Edit::Delete), ("d/x", Edit::Delete), ("e", world.dir())];
        assert_eq!(world.names(&world.edit(&full, &said_twice).unwrap()), ["e", "f"]);
    }

    #[test]
    fn a_directory_of_many_leaves_is_read_and_searched() {
        let world = World::new();
        let names: Vec<_> = (0..30_000).map(|n| format!("{n:08}")).collect();
        let edits: Vec<_> = names.iter().map(|name| (&**name, file(1))).collect();
        let root = world.edit(&world.root(), &edits).unwrap();
        assert_eq!(world.names(&root), names);
        for name in ["00000000", "00012345", "00029999"] {
            let path = TreePath::parse(name.as_bytes()).unwrap();
            assert!(find(&world.repository, &root, &path).unwrap().is_some(), "{name}");
        }
        for name in ["", "0", "00012345x", "9"].iter().filter(|name| !name.is_empty()) {
            let path = TreePath::parse(name.as_bytes()).unwrap();
            assert!(find(&world.repository, &root, &path).unwrap().is_none(), "{name}");
        }
    }
}
