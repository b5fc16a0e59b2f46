//! Whether somebody else is at the database, and making them go.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use super::session::{Door, Purpose, Session, code_in, text};
use super::text::literal;
use crate::database::{Activity, DatabaseError};
use crate::os::clock;

/// How long ended sessions may take to be gone: their last statement is undone first.
const GONE: Duration = Duration::from_secs(30);

/// "Unknown thread id": it went by itself.
const NO_SUCH_THREAD: u16 = 1094;

/// Looks at the account's other sessions and at what moves when rows are written.
pub(super) fn look(door: &Door) -> Result<Activity, DatabaseError> {
    let mut session = door.open(Purpose::Read)?;
    let sessions = sessions(&mut session, door)?;
    let mut written = status(&mut session, "GLOBAL")?;
    // Our own part, which is that of this connection, is taken off.
    let own = status(&mut session, "SESSION")?;
    for (name, value) in &mut written {
        *value = value.saturating_sub(own.get(name).copied().unwrap_or(0));
    }
    Ok(Activity { sessions, written })
}

fn status(session: &mut Session, whose: &str) -> Result<BTreeMap<String, u64>, DatabaseError> {
    let sql = format!("SHOW {whose} STATUS WHERE Variable_name REGEXP '^(Com|Handler)_'");
    let rows = session.rows("read the server's counters", &sql)?;
    let pairs = rows.into_iter().filter_map(|row| {
        let mut cells = row.into_iter().map(text);
        let name = cells.next().filter(|name| is_writing(name))?;
        Some((name, cells.next()?.parse().ok()?))
    });
    Ok(pairs.collect())
}

/// Whether a counter moves when something is written. Rows alone would not do: MyISAM empties a
/// table without touching one.
fn is_writing(counter: &str) -> bool {
    const ROWS: [&str; 3] = ["Handler_write", "Handler_update", "Handler_delete"];
    const STATEMENTS: [&str; 11] = [
        "insert",
        "update",
        "delete",
        "replace",
        "load",
        "call_procedure",
        "create",
        "alter",
        "drop",
        "truncate",
        "rename",
    ];
    let statement = counter.strip_prefix("Com_").filter(|name| !name.starts_with("show_"));
    ROWS.contains(&counter)
        || statement.is_some_and(|name| STATEMENTS.iter().any(|word| name.starts_with(word)))
}

/// Sessions of the account that use the schema, or none yet.
fn sessions(
    session: &mut Session,
    door: &Door,
) -> Result<Vec<crate::database::Session>, DatabaseError> {
    let schema = session.value("ask for the schema", "SELECT DATABASE()")?;
    let sql = format!(
        "SELECT ID, CONCAT(USER, '@', HOST), COMMAND, TIME, STATE \
         FROM information_schema.PROCESSLIST WHERE USER = {} AND ID <> {} \
         AND COMMAND <> 'Killed' AND (DB = {} OR DB IS NULL)",
        literal(&door.address.user),
        session.id(),
        literal(&schema),
    );
    let rows = session.rows("look for other sessions", &sql)?;
    let one = |row: Vec<Option<Vec<u8>>>| {
        let cells: Vec<String> = row.into_iter().map(text).collect();
        let [id, who, command, time, state] = <[String; 5]>::try_from(cells).ok()?;
        let state = if state.is_empty() { String::new() } else { format!(" ({state})") };
        Some(crate::database::Session {
            id: id.parse().ok()?,
            who,
            doing: format!("{command} for {time} s{state}"),
        })
    };
    Ok(rows.into_iter().filter_map(one).collect())
}

/// Ends those sessions and waits until they are gone.
pub(super) fn end(door: &Door) -> Result<(), DatabaseError> {
    let mut session = door.open(Purpose::Read)?;
    let begun = clock::stopwatch();
    loop {
        let others = sessions(&mut session, door)?;
        if others.is_empty() {
            return Ok(());
        }
        for one in &others {
            match session.run("end a session", &format!("KILL CONNECTION {}", one.id)) {
                Err(why) if code_in(&why) == Some(NO_SUCH_THREAD) => {}
                done => done?,
            }
        }
        if begun.elapsed() > GONE {
            let who: Vec<_> = others.iter().map(|one| format!("{} {}", one.id, one.who)).collect();
            return Err(DatabaseError::LockTimeout {
                wanted: "the end of the account's other sessions".to_owned(),
                waited_s: GONE.as_secs(),
                blocker: Some(who.join(", ")),
            });
        }
        thread::sleep(Duration::from_millis(20));
    }
}
