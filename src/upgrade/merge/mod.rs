//! What becomes of each path: old release, live tree and new release, merged under the rules.
//!
//! Pure. It runs twice: over the live tree for the plan, and over the safety snapshot for what is
//! wanted. A fate that differs between the two ends the upgrade untouched. Only paths of the two
//! releases have a fate (and what the profile purges); every other path keeps its entry.

#[cfg(test)]
mod tests;
mod wanted;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::tree::{Content, Entry, Kind, TreePath};

pub use wanted::{Placed, Unplaceable, compose, count, regroup};

/// Who decides about a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The operator: preserved by the profile.
    Operator,
    /// Nobody: left over from running, deleted by the profile.
    Purge,
    /// The release.
    Release,
}

/// What to do with a core file that was edited by hand and that the release changes too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Edited {
    /// The upgrade does not start.
    Stop,
    /// The release's comes; the old one stays in the safety snapshot.
    Take,
    /// The edited one stays.
    Keep,
}

/// What becomes of a path, as an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The live entry stays whole: bytes, mode, owner, time. Or there is none, and none comes.
    Keep,
    /// The release's content comes.
    Take,
    /// It goes.
    Delete,
    /// The upgrade does not start until somebody decides.
    Stop,
}

/// What becomes of a path, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// Installed is what the new release ships.
    Same,
    /// New in the release.
    Added,
    /// The old release shipped it, somebody removed it, the new one ships it: a release is whole.
    Restored,
    /// Installed is what the old release shipped; the new one ships another.
    Changed,
    /// Installed is what the old release shipped; the new one has none.
    Removed,
    /// The operator's: stays, whatever the releases hold.
    Preserved,
    /// Edited by hand; the release leaves it alone.
    EditedAlone,
    /// Edited by hand, the release changes or drops it, and yours was chosen.
    EditedKept,
    /// Edited by hand, the release changes it, and theirs was chosen.
    EditedReplaced,
    /// Edited by hand, the release drops it, and theirs was chosen.
    EditedRemoved,
    /// Edited by hand, or of unknown origin, and the release ships another: nobody has chosen.
    Conflict,
    /// Of no release.
    Extra,
    /// Of no release, where the profile allows no such thing.
    ExtraStop,
    /// Left over from running.
    Purged,
    /// Below something that the snapshot does not cover, or behind a link: not ours to write.
    NotCovered,
    /// Only the old release had it, and it is gone already.
    Gone,
}

impl Fate {
    /// What is done.
    pub const fn verdict(self) -> Verdict {
        match self {
            Self::Same
            | Self::Preserved
            | Self::EditedAlone
            | Self::EditedKept
            | Self::Extra
            | Self::NotCovered
            | Self::Gone => Verdict::Keep,
            Self::Added | Self::Restored | Self::Changed | Self::EditedReplaced => Verdict::Take,
            Self::Removed | Self::EditedRemoved | Self::Purged => Verdict::Delete,
            Self::Conflict | Self::ExtraStop => Verdict::Stop,
        }
    }
}

/// What is decided about one path before its three sides are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Who decides.
    pub owner: Owner,
    /// What the profile says about edited files.
    pub edited: Edited,
    /// What was typed for this path: `--keep` or `--take`.
    pub typed: Option<Typed>,
}

/// A decision about one path, typed by a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Typed {
    /// `--keep`.
    Keep,
    /// `--take`.
    Take,
}

/// `base` is what the old release shipped (`None` also when it is not to hand), `mine` what is
/// installed, `theirs` what the new release ships.
pub fn merge<T: PartialEq>(
    rule: Rule,
    base: Option<&T>,
    mine: Option<&T>,
    theirs: Option<&T>,
) -> Fate {
    let untouched = mine == base;
    let took_part = if base.is_some() { Fate::Restored } else { Fate::Added };
    match (mine, theirs) {
        (None, None) => Fate::Gone,
        (None, Some(_)) => took_part, // even if someone deleted it: a release is whole
        (Some(_), _) if rule.owner == Owner::Operator => Fate::Preserved,
        (Some(_), None) if rule.owner == Owner::Purge => Fate::Purged,
        (Some(_), Some(_)) if mine == theirs => Fate::Same,
        (Some(_), Some(_)) if untouched || rule.owner == Owner::Purge => Fate::Changed,
        (Some(_), None) if untouched => Fate::Removed,
        (Some(_), None) if base.is_none() => Fate::Extra, // of neither release: an upload
        (Some(_), Some(_)) if base == theirs => match rule.typed {
            Some(Typed::Take) => Fate::EditedReplaced,
            Some(Typed::Keep) | None => Fate::EditedAlone,
        },
        (Some(_), _) => edited(rule, theirs.is_some()),
    }
}

/// What was typed goes before what the profile says.
fn edited(rule: Rule, shipped: bool) -> Fate {
    let choice = match rule.typed {
        Some(Typed::Keep) => Edited::Keep,
        Some(Typed::Take) => Edited::Take,
        None => rule.edited,
    };
    match (choice, shipped) {
        (Edited::Stop, _) => Fate::Conflict,
        (Edited::Keep, _) => Fate::EditedKept,
        (Edited::Take, true) => Fate::EditedReplaced,
        (Edited::Take, false) => Fate::EditedRemoved,
    }
}

/// What of an entry is compared: what it holds, not who owns it or when it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A file, by the id of its bytes.
    File(Content),
    /// A directory, whatever is in it: its entries have fates of their own.
    Directory,
    /// A link, by where it leads.
    Link(Box<[u8]>),
    /// What no release ships: a device, a socket, a mount point, a database's file.
    Special,
}

