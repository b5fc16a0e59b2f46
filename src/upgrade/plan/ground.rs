//! What an application stands on: its directories, its file systems, its databases, its
//! neighbours. Looks only.

use std::path::{Path, PathBuf};

use crate::app::App;
use crate::database::{Address, Consistency, Database, DatabaseError};
use crate::os::{limits, meta, volume};
use crate::snapshot::{self, Source};

use super::super::context::Context;
use super::super::covered::{Covered, no_one_instant};
use super::super::event::Label;
use super::super::history;
use super::super::{UpgradeError, chain, lock};
use super::extent::{Extent, extent};
use super::gather::can_be_proved;
use super::{Refusal, RefusalKind, Space};

/// What was found about the places.
#[derive(Clone, Debug, Default)]
pub(super) struct Place {
    pub(super) refusals: Vec<Refusal>,
    pub(super) uncovered: Vec<String>,
    pub(super) risks: Vec<String>,
    /// A file system whose promises are not known: its path and name.
    pub(super) unknown_file_system: Option<String>,
    /// Of all roots together.
    pub(super) bytes: u64,
    pub(super) entries: u64,
}

/// Looks at every place that takes part.
pub(super) fn look(
    ctx: &Context<'_>,
    app: &App,
    covered: &Covered,
    neighbours: &[App],
) -> Result<Place, UpgradeError> {
    let mut place = Place::default();
    place.refusals.extend(open_transactions(ctx, app, covered)?);
    if place.refusals.is_empty() {
        place.refusals.extend(locked(ctx, app, covered));
    }
    place.refusals.extend(storage(ctx));
    place.refusals.extend(unwritable(ctx));
    place.refusals.extend(few_files());
    for source in &covered.sources {
        place.refusals.extend(nested(ctx, app, source, neighbours));
        let extent = extent(source);
        place.bytes += extent.bytes;
        place.entries += extent.entries;
        place.refusals.extend(not_ours(&extent));
        place.risks.extend(
            extent
                .leftovers
                .iter()
                .map(|path| format!("{} was left by an earlier transaction", path.display())),
        );
        for mount in volume::mounts_below(&source.path).unwrap_or_default() {
            place.uncovered.push(format!("{} (another file system)", mount.display()));
        }
        let volume = at(&source.path)?;
        if !volume.is_known {
            let what = format!("{} is on {}", source.path.display(), volume.name);
            place.unknown_file_system = Some(what);
        }
    }
    place.refusals.extend(shared_schemas(app, neighbours));
    if !meta::is_root() {
        place.risks.push("not recovered at boot: that needs root".to_owned());
    } else if ctx.key_file.is_none() {
        place.risks.push("not recovered at boot: there is no machine key file".to_owned());
    }
    Ok(place)
}

fn at(path: &Path) -> Result<volume::Volume, UpgradeError> {
    volume::at(path).map_err(|source| UpgradeError::Io {
        doing: "look at the file system of",
        path: path.to_owned(),
        source,
    })
}

fn refusal(kind: RefusalKind, what: String) -> Refusal {
    Refusal { kind, what }
}

/// Transactions of this application, or over a directory of its own, that are not settled.
fn open_transactions(
    ctx: &Context<'_>,
    app: &App,
    covered: &Covered,
) -> Result<Vec<Refusal>, UpgradeError> {
    let mut refusals = Vec::new();
    for told in history::unfinished(ctx.ground.state_dir)? {
        let roots = told.plan.iter().flat_map(|plan| &plan.roots);
        let overlaps = roots
            .into_iter()
            .any(|root| covered.sources.iter().any(|source| overlap(&root.path, &source.path)));
        let own: Vec<PathBuf> = covered.sources.iter().map(|source| source.path.clone()).collect();
        let busy = lock::held_by_another(ctx.ground.state_dir, &told.header.app, &own);
        if let (true, Some(holder)) = (told.header.app == app.name, busy) {
            // Whoever works on it will settle it; nobody is to recover under their hands.
            let what = format!("{} is locked by {holder}", app.name);
            refusals.push(refusal(RefusalKind::Locked, what));
        } else if told.header.app == app.name || overlaps {
            let what = format!(
                "transaction {} of {} is not finished",
                told.header.number, told.header.app
            );
            refusals.push(refusal(RefusalKind::OpenTransaction, what));
        }
    }
    Ok(refusals)
}

