//! Makes a live schema what a state holds.
//!
//! ```text
//! definitions compared; rows read and compared where the definition is equal; plan
//! schema defaults
//! triggers, views, routines, tables that the state has not, or has otherwise, dropped
//! tables created with their keys and mark, rows loaded by several connections
//! marks of tables that are otherwise equal; views; triggers
//! everything read again on new connections and compared
//! ```
//! Progress is never remembered, only found: whatever was done before a kill is equal, or is done
//! again.

use std::collections::BTreeMap;
use std::iter;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::define::{Definer, trigger_text, view_text};
use super::definition::with_counter;
use super::live::{Found, Live};
use super::load::{self, load};
use super::plan::{Plan, Side, plan, same_definition};
use super::session::{Door, Purpose, Session};
use super::stored::Stored;
use crate::database::fingerprint::Hashers;
use crate::database::state::{ObjectRecord, Table, Trigger, View};
use crate::database::{DatabaseError, Fingerprint, ObjectKind};
use crate::monitor::Monitor;
use crate::os::crash::{CrashPoint, reach};
use crate::os::crew::beside;
use crate::repository::{ChunkId, Repository};

/// How many connections load rows at once.
const LOADERS: usize = 2;

/// Makes the schema behind `door` what `state` holds; the fingerprint of what is there then.
pub(super) fn restore(
    door: &Door,
    repository: &Repository,
    state: &ChunkId,
    monitor: &dyn Monitor,
) -> Result<Fingerprint, DatabaseError> {
    let stored = Stored::open(repository, state)?;
    let hashers = Hashers::of(repository);
    let live = Live { door, repository, hashers: &hashers, schema: &stored.schema, monitor };
    let mut found = live.definitions()?;
    let wanted = Wanted::read(&stored, &found.catalog.schema)?;
    let same = same_definition(&stored.objects, &found.objects);
    live.rows(&mut found, &|name| same.contains(name))?;
    let trigger_tables = found.trigger_tables();
    let plan = plan(
        Side { objects: &stored.objects, trigger_tables: &wanted.trigger_tables },
        Side { objects: &found.objects, trigger_tables: &trigger_tables },
    );
    if plan != Plan::default() {
        act(door, &stored, &wanted, &plan, &found, monitor)?;
    }
    let now = live.all()?;
    compare(&stored.objects, &now.objects)?;
    let fingerprint = hashers.fingerprint(&now.objects);
    if fingerprint == stored.root.fingerprint {
        Ok(fingerprint)
    } else {
        Err(DatabaseError::DamagedState { what: "its fingerprint" })
    }
}

/// The views and triggers of a state, read before anything is touched.
struct Wanted {
    views: BTreeMap<String, View>,
    triggers: BTreeMap<String, Trigger>,
    trigger_tables: BTreeMap<String, String>,
}

impl Wanted {
    /// Refuses what cannot be moved into `schema`.
    fn read(stored: &Stored<'_>, schema: &str) -> Result<Self, DatabaseError> {
        let origin = &stored.schema.name;
        let refuse = |kind, name: &str| DatabaseError::NotMappable {
            kind,
            name: name.to_owned(),
            schema: origin.clone(),
        };
        let mut views = BTreeMap::new();
        for one in stored.of(ObjectKind::View) {
            let view = stored.view(one)?;
            if !view_text(&view, origin, schema).is_whole {
                return Err(refuse(ObjectKind::View, &one.name));
            }
            views.insert(one.name.clone(), view);
        }
        let mut triggers = BTreeMap::new();
        for one in stored.of(ObjectKind::Trigger) {
            let trigger = stored.trigger(one)?;
            if !trigger_text(&trigger, origin, schema).is_whole {
                return Err(refuse(ObjectKind::Trigger, &one.name));
            }
            triggers.insert(one.name.clone(), trigger);
        }
        let trigger_tables =
            triggers.iter().map(|(name, one)| (name.clone(), one.table.clone())).collect();
        Ok(Self { views, triggers, trigger_tables })
    }
}

fn act(
    door: &Door,
    stored: &Stored<'_>,
    wanted: &Wanted,
    plan: &Plan,
    found: &Found,
    monitor: &dyn Monitor,
) -> Result<(), DatabaseError> {
    let schema = found.catalog.schema.as_str();
    let mut session = door.open(Purpose::Define)?;
    let mut definer = Definer { session: &mut session, schema, origin: &stored.schema.name };
    let (charset, collation) = (&stored.schema.charset, &stored.schema.collation);
    if plan.schema {
        definer.set_defaults(charset, collation)?;
    }
    clear(&mut definer, plan)?;
    load_tables(door, stored, plan, found, monitor)?;
    for (table, mark) in &plan.counters {
        definer.set_counter(table, *mark)?;
    }
    let views = plan.create_views.iter().map(|name| (name.clone(), wanted.views[name].clone()));
    definer.create_views(&views.collect::<Vec<_>>())?;
    reach(CrashPoint::ViewsCreated);
    create_triggers(&mut definer, wanted, plan, collation)?;
    reach(CrashPoint::TriggersCreated);
    Ok(())
}

