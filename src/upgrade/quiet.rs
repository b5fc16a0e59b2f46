//! Whether anything still writes: checked, never believed.

use std::time::Duration;

use crate::database::{Activity, Database, DatabaseKind};
use crate::os::clock;

use super::UpgradeError;
use super::covered::Covered;
use super::event::Watched;

/// Between two looks at a database. Counters of a server are of the whole server and move slowly;
/// those of a file are the file's own.
const fn apart(kind: DatabaseKind) -> Duration {
    match kind {
        DatabaseKind::MySql => Duration::from_millis(500),
        DatabaseKind::Sqlite => Duration::from_millis(100),
    }
}

/// How long a session that is just ending may take.
const GRACE: Duration = Duration::from_secs(2);

/// Watches every database for a while. With the site shut by us, what is left of its sessions is
/// ended; otherwise they are only looked at.
pub(super) fn check(covered: &mut Covered, shut: bool) -> Result<Vec<Watched>, UpgradeError> {
    covered.databases.iter_mut().map(|database| watch(database.as_mut(), shut)).collect()
}

fn watch(database: &mut dyn Database, shut: bool) -> Result<Watched, UpgradeError> {
    let kind = database.kind();
    if shut && kind == DatabaseKind::MySql {
        database.end_sessions()?;
    }
    let waited = clock::stopwatch();
    let mut before = database.activity()?;
    loop {
        clock::pause(apart(kind));
        let now = database.activity()?;
        let busy = busy(kind, &before, &now);
        let Some(what) = busy else {
            return Ok(Watched {
                name: database.name().to_owned(),
                counters: format!("{:?}", now.written),
                sessions: u32::try_from(now.sessions.len()).unwrap_or(u32::MAX),
            });
        };
        if waited.elapsed() >= GRACE {
            let what = format!("database {}: {what}", database.name());
            return Err(UpgradeError::NotQuiet { what });
        }
        before = now;
    }
}

/// Who writes or may write at any moment. A server's counters also move for its other schemas, so
/// there the fingerprint decides, once the dump is there to be compared with.
fn busy(kind: DatabaseKind, before: &Activity, now: &Activity) -> Option<String> {
    let idle = |doing: &str| doing.to_ascii_lowercase().starts_with("sleep");
    let session = now.sessions.iter().find(|session| match kind {
        DatabaseKind::Sqlite => true,
        DatabaseKind::MySql => !idle(&session.doing),
    });
    if let Some(session) = session {
        return Some(format!("{} is connected ({})", session.who, session.doing));
    }
    match kind {
        DatabaseKind::Sqlite if !now.is_quiet_since(before) => {
            Some("it is written to while the site is shut".to_owned())
        }
        DatabaseKind::Sqlite | DatabaseKind::MySql => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::database::Session;

    fn activity(changes: u64, sessions: &[&str]) -> Activity {
        let session = |doing: &&str| Session { id: 1, who: "app".into(), doing: (*doing).into() };
        Activity {
            sessions: sessions.iter().map(session).collect(),
            written: BTreeMap::from([("changes".to_owned(), changes)]),
        }
    }

    #[test]
    fn a_file_is_quiet_when_nobody_holds_it_and_nothing_moves() {
        let kind = DatabaseKind::Sqlite;
        assert_eq!(busy(kind, &activity(1, &[]), &activity(1, &[])), None);
        assert!(busy(kind, &activity(1, &[]), &activity(2, &[])).is_some());
        assert!(busy(kind, &activity(1, &[]), &activity(1, &["open"])).is_some());
    }

    #[test]
    fn a_server_is_watched_by_what_the_account_does_not_by_what_others_write() {
        let kind = DatabaseKind::MySql;
        assert_eq!(busy(kind, &activity(1, &[]), &activity(2, &[])), None);
        assert_eq!(busy(kind, &activity(1, &[]), &activity(1, &["Sleep, 3 s"])), None);
        assert!(busy(kind, &activity(1, &[]), &activity(1, &["Query, 0 s"])).is_some());
    }
}
