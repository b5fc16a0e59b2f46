//! What could not be put back, for want of a right or of a feature, and where: whoever proves the
//! tree afterwards excuses just that, and nothing beside it.

use crate::monitor::Problem;
use crate::tree::place::{Loss, SET_ID_BITS};
use crate::tree::{Meta, TreePath, Xattr};

/// So many are held by name, for whoever keeps a history; each was told when it was met.
const NAMED_MAX: usize = 1_000;

/// How much was lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LossCounts {
    /// Inodes that have another owner.
    pub owners: u64,
    /// Extended attributes that are missing, or too many.
    pub attributes: u64,
    /// Devices and the like that were not made.
    pub specials: u64,
    /// Inodes without their immutable or append-only flag.
    pub flags: u64,
}

impl LossCounts {
    /// How many there are.
    pub const fn count(&self) -> u64 {
        self.owners + self.attributes + self.specials + self.flags
    }

    /// Both together.
    #[must_use]
    pub const fn plus(&self, other: &Self) -> Self {
        Self {
            owners: self.owners + other.owners,
            attributes: self.attributes + other.attributes,
            specials: self.specials + other.specials,
            flags: self.flags + other.flags,
        }
    }
}

/// What was lost. Apart from what is held by name it takes 8 bytes a loss.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// How much.
    pub counts: LossCounts,
    named: Vec<Problem>,
    /// What was lost where, as [`note_of`] has it, in order once all are there.
    notes: Vec<u64>,
}

impl Losses {
    /// The first of them.
    pub fn named(&self) -> &[Problem] {
        &self.named
    }

    /// Something of the inode whose first name is `inode` was lost.
    pub(super) fn add(&mut self, inode: Option<&TreePath>, loss: &Loss, problem: Problem) {
        let count = match loss {
            Loss::Owner => &mut self.counts.owners,
            Loss::Attribute(_) => &mut self.counts.attributes,
            Loss::Special => &mut self.counts.specials,
            Loss::Flags => &mut self.counts.flags,
        };
        *count += 1;
        self.notes.push(note_of(inode, loss));
        if self.named.len() < NAMED_MAX {
            self.named.push(problem);
        }
    }

    /// All are there.
    pub(super) fn settled(mut self) -> Self {
        self.named.sort_by(|a, b| a.path.cmp(&b.path));
        self.notes.sort_unstable();
        self
    }

    fn has(&self, inode: Option<&TreePath>, loss: &Loss) -> bool {
        self.notes.binary_search(&note_of(inode, loss)).is_ok()
    }

    /// Whether an inode has all of `wanted` but for what was lost there.
    pub(super) fn excuse(&self, inode: Option<&TreePath>, wanted: &Meta, live: &Meta) -> bool {
        if self.notes.is_empty() {
            return false;
        }
        let lacks = |xattr: &Xattr| self.has(inode, &Loss::Attribute(xattr.name.clone()));
        let kept = |meta: &Meta| -> Vec<Xattr> {
            meta.xattrs.iter().filter(|xattr| !lacks(xattr)).cloned().collect()
        };
        let mut possible = Meta { xattrs: kept(wanted), ..wanted.clone() };
        if self.has(inode, &Loss::Owner) {
            possible.mode &= !SET_ID_BITS;
            (possible.uid, possible.gid) = (live.uid, live.gid);
        }
        possible == Meta { xattrs: kept(live), ..live.clone() }
    }

    /// Whether something that is not there could not be made.
    pub(super) fn excuse_absence(&self, inode: Option<&TreePath>) -> bool {
        self.has(inode, &Loss::Special)
    }
}

/// 64 bits of what was lost where: of a million entries one that was lost nowhere is excused once
/// in 10^13.
fn note_of(inode: Option<&TreePath>, loss: &Loss) -> u64 {
    let (kind, name) = match loss {
        Loss::Owner => (0, &b""[..]),
        Loss::Attribute(name) => (1, &**name),
        Loss::Special => (2, &b""[..]),
        Loss::Flags => (3, &b""[..]),
    };
    let path = inode.map_or(&b""[..], TreePath::as_bytes);
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[kind]).update(&(name.len() as u64).to_le_bytes()).update(name).update(path);
    let hash = hasher.finalize();
    u64::from_le_bytes(*hash.as_bytes().first_chunk().expect("a hash has 32 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_lost_and_only_where_it_was_lost_is_excused() {
        let at = |path: &str| TreePath::parse(path.as_bytes()).unwrap();
        let xattr = |name: &str| Xattr { name: name.as_bytes().into(), value: [1].into() };
        let wanted = Meta { mode: 0o4755, uid: 7, xattrs: vec![xattr("a")], ..Meta::default() };
        let without_owner = Meta { mode: 0o755, uid: 9, ..wanted.clone() };
        let bare = Meta { xattrs: Vec::new(), ..without_owner.clone() };
        let mut losses = Losses::default();
        let told = || Problem { path: "x".into(), what: "lost".into() };
        losses.add(Some(&at("x")), &Loss::Owner, told());
        losses.add(Some(&at("y")), &Loss::Owner, told());
        losses.add(Some(&at("y")), &Loss::Attribute(b"a".as_slice().into()), told());
        losses.add(Some(&at("z")), &Loss::Special, told());
        let losses = losses.settled();
        let excuse = |path: &str, live: &Meta| losses.excuse(Some(&at(path)), &wanted, live);
        assert!(excuse("x", &without_owner) && !excuse("x", &bare));
        assert!(excuse("y", &without_owner) && excuse("y", &bare));
        assert!(!excuse("other", &without_owner) && !losses.excuse(None, &wanted, &bare));
        // Whoever did not get the owner must not have its bits, nor other ones.
        assert!(!excuse("x", &Meta { mode: 0o4755, ..without_owner.clone() }));
        assert!(!excuse("x", &Meta { mode: 0o777, ..without_owner }));
        assert!(losses.excuse_absence(Some(&at("z"))) && !losses.excuse_absence(Some(&at("x"))));
        assert_eq!((losses.counts.count(), losses.counts.owners, losses.named().len()), (4, 2, 4));
    }
}
