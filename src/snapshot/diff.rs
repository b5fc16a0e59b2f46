//! What differs between two stored trees. Equal subtrees are skipped by one compare.

use crate::repository::{ChunkId, Repository};
use crate::tree::read::DirEntries;
use crate::tree::{Entry, Kind, TreeError, TreePath};

/// One path that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The path; `None` is the root itself.
    pub path: Option<TreePath>,
    /// What it was; `None` if it was not there.
    pub before: Option<Entry>,
    /// What it is; `None` if it is not there any more.
    pub after: Option<Entry>,
}

/// How a path differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// It was not there.
    Added,
    /// It is not there any more.
    Removed,
    /// It is a thing of another kind.
    Kind,
    /// Its bytes, its target or its device differ.
    Content,
    /// Only its mode, owner, time, attributes or link group differ.
    Metadata,
}

impl Change {
    /// In one word.
    pub fn difference(&self) -> Difference {
        let (before, after) = match (&self.before, &self.after) {
            (None, _) => return Difference::Added,
            (_, None) => return Difference::Removed,
            (Some(before), Some(after)) => (&before.kind, &after.kind),
        };
        match (before, after) {
            (Kind::Directory { .. }, Kind::Directory { .. }) => Difference::Metadata,
            _ if before == after => Difference::Metadata,
            _ if before.file_kind() != after.file_kind() => Difference::Kind,
            _ => Difference::Content,
        }
    }
}

/// What differs between the trees `before` and `after`, in the order of a tree. A directory whose
/// entries differ is named only if it differs itself.
pub fn between<'a>(repository: &'a Repository, before: &Entry, after: &Entry) -> Changes<'a> {
    let roots = Some((None, Some(before.clone()), Some(after.clone())));
    Changes { repository, roots, open: Vec::new() }
}

/// The changes between two trees. Ends after the first error. Holds one leaf of each level and side,
/// however large the directories.
pub struct Changes<'a> {
    repository: &'a Repository,
    /// The roots, until they are compared.
    roots: Option<Twins>,
    /// The directories that are being compared, the deepest last.
    open: Vec<Level<'a>>,
}

/// What two trees have at one path.
type Twins = (Option<TreePath>, Option<Entry>, Option<Entry>);

/// A directory that is being compared.
struct Level<'a> {
    path: Option<TreePath>,
    before: Side<'a>,
    after: Side<'a>,
}

/// What is left of one side.
struct Side<'a> {
    entries: Option<DirEntries<'a>>,
    next: Option<Entry>,
}

impl<'a> Side<'a> {
    fn open(repository: &'a Repository, object: Option<ChunkId>) -> Result<Self, TreeError> {
        let mut entries = object.map(|object| DirEntries::of(repository, &object)).transpose()?;
        let next = entries.as_mut().and_then(Iterator::next).transpose()?;
        Ok(Self { entries, next })
    }

    /// The next entry if it has this name.
    fn take(&mut self, name: &[u8]) -> Result<Option<Entry>, TreeError> {
        let taken = self.next.take_if(|next| *next.name == *name);
        if taken.is_some() {
            self.next = self.entries.as_mut().and_then(Iterator::next).transpose()?;
        }
        Ok(taken)
    }
}

impl Level<'_> {
    /// What both sides have under the next name.
    fn next(&mut self) -> Result<Option<Twins>, TreeError> {
        let names = [&self.before.next, &self.after.next].into_iter().flatten();
        let Some(name) = names.map(|entry| entry.name.clone()).min() else { return Ok(None) };
        let path = TreePath::child(self.path.as_ref(), &name);
        let path = path.expect("a decoded name is a part of a path");
        Ok(Some((Some(path), self.before.take(&name)?, self.after.take(&name)?)))
    }
}

impl Changes<'_> {
    fn step(&mut self) -> Result<Option<Change>, TreeError> {
        loop {
            let twins = match (self.roots.take(), self.open.last_mut()) {
                (Some(roots), _) => Some(roots),
                (None, Some(level)) => level.next()?,
                (None, None) => return Ok(None),
            };
            let Some((path, before, after)) = twins else {
                self.open.pop();
                continue;
            };
            let (old, new) = (object_of(before.as_ref()), object_of(after.as_ref()));
            if old != new {
                let before = Side::open(self.repository, old)?;
                let after = Side::open(self.repository, new)?;
                self.open.push(Level { path: path.clone(), before, after });
            }
            if !is_equal(before.as_ref(), after.as_ref()) {
                return Ok(Some(Change { path, before, after }));
            }
        }
    }
}

fn object_of(entry: Option<&Entry>) -> Option<ChunkId> {
    match entry?.kind {
        Kind::Directory { object } => Some(object),
        _ => None,
    }
}

impl Iterator for Changes<'_> {
    type Item = Result<Change, TreeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step();
        if step.is_err() {
            self.open.clear();
        }
        step.transpose()
    }
}

/// Whether both are the same, what lies below directories apart.
fn is_equal(before: Option<&Entry>, after: Option<&Entry>) -> bool {
    let (Some(before), Some(after)) = (before, after) else { return false };
    let same_kind = match (&before.kind, &after.kind) {
        (Kind::Directory { .. }, Kind::Directory { .. }) => true,
        (before, after) => before == after,
    };
    same_kind && before.meta == after.meta && before.link_group == after.link_group
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests build their own worlds")]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::monitor::Recorder;
    use crate::snapshot::tests::World;

    #[test]
    fn each_change_is_named_once_and_in_order() {
        let world = World::new();
        for path in ["same/a", "edit/a", "gone/a", "mode", "type"] {
            world.write(path, path);
        }
        let before = world.take(&Recorder::default());
        world.write("edit/a", "edited");
        world.write("edit/b/new", "new");
        fs::remove_dir_all(world.tree().join("gone")).unwrap();
        fs::set_permissions(world.tree().join("mode"), fs::Permissions::from_mode(0o600)).unwrap();
        fs::remove_file(world.tree().join("type")).unwrap();
        fs::create_dir(world.tree().join("type")).unwrap();
        let after = world.take(&Recorder::default());
        let (before, after) = (&before.roots[0].entry, &after.roots[0].entry);
        let found: Vec<_> = between(&world.repository, before, after)
            .map(Result::unwrap)
            .filter(|change| change.path.is_some())
            .map(|change| (change.path.clone().unwrap().to_string(), change.difference()))
            .collect();
        let expected = [
            ("edit", Difference::Metadata),
            ("edit/a", Difference::Content),
            ("edit/b", Difference::Added),
            ("edit/b/new", Difference::Added),
            ("gone", Difference::Removed),
            ("gone/a", Difference::Removed),
            ("mode", Difference::Metadata),
            ("type", Difference::Kind),
        ];
        assert_eq!(found, expected.map(|(path, what)| (path.to_owned(), what)));
        assert_eq!(between(&world.repository, before, before).count(), 0);
    }
}
