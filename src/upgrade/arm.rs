//! Step 6: what was taken is read back, what is wanted is computed, and the way home is armed.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;

use crate::repository::{ChunkId, PackClass, Repository, WriteOptions, Writer};
use crate::snapshot::{self, Annex, Root, RootAnnex, Snapshot};
use crate::tree::edit::{Edit, edit};
use crate::tree::read::find;
use crate::tree::{Kind, Mtime, TreePath};

use super::UpgradeError;
use super::armed::Armed;
use super::context::Context;
use super::course::{Course, Done, done};
use super::covered::Covered;
use super::event::{ArmedDatabase, ArmedRecord, ArmedRoot, Label};
use super::journal::Number;
use super::merge::{Side, Sides};
use super::plan::{Aim, Plan, PlannedRelease, PlannedRestore};
use super::safety::{Home, Taken, try_out};
use super::services::Services;
use super::stored::Digest;
use super::wanted::{self, AppRules};
use crate::os::crash::{CrashPoint, reach};

/// Everything that the change and the way back need.
pub(super) struct Ready<'c> {
    pub(super) armed: Armed,
    pub(super) home: Home,
    /// One for each source, in the same order.
    pub(super) roots: Vec<WantedRoot>,
    /// What the new release ships.
    pub(super) theirs: Side,
    /// Keeps what is wanted from being pruned until it is on the disk.
    pub(super) lease: Option<Writer<'c>>,
}

/// What one root is to become.
pub(super) struct WantedRoot {
    /// As a snapshot would hold it.
    pub(super) root: Root,
    /// What such a snapshot carries beside it.
    pub(super) annex: Option<RootAnnex>,
    /// What may be deleted in it.
    pub(super) deletes: MayGo,
}

impl WantedRoot {
    /// A root as a snapshot holds it.
    pub(super) fn of(
        repository: &Repository,
        snapshot: &Snapshot,
        label: &str,
        deletes: MayGo,
    ) -> Result<Self, UpgradeError> {
        let root = snapshot.root(label).ok_or_else(|| missing(label))?.clone();
        let mut annex = Annex::read(repository, &snapshot.annex)?;
        let annex = annex.roots.remove(label);
        Ok(Self { root, annex, deletes })
    }
}

/// See [`WantedRoot::deletes`].
pub(super) enum MayGo {
    /// What the verdicts say.
    Only(BTreeSet<TreePath>),
    /// All that the wanted tree lacks.
    All,
    /// Nothing.
    Nothing,
}

/// Step 6.
pub(super) fn arm<'c>(
    ctx: &Context<'c>,
    course: &mut Course<'_>,
    plan: &Plan,
    covered: &mut Covered,
    taken: &Taken,
    services: &Services,
) -> Result<Done<Ready<'c>>, UpgradeError> {
    let writer = ctx.repository.begin(&WriteOptions::default())?;
    let label = try_out(ctx, covered, &writer, taken, plan)?;
    let home = Home::of(ctx.repository, plan, &taken.snapshot, &ctx.ground.scratch_dir())?;
    let (mut roots, theirs) = match &plan.aim {
        Aim::Upgrade(release) => for_release(ctx, plan, release, &home, &taken.snapshot, &writer)?,
        Aim::Restore(restore) => {
            (for_restore(ctx.repository, restore, &home, &taken.snapshot)?, Side::new())
        }
    };
    let switches = match &plan.aim {
        Aim::Upgrade(_) => Switches { shut: services.files(), earlier: services.files() },
        Aim::Restore(restore) => {
            let earlier = match restore.undoes {
                Some(number) => {
                    let undone = course.journal.transaction(Number(number))?;
                    Services::again(&undone, Some(ctx.repository))?.files()
                }
                None => Vec::new(),
            };
            Switches { shut: services.files(), earlier }
        }
    };
    if let Some(own) = roots.first_mut() {
        // What was built can be read once it is synced.
        writer.sync()?;
        switches.keep_shut(ctx.repository, &writer, &taken.snapshot, own)?;
    }
    writer.sync()?;
    reach(CrashPoint::WantedStored);
    let record = record(&home, &taken.snapshot, label, &roots)?;
    let armed = Armed::arm(course, ctx.repository, record)?;
    let note = format!("the way back is {}; nothing was changed until here", label.name());
    Ok(done(Ready { armed, home, roots, theirs, lease: Some(writer) }, note))
}

/// Switches that are files of the application's own root. They are no content: a tree that comes
/// back must neither open the site before the commit nor leave the traces of having shut it.
struct Switches {
    /// What shuts the site now, and stays as it is.
    shut: Vec<(TreePath, Mtime)>,
    /// The times that directories had before a switch in them was turned.
    earlier: Vec<(TreePath, Mtime)>,
}