/// Whoever works on it with another journal: another user, or a backup.
fn locked(ctx: &Context<'_>, app: &App, covered: &Covered) -> Option<Refusal> {
    let own: Vec<PathBuf> = covered.sources.iter().map(|source| source.path.clone()).collect();
    let holder = lock::held_by_another(ctx.ground.state_dir, &app.name, &own)?;
    Some(refusal(RefusalKind::Locked, format!("{} is locked by {holder}", app.name)))
}

fn overlap(one: &Path, other: &Path) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

/// The way back must lie on a disk of this machine.
fn storage(ctx: &Context<'_>) -> Option<Refusal> {
    let location = ctx.repository.location();
    (!ctx.repository.is_local()).then(|| {
        let what = format!("the repository {} is not on a local file system", location.display());
        refusal(RefusalKind::Storage, what)
    })
}

/// The journal of the way back is written before anything else is.
fn unwritable(ctx: &Context<'_>) -> Option<Refusal> {
    let dir = ctx.ground.state_dir;
    let existing = dir.ancestors().find(|above| above.exists())?;
    let error = volume::may_write(existing).err()?;
    let what = format!("the state directory {} cannot be written: {error}", dir.display());
    Some(refusal(RefusalKind::Storage, what))
}

/// How many files a process must be allowed to have open: the way back opens what no step before it
/// had to.
const OPEN_FILES: u64 = 256;

/// The way back must not fail for want of descriptors.
fn few_files() -> Option<Refusal> {
    let allowed = limits::open_files().filter(|allowed| *allowed < OPEN_FILES)?;
    let what =
        format!("only {allowed} files may be open at once (ulimit -n): {OPEN_FILES} are needed");
    Some(refusal(RefusalKind::Preflight, what))
}

/// What a rollback would overwrite must not hold what the rollback needs.
fn nested(ctx: &Context<'_>, app: &App, source: &Source, neighbours: &[App]) -> Vec<Refusal> {
    let inside = |what: &str, path: &Path| {
        resolved(path).starts_with(resolved(&source.path)).then(|| {
            let what = format!("{what} {} lies inside {}", path.display(), source.path.display());
            refusal(RefusalKind::Preflight, what)
        })
    };
    let own = [
        inside("the repository", ctx.repository.location()),
        inside("the state directory", ctx.ground.state_dir),
        inside("the cache directory", ctx.ground.cache_dir),
    ];
    let others = neighbours
        .iter()
        .filter(|other| other.name != app.name)
        .filter(|other| overlap(&resolved(&other.root), &resolved(&source.path)))
        .map(|other| {
            let (own, theirs) = (source.path.display(), other.root.display());
            let what = format!("{own} and {theirs} of {} lie in each other", other.name);
            refusal(RefusalKind::Preflight, what)
        });
    own.into_iter().flatten().chain(others).collect()
}

/// Whether two paths lead to one place.
pub(super) fn is_one_place(one: &Path, other: &Path) -> bool {
    one == other || resolved(one) == resolved(other)
}

/// The nearest directory above that exists counts, with links followed.
fn resolved(path: &Path) -> PathBuf {
    for above in path.ancestors() {
        if let Ok(real) = above.canonicalize() {
            let below = path.strip_prefix(above).unwrap_or(Path::new(""));
            return real.join(below);
        }
    }
    path.to_owned()
}

fn not_ours(extent: &Extent) -> Option<Refusal> {
    extent.foreign.as_ref().map(|path| {
        let what =
            format!("{} belongs to somebody else, and only root could put it back", path.display());
        refusal(RefusalKind::Preflight, what)
    })
}

/// Undoing one of two applications in one schema would undo the other.
fn shared_schemas(app: &App, neighbours: &[App]) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    for other in neighbours.iter().filter(|other| other.name != app.name) {
        for database in &app.databases {
            if other.databases.iter().any(|theirs| is_one(&theirs.address, &database.address)) {
                let what = format!("{} uses database {} too", other.name, database.address);
                refusals.push(refusal(RefusalKind::Preflight, what));
            }
        }
    }
    refusals
}

