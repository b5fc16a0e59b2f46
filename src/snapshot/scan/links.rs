//! Files with several names: read once, whatever their names, and grouped by the first of them.

use std::collections::HashMap;
use std::mem;
use std::sync::{Arc, Mutex};

use super::node::{Node, Slot};
use crate::os::meta::Inode;
use crate::tree::TreePath;

/// One name of an inode, and where its entry goes.
pub(super) struct Member {
    pub(super) node: Arc<Node>,
    pub(super) slot: usize,
    pub(super) path: TreePath,
}

/// All names of an inode that were found, and what the inode is.
pub(super) struct Group {
    pub(super) found: Slot,
    pub(super) members: Vec<Member>,
}

/// The inodes with several names of which not all were found yet.
#[derive(Default)]
pub(super) struct Links {
    open: Mutex<HashMap<Inode, Open>>,
}

#[derive(Default)]
struct Open {
    /// Unset while it is being read.
    found: Option<Slot>,
    members: Vec<Member>,
}

/// What whoever found a name does next.
pub(super) enum Next {
    /// It is the first: read the inode, then call [`Links::found`].
    Read,
    /// Somebody else reads it, or names are missing.
    Wait,
    /// All names are found.
    Settle(Box<Group>),
}

impl Links {
    /// A name of an inode that has `links` names was found.
    pub(super) fn register(&self, inode: Inode, links: u32, member: Member) -> Next {
        let mut open = self.open.lock().expect("no holder of this lock panics");
        let group = open.entry(inode).or_default();
        group.members.push(member);
        if group.members.len() == 1 {
            return Next::Read;
        }
        settle(&mut open, inode, links).map_or(Next::Wait, |group| Next::Settle(Box::new(group)))
    }

    /// The inode was read. The group, if all of its names are found.
    pub(super) fn found(&self, inode: Inode, links: u32, slot: Slot) -> Option<Group> {
        let mut open = self.open.lock().expect("no holder of this lock panics");
        open.get_mut(&inode)?.found = Some(slot);
        settle(&mut open, inode, links)
    }

    /// The walk is over: the names that are missing lie outside.
    pub(super) fn settle_all(&self) -> Vec<Group> {
        let open = mem::take(&mut *self.open.lock().expect("no holder of this lock panics"));
        let close = |open: Open| Group { found: open.found.flatten(), members: open.members };
        open.into_values().map(close).collect()
    }
}

fn settle(open: &mut HashMap<Inode, Open>, inode: Inode, links: u32) -> Option<Group> {
    let group = open.get(&inode)?;
    if group.found.is_none() || group.members.len() < links as usize {
        return None;
    }
    let Open { found, members } = open.remove(&inode)?;
    Some(Group { found: found.flatten(), members })
}

impl Group {
    /// The entry for each place: the same but for the name, and grouped if there are several.
    pub(super) fn slots(self) -> Vec<(Member, Slot)> {
        let several = self.members.len() > 1;
        let first = self.members.iter().map(|member| &member.path).min().filter(|_| several);
        let first = first.cloned();
        let slot_of = |member: Member| {
            let slot = self.found.clone().map(|(mut entry, mark)| {
                entry.name = member.path.name().into();
                entry.link_group.clone_from(&first);
                (entry, mark)
            });
            (member, slot)
        };
        self.members.into_iter().map(slot_of).collect()
    }
}
