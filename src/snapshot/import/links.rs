//! Files with several names. Only these names are held until the end of the archive: which of them
//! comes first in the order of the tree, and so names the group, is known no sooner.

use std::collections::HashMap;

use crate::tree::TreePath;

/// The names that files have beside others.
#[derive(Debug, Default)]
pub(super) struct Links {
    group_of: HashMap<TreePath, usize>,
    begun: usize,
}

impl Links {
    /// `path` is another name of what is called `first`.
    pub(super) fn join(&mut self, first: &TreePath, path: TreePath) {
        let group = self.group_of.get(first).copied().unwrap_or_else(|| {
            self.group_of.insert(first.clone(), self.begun);
            self.begun += 1;
            self.begun - 1
        });
        self.group_of.insert(path, group);
    }

    /// `path` is something else from now on.
    pub(super) fn leave(&mut self, path: &TreePath) {
        self.group_of.remove(path);
    }

    /// What the groups are called.
    pub(super) fn groups(self) -> Groups {
        let mut names: Vec<(usize, Option<TreePath>)> = vec![(0, None); self.begun];
        for (path, group) in &self.group_of {
            let (members, first) = &mut names[*group];
            *members += 1;
            if first.as_ref().is_none_or(|first| path < first) {
                *first = Some(path.clone());
            }
        }
        let label = |(members, first): (usize, Option<TreePath>)| first.filter(|_| members > 1);
        Groups { group_of: self.group_of, labels: names.into_iter().map(label).collect() }
    }
}

/// Groups that are complete.
#[derive(Debug)]
pub(super) struct Groups {
    group_of: HashMap<TreePath, usize>,
    /// The first of its names, where it has several.
    labels: Vec<Option<TreePath>>,
}

impl Groups {
    /// What the group of `path` is called; `None` for a file with one name.
    pub(super) fn label(&self, path: &TreePath) -> Option<&TreePath> {
        self.labels[*self.group_of.get(path)?].as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(raw: &str) -> TreePath {
        TreePath::parse(raw.as_bytes()).unwrap()
    }

    #[test]
    fn a_group_is_called_by_the_first_of_the_names_that_it_has_in_the_end() {
        let mut links = Links::default();
        links.join(&path("m"), path("z"));
        links.join(&path("z"), path("b"));
        links.join(&path("m"), path("a"));
        links.join(&path("x"), path("y"));
        links.leave(&path("a"));
        links.leave(&path("y"));
        let groups = links.groups();
        for name in ["b", "m", "z"] {
            assert_eq!(groups.label(&path(name)), Some(&path("b")), "{name}");
        }
        for name in ["a", "x", "y", "other"] {
            assert_eq!(groups.label(&path(name)), None, "{name}");
        }
    }
}
