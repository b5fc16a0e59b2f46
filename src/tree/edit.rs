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
/// A path whose parent is not a directory in the result is refused.
pub fn edit(
    repository: &Repository,
    bundle: &mut Bundle<'_>,
    root: &Entry,
    edits: &BTreeMap<TreePath, Edit>,
) -> Result<ChunkId, TreeError> {
    let Kind::Directory { object } = root.kind else {
        return Err(TreeError::NoSuchDirectory { path: None });
    };
    // Whoever grafts an empty directory means that it is stored.
    let empty = bundle.put(&manifest::encode_leaf(&[]))?;
    let mut work = Work { repository, root, empty, changes: BTreeMap::new() };
    for (path, edit) in edits {
        work.add(path, edit.clone());
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
