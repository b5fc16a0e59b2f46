//! Which server this is, and what it is able to do.

use super::session::{Session, text};
use crate::database::{DatabaseError, Fact};

/// The two families, which have grown apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flavor {
    /// MariaDB.
    MariaDb,
    /// Oracle's MySQL, and Percona's.
    MySql,
}

/// What is known of the server once connected.
#[derive(Clone, Debug)]
pub(super) struct Server {
    pub(super) flavor: Flavor,
    pub(super) version: [u32; 3],
    /// `mariadb 10.11.6`, for people.
    pub(super) shown: String,
    /// The longest statement, and nearly the longest row, that it takes.
    pub(super) packet_bytes_max: u64,
}

impl Server {
    pub(super) fn ask(session: &mut Session) -> Result<Self, DatabaseError> {
        let doing = "ask for the server's version";
        let version = session.value(doing, "SELECT VERSION()")?;
        let packet = session.value(doing, "SELECT @@max_allowed_packet")?;
        Ok(Self::parse(&version, packet.parse().unwrap_or(1 << 20)))
    }

    fn parse(version: &str, packet_bytes_max: u64) -> Self {
        let flavor = if version.contains("MariaDB") { Flavor::MariaDb } else { Flavor::MySql };
        // Old replication clients needed to be told that MariaDB 10 is at least 5.5.
        let digits = version.strip_prefix("5.5.5-").unwrap_or(version);
        let digits = digits.split(['-', '+', '~']).next().unwrap_or_default();
        let mut parts = digits.split('.').map(|part| part.parse().unwrap_or(0));
        let version = std::array::from_fn(|_| parts.next().unwrap_or(0));
        let name = match flavor {
            Flavor::MariaDb => "mariadb",
            Flavor::MySql => "mysql",
        };
        Self { flavor, version, shown: format!("{name} {digits}"), packet_bytes_max }
    }

    /// Whether `BACKUP STAGE` exists.
    pub(super) fn has_backup_stages(&self) -> bool {
        self.flavor == Flavor::MariaDb && self.version >= [10, 4, 1]
    }

    /// Whether `LOCK INSTANCE FOR BACKUP` exists.
    pub(super) fn has_instance_lock(&self) -> bool {
        self.flavor == Flavor::MySql && self.version >= [8, 0, 0]
    }

    /// Whether an InnoDB table's AUTO_INCREMENT mark outlives a restart; if not, it is no part of
    /// the content.
    pub(super) fn keeps_counters(&self) -> bool {
        match self.flavor {
            Flavor::MariaDb => self.version >= [10, 2, 4],
            Flavor::MySql => self.version >= [8, 0, 0],
        }
    }

    /// Whether a statement in a character set other than ours can be run, by `EXECUTE IMMEDIATE`:
    /// the driver sends nothing but UTF-8.
    pub(super) fn runs_foreign_text(&self) -> bool {
        self.flavor == Flavor::MariaDb && self.version >= [10, 6, 2]
    }
}

/// What tells this server from every other.
pub(super) fn identity(session: &mut Session, server: &Server) -> Result<String, DatabaseError> {
    let sql = match server.flavor {
        Flavor::MySql => "SELECT @@server_uuid",
        Flavor::MariaDb => "SELECT CONCAT(@@hostname, ':', @@port, ':', @@datadir)",
    };
    let value = session.value("ask for the server's identity", sql)?;
    Ok(format!("{} {value}", server.shown.split(' ').next().unwrap_or_default()))
}

/// What an operator should know of the server before relying on a dump.
pub(super) fn facts(session: &mut Session) -> Result<Vec<Fact>, DatabaseError> {
    let doing = "read the server's settings";
    let sql = "SELECT @@innodb_flush_log_at_trx_commit, @@read_only";
    let row = session.row(doing, sql)?.unwrap_or_default();
    let mut cells = row.into_iter().map(text);
    let mut facts = Vec::new();
    if cells.next().is_some_and(|flush| flush != "1") {
        facts.push(Fact::CommitsNotFlushed);
    }
    if cells.next().is_some_and(|read_only| read_only != "0") {
        facts.push(Fact::NotWritable { why: "read_only".to_owned() });
    }
    // Needs a right that an application's account seldom has; then nothing is known.
    if session.rows(doing, "SHOW SLAVE STATUS").is_ok_and(|rows| !rows.is_empty()) {
        facts.push(Fact::NotWritable { why: "replica".to_owned() });
    }
    Ok(facts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_servers_print_them() {
        let cases = [
            ("10.11.6-MariaDB-0+deb12u1", Flavor::MariaDb, [10, 11, 6]),
            ("5.5.5-10.4.28-MariaDB-log", Flavor::MariaDb, [10, 4, 28]),
            ("8.0.36", Flavor::MySql, [8, 0, 36]),
            ("8.0.36-28", Flavor::MySql, [8, 0, 36]),
            ("9.1.0-0ubuntu1", Flavor::MySql, [9, 1, 0]),
        ];
        for (text, flavor, version) in cases {
            let server = Server::parse(text, 0);
            assert_eq!((server.flavor, server.version), (flavor, version), "{text}");
        }
        assert!(Server::parse("10.11.6-MariaDB", 0).has_backup_stages());
        assert!(!Server::parse("10.3.39-MariaDB", 0).has_backup_stages());
        assert!(Server::parse("8.4.0", 0).has_instance_lock());
    }
}
