//! Every instant at which a test kills the process has a name here, in the shipped binary.
//!
//! `SNAP_CRASH_AT=POINT[:N]` is read by `cli`, parsed by [`Ordered::parse`] and handed down with
//! [`arm`]; the N-th time [`reach`] meets that point, the process kills itself with SIGKILL, as a
//! power cut would: no destructor, no flush, no exit handler runs. `panic@POINT[:N]` panics there
//! instead. `SNAP_CRASH_LOG=FILE` only writes down which points are met.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! crash_points {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal,)+) => {
        /// An instant at which the process may die.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum CrashPoint { $($(#[doc = $doc])+ $name,)+ }

        impl CrashPoint {
            /// Every point, in the order in which an upgrade that is rolled back meets them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The name used in `SNAP_CRASH_AT`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }
        }
    };
}

crash_points! {
    /// A single file's new bytes are in a temporary file, not yet synced.
    TempWritten = "temp-written",
    /// They are synced, not yet renamed into place.
    TempSynced = "temp-synced",
    /// The rename is done, its directory not yet synced.
    Renamed = "renamed",
    /// All that a snapshot holds is durable; its record is not written.
    SnapshotStored = "snapshot-stored",
    /// Its record is durable.
    SnapshotCommitted = "snapshot-committed",
    /// A converge has written aside all that is to come, not synced.
    ConvergeWritten = "converge-written",
    /// That is durable; nothing has its name yet.
    ConvergeSynced = "converge-synced",
    /// One name of a tree leads to its new content.
    ConvergeRenamed = "converge-renamed",
    /// One entry of a tree was deleted.
    ConvergeDeleted = "converge-deleted",
    /// Metadata that was to change has changed.
    ConvergeMetadata = "converge-metadata",
    /// All that a converge did is durable.
    ConvergeDone = "converge-done",
    /// The first journal is built under a temporary name.
    JournalBuilt = "journal-built",
    /// It has its name; its witness is not yet beside it.
    JournalPublished = "journal-published",
    /// The journal is about to say that the transaction exists.
    BeforeBegun = "before-begun",
    /// It says so, durably.
    AfterBegun = "after-begun",
    /// The journal is about to say that maintenance may be turned on.
    BeforeQuiescing = "before-quiescing",
    /// It says so, durably.
    AfterQuiescing = "after-quiescing",
    /// The journal is about to say that nothing writes any more.
    BeforeQuiesced = "before-quiesced",
    /// It says so, durably.
    AfterQuiesced = "after-quiesced",
    /// The journal is about to say that there is a way home.
    BeforeArmed = "before-armed",
    /// It says so, durably.
    AfterArmed = "after-armed",
    /// The journal is about to say that content may be changed.
    BeforeStepStarted = "before-step-started",
    /// It says so, durably.
    AfterStepStarted = "after-step-started",
    /// The journal is about to say that a child waits at its gate.
    BeforeChildStarted = "before-child-started",
    /// It says so, durably.
    AfterChildStarted = "after-child-started",
    /// A child exists and waits at its gate; nobody has written that down yet.
    ChildSpawned = "child-spawned",
    /// The gate is open: the child may have begun, or be about to.
    GateOpened = "gate-opened",
    /// The migration has printed one more line.
    MigrationLine = "migration-line",
    /// The index of a git checkout is the release's, its HEAD is not yet.
    CheckoutIndex = "checkout-index",
    /// How the site's switches stand is written down.
    MaintenanceRecorded = "maintenance-recorded",
    /// One more switch is on.
    MaintenanceOn = "maintenance-on",
    /// One more switch is as it was.
    MaintenanceRestored = "maintenance-restored",
    /// One more entry of a release is in the repository, which no record names yet.
    ReleaseEntry = "release-entry",
    /// A release is whole in the repository; its record is not there yet.
    ReleaseStored = "release-stored",
    /// The journal is about to say that a step ended well.
    BeforeStepFinished = "before-step-finished",
    /// It says so, durably.
    AfterStepFinished = "after-step-finished",
    /// The journal is about to say that the new content stays.
    BeforeCommitted = "before-committed",
    /// It says so, durably.
    AfterCommitted = "after-committed",
    /// The journal is about to say that the old content is to come back.
    BeforeUndoStarted = "before-undo-started",
    /// It says so, durably.
    AfterUndoStarted = "after-undo-started",
    /// The journal is about to say that a root or database is back.
    BeforeUndoStepFinished = "before-undo-step-finished",
    /// It says so, durably.
    AfterUndoStepFinished = "after-undo-step-finished",
    /// The journal is about to say that all of it is back and proved.
    BeforeRolledBack = "before-rolled-back",
    /// It says so, durably.
    AfterRolledBack = "after-rolled-back",
    /// The journal is about to say that it could not be put back.
    BeforeUndoFailed = "before-undo-failed",
    /// It says so, durably.
    AfterUndoFailed = "after-undo-failed",
    /// The journal is about to say that nothing is left to do.
    BeforeClosed = "before-closed",
    /// It says so, durably.
    AfterClosed = "after-closed",
    /// A numbered step of a transaction begins.
    StepBegins = "step-begins",
    /// It has done its work.
    StepEnds = "step-ends",
    /// The safety snapshot exists; it was not read back yet.
    SafetyTaken = "safety-taken",
    /// What is wanted is stored as a tree.
    WantedStored = "wanted-stored",
    /// Orphans of the migration are dead, nothing is put back yet.
    UndoOrphansGone = "undo-orphans-gone",
    /// A database is back, which the journal does not say yet.
    UndoDatabaseBack = "undo-database-back",
    /// A tree is back, which the journal does not say yet.
    UndoTreeBack = "undo-tree-back",
    /// All is back and equal, which the journal does not say yet.
    UndoProved = "undo-proved",
    /// Services and switches are about to be put back as they were recorded.
    ReopenBegins = "reopen-begins",
    /// They are back.
    ReopenEnds = "reopen-ends",
    /// What no way back needs any more is about to be let go.
    RetireBegins = "retire-begins",
    /// It is gone, which the journal does not say yet.
    RetireEnds = "retire-ends",
    /// A pack is wholly written, not yet synced.
    PackWritten = "pack-written",
    /// A pack is synced under its temporary name.
    PackSynced = "pack-synced",
    /// A pack has its name, which is not yet durable.
    PackRenamed = "pack-renamed",
    /// An index segment is wholly written, not yet synced.
    IndexWritten = "index-written",
    /// An index segment is synced under its temporary name.
    IndexSynced = "index-synced",
    /// An index segment has its name, which is not yet durable.
    IndexRenamed = "index-renamed",
    /// A pin is wholly written, not yet synced.
    PinWritten = "pin-written",
    /// A pin is synced under its temporary name.
    PinSynced = "pin-synced",
    /// A pin has its name, which is not yet durable.
    PinRenamed = "pin-renamed",
    /// A snapshot record is wholly written, not yet synced.
    SnapshotWritten = "snapshot-written",
    /// A snapshot record is synced under its temporary name: the snapshot does not exist yet.
    SnapshotSynced = "snapshot-synced",
    /// A snapshot record has its name: the snapshot exists, unless the power fails now.
    SnapshotRenamed = "snapshot-renamed",
    /// Another object of the repository (config, key slot, lease) is written, not yet synced.
    ObjectWritten = "object-written",
    /// It is synced under its temporary name.
    ObjectSynced = "object-synced",
    /// It has its name, which is not yet durable.
    ObjectRenamed = "object-renamed",
    /// A directory of the repository has new names and is about to be synced.
    DirectoryUnsynced = "directory-unsynced",
    /// A prune knows what is needed and which packs it will touch; nothing is written.
    PruneMarked = "prune-marked",
    /// What is needed of them is in new packs that the index names; nothing is condemned.
    PruneCopied = "prune-copied",
    /// The record that condemns the old packs is durable.
    PruneCondemned = "prune-condemned",
    /// What snapshots since then need of them is in new packs too.
    PruneRescued = "prune-rescued",
    /// The index says everything twice that a group of segments says which name condemned packs:
    /// they may go.
    PruneReplaced = "prune-replaced",
    /// One forgotten snapshot is gone; its tombstone is still there.
    PruneSnapshotRemoved = "prune-snapshot-removed",
    /// One segment that names condemned packs is gone.
    PruneSegmentRemoved = "prune-segment-removed",
    /// A group of segments is gone; condemned packs that nobody names any more are still there.
    PruneNameless = "prune-nameless",
    /// One condemned pack is gone.
    PrunePackRemoved = "prune-pack-removed",
    /// All that was condemned is gone, and the record with it.
    PruneRecordRemoved = "prune-record-removed",
    /// A chunk of a table's rows was read and put.
    RowsRead = "rows-read",
    /// A trigger, view or table that a state lacks, or has otherwise, was dropped.
    ObjectDropped = "object-dropped",
    /// A table was created and has no rows yet.
    TableCreated = "table-created",
    /// A transaction of rows was committed.
    RowsLoaded = "rows-loaded",
    /// All views are there, no trigger yet.
    ViewsCreated = "views-created",
    /// One trigger was created.
    TriggerCreated = "trigger-created",
    /// All triggers are there; nothing was compared yet.
    TriggersCreated = "triggers-created",
    /// A SQLite image lies aside, not yet synced.
    ImageWritten = "image-written",
    /// It is synced, not yet compared.
    ImageSynced = "image-synced",
    /// The live file's log and journal are gone, the image not yet renamed.
    ImageWayCleared = "image-way-cleared",
    /// The image is renamed into place, its directory not yet synced.
    ImageRenamed = "image-renamed",
    /// What a repair could save is durable in new packs; the damaged ones still count.
    RepairStored = "repair-stored",
    /// A damaged object is in quarantine as well.
    RepairQuarantined = "repair-quarantined",
    /// The index no longer names the damaged packs.
    RepairIndexed = "repair-indexed",
    /// A damaged object is gone, its directory not yet synced.
    RepairRemoved = "repair-removed",
    /// A snapshot without what is lost is durable beside the one that lacks it.
    RepairMended = "repair-mended",
}

