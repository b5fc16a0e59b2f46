//! Reads stored trees: one directory, one path, or all entries in the order of a tree.

use std::vec;

use super::manifest::{self, DirectoryObject, Part};
use super::{BadObject, Entry, Kind, TreeError, TreePath};
use crate::repository::{ChunkId, Repository};

/// The entries of a stored directory, sorted by name.
pub fn read_dir(repository: &Repository, object: &ChunkId) -> Result<Vec<Entry>, TreeError> {
    let mut entries = Vec::new();
    for part in parts_of(repository, object)? {
        match part {
            Leaf::Here(leaf) => entries = leaf,
            Leaf::At(part) => entries.extend(read_part(repository, &part)?),
        }
    }
    Ok(entries)
}

/// The entries of a stored directory; none if it is so large that it is stored in parts.
pub fn read_narrow(
    repository: &Repository,
    object: &ChunkId,
) -> Result<Option<Vec<Entry>>, TreeError> {
    Ok(match decode(repository, object)? {
        DirectoryObject::Leaf(entries) => Some(entries),
        DirectoryObject::Branch(_) => None,
    })
}

/// The objects, beside its own, that a large directory is stored in.
pub fn leaves(repository: &Repository, object: &ChunkId) -> Result<Vec<ChunkId>, TreeError> {
    Ok(match decode(repository, object)? {
        DirectoryObject::Leaf(_) => Vec::new(),
        DirectoryObject::Branch(parts) => parts.into_iter().map(|part| part.object).collect(),
    })
}

/// Whether an object was not met before.
pub type IsNew<'a> = dyn FnMut(&ChunkId) -> Result<bool, TreeError> + 'a;

/// The entry at `path` below `root`.
pub fn find(
    repository: &Repository,
    root: &Entry,
    path: &TreePath,
) -> Result<Option<Entry>, TreeError> {
    let mut at = root.clone();
    for name in path.parts() {
        let Kind::Directory { object } = at.kind else { return Ok(None) };
        match find_name(repository, &object, name)? {
            Some(entry) => at = entry,
            None => return Ok(None),
        }
    }
    Ok(Some(at))
}

fn find_name(
    repository: &Repository,
    object: &ChunkId,
    name: &[u8],
) -> Result<Option<Entry>, TreeError> {
    let mut leaves = parts_of(repository, object)?;
    // The last leaf whose first name is not beyond `name`.
    let beyond = leaves.partition_point(|leaf| match leaf {
        Leaf::Here(_) => true,
        Leaf::At(part) => *part.first_name <= *name,
    });
    let Some(index) = beyond.checked_sub(1) else { return Ok(None) };
    let mut entries = match leaves.swap_remove(index) {
        Leaf::Here(entries) => entries,
        Leaf::At(part) => read_part(repository, &part)?,
    };
    let found = entries.binary_search_by(|entry| (*entry.name).cmp(name)).ok();
    Ok(found.map(|index| entries.swap_remove(index)))
}

enum Leaf {
    Here(Vec<Entry>),
    At(Part),
}

fn parts_of(repository: &Repository, object: &ChunkId) -> Result<Vec<Leaf>, TreeError> {
    match decode(repository, object)? {
        DirectoryObject::Leaf(entries) => Ok(vec![Leaf::Here(entries)]),
        DirectoryObject::Branch(parts) => Ok(parts.into_iter().map(Leaf::At).collect()),
    }
}

fn read_part(repository: &Repository, part: &Part) -> Result<Vec<Entry>, TreeError> {
    let bad = |what| TreeError::BadDirectory { object: part.object, what };
    let DirectoryObject::Leaf(entries) = decode(repository, &part.object)? else {
        return Err(bad(BadObject::Nested));
    };
    let first = entries.first().map(|entry| &entry.name);
    if entries.len() as u64 != part.entries || first != Some(&part.first_name) {
        return Err(bad(BadObject::Order("leaves")));
    }
    Ok(entries)
}

fn decode(repository: &Repository, object: &ChunkId) -> Result<DirectoryObject, TreeError> {
    let raw = repository.get(object)?;
    manifest::decode(&raw).map_err(|what| TreeError::BadDirectory { object: *object, what })
}

/// The entries of a stored directory, sorted by name. Holds one leaf, however large the directory.
pub struct DirEntries<'a> {
    repository: &'a Repository,
    leaf: vec::IntoIter<Entry>,
    rest: vec::IntoIter<Part>,
}

impl<'a> DirEntries<'a> {
    /// Those of the directory `object`.
    pub fn of(repository: &'a Repository, object: &ChunkId) -> Result<Self, TreeError> {
        let (leaf, rest) = match decode(repository, object)? {
            DirectoryObject::Leaf(entries) => (entries, Vec::new()),
            DirectoryObject::Branch(parts) => (Vec::new(), parts),
        };
        Ok(Self { repository, leaf: leaf.into_iter(), rest: rest.into_iter() })
    }

    /// The next that lies in an object not met before: `is_new` is asked of every object that the
    /// directory is made of, the first apart.
    pub fn next_new(&mut self, is_new: &mut IsNew<'_>) -> Result<Option<Entry>, TreeError> {
        loop {
            if let Some(entry) = self.leaf.next() {
                return Ok(Some(entry));
            }
            let Some(part) = self.rest.next() else { return Ok(None) };
            if is_new(&part.object)? {
                self.leaf = read_part(self.repository, &part)?.into_iter();
            }
        }
    }
}

impl Iterator for DirEntries<'_> {
    type Item = Result<Entry, TreeError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_new(&mut |_| Ok(true)).transpose()
    }
}

/// All entries below a root, in the order of a tree: a directory, then all in it, then its next
/// sibling. Holds one leaf of each level, however large tree and directories.
pub struct Entries<'a> {
    repository: &'a Repository,
    open: Vec<(Option<TreePath>, DirEntries<'a>)>,
    /// A directory that was just handed out, and is entered next.
    next: Option<(Option<TreePath>, ChunkId)>,
}

impl<'a> Entries<'a> {
    /// The entries below `root`; none if it is a file.
    pub fn below(repository: &'a Repository, root: &Entry) -> Self {
        let next = match root.kind {
            Kind::Directory { object } => Some((None, object)),
            _ => None,
        };
        Self { repository, open: Vec::new(), next }
    }

    /// The entries inside the directory at `path`, which is stored as `object`.
    pub fn inside(repository: &'a Repository, path: TreePath, object: ChunkId) -> Self {
        Self { repository, open: Vec::new(), next: Some((Some(path), object)) }
    }

    /// Does not enter the directory that was handed out last.
    pub fn skip_inside(&mut self) {
        self.next = None;
    }

    fn step(&mut self) -> Result<Option<(TreePath, Entry)>, TreeError> {
        if let Some((path, object)) = self.next.take() {
            self.open.push((path, DirEntries::of(self.repository, &object)?));
        }
        while let Some((parent, entries)) = self.open.last_mut() {
            let Some(entry) = entries.next().transpose()? else {
                self.open.pop();
                continue;
            };
            let path = TreePath::child(parent.as_ref(), &entry.name)
                .expect("a decoded name is a part of a path");
            if let Kind::Directory { object } = entry.kind {
                self.next = Some((Some(path.clone()), object));
            }
            return Ok(Some((path, entry)));
        }
        Ok(None)
    }
}

impl Iterator for Entries<'_> {
    type Item = Result<(TreePath, Entry), TreeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step();
        if step.is_err() {
            self.open.clear();
        }
        step.transpose()
    }
}
