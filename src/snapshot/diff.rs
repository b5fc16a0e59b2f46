//! What differs between two stored trees. Equal subtrees are skipped by one compare.

use std::collections::VecDeque;

use crate::repository::{ChunkId, Repository};
use crate::tree::read::read_dir;
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
    let mut changes = Changes { repository, found: VecDeque::new(), open: Vec::new() };
    changes.compare(None, Some(before.clone()), Some(after.clone()));
    changes
}

/// The changes between two trees. Ends after the first error.
pub struct Changes<'a> {
    repository: &'a Repository,
    found: VecDeque<Step>,
    /// What follows the directory that is being compared, the nearest last.
    open: Vec<VecDeque<Step>>,
}

enum Step {
    Found(Box<Change>),
    /// A directory of which the entries may differ.
    Below(Option<TreePath>, Option<ChunkId>, Option<ChunkId>),
}

impl Changes<'_> {
    fn compare(&mut self, path: Option<TreePath>, before: Option<Entry>, after: Option<Entry>) {
        let object = |entry: &Option<Entry>| match entry.as_ref()?.kind {
            Kind::Directory { object } => Some(object),
            _ => None,
        };
        let (old, new) = (object(&before), object(&after));
        if !is_equal(before.as_ref(), after.as_ref()) {
            self.found.push_back(Step::Found(Box::new(Change {
                path: path.clone(),
                before,
                after,
            })));
        }
        if old != new {
            self.found.push_back(Step::Below(path, old, new));
        }
    }

    fn enter(
        &mut self,
        path: Option<&TreePath>,
        old: Option<ChunkId>,
        new: Option<ChunkId>,
    ) -> Result<(), TreeError> {
        let read = |object: Option<ChunkId>| {
            object.map_or(Ok(Vec::new()), |object| read_dir(self.repository, &object))
        };
        let (old, new) = (read(old)?, read(new)?);
        let later = std::mem::take(&mut self.found);
        self.open.push(later);
        let mut old = old.into_iter().peekable();
        for after in new {
            while let Some(before) = old.next_if(|before| before.name < after.name) {
                self.compare(Some(child(path, &before)), Some(before), None);
            }
            let before = old.next_if(|before| before.name == after.name);
            self.compare(Some(child(path, &after)), before, Some(after));
        }
        for before in old {
            self.compare(Some(child(path, &before)), Some(before), None);
        }
        Ok(())
    }

    fn step(&mut self) -> Result<Option<Change>, TreeError> {
        loop {
            match self.found.pop_front() {
                Some(Step::Found(change)) => return Ok(Some(*change)),
                Some(Step::Below(path, old, new)) => self.enter(path.as_ref(), old, new)?,
                None => match self.open.pop() {
                    Some(later) => self.found = later,
                    None => return Ok(None),
                },
            }
        }
    }
}

impl Iterator for Changes<'_> {
    type Item = Result<Change, TreeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step();
        if step.is_err() {
            self.found.clear();
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

fn child(parent: Option<&TreePath>, entry: &Entry) -> TreePath {
    TreePath::child(parent, &entry.name).expect("a decoded name is a part of a path")
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
