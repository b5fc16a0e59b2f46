//! Files with several names: which of them must be written, and which are further names of one.
//! Pure, but for one question to the manifest.

use std::collections::BTreeMap;

use super::{Item, Replaced};
use crate::tree::{Entry, TreePath};

/// One name of a wanted link group that the comparison met.
pub(super) struct Member {
    pub(super) path: TreePath,
    pub(super) entry: Entry,
    pub(super) replaces: Option<Replaced>,
    pub(super) standing: Standing,
}

/// What is live under a name of a wanted group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// A name of the group, with all that is wanted.
    Member,
    /// All that is wanted, under this name alone: the group may gather there.
    Alone,
    /// Nothing, or something else.
    Stranger,
}

/// The wanted link groups that the comparison met, by their label.
#[derive(Default)]
pub(super) struct Groups(BTreeMap<TreePath, Vec<Member>>);

impl Groups {
    pub(super) fn add(&mut self, label: TreePath, member: Member) {
        self.0.entry(label).or_default().push(member);
    }

    /// What must be made so that all names of a group lead to one inode.
    ///
    /// `is_in_manifest` says whether the group's first name, the label, is in the wanted tree: if
    /// it was not met there, it lies in a part that is equal and is as it should be.
    pub(super) fn settle<E>(
        self,
        mut is_in_manifest: impl FnMut(&TreePath) -> Result<bool, E>,
    ) -> Result<Vec<Item>, E> {
        let mut items = Vec::new();
        for (label, mut members) in self.0 {
            members.sort_by(|a, b| a.path.cmp(&b.path));
            let first = |standing| members.iter().find(|member| member.standing == standing);
            let mut link_to = first(Standing::Member).map(|member| member.path.clone());
            let was_met = members.iter().any(|member| member.path == label);
            if link_to.is_none() && !was_met && is_in_manifest(&label)? {
                link_to = Some(label);
            }
            if link_to.is_none() {
                link_to = first(Standing::Alone).map(|member| member.path.clone());
            }
            for member in members {
                let Member { path, entry, replaces, standing } = member;
                let entry = Entry { name: Box::default(), ..entry };
                if standing == Standing::Member || link_to.as_ref() == Some(&path) {
                    continue;
                }
                let item = Item { path: path.clone(), entry, replaces, link_to: link_to.clone() };
                // The first name is written if none is there; the rest are names of it.
                link_to.get_or_insert(path);
                items.push(item);
            }
        }
        Ok(items)
    }
}