/// What happens at the point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// SIGKILL, as a power cut would: nothing of the process runs any more.
    Kill,
    /// A panic, as a bug of ours would: a failure like any other.
    Panic,
}

/// Where a test wants the process to die: the `hit`-th time `point` is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ordered {
    /// How.
    pub death: Death,
    /// The point.
    pub point: CrashPoint,
    /// Counted from 1.
    pub hit: u64,
}

impl Ordered {
    /// Reads `POINT` or `POINT:N`, or either after `panic@`; `None` if there is no such point or N
    /// is not a number above 0.
    pub fn parse(text: &str) -> Option<Self> {
        let (death, text) = match text.strip_prefix("panic@") {
            Some(rest) => (Death::Panic, rest),
            None => (Death::Kill, text),
        };
        let (name, hit) = match text.split_once(':') {
            Some((name, hit)) => (name, hit.parse().ok().filter(|n| *n > 0)?),
            None => (text, 1),
        };
        let point = *CrashPoint::ALL.iter().find(|point| point.name() == name)?;
        Some(Self { death, point, hit })
    }
}

static ARMED: OnceLock<Ordered> = OnceLock::new();
static HITS: AtomicU64 = AtomicU64::new(0);

/// Makes the process die where `ordered` says. Only the first call counts.
pub fn arm(ordered: Ordered) {
    ARMED.get_or_init(|| ordered);
}