/// Two ways to one server of this machine count as one: by its socket and by its port.
fn is_one(one: &Address, other: &Address) -> bool {
    match (one, other) {
        (Address::Sqlite(one), Address::Sqlite(other)) => resolved(one) == resolved(other),
        (Address::MySql(one), Address::MySql(other)) => {
            let same_server = one.is_local() && other.is_local()
                || (&one.host, one.port) == (&other.host, other.port);
            same_server && one.schema == other.schema
        }
        (Address::Sqlite(_), Address::MySql(_)) | (Address::MySql(_), Address::Sqlite(_)) => false,
    }
}

/// Whether every database answers and can be read, and as of one instant unless the site is shut.
pub(super) fn databases(app: &App, databases: &mut [Box<dyn Database>]) -> Vec<Refusal> {
    let stays_open = app.profile.maintenance.is_empty();
    let mut refusals = Vec::new();
    for database in databases {
        // A table that nobody has: to look for it needs a login and a sound file.
        let looked = database
            .identity()
            .and_then(|_| database.read("snap_looks_for_nothing", &["nothing"], &[]).map(drop));
        if let Err(error) = looked {
            let kind = match error {
                DatabaseError::SharedSchema { .. } | DatabaseError::Refused { .. } => {
                    RefusalKind::Preflight
                }
                _ => RefusalKind::Database,
            };
            refusals.push(refusal(kind, chain(&error).join(": ")));
        } else if stays_open && database.consistency().is_ok_and(|one| one == Consistency::PerTable)
        {
            refusals.push(no_one_instant(database.name()));
        }
    }
    refusals
}

/// How far the way back can be tried here, and what keeps it from more.
pub(super) fn label(covered: &Covered, place: &Place) -> (Label, Vec<String>) {
    let mut reasons = Vec::new();
    let mut label = Label::Proved;
    for database in &covered.databases {
        if !can_be_proved(database.kind()) {
            label = Label::Verified;
            let name = database.name();
            reasons.push(format!(
                "the dump of {name} is decoded and counted, not loaded into a shadow"
            ));
        }
    }
    if let Some(what) = &place.unknown_file_system {
        label = Label::BestEffort;
        reasons.push(format!("{what}, whose promises are not known"));
    }
    (label, reasons)
}

/// What the journal and transcripts may come to.
const STATE_BYTES: u64 = 16 << 20;
/// Beside the content: directory objects, indexes, records.
const REPOSITORY_EXTRA_BYTES: u64 = 4 << 20;

/// Room on each file system for the change and for the way back.
pub(super) fn space(
    ctx: &Context<'_>,
    covered: &Covered,
    place: &Place,
    (taken_bytes, taken_entries): (u64, u64),
) -> Result<Vec<Space>, UpgradeError> {
    let images = covered.databases.iter().filter_map(|database| {
        let path = database.address();
        std::fs::metadata(path.strip_prefix("sqlite://").unwrap_or(&path)).ok()
    });
    let database_bytes: u64 = images.map(|meta| meta.len()).sum();
    let known = snapshot::list(ctx.repository)?;
    let label = covered.sources.first().map(|source| source.path.clone());
    let seen_before =
        known.iter().any(|one| one.roots.iter().any(|root| Some(&root.path) == label.as_ref()));
    let all = place.bytes + database_bytes;
    // Most of what was stored before is the same still.
    let repository_bytes = if seen_before { all / 10 } else { all } + REPOSITORY_EXTRA_BYTES;
    let mut spaces = vec![
        room("repository", ctx.repository.location(), repository_bytes, 64)?,
        room("state directory", ctx.ground.state_dir, STATE_BYTES, 16)?,
    ];
    if let Some(source) = covered.sources.first() {
        // New content lies beside the old until it has replaced it, and so does the way back; a
        // migration may double its database, and the image that is put back lies beside that.
        let bytes = taken_bytes + taken_bytes / 10 + 2 * database_bytes;
        let what = source.path.display().to_string();
        spaces.push(room(&what, &source.path, bytes, taken_entries + 16)?);
    }
    Ok(spaces)
}

fn room(what: &str, path: &Path, bytes: u64, inodes: u64) -> Result<Space, UpgradeError> {
    let existing = path.ancestors().find(|above| above.exists()).unwrap_or(Path::new("/"));
    let volume = at(existing)?;
    Ok(Space {
        what: what.to_owned(),
        needs_bytes: bytes,
        has_bytes: volume.free_bytes,
        needs_inodes: inodes,
        has_inodes: volume.free_inodes,
    })
}