/// Drops what is not wanted, or not as it is. Tables last: triggers and views stand on them.
fn clear(definer: &mut Definer<'_>, plan: &Plan) -> Result<(), DatabaseError> {
    let named = |kind, names: &[String]| {
        names.iter().map(move |name| (kind, name.clone())).collect::<Vec<_>>()
    };
    let all = named(ObjectKind::Trigger, &plan.drop_triggers)
        .into_iter()
        .chain(named(ObjectKind::View, &plan.drop_views))
        .chain(plan.drop_others.clone())
        .chain(named(ObjectKind::Table, &plan.drop_tables));
    for (kind, name) in all {
        definer.drop(kind, &name)?;
        reach(CrashPoint::ObjectDropped);
    }
    Ok(())
}

/// Creates and loads tables, several at once, the largest first.
fn load_tables(
    door: &Door,
    stored: &Stored<'_>,
    plan: &Plan,
    found: &Found,
    monitor: &dyn Monitor,
) -> Result<(), DatabaseError> {
    let mut records: Vec<&ObjectRecord> =
        stored.of(ObjectKind::Table).filter(|one| plan.load_tables.contains(&one.name)).collect();
    records.sort_by_key(|one| one.bytes);
    let (queue, stop) = (Mutex::new(records), AtomicBool::new(false));
    let task = load::Task {
        stored,
        schema: &found.catalog.schema,
        packet_bytes_max: found.server.packet_bytes_max,
        monitor,
        stop: &stop,
    };
    let next = || queue.lock().expect("no holder of this lock panics").pop();
    let work = || {
        let mut sessions = None;
        while let Some(record) = next() {
            let sessions = match &mut sessions {
                Some(sessions) => sessions,
                none => none.insert((door.open(Purpose::Define)?, door.open(Purpose::Load)?)),
            };
            load_table(&task, record, sessions)?;
        }
        Ok(())
    };
    let results: Vec<Result<(), DatabaseError>> = thread::scope(|scope| {
        let guarded = || work().inspect_err(|_| stop.store(true, Ordering::Relaxed));
        // The caller is one of them: the system may refuse all others.
        let workers: Vec<_> = (1..LOADERS).filter_map(|_| beside(scope, guarded)).collect();
        let own = guarded();
        let others = workers.into_iter().map(|worker| worker.join().expect("a worker panicked"));
        iter::once(own).chain(others).collect()
    });
    first_cause(results)
}

fn load_table(
    task: &load::Task<'_>,
    record: &ObjectRecord,
    (define, rows): &mut (Session, Session),
) -> Result<(), DatabaseError> {
    let table: Table = task.stored.table(record)?;
    let origin = &task.stored.schema.name;
    let mut definer = Definer { session: define, schema: task.schema, origin };
    let text = with_counter(&table.definition, record.auto_increment);
    definer.create_table(&record.name, &text)?;
    reach(CrashPoint::TableCreated);
    load(rows, task, record, &table)
}

/// The first error that is not only the echo of another.
fn first_cause(results: Vec<Result<(), DatabaseError>>) -> Result<(), DatabaseError> {
    let mut stopped = Ok(());
    for result in results {
        match result {
            Err(DatabaseError::Stopped) => stopped = Err(DatabaseError::Stopped),
            other => other?,
        }
    }
    stopped
}

/// Creates triggers in their order, each under the schema's collation of its time.
fn create_triggers(
    definer: &mut Definer<'_>,
    wanted: &Wanted,
    plan: &Plan,
    collation: &str,
) -> Result<(), DatabaseError> {
    let mut triggers: Vec<_> =
        plan.create_triggers.iter().map(|name| (name, &wanted.triggers[name])).collect();
    triggers
        .sort_by(|(_, a), (_, b)| (&a.table, &a.when, a.place).cmp(&(&b.table, &b.when, b.place)));
    let mut current = collation;
    let charset_of = |collation: &str| collation.split('_').next().unwrap_or_default().to_owned();
    for (name, trigger) in triggers {
        if trigger.schema_collation != current {
            current = &trigger.schema_collation;
            definer.set_defaults(&charset_of(current), current)?;
        }
        definer.create_trigger(name, trigger)?;
        reach(CrashPoint::TriggerCreated);
    }
    if current != collation {
        definer.set_defaults(&charset_of(collation), collation)?;
    }
    Ok(())
}

/// Names the first object that is not as it was stored.
fn compare(wanted: &[ObjectRecord], live: &[ObjectRecord]) -> Result<(), DatabaseError> {
    let key = |one: &ObjectRecord| (one.kind, one.name.clone());
    let have: BTreeMap<_, _> = live.iter().map(|one| (key(one), one)).collect();
    for one in wanted {
        let what = match have.get(&key(one)) {
            None => "it is not there",
            Some(live) if live.definition != one.definition => "its definition",
            Some(live) if live.rows != one.rows => "the number of its rows",
            Some(live) if live.rows_digest != one.rows_digest => "its rows",
            Some(live) if live.auto_increment != one.auto_increment => "its counter",
            Some(_) => continue,
        };
        return Err(mismatch(one, what));
    }
    let want: BTreeMap<_, _> = wanted.iter().map(|one| (key(one), one)).collect();
    match live.iter().find(|one| !want.contains_key(&key(one))) {
        Some(extra) => Err(mismatch(extra, "it was not stored")),
        None => Ok(()),
    }
}

fn mismatch(one: &ObjectRecord, what: &'static str) -> DatabaseError {
    let kind = super::objects::kind_from(one.kind);
    DatabaseError::Mismatch { kind, name: one.name.clone(), what }
}
