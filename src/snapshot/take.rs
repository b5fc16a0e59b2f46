//! Takes a snapshot: looks at every root, stores what is new, and commits one record.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use super::SnapshotError;
use super::annex::Annex;
use super::digest::files_digest;
use super::list::list_readable;
use super::record::{AppMark, Class, Counts, Root, Snapshot};
use super::scan::{Keep, Task, Workers, scan};
use super::source::{Memory, Source, origin};
use crate::monitor::{Counter, Monitor, News, Problem};
use crate::os::crash::{CrashPoint, reach};
use crate::os::{clock, file, host, meta};
use crate::repository::{ChunkId, ObjectId, Repository, Stored, Writer, Written};
use crate::tree::TreeError;
use crate::tree::statcache::{self, StatCache, StatCacheWriter};
use crate::tree::walk::Walker;

/// What to take a snapshot of, and what to say in its record.
#[derive(Debug)]
pub struct Request<'a> {
    /// Who it is for.
    pub class: Class,
    /// What it is of: the application, or the paths. Its snapshots are counted.
    pub source: String,
    /// The roots.
    pub sources: &'a [Source],
    /// The application, if it is one's.
    pub app: Option<AppMark>,
    /// Other bytes to keep, by name.
    pub attachments: Vec<(String, Vec<u8>)>,
    /// Words of the user.
    pub tags: Vec<String>,
    /// A line of the user.
    pub note: Option<String>,
    /// What is remembered of the roots' stat data.
    pub memory: Memory<'a>,
    /// Who lists directories.
    pub walker: Walker,
    /// How many workers; as many as there are cores if unset.
    pub threads: Option<usize>,
}

/// A snapshot whose content is stored and durable, and whose record is not written yet.
#[must_use = "what is not committed is garbage"]
pub struct Prepared {
    /// The record to be.
    pub snapshot: Snapshot,
    /// The packs that were written for it.
    pub written: Written,
    memories: Vec<NewMemory>,
}

/// A stat cache that counts once the snapshot exists.
struct NewMemory {
    writer: StatCacheWriter,
    /// Where it is and where it goes; nothing if it is not to be kept, or why it cannot be.
    paths: std::io::Result<Option<(PathBuf, PathBuf)>>,
    root: PathBuf,
}

/// Takes a snapshot and commits it.
///
/// On an error the snapshot may or may not exist, but never in part: look before you retry.
pub fn take(
    writer: Writer<'_>,
    request: Request<'_>,
    monitor: &dyn Monitor,
) -> Result<Snapshot, SnapshotError> {
    prepare(&writer, request, monitor)?.commit(writer, monitor)
}

/// Stores everything a snapshot needs, but its record.
pub fn prepare(
    writer: &Writer<'_>,
    request: Request<'_>,
    monitor: &dyn Monitor,
) -> Result<Prepared, SnapshotError> {
    let (time, watch) = (clock::now(), clock::stopwatch());
    let repository = writer.repository();
    let earlier = Earlier::of(writer, &request.source)?;
    let workers = Workers::new(Keep::Store(writer), request.threads);
    let mut all = All::default();
    for source in request.sources {
        all.take_root(&workers, source, &request, &earlier, monitor)?;
    }
    all.name_owners();
    let attachments = request.attachments.into_iter();
    let attachments = attachments.map(|(name, bytes)| Ok((name, workers.put_bytes(&bytes)?)));
    let attachments = attachments.collect::<Result<Vec<(String, Stored)>, SnapshotError>>()?;
    let annex = workers.put_bytes(&all.annex.encode())?;
    workers.finish()?;
    let written = writer.sync()?;
    reach(CrashPoint::SnapshotStored);
    all.roots.sort_by(|a, b| a.label.cmp(&b.label));
    monitor.count(Counter::BytesStored, writer.totals().stored_bytes);
    let snapshot = Snapshot {
        id: writer.snapshot_id(),
        time,
        host: earlier.host,
        class: request.class,
        source: request.source,
        sequence: earlier.sequence,
        parent: earlier.parent,
        app: request.app,
        files_digest: files_digest(repository, &all.roots),
        roots: all.roots,
        annex,
        databases: Vec::new(),
        attachments,
        counts: Counts { took_ms: elapsed_ms(watch), ..all.counts },
        problems: all.problems,
        tags: request.tags,
        note: request.note,
        program: env!("CARGO_PKG_VERSION").to_owned(),
    };
    Ok(Prepared { snapshot, written, memories: all.memories })
}

