//! The wanted tree: what T0 held, with the verdicts carried out, stored as a tree of its own.

use std::collections::{BTreeMap, BTreeSet};

use crate::app::App;
use crate::app::rules::{self, Rules as FileRules};
use crate::repository::{Bundle, ChunkId, Repository};
use crate::tree::edit::{Edit, edit, empty_directory};
use crate::tree::read::{Entries, find, read_dir};
use crate::tree::{Entry, Exclusions, Kind, TreePath};

use super::UpgradeError;
use super::merge::{Edited, Fates, Owner, Placed, Rules, Side, Sides, Typed, Verdict};
use super::merge::{compose, fates, regroup};

/// The rules of one application, as the merge asks them.
pub(super) struct AppRules<'a> {
    rules: &'a FileRules,
    exclusions: &'a Exclusions,
    edited: Edited,
    extra_stops: bool,
    typed: &'a BTreeMap<TreePath, Typed>,
}

impl<'a> AppRules<'a> {
    pub(super) fn of(
        app: &'a App,
        exclusions: &'a Exclusions,
        typed: &'a BTreeMap<TreePath, Typed>,
    ) -> Self {
        let files = &app.profile.files;
        let edited = match files.edited {
            crate::app::profile::Edited::Stop => Edited::Stop,
            crate::app::profile::Edited::Take => Edited::Take,
            crate::app::profile::Edited::Keep => Edited::Keep,
        };
        let extra_stops = files.extra == crate::app::profile::Extra::Stop;
        Self { rules: &app.rules, exclusions, edited, extra_stops, typed }
    }

    pub(super) fn owner(&self, path: &TreePath) -> Owner {
        match self.rules.owner(path) {
            rules::Owner::Secret | rules::Owner::Operator => Owner::Operator,
            rules::Owner::Purge => Owner::Purge,
            rules::Owner::Release => Owner::Release,
        }
    }

    /// Whether `path` may have a fate at all, given the paths of the two releases.
    pub(super) fn matters(&self, path: &TreePath, shipped: &BTreeSet<TreePath>) -> bool {
        self.extra_stops || shipped.contains(path) || self.owner(path) == Owner::Purge
    }

    /// Whether `path` is one of the operator's own files that a plan looks at, not one of the many
    /// below a `**`, which are uploads.
    pub(super) fn is_configuration(&self, path: &TreePath) -> bool {
        self.owner(path) == Owner::Operator
            && self.rules.reason(path).is_some_and(|pattern| !pattern.contains("**"))
    }

    pub(super) fn fates(&self, sides: Sides<'_>) -> Fates {
        let owner = |path: &TreePath| self.owner(path);
        let covered = |path: &TreePath| !self.exclusions.is_untouchable(path);
        let rules = Rules {
            owner: &owner,
            covered: &covered,
            edited: self.edited,
            extra_stops: self.extra_stops,
            typed: self.typed,
        };
        fates(&rules, sides)
    }
}

/// Every entry of a stored tree: a release's, which is bounded by what its authors ship.
pub(super) fn whole(repository: &Repository, root: &Entry) -> Result<Side, UpgradeError> {
    Entries::below(repository, root).collect::<Result<Side, _>>().map_err(UpgradeError::from)
}

/// The entries of a stored tree that matter.
pub(super) fn some(
    repository: &Repository,
    root: &Entry,
    matters: impl Fn(&TreePath) -> bool,
) -> Result<Side, UpgradeError> {
    let entries = Entries::below(repository, root);
    let chosen = entries.filter(|one| one.as_ref().map_or(true, |(path, _)| matters(path)));
    chosen.collect::<Result<Side, _>>().map_err(UpgradeError::from)
}

/// Carries the fates out on T0's tree, and stores the result. Returns its root object and the
/// paths that may be deleted.
pub(super) fn build(
    repository: &Repository,
    bundle: &mut Bundle<'_>,
    root: &Entry,
    fates: &Fates,
    sides: Sides<'_>,
) -> Result<(ChunkId, BTreeSet<TreePath>), UpgradeError> {
    let names = |dir: &TreePath| -> Result<Vec<Box<[u8]>>, UpgradeError> {
        match find(repository, root, dir)?.map(|entry| entry.kind) {
            Some(Kind::Directory { object }) => {
                let entries = read_dir(repository, &object)?;
                Ok(entries.into_iter().map(|entry| entry.name).collect())
            }
            _ => Ok(Vec::new()),
        }
    };
    let mut placed = compose(fates, sides, &root.meta, names)?;
    let linked = some_linked(repository, root)?;
    regroup(&linked, &mut placed);
    let gone = deleted(fates, &placed);
    let empty = empty_directory(repository);
    let edits: BTreeMap<TreePath, Edit> = placed
        .into_iter()
        .map(|(path, placed)| {
            let change = match placed {
                Placed::Directory(meta) => {
                    let kind = Kind::Directory { object: empty };
                    Edit::Put(Entry { name: path.name().into(), meta, kind, link_group: None })
                }
                Placed::Entry(entry) => Edit::Put(*entry),
                Placed::Nothing => Edit::Delete,
            };
            (path, change)
        })
        .collect();
    Ok((edit(repository, bundle, root, edits)?, gone))
}

/// Entries in link groups: few, whatever the size of the tree.
fn some_linked(repository: &Repository, root: &Entry) -> Result<Side, UpgradeError> {
    let entries = Entries::below(repository, root);
    let chosen =
        entries.filter(|one| one.as_ref().map_or(true, |(_, entry)| entry.link_group.is_some()));
    chosen.collect::<Result<Side, _>>().map_err(UpgradeError::from)
}

/// What may be deleted: what the verdicts say, and nothing else.
fn deleted(fates: &Fates, placed: &BTreeMap<TreePath, Placed>) -> BTreeSet<TreePath> {
    let gone = placed.iter().filter(|(path, change)| {
        **change == Placed::Nothing
            && fates.get(*path).is_some_and(|fate| fate.verdict() == Verdict::Delete)
    });
    gone.map(|(path, _)| path.clone()).collect()
}

/// The first path whose fate is another than planned, and both fates.
pub(super) fn first_difference(planned: &Fates, now: &Fates) -> Option<UpgradeError> {
    let paths: BTreeSet<&TreePath> = planned.keys().chain(now.keys()).collect();
    paths.into_iter().find_map(|path| {
        let (was, is) = (planned.get(path).copied(), now.get(path).copied());
        // Left over from running: what lies there changes all the time.
        let passing = |fate: Option<super::merge::Fate>| {
            matches!(fate, None | Some(super::merge::Fate::Purged))
        };
        (was != is && !(passing(was) && passing(is))).then(|| UpgradeError::FateChanged {
            path: path.to_string(),
            planned: was,
            now: is,
        })
    })
}