impl Switches {
    fn keep_shut(
        &self,
        repository: &Repository,
        writer: &Writer<'_>,
        t0: &Snapshot,
        wanted: &mut WantedRoot,
    ) -> Result<(), UpgradeError> {
        let shut_root = t0.root(&wanted.root.label).ok_or_else(|| missing(&wanted.root.label))?;
        let mut edits = BTreeMap::new();
        for (path, _) in &self.shut {
            let is_there = path.parent().is_none_or(|dir| {
                find(repository, &wanted.root.entry, &dir).is_ok_and(|found| found.is_some())
            });
            if let Some(entry) = find(repository, &shut_root.entry, path)?.filter(|_| is_there) {
                edits.insert(path.clone(), Edit::Put(entry));
            }
        }
        for (path, mtime) in &self.earlier {
            let dir = path.parent();
            if let Some(annex) = &mut wanted.annex
                && let Some(time) = annex.directory_mtimes.get_mut(&dir)
            {
                *time = *mtime;
                continue;
            }
            let Some(dir) = dir else {
                wanted.root.entry.meta.mtime = *mtime;
                continue;
            };
            if let Some(mut entry) = find(repository, &wanted.root.entry, &dir)? {
                entry.meta.mtime = *mtime;
                edits.insert(dir, Edit::Put(entry));
            }
        }
        if edits.is_empty() {
            return Ok(());
        }
        let mut bundle = writer.bundle(PackClass::Metadata);
        let object = edit(repository, &mut bundle, &wanted.root.entry, edits);
        // A bundle that is dropped half full makes its run fail, whatever went wrong.
        bundle.finish()?;
        wanted.root.entry.kind = Kind::Directory { object: object? };
        Ok(())
    }
}

/// The same merge as the plan's, over T0; a fate that differs ends the upgrade.
fn for_release(
    ctx: &Context<'_>,
    plan: &Plan,
    release: &PlannedRelease,
    home: &Home,
    t0: &Snapshot,
    writer: &Writer<'_>,
) -> Result<(Vec<WantedRoot>, Side), UpgradeError> {
    let repository = ctx.repository;
    let theirs = release_tree(repository, &release.snapshot)?;
    let base = release.base.as_ref().map(|base| release_tree(repository, base)).transpose()?;
    let base = base.unwrap_or_default();
    let shipped: BTreeSet<TreePath> = base.keys().chain(theirs.keys()).cloned().collect();
    let typed = plan.decisions();
    let mut roots = Vec::new();
    for (index, source) in home.covered.sources.iter().enumerate() {
        let mut wanted_root = WantedRoot::of(repository, t0, &source.label, MayGo::Nothing)?;
        if index > 0 {
            // Directories outside the application's root are not the release's.
            roots.push(wanted_root);
            continue;
        }
        let root = wanted_root.root.clone();
        let rules = AppRules::of(&home.app, &source.exclusions, &typed);
        let mine = wanted::some(repository, &root.entry, |path| rules.matters(path, &shipped))?;
        let sides = Sides { base: &base, mine: &mine, theirs: &theirs };
        let fates = rules.fates(sides);
        if let Some(error) = wanted::first_difference(&plan.fates(), &fates) {
            return Err(error);
        }
        let mut bundle = writer.bundle(PackClass::Metadata);
        let built = wanted::build(repository, &mut bundle, &root.entry, &fates, sides);
        // A bundle that is dropped half full makes its run fail, whatever went wrong.
        bundle.finish()?;
        let (object, gone) = built?;
        wanted_root.root.entry.kind = Kind::Directory { object };
        wanted_root.deletes = MayGo::Only(gone);
        roots.push(wanted_root);
    }
    Ok((roots, theirs))
}

fn release_tree(repository: &Repository, id: &Digest) -> Result<Side, UpgradeError> {
    let missing = || UpgradeError::NoRelease { id: id.to_string() };
    let release = snapshot::open(repository, &id.object())?.ok_or_else(missing)?;
    let root = release.roots.first().ok_or_else(missing)?;
    wanted::whole(repository, &root.entry)
}

/// What a snapshot holds, or T0 itself for what is not to come back.
fn for_restore(
    repository: &Repository,
    restore: &PlannedRestore,
    home: &Home,
    t0: &Snapshot,
) -> Result<Vec<WantedRoot>, UpgradeError> {
    let target = snapshot::open(repository, &restore.snapshot.object())?
        .ok_or_else(|| UpgradeError::NoRelease { id: restore.snapshot.to_string() })?;
    let wanted = |source: &snapshot::Source| {
        let from = if restore.files { &target } else { t0 };
        let deletes = if restore.files && restore.delete { MayGo::All } else { MayGo::Nothing };
        WantedRoot::of(repository, from, &source.label, deletes)
    };
    home.covered.sources.iter().map(wanted).collect()
}

fn missing(label: &str) -> UpgradeError {
    UpgradeError::NoWayBack { what: format!("{label} is not in the snapshot") }
}

fn object_of(root: &Root) -> Result<ChunkId, UpgradeError> {
    let what = || format!("{} is no directory", root.path.display());
    match root.entry.kind {
        Kind::Directory { object } => Ok(object),
        _ => Err(UpgradeError::NoWayBack { what: what() }),
    }
}

fn record(
    home: &Home,
    t0: &Snapshot,
    label: Label,
    wanted: &[WantedRoot],
) -> Result<ArmedRecord, UpgradeError> {
    let mut roots = Vec::new();
    for (source, wanted) in home.covered.sources.iter().zip(wanted) {
        let stat = std::fs::metadata(&source.path).map_err(|error| UpgradeError::Io {
            doing: "look at",
            path: source.path.clone(),
            source: error,
        })?;
        roots.push(ArmedRoot {
            label: source.label.clone(),
            path: source.path.clone(),
            device: stat.dev(),
            inode: stat.ino(),
            wanted: Digest::from(object_of(&wanted.root)?),
        });
    }
    Ok(ArmedRecord {
        safety: Digest::from(t0.id),
        files_digest: Digest(t0.files_digest),
        databases: t0
            .databases
            .iter()
            .map(|mark| ArmedDatabase {
                name: mark.name.clone(),
                fingerprint: Digest(mark.fingerprint),
                identity: mark.identity.clone(),
            })
            .collect(),
        label,
        roots,
    })
}