/// Trees that are stored already, and what to say of them: a release, say.
#[derive(Debug)]
pub struct StoredTrees {
    /// Who it is for.
    pub class: Class,
    /// What it is of.
    pub source: String,
    /// The application, if it is one's.
    pub app: Option<AppMark>,
    /// The trees.
    pub roots: Vec<Root>,
    /// Other bytes that it keeps, by name.
    pub attachments: Vec<(String, Stored)>,
    /// Words of the user.
    pub tags: Vec<String>,
    /// A line of the user.
    pub note: Option<String>,
    /// How much it holds.
    pub counts: Counts,
}

/// Makes a snapshot of trees whose objects the finished bundles of `writer` hold.
pub fn prepare_stored(writer: &Writer<'_>, trees: StoredTrees) -> Result<Prepared, SnapshotError> {
    let repository = writer.repository();
    let earlier = Earlier::of(writer, &trees.source)?;
    let written = writer.sync()?;
    reach(CrashPoint::SnapshotStored);
    let mut roots = trees.roots;
    roots.sort_by(|a, b| a.label.cmp(&b.label));
    let snapshot = Snapshot {
        id: writer.snapshot_id(),
        time: clock::now(),
        host: earlier.host,
        class: trees.class,
        source: trees.source,
        sequence: earlier.sequence,
        parent: earlier.parent,
        app: trees.app,
        files_digest: files_digest(repository, &roots),
        roots,
        annex: Stored::Empty,
        databases: Vec::new(),
        attachments: trees.attachments,
        counts: trees.counts,
        problems: Vec::new(),
        tags: trees.tags,
        note: trees.note,
        program: env!("CARGO_PKG_VERSION").to_owned(),
    };
    Ok(Prepared { snapshot, written, memories: Vec::new() })
}

/// The snapshots before this one.
struct Earlier {
    host: String,
    /// The number of the one to come.
    sequence: u64,
    /// The last of the same source.
    parent: Option<ObjectId>,
    listed: BTreeSet<ObjectId>,
    /// The objects of their roots.
    roots: BTreeSet<ChunkId>,
}

impl Earlier {
    fn of(writer: &Writer<'_>, source: &str) -> Result<Self, SnapshotError> {
        let host = host::name();
        // A record that cannot be read is no reason to go without a backup.
        let mut all = list_readable(writer.repository())?.snapshots;
        // Taken back after a prune gave it up: listed, but its data may go before we end.
        all.retain(|other| !writer.has_given_up(&other.id));
        let same = |other: &&Snapshot| other.host == host && other.source == source;
        let newest = all.iter().filter(same).max_by_key(|other| other.sequence);
        Ok(Self {
            sequence: newest.map_or(1, |newest| newest.sequence + 1),
            parent: newest.map(|newest| newest.id),
            listed: all.iter().map(|other| other.id).collect(),
            roots: all.iter().flat_map(Snapshot::root_objects).collect(),
            host,
        })
    }

    /// Whether what a cache names is sure to be stored: only while the snapshot that it was taken
    /// with is listed, or another one of the same tree.
    fn holds(&self, cache: &StatCache) -> bool {
        cache.origin().snapshot.is_some_and(|id| self.listed.contains(&id))
            || cache.root_object().is_some_and(|object| self.roots.contains(&object))
    }
}

impl Prepared {
    /// Makes the snapshot exist, then remembers the stat data that belongs to it.
    pub fn commit(
        self,
        writer: Writer<'_>,
        monitor: &dyn Monitor,
    ) -> Result<Snapshot, SnapshotError> {
        let repository = writer.repository().clone();
        let id = writer.commit(&self.snapshot.encode())?;
        reach(CrashPoint::SnapshotCommitted);
        if !repository.is_durable() {
            let what = "the file system of the repository cannot sync directories: a power cut may \
                        take back what was just saved";
            monitor.tell(News::Warning { what: what.to_owned() });
        }
        for memory in self.memories {
            let root = memory.root.clone();
            if let Err(error) = memory.keep(&repository, id) {
                let what = format!("{} will be read again: {error}", root.display());
                monitor.tell(News::Warning { what });
            }
        }
        Ok(self.snapshot)
    }
}

