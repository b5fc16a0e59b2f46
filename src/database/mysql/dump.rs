//! Stores a whole schema.
//!
//! ```text
//! rights to see everything, then definitions; refuse what cannot be carried
//! one instant for all connections; rows read, cut and stored; counted by the server as well
//! definitions once more: if somebody changed one meanwhile, all is thrown away and begun anew
//! objects, pages, root
//! ```

use super::catalog::{Catalog, Scope};
use super::objects::records;
use super::rights::Rights;
use super::server::{self, Server};
use super::session::{Door, Purpose, Session, code_in};
use super::sink::{Sink, Storing};
use super::survey::{Readings, Survey};
use super::{facts, lossy, refuse};
use crate::database::fingerprint::Hashers;
use crate::database::rows::CUT_TARGET;
use crate::database::state::{
    Id, OBJECTS_PER_PAGE, ObjectPage, ObjectRecord, Root, SchemaRecord, VERSION, encode,
};
use crate::database::{Consistency, DatabaseError, DatabaseKind, DatabaseState, Fact};
use crate::monitor::Monitor;
use crate::repository::Writer;

/// How often a dump is begun anew when definitions change under it.
const TRIES: u32 = 3;

/// What the server says of a table that was altered or dropped since its definition was read: the
/// definition has changed, no such column, no such table, its change is under way.
const CHANGED: [u16; 4] = [1412, 1054, 1146, 1684];

/// Dumps the schema behind `door` into the repository.
pub(super) fn dump(
    door: &Door,
    scope: &Scope,
    writer: &Writer<'_>,
    monitor: &dyn Monitor,
) -> Result<DatabaseState, DatabaseError> {
    let mut session = door.open(Purpose::Read)?;
    let server = Server::ask(&mut session)?;
    let schema = session.value("ask for the schema", "SELECT DATABASE()")?;
    see_everything(&mut session, &schema)?;
    let hashers = Hashers::of(writer.repository());
    let survey = Survey {
        door,
        server: &server,
        hashers: &hashers,
        cut_target: CUT_TARGET,
        counts: true,
        monitor,
    };
    let mut changed = None;
    for _ in 0..TRIES {
        let before = Catalog::read(&mut session, &schema, scope)?;
        refuse::judge(&before, &server, &scope.prefix)?;
        lossy::judge(&mut session, &server, &before)?;
        let wanted: Vec<_> = before.tables.iter().collect();
        let (readings, consistency) = match survey.run(&before, &wanted, || Storing::into(writer)) {
            Err(why) if code_in(&why).is_some_and(|code| CHANGED.contains(&code)) => {
                changed = Some("a table".to_owned());
                continue;
            }
            read => read?,
        };
        let after = Catalog::read(&mut session, &schema, scope)?;
        changed = difference(&before, &after);
        if changed.is_none() {
            check_row_sizes(&readings, &server)?;
            let mut facts = server::facts(&mut session)?;
            facts.extend(facts::orphans(&mut session, &after));
            let identity = server::identity(&mut session, &server)?;
            let dumped = Dumped { catalog: after, readings, consistency, facts, identity };
            return store(dumped, &server, &hashers, scope, writer);
        }
    }
    Err(DatabaseError::ChangedMeanwhile { what: changed.unwrap_or_default(), tries: TRIES })
}

/// Refuses an account for which something of the schema could be there unseen.
fn see_everything(session: &mut Session, schema: &str) -> Result<(), DatabaseError> {
    let rights = Rights::ask(session, schema)?;
    match rights.blind_spots().first() {
        Some((right, what)) => Err(DatabaseError::Blind { schema: schema.to_owned(), right, what }),
        None => Ok(()),
    }
}

/// The first object whose definition changed.
fn difference(before: &Catalog, after: &Catalog) -> Option<String> {
    let (before, after) = (before.clone().definitions_only(), after.clone().definitions_only());
    if before == after {
        return None;
    }
    let tables = after.tables.iter().filter(|one| !before.tables.contains(one));
    let gone = before.tables.iter().filter(|one| !after.tables.iter().any(|t| t.name == one.name));
    let first = tables.chain(gone).map(|one| format!("table {}", one.name)).next();
    Some(first.unwrap_or_else(|| "the schema".to_owned()))
}

fn check_row_sizes(readings: &Readings, server: &Server) -> Result<(), DatabaseError> {
    // A statement's own words beside the row's bytes.
    const SLACK: u64 = 64 * 1024;
    let limit = server.packet_bytes_max;
    let largest = readings.iter().max_by_key(|(_, reading)| reading.row_bytes_max);
    match largest {
        Some((table, reading)) if reading.row_bytes_max + SLACK > limit => {
            Err(DatabaseError::RowTooLarge {
                table: table.clone(),
                bytes: reading.row_bytes_max,
                limit,
            })
        }
        _ => Ok(()),
    }
}

struct Dumped {
    catalog: Catalog,
    readings: Readings,
    consistency: Consistency,
    facts: Vec<Fact>,
    identity: String,
}

fn store(
    dumped: Dumped,
    server: &Server,
    hashers: &Hashers,
    scope: &Scope,
    writer: &Writer<'_>,
) -> Result<DatabaseState, DatabaseError> {
    let Dumped { catalog, readings, consistency, facts, identity } = dumped;
    let mut sink = Storing::into(writer);
    let objects = records(&catalog, &readings, server, hashers, &mut sink)?;
    let fingerprint = hashers.fingerprint(&objects);
    let total = |of: fn(&ObjectRecord) -> u64| objects.iter().map(of).sum::<u64>();
    let (rows, bytes) = (total(|one| one.rows), total(|one| one.bytes));
    let mut pages = Vec::new();
    for page in objects.chunks(OBJECTS_PER_PAGE) {
        let page = ObjectPage { objects: page.to_vec() };
        pages.push(Id(*sink.record(&encode(&page))?.as_bytes()));
    }
    let root = Root {
        version: VERSION,
        kind: DatabaseKind::MySql.name().to_owned(),
        fingerprint,
        made_by: server.shown.clone(),
        identity,
        consistency: u32::from(consistency == Consistency::PerTable),
        facts: facts.iter().map(Fact::stored).collect(),
        needs: Vec::new(),
        rows,
        bytes,
        schema: Some(SchemaRecord {
            name: catalog.schema,
            charset: catalog.charset,
            collation: catalog.collation,
            cut_target: CUT_TARGET,
            pages,
            prefix: scope.prefix.clone(),
        }),
        image: None,
    };
    let state = sink.record(&encode(&root))?;
    sink.finish()?;
    Ok(DatabaseState { state, fingerprint, rows, bytes, consistency, facts })
}