static LOG: OnceLock<File> = OnceLock::new();

/// Writes down every point that is met from now on, a name a line, at the end of `path`: so a test
/// learns what there is to kill. Only the first call counts.
pub fn log_to(path: &Path) -> io::Result<()> {
    let log = File::options().create(true).append(true).open(path)?;
    LOG.get_or_init(|| log);
    Ok(())
}

/// Says that the process is at `point`; if a test ordered its death here, it does not return.
pub fn reach(point: CrashPoint) {
    if let Some(mut log) = LOG.get() {
        // One write a line: several threads append, and a lost line costs a test one kill.
        let _ = log.write_all(format!("{}\n", point.name()).as_bytes());
    }
    let Some(ordered) = ARMED.get() else { return };
    if ordered.point == point && HITS.fetch_add(1, Ordering::SeqCst) + 1 == ordered.hit {
        assert!(ordered.death == Death::Kill, "a test ordered this panic, at {}", point.name());
        let _ =
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        // The signal may reach another thread first; this one must do nothing more.
        loop {
            std::thread::park();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_point_is_found_by_its_name() {
        for point in CrashPoint::ALL {
            let parsed = Ordered::parse(point.name());
            assert_eq!(parsed, Some(Ordered { death: Death::Kill, point: *point, hit: 1 }));
        }
    }

    #[test]
    fn a_panic_is_ordered_by_its_name() {
        let parsed = Ordered::parse("panic@renamed:2").map(|o| (o.death, o.hit));
        assert_eq!(parsed, Some((Death::Panic, 2)));
    }

    #[test]
    fn a_hit_is_counted_from_one() {
        assert_eq!(Ordered::parse("renamed:3").map(|o| o.hit), Some(3));
        assert_eq!(Ordered::parse("renamed:0"), None);
        assert_eq!(Ordered::parse("no-such-point"), None);
    }
}