impl NewMemory {
    /// A cache of `root`, beside its place; without one, or where none can be made, in memory.
    fn new(
        old: Option<Arc<StatCache>>,
        place: Option<PathBuf>,
        root: &Path,
    ) -> Result<Self, TreeError> {
        let root = root.to_owned();
        let made = place.map(|place| beside(&place).map(|(file, temp)| (file, (temp, place))));
        let (file, paths) = match made {
            Some(Ok((file, paths))) => (file, Ok(Some(paths))),
            other => {
                let file = file::anonymous().map_err(TreeError::io("remember", &root))?;
                (file, other.and_then(Result::err).map_or(Ok(None), Err))
            }
        };
        Ok(Self { writer: StatCacheWriter::after(old, file), paths, root })
    }

    fn keep(self, repository: &Repository, snapshot: ObjectId) -> std::io::Result<()> {
        let Some((temp, place)) = self.paths? else { return Ok(()) };
        // Whoever reads it finds that the new snapshot has the same root.
        let is_kept = |old: &Arc<StatCache>| old.is_at(&place) && old.touch().is_ok();
        if self.writer.unchanged().is_some_and(is_kept) {
            return file::remove(&temp).map(drop);
        }
        self.writer.finish(&origin(repository, &self.root, Some(snapshot)))?;
        file::rename_over(&temp, &place)
    }
}

/// A new file beside `place`, whose directory may be missing.
pub(super) fn beside(place: &Path) -> std::io::Result<(std::fs::File, PathBuf)> {
    file::create_dirs(place.parent().unwrap_or(place), 0o700)?;
    statcache::create_beside(place)
}

/// What the roots came to.
#[derive(Default)]
struct All {
    roots: Vec<Root>,
    counts: Counts,
    problems: Vec<Problem>,
    annex: Annex,
    owners: BTreeSet<(u32, u32)>,
    memories: Vec<NewMemory>,
}

impl All {
    fn take_root(
        &mut self,
        workers: &Workers<'_>,
        source: &Source,
        request: &Request<'_>,
        earlier: &Earlier,
        monitor: &dyn Monitor,
    ) -> Result<(), SnapshotError> {
        let path = resolve(&source.path)?;
        let repository = workers.repository();
        let old = request.memory.recall(repository, &path);
        let old = old.filter(|old| earlier.holds(old)).map(Arc::new);
        let place = request.memory.place_of(repository, &path);
        let memory = NewMemory::new(old, place, &path)?;
        let task = Task {
            path: &path,
            exclusions: &source.exclusions,
            walker: request.walker,
            new: &memory.writer,
            want: None,
            touched: None,
            made: None,
            put: None,
        };
        let found = scan(workers, task, monitor)?;
        self.roots.push(Root {
            label: source.label.clone(),
            path,
            entry: found.root,
            rules: source.exclusions.rules().clone(),
        });
        self.counts = self.counts.plus(&found.counts);
        self.problems.extend(found.problems);
        self.annex.roots.insert(source.label.clone(), found.annex);
        self.owners.extend(found.owners);
        self.memories.push(memory);
        Ok(())
    }

    fn name_owners(&mut self) {
        for (uid, gid) in &self.owners {
            if let Some(name) = meta::user_name(*uid) {
                self.annex.users.insert(*uid, name);
            }
            if let Some(name) = meta::group_name(*gid) {
                self.annex.groups.insert(*gid, name);
            }
        }
    }
}

/// The root without a link in its path: resolved once, and shown so from then on.
pub(super) fn resolve(path: &Path) -> Result<PathBuf, TreeError> {
    path.canonicalize().map_err(TreeError::io("find", path))
}

fn elapsed_ms(watch: Instant) -> u64 {
    u64::try_from(watch.elapsed().as_millis()).unwrap_or(u64::MAX)
}