impl Shape {
    /// What is compared of `entry`.
    pub fn of(entry: &Entry) -> Self {
        match &entry.kind {
            Kind::File { content, .. } => Self::File(*content),
            Kind::Directory { .. } | Kind::SkippedDirectory => Self::Directory,
            Kind::Symlink { target } => Self::Link(target.clone()),
            Kind::MountPoint
            | Kind::Fifo
            | Kind::Socket
            | Kind::CharDevice { .. }
            | Kind::BlockDevice { .. }
            | Kind::Database { .. } => Self::Special,
        }
    }

    /// One form of bytes for each shape, to be covered by a digest.
    pub fn bytes(&self) -> Vec<u8> {
        let tagged = |tag: u8, bytes: &[u8]| [&[tag], bytes].concat();
        match self {
            Self::File(Content::Empty) => tagged(0, &[]),
            Self::File(Content::Chunk(id)) => tagged(1, id.as_bytes()),
            Self::File(Content::List(id)) => tagged(2, id.as_bytes()),
            Self::Directory => tagged(3, &[]),
            Self::Link(target) => tagged(4, target),
            Self::Special => tagged(5, &[]),
        }
    }
}

/// The entries of one side, of the paths that matter.
pub type Side = BTreeMap<TreePath, Entry>;

/// The rules of one upgrade.
pub struct Rules<'a> {
    /// Who decides about a path.
    pub owner: &'a dyn Fn(&TreePath) -> Owner,
    /// Whether the snapshot covers it: not below a skipped or guarded directory.
    pub covered: &'a dyn Fn(&TreePath) -> bool,
    /// What the profile says about edited files.
    pub edited: Edited,
    /// Whether files of no release stop the upgrade.
    pub extra_stops: bool,
    /// What was typed, for a path and all below it. The nearest one counts.
    pub typed: &'a BTreeMap<TreePath, Typed>,
}

impl Rules<'_> {
    fn typed_for(&self, path: &TreePath) -> Option<Typed> {
        let within = self.typed.iter().filter(|(above, _)| path.is_within(above));
        within.max_by_key(|(above, _)| above.as_bytes().len()).map(|(_, typed)| *typed)
    }

    /// `above` holds the fates of all directories above `path` that have one.
    fn fate(&self, path: &TreePath, sides: &Sides<'_>, above: &Fates) -> Fate {
        if !(self.covered)(path) || sides.is_below_no_directory(path, above) {
            return Fate::NotCovered;
        }
        let shape = |side: &Side| side.get(path).map(Shape::of);
        let (base, mine, theirs) = (shape(sides.base), shape(sides.mine), shape(sides.theirs));
        let (linked, shipped) = (&mine, &theirs);
        // A live link where the release has a directory is kept: the operator moved it away.
        if matches!((linked, shipped), (Some(Shape::Link(_)), Some(Shape::Directory)))
            && mine != base
        {
            return Fate::NotCovered;
        }
        let rule =
            Rule { owner: (self.owner)(path), edited: self.edited, typed: self.typed_for(path) };
        match merge(rule, base.as_ref(), mine.as_ref(), theirs.as_ref()) {
            Fate::Extra if self.extra_stops => Fate::ExtraStop,
            Fate::Same if sides.gains_or_loses_x(path) => Fate::Changed,
            fate => fate,
        }
    }
}

/// What each path of one upgrade becomes.
pub type Fates = BTreeMap<TreePath, Fate>;

/// The three sides that are merged.
#[derive(Clone, Copy)]
pub struct Sides<'a> {
    /// What the old release shipped; empty where it is not to hand.
    pub base: &'a Side,
    /// What is installed.
    pub mine: &'a Side,
    /// What the new release ships.
    pub theirs: &'a Side,
}

impl Sides<'_> {
    /// Whether the releases differ in whether a file runs, and the installed one is as the old one
    /// shipped it. Whoever gave all files one mode has decided otherwise.
    fn gains_or_loses_x(&self, path: &TreePath) -> bool {
        let runs = |side: &Side| match side.get(path) {
            Some(Entry { kind: Kind::File { .. }, meta, .. }) => Some(meta.mode & 0o111 != 0),
            _ => None,
        };
        let (base, mine, theirs) = (runs(self.base), runs(self.mine), runs(self.theirs));
        base.is_some() && base == mine && theirs.is_some() && theirs != base
    }

    /// Whether what lies directly above `path` will be no directory, or is itself not ours.
    fn is_below_no_directory(&self, path: &TreePath, above: &Fates) -> bool {
        let Some(dir) = path.parent() else { return false };
        let mine = self.mine.get(&dir).map(Shape::of);
        match above.get(&dir) {
            Some(Fate::NotCovered) => true,
            Some(fate) if fate.verdict() == Verdict::Keep => {
                mine.is_some_and(|shape| shape != Shape::Directory)
            }
            Some(_) | None => false,
        }
    }
}

/// The fate of each path of the old release, of the new one, and of each live path among `mine`
/// that the profile purges. Other paths of `mine` have one only where `extra_stops`.
pub fn fates(rules: &Rules<'_>, sides: Sides<'_>) -> Fates {
    let own =
        sides.mine.keys().filter(|path| rules.extra_stops || (rules.owner)(path) == Owner::Purge);
    let paths: BTreeSet<&TreePath> =
        sides.base.keys().chain(sides.theirs.keys()).chain(own).collect();
    let mut fates = Fates::new();
    // In path order, so that a directory's fate is known before those of its entries.
    for path in paths {
        let fate = rules.fate(path, &sides, &fates);
        fates.insert(path.clone(), fate);
    }
    fates
}
