//! Reads the rows of many tables at one instant, several at once.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::catalog::{Catalog, TableInfo};
use super::read::{self, Reading, Task};
use super::server::Server;
use super::session::{Door, Session};
use super::sink::Sink;
use super::{point, text};
use crate::database::fingerprint::Hashers;
use crate::database::{Consistency, DatabaseError, ObjectKind};
use crate::monitor::Monitor;
use crate::os::crew::beside;

/// How many connections read rows at once: a server needs a core for each.
const READERS: usize = 2;

/// What is read, and how.
pub(super) struct Survey<'a> {
    pub(super) door: &'a Door,
    pub(super) server: &'a Server,
    pub(super) hashers: &'a Hashers,
    pub(super) cut_target: u32,
    /// Whether the server's own count of the rows is asked for as well.
    pub(super) counts: bool,
    pub(super) monitor: &'a dyn Monitor,
}

/// What was read, by table.
pub(super) type Readings = BTreeMap<String, Reading>;

impl Survey<'_> {
    /// Reads the `wanted` tables of `catalog`; each worker has a sink of its own.
    pub(super) fn run<S: Sink>(
        &self,
        catalog: &Catalog,
        wanted: &[&TableInfo],
        sink: impl Fn() -> S + Sync,
    ) -> Result<(Readings, Consistency), DatabaseError> {
        let point = point::open(self.door, self.server, catalog, READERS)?;
        let consistency = point.consistency;
        let (mut moving, still): (Vec<_>, Vec<_>) =
            wanted.iter().copied().partition(|table| table.is_transactional());
        // The largest first, from the end, so that no worker is left alone with it.
        moving.sort_by_key(|table| table.data_bytes);
        let queue = Mutex::new(moving);
        let stop = AtomicBool::new(false);
        let task = Task {
            door: self.door,
            schema: &catalog.schema,
            hashers: self.hashers,
            cut_target: self.cut_target,
            monitor: self.monitor,
            stop: &stop,
        };
        let next = || queue.lock().expect("no holder of this lock panics").pop();
        let work = |mut reader: Session, mut unmoving: Option<Session>, first: &[&TableInfo]| {
            let mut sink = sink();
            let mut done = Readings::new();
            let read = first
                .iter()
                .try_for_each(|table| {
                    let session = unmoving.as_mut().expect("there is one where there are tables");
                    self.read(&task, session, table, consistency, &mut sink, &mut done)
                })
                .and_then(|()| {
                    // Its locks hold writers up; they are not needed any more.
                    drop(unmoving);
                    while let Some(table) = next() {
                        self.read(&task, &mut reader, table, consistency, &mut sink, &mut done)?;
                    }
                    Ok(())
                });
            if read.is_err() {
                stop.store(true, Ordering::Relaxed);
            }
            // Whatever was put must be handed over, also after a failure.
            let finished = sink.finish();
            read.and(finished).map(|()| done)
        };
        let unmoving = point.still;
        let mut readers = point.readers.into_iter();
        let first = readers.next();
        let results: Vec<_> = thread::scope(|scope| {
            // The caller is one of them: the system may refuse all others.
            let work = &work;
            let others: Vec<_> = readers
                .filter_map(|reader| beside(scope, move || work(reader, None, &[])))
                .collect();
            let own = first.map(|reader| work(reader, unmoving, &still));
            let others = others.into_iter();
            let others = others.map(|worker| worker.join().expect("a worker panicked"));
            own.into_iter().chain(others).collect()
        });
        Ok((gather(results)?, consistency))
    }

    fn read(
        &self,
        task: &Task<'_>,
        session: &mut Session,
        table: &TableInfo,
        consistency: Consistency,
        sink: &mut impl Sink,
        done: &mut Readings,
    ) -> Result<(), DatabaseError> {
        let reading = read::read(task, session, table, sink)?;
        // A table that nothing holds still may have grown since, and nothing would be wrong.
        let is_held = table.is_transactional() || consistency == Consistency::OnePoint;
        if self.counts && is_held && read::count(session, task.schema, table)? != reading.rows {
            let (kind, name) = (ObjectKind::Table, text::name(&table.name));
            return Err(DatabaseError::Mismatch { kind, name, what: "the number of its rows" });
        }
        done.insert(table.name.clone(), reading);
        Ok(())
    }
}

/// All readings, or the first error that is not only the echo of another.
fn gather(results: Vec<Result<Readings, DatabaseError>>) -> Result<Readings, DatabaseError> {
    let mut all = Readings::new();
    let mut stopped = None;
    for result in results {
        match result {
            Ok(mut readings) => all.append(&mut readings),
            Err(DatabaseError::Stopped) => stopped = Some(DatabaseError::Stopped),
            Err(why) => return Err(why),
        }
    }
    stopped.map_or(Ok(all), Err)
}
