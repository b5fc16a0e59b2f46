//! Finds in live trees what a damaged repository has lost.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::annex::{Annex, RootAnnex};
use super::live::survey;
use super::needs::{Lost, Part};
use super::record::{Class, Root, Snapshot};
use super::source::{Memory, Source};
use super::take::{Request, prepare};
use super::{Examined, SnapshotError};
use crate::monitor::{Monitor, News};
use crate::repository::{Repository, Writer};
use crate::tree::walk::Walker;
use crate::tree::{Exclusions, TreePath, read};

/// How many of the files that snapshots lack lie on this machine as they were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OnDisk {
    /// Files that are lacking, each counted in every snapshot that lacks it.
    pub lacking: u64,
    /// Of those, files that are there with the same content.
    pub there: u64,
}

/// A root, with the newest snapshot that lacks something of it.
struct Hurt<'a> {
    snapshot: &'a Snapshot,
    root: &'a Root,
}

/// The roots that lack something, each place once, as the newest snapshot knows it.
fn hurt_roots(examined: &Examined) -> Vec<Hurt<'_>> {
    let mut places: BTreeMap<&Path, Hurt<'_>> = BTreeMap::new();
    for hurt in &examined.hurt {
        let Some(snapshot) = examined.snapshots.iter().find(|one| one.id == hurt.snapshot) else {
            continue;
        };
        for root in &snapshot.roots {
            let lacks = hurt.lost.iter().any(|lost| is_in(&lost.part, root));
            if lacks && root.path.exists() {
                // Snapshots come with the oldest first: the last one stays.
                places.insert(&root.path, Hurt { snapshot, root });
            }
        }
    }
    places.into_values().collect()
}

fn is_in(part: &Part, root: &Root) -> bool {
    matches!(part, Part::Tree { root: label, .. } if *label == root.label)
}

/// Looks for the files that are lacking, and stores nothing.
pub fn on_disk(
    repository: &Repository,
    examined: &Examined,
    monitor: &dyn Monitor,
) -> Result<OnDisk, SnapshotError> {
    let mut found = OnDisk::default();
    for hurt in &examined.hurt {
        let Some(snapshot) = examined.snapshots.iter().find(|one| one.id == hurt.snapshot) else {
            continue;
        };
        for root in &snapshot.roots {
            let wanted = lacking(&hurt.lost, root);
            found.lacking += wanted.len() as u64;
            if wanted.is_empty() || !root.path.is_dir() {
                continue;
            }
            let source = source_of(repository, snapshot, root)?;
            let want = |path: &TreePath| wanted.contains(path);
            let live = survey(repository, &source, Memory::default(), &want, monitor)?;
            for (path, entry) in live {
                let stored = read::find(repository, &root.entry, &path)?;
                found.there += u64::from(stored.is_some_and(|stored| stored.kind == entry.kind));
            }
        }
    }
    Ok(found)
}

fn lacking(lost: &[Lost], root: &Root) -> BTreeSet<TreePath> {
    let file = |lost: &Lost| match &lost.part {
        Part::Tree { path: Some(path), is_directory: false, .. } if is_in(&lost.part, root) => {
            Some(path.clone())
        }
        _ => None,
    };
    lost.iter().filter_map(file).collect()
}

/// Reads the live trees again whose snapshots lack something; what `writer` lacks of them is
/// stored. Nothing is believed that was remembered of them.
pub fn refill(
    writer: &Writer<'_>,
    examined: &Examined,
    monitor: &dyn Monitor,
) -> Result<(), SnapshotError> {
    let repository = writer.repository();
    for Hurt { snapshot, root } in hurt_roots(examined) {
        let source = source_of(repository, snapshot, root)?;
        let request = Request {
            class: Class::User,
            source: snapshot.source.clone(),
            sources: std::slice::from_ref(&source),
            app: None,
            attachments: Vec::new(),
            tags: Vec::new(),
            note: None,
            memory: Memory::default(),
            walker: Walker::Fast,
            threads: None,
        };
        match prepare(writer, request, monitor) {
            Ok(_) => {}
            Err(error @ SnapshotError::Repository(_)) => return Err(error),
            Err(error) => {
                let what = format!("{} gives nothing back: {error}", root.path.display());
                monitor.tell(News::Warning { what });
            }
        }
    }
    Ok(())
}

/// The live root, looked at as it was when the snapshot was taken: else equal directories would
/// have other objects.
fn source_of(
    repository: &Repository,
    snapshot: &Snapshot,
    root: &Root,
) -> Result<Source, SnapshotError> {
    // The annex may be what is lost.
    let annex = Annex::read(repository, &snapshot.annex).unwrap_or_default();
    let recorded = annex.roots.get(&root.label).map(RootAnnex::recorded).unwrap_or_default();
    let exclusions = Exclusions::compile(root.rules.clone())?.as_recorded(recorded);
    Ok(Source { label: root.label.clone(), path: root.path.clone(), exclusions })
}
