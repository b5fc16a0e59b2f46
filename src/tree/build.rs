//! Stores a tree whose entries come in the order of their paths: of each directory on the way down
//! no more is held than a leaf.

use super::edit::empty_directory;
use super::manifest::DirectoryWriter;
use super::{Entry, Kind, Meta, TreeError, TreePath};
use crate::repository::{Bundle, ChunkId, Repository};

/// A tree that is being stored.
pub struct Builder<'b, 'w> {
    bundle: &'b mut Bundle<'w>,
    /// The directories on the way down to what came last, the root first.
    open: Vec<Directory>,
    /// What came last, if nothing can lie in it.
    closed: Option<TreePath>,
    /// What a directory is like of which only the content is named.
    implied: Entry,
    directories: u64,
}

struct Directory {
    /// `None`: the root.
    path: Option<TreePath>,
    entry: Entry,
    inside: DirectoryWriter,
}

/// The tree that was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Built {
    /// The object of its root.
    pub object: ChunkId,
    /// How many directories it has, the root among them.
    pub directories: u64,
}

impl<'b, 'w> Builder<'b, 'w> {
    /// A tree that holds nothing yet; directories that nobody names are like `implied`.
    pub fn new(repository: &Repository, bundle: &'b mut Bundle<'w>, implied: Meta) -> Self {
        let kind = Kind::Directory { object: empty_directory(repository) };
        let implied = Entry { name: Box::default(), meta: implied, kind, link_group: None };
        let mut builder = Self { bundle, open: Vec::new(), closed: None, implied, directories: 0 };
        builder.open(None, builder.implied.clone());
        builder
    }

    /// Adds the next entry, whose path lies behind all before. What a directory's own object holds
    /// counts for nothing: it holds what follows.
    pub fn push(&mut self, path: TreePath, entry: Entry) -> Result<(), TreeError> {
        if let Some(above) = self.closed.take().filter(|closed| path.is_within(closed)) {
            return Err(TreeError::NoSuchDirectory { path: Some(above) });
        }
        while let Some(Directory { path: Some(open), .. }) = self.open.last()
            && !path.is_within(open)
        {
            self.close()?;
        }
        for dir in self.missing_above(&path) {
            let entry = Entry { name: dir.name().into(), ..self.implied.clone() };
            self.open(Some(dir), entry);
        }
        if matches!(entry.kind, Kind::Directory { .. }) {
            self.open(Some(path), entry);
            return Ok(());
        }
        self.closed = Some(path);
        self.add(entry)
    }

    /// Stores what is left.
    pub fn finish(mut self) -> Result<Built, TreeError> {
        while self.open.len() > 1 {
            self.close()?;
        }
        let root = self.open.pop().expect("the root is closed here alone");
        let object = root.inside.finish(|raw| self.bundle.put(raw))?;
        Ok(Built { object, directories: self.directories })
    }

    /// The directories between the one that is open and `path`, the highest first.
    fn missing_above(&self, path: &TreePath) -> Vec<TreePath> {
        let open = self.open.last().and_then(|dir| dir.path.as_ref());
        let above = std::iter::successors(path.parent(), TreePath::parent);
        let mut missing: Vec<_> = above.take_while(|dir| Some(dir) != open).collect();
        missing.reverse();
        missing
    }

    fn open(&mut self, path: Option<TreePath>, entry: Entry) {
        self.directories += 1;
        self.open.push(Directory { path, entry, inside: DirectoryWriter::default() });
    }

    /// Stores the lowest open directory, and puts it into the one above.
    fn close(&mut self) -> Result<(), TreeError> {
        let Directory { entry, inside, .. } = self.open.pop().expect("only what is open is closed");
        let object = inside.finish(|raw| self.bundle.put(raw))?;
        self.add(Entry { kind: Kind::Directory { object }, ..entry })
    }

    fn add(&mut self, entry: Entry) -> Result<(), TreeError> {
        let above = self.open.last_mut().expect("the root is open to the end");
        Ok(above.inside.push(entry, |raw| self.bundle.put(raw))?)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::repository::{InitOptions, PackClass, WriteOptions};
    use crate::tree::edit::{Edit, edit, empty_root};
    use crate::tree::{Content, Mtime};

    fn meta(secs: i64) -> Meta {
        Meta { mode: 0o755, mtime: Mtime { secs, nanos: 0 }, ..Meta::default() }
    }

    fn built(named: &[(&str, bool)]) -> Result<(ChunkId, ChunkId, u64), TreeError> {
        let place = tempfile::tempdir().unwrap();
        let key = place.path().join("key");
        let options = InitOptions { machine_key_file: Some(&key), ..InitOptions::default() };
        let repository = Repository::init(&place.path().join("r"), &options).unwrap();
        let entry = |name: &[u8], is_directory: bool, secs: i64| {
            let kind = if is_directory {
                Kind::Directory { object: empty_directory(&repository) }
            } else {
                Kind::File { size: 0, content: Content::Empty }
            };
            Entry { name: name.into(), meta: meta(secs), kind, link_group: None }
        };
        let named: BTreeMap<TreePath, bool> = named
            .iter()
            .map(|(path, dir)| (TreePath::parse(path.as_bytes()).unwrap(), *dir))
            .collect();
        let writer = repository.begin(&WriteOptions::default()).unwrap();
        let mut bundle = writer.bundle(PackClass::Metadata);
        let mut edits = BTreeMap::new();
        for (path, is_directory) in &named {
            for dir in std::iter::successors(path.parent(), TreePath::parent) {
                let implied = entry(dir.name(), true, 1);
                edits.entry(dir).or_insert_with(|| Edit::Put(implied));
            }
            edits.insert(path.clone(), Edit::Put(entry(path.name(), *is_directory, 2)));
        }
        let directories = 1 + edits
            .values()
            .filter(|edit| matches!(edit, Edit::Put(Entry { kind: Kind::Directory { .. }, .. })))
            .count();
        let mut builder = Builder::new(&repository, &mut bundle, meta(1));
        for (path, is_directory) in named {
            let entry = entry(path.name(), is_directory, 2);
            builder.push(path, entry)?;
        }
        let Built { object, directories: found } = builder.finish()?;
        assert_eq!(found, directories as u64);
        let edited = edit(&repository, &mut bundle, &empty_root(&repository, meta(1)), edits)?;
        Ok((object, edited, found))
    }

    #[test]
    fn a_tree_that_is_built_is_the_tree_that_is_edited_together() {
        for named in [
            &[][..],
            &[("a", false), ("b", true), ("c", false)],
            &[("a/b/c", false), ("a-b", false), ("a/z", true)],
            &[("d", true), ("d/e", true), ("d/e/f", false), ("d-e", false), ("x/y/z", true)],
        ] {
            let (built, edited, _) = built(named).unwrap();
            assert_eq!(built, edited, "{named:?}");
        }
        let wide: Vec<String> = (0..9_000).map(|n| format!("d/{n:05}")).collect();
        let wide: Vec<(&str, bool)> = wide.iter().map(|path| (&**path, false)).collect();
        let (built, edited, directories) = built(&wide).unwrap();
        assert_eq!((built, directories), (edited, 2));
    }

    #[test]
    fn nothing_lies_in_what_is_no_directory() {
        for named in [&[("f", false), ("f/x", false)][..], &[("f", false), ("f/x/y", true)]] {
            let refused = built(named);
            assert!(matches!(refused, Err(TreeError::NoSuchDirectory { .. })), "{named:?}");
        }
    }
}
