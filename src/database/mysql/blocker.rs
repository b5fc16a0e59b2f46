//! Who holds the lock that we did not get, as far as the account may see.

use super::session::{Session, code_in, text};
use crate::database::DatabaseError;

/// The server's number for a lock that was not granted in time.
const LOCK_WAIT_TIMEOUT: u16 = 1205;

/// Turns a lock that was not granted in time into an error that names the likely holder.
pub(super) fn explain(error: DatabaseError, session: &mut Session, wanted: &str) -> DatabaseError {
    if code_in(&error) != Some(LOCK_WAIT_TIMEOUT) {
        return error;
    }
    let (blocker, waited_s) = (likely(session), session.lock_wait_s());
    DatabaseError::LockTimeout { wanted: wanted.to_owned(), waited_s, blocker }
}

/// A metadata lock is held by a transaction that touched the table, or by a statement that runs.
/// Servers do not say which without a plugin, so we name the oldest transaction, else the longest
/// statement.
fn likely(session: &mut Session) -> Option<String> {
    let own = session.id();
    let transactions = format!(
        "SELECT p.ID, CONCAT(p.USER, '@', SUBSTRING_INDEX(p.HOST, ':', 1)), p.COMMAND, p.TIME, \
         'in a transaction' FROM information_schema.INNODB_TRX t \
         JOIN information_schema.PROCESSLIST p ON p.ID = t.trx_mysql_thread_id \
         WHERE p.ID <> {own} ORDER BY t.trx_started LIMIT 1"
    );
    let statements = format!(
        "SELECT ID, CONCAT(USER, '@', SUBSTRING_INDEX(HOST, ':', 1)), COMMAND, TIME, '' \
         FROM information_schema.PROCESSLIST WHERE ID <> {own} AND COMMAND IN ('Query', 'Execute') \
         ORDER BY TIME DESC LIMIT 1"
    );
    // Seeing other accounts needs the right PROCESS; without it, only our own sessions show.
    [transactions, statements].iter().find_map(|sql| {
        let row = session.row("look for the blocker", sql).ok().flatten()?;
        let cells: Vec<String> = row.into_iter().map(text).collect();
        let [id, who, command, time, what] = <[String; 5]>::try_from(cells).ok()?;
        let what = if what.is_empty() { String::new() } else { format!(", {what}") };
        Some(format!("connection {id} of {who} ({}, for {time} s{what})", command.to_lowercase()))
    })
}
