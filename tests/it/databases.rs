//! Databases into the repository and out again, by the oracle of the database's own tools.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::notes_upgrade::{back_in_place, unchanged};
use crate::oracle::{same, sqlite};
use crate::run::{args, tool};
use crate::server::Server;
use crate::stage::write;
use crate::world::World;

/// Every kind of value and of object that SQLite has.
const EVERYTHING: &str = "
PRAGMA page_size = 8192; PRAGMA user_version = 42; PRAGMA application_id = 77;
CREATE TABLE kinds (id INTEGER PRIMARY KEY AUTOINCREMENT, any_value, i INTEGER, r REAL, t TEXT COLLATE NOCASE, b BLOB);
INSERT INTO kinds (any_value, i, r, t, b) VALUES
  (NULL, 9223372036854775807, 1e308, 'text with ''quotes'' and é📝', x'00ff00'),
  (1, -9223372036854775808, -0.0, '', x''), ('1', 0, 0.1, char(0), zeroblob(70000)),
  (1.0, NULL, 9e999, 'new' || char(10) || 'line', NULL);
DELETE FROM kinds WHERE id = 4;
CREATE TABLE strict_one (a INT NOT NULL CHECK (a > 0), b ANY, c TEXT AS (b || '!') STORED) STRICT;
INSERT INTO strict_one (a, b) VALUES (1, 'x'), (2, 7);
CREATE TABLE keyed (a TEXT, b INT, PRIMARY KEY (b, a)) WITHOUT ROWID;
INSERT INTO keyed VALUES ('z', 1), ('a', 2);
CREATE TABLE child (id INTEGER PRIMARY KEY, of INT REFERENCES kinds (id) DEFERRABLE INITIALLY DEFERRED);
INSERT INTO child VALUES (1, 1);
CREATE VIRTUAL TABLE words USING fts5 (body);
INSERT INTO words VALUES ('the quick brown fox'), ('jumps');
CREATE INDEX partly ON kinds (i DESC) WHERE t IS NOT NULL;
CREATE VIEW shown AS SELECT id, t FROM kinds;
CREATE TRIGGER told INSTEAD OF INSERT ON shown BEGIN INSERT INTO kinds (t) VALUES (new.t); END;
";

fn fill(file: &Path, sql: &str) {
    write(file.with_extension("sql"), sql);
    let input = std::fs::File::open(file.with_extension("sql")).expect("ours");
    let mut command = Command::new("sqlite3");
    command.arg("-bail").arg(file).stdin(Stdio::from(input)).stdout(Stdio::null());
    assert!(command.status().expect("sqlite3 runs").success());
}

#[test]
fn everything_a_sqlite_database_holds_comes_back() {
    let world = World::new();
    let file = world.path("all.db");
    fill(&file, EVERYTHING);
    let before = sqlite(&file);
    let url = format!("sqlite://{}", file.display());
    world.snap(args!["backup", "--db", url]).ok();
    same(&before, &sqlite(&file), "a backup changes nothing");
    let copy = world.path("copy.db");
    let into = format!("sqlite://{}", copy.display());
    world.snap(args!["restore", "latest", "--db", "main", "--into", into, "--yes"]).ok();
    same(&before, &sqlite(&copy), "the copy");
}

#[test]
fn a_sqlite_database_that_is_written_to_meanwhile_is_taken_at_one_instant() {
    let world = World::new();
    let file = world.path("busy.db");
    let rows = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)";
    fill(
        &file,
        &format!(
            "PRAGMA journal_mode = WAL; CREATE TABLE account (id INTEGER PRIMARY KEY, money INT, pad BLOB); {rows} INSERT INTO account SELECT i, 100, randomblob(200) FROM n;"
        ),
    );
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut turn = 0;
            while !stop.load(Ordering::Relaxed) {
                turn += 1;
                // Moves money about; the sum never changes.
                let (from, to) = (1 + turn * 7919 % 20000, 1 + turn * 104_729 % 20000);
                let sql = format!(
                    "BEGIN; UPDATE account SET money = money - 1 WHERE id = {from}; UPDATE account SET money = money + 1 WHERE id = {to}; COMMIT;"
                );
                tool("sqlite3", &[&"-cmd", &".timeout 10000", &file, &sql]);
            }
        });
        let url = format!("sqlite://{}", file.display());
        let runs: Vec<_> = (0..5).map(|_| world.snap(args!["backup", "--db", url])).collect();
        stop.store(true, Ordering::Relaxed);
        for run in runs {
            run.ok();
        }
    });
    for (n, address) in
        ["latest", "latest~1", "latest~2", "latest~3", "latest~4"].iter().enumerate()
    {
        let copy = world.path(format!("copy{n}.db"));
        let into = format!("sqlite://{}", copy.display());
        world.snap(args!["restore", address, "--db", "main", "--into", into, "--yes"]).ok();
        sqlite(&copy);
        let sum = tool("sqlite3", &[&copy, &"SELECT COUNT(*), SUM(money) FROM account"]);
        assert_eq!(String::from_utf8_lossy(&sum), "20000|2000000\n", "{address}");
    }
}

#[test]
fn a_sqlite_file_inside_a_root_belongs_to_its_database_and_not_to_the_tree() {
    let (world, site) = World::with_notes();
    site.ask(
        "PRAGMA journal_mode = WAL; INSERT INTO notes (title, changed) VALUES ('in the log', '')",
    );
    let before = site.fingerprint();
    world.snap(["backup", "--app", "notes"]).ok();
    let listed = world.snap(["ls", "latest", "-R"]).ok();
    assert!(!listed.stdout.contains("notes.db-wal"), "{listed}");
    site.ask("DELETE FROM notes; DROP VIEW tag_counts");
    world.snap(back_in_place()).ok();
    unchanged(&site, &before, "restored");
}

/// Every common type, engine and object of a schema.
const SCHEMA: &str = "
SET NAMES utf8mb4; SET sql_mode = 'NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION';
CREATE TABLE kinds (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  ti TINYINT, si SMALLINT, mi MEDIUMINT, i INT UNSIGNED ZEROFILL, bi BIGINT, de DECIMAL(65,30), f FLOAT, d DOUBLE,
  bit1 BIT(1), bit64 BIT(64), c CHAR(10), v VARCHAR(300) CHARACTER SET latin1 COLLATE latin1_german1_ci,
  bin BINARY(4), vb VARBINARY(300), t TEXT, mt MEDIUMTEXT, lb LONGBLOB,
  e ENUM('a','b''c','ü'), s SET('x','y','z'), da DATE, dt DATETIME(6), ts TIMESTAMP(3) NULL, ti6 TIME(6), y YEAR,
  j JSON, u UUID, i6 INET6, g GEOMETRY,
  hidden INT INVISIBLE DEFAULT 7, twice INT AS (ti * 2) VIRTUAL, thrice INT AS (ti * 3) STORED,
  expr VARCHAR(50) DEFAULT (CONCAT('made ', 1 + 1)), CHECK (ti < 100), UNIQUE KEY (u), KEY part (t(20)), KEY back (si DESC)
) ENGINE=InnoDB AUTO_INCREMENT=5000 COMMENT='every kind; with ''quotes''';
INSERT INTO kinds (ti, si, mi, i, bi, de, f, d, bit1, bit64, c, v, bin, vb, t, mt, lb, e, s, da, dt, ts, ti6, y, j, u, i6, g) VALUES
 (1, -32768, 8388607, 7, -9223372036854775808, 12345678901234567890123456789012345.123456789012345678901234567890, 1.5e-30, -1.7976931348623157e308,
  b'1', b'1111000011110000', 'pad  ', 'Straße', x'00ff0a00', x'deadbeef00', 'é📝 \\\\ '' \\\" \\n \\0 \\Z', REPEAT('m', 70000), REPEAT(x'00ff', 100000),
  'b''c', 'x,z', '0000-00-00', '9999-12-31 23:59:59.999999', '2038-01-19 03:14:07.999', '-838:59:59.000001', 1901,
  '{\"a\": [1, null]}', UUID(), '::ffff:1.2.3.4', ST_GeomFromText('POLYGON((0 0,1 0,1 1,0 0))')),
 (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
 (0, 0, 0, 0, 0, 0, 0, 0, b'0', 0, '', '', '', '', '', '', '', 'a', '', '2026-02-30', '0000-00-00 00:00:00', NULL, 0, 0, '\"x\"', NULL, '::', POINT(1, 2));
INSERT INTO kinds (id, ti) VALUES (0, 9);
CREATE TABLE legacy (a INT NOT NULL, b VARCHAR(20), c TEXT, FULLTEXT KEY (c), KEY (b)) ENGINE=MyISAM ROW_FORMAT=DYNAMIC;
INSERT INTO legacy VALUES (1, 'one', 'some text'), (1, 'one', 'some text'), (2, NULL, NULL);
CREATE TABLE aria (a INT PRIMARY KEY) ENGINE=Aria TRANSACTIONAL=0;
INSERT INTO aria VALUES (1), (2);
CREATE TABLE `odd ``name`` é` (`a column` INT, `select` INT, PRIMARY KEY (`select`));
INSERT INTO `odd ``name`` é` VALUES (1, 2);
CREATE TABLE chicken (id INT PRIMARY KEY, egg INT, KEY (egg)) ENGINE=InnoDB;
CREATE TABLE egg (id INT PRIMARY KEY, chicken INT, CONSTRAINT laid FOREIGN KEY (chicken) REFERENCES chicken (id) ON DELETE SET NULL) ENGINE=InnoDB;
ALTER TABLE chicken ADD CONSTRAINT hatched FOREIGN KEY (egg) REFERENCES egg (id) ON UPDATE CASCADE;
SET foreign_key_checks = 0; INSERT INTO chicken VALUES (1, 1); INSERT INTO egg VALUES (1, 1); SET foreign_key_checks = 1;
CREATE TABLE many (a INT, b INT, c VARCHAR(40), PRIMARY KEY (b, a)) ENGINE=InnoDB;
INSERT INTO many SELECT seq, seq % 97, MD5(seq) FROM seq_1_to_30000;
CREATE VIEW below AS SELECT a, c FROM many WHERE b < 10;
CREATE ALGORITHM=MERGE SQL SECURITY INVOKER VIEW above AS SELECT * FROM below WHERE a > 5 WITH CASCADED CHECK OPTION;
CREATE TRIGGER first_one BEFORE INSERT ON many FOR EACH ROW SET NEW.c = COALESCE(NEW.c, 'none');
CREATE TRIGGER second_one BEFORE INSERT ON many FOR EACH ROW FOLLOWS first_one SET NEW.c = UPPER(NEW.c);
CREATE TRIGGER gone AFTER DELETE ON many FOR EACH ROW BEGIN DECLARE n INT; SET n = OLD.a; INSERT INTO aria VALUES (n + 1000000); END;
";

#[test]
#[ignore = "needs MariaDB and PHP; bash tests/all.sh runs it"]
fn everything_a_schema_holds_comes_back_over_whatever_is_there() {
    let world = World::new();
    let server = Server::of_this_run();
    let schema = server.schema();
    let other = server.schema_of(&schema);
    let sql = world.path("schema.sql");
    // The client splits statements at semicolons; the one trigger with a body has its own end.
    write(
        &sql,
        SCHEMA
            .replace("CREATE TRIGGER gone", "DELIMITER //\nCREATE TRIGGER gone")
            .replace("1000000); END;", "1000000); END//\nDELIMITER ;"),
    );
    schema.load(&sql);
    let before = schema.fingerprint();
    let backup = || world.snap_as(&schema, args!["backup", "--db", schema.url()]).ok();
    backup();
    same(&before, &schema.fingerprint(), "a backup changes nothing");
    // What is there has other tables, other rows, and tables of the same name with other columns.
    other.ask("CREATE TABLE intruder (a INT); CREATE TABLE kinds (other INT); INSERT INTO kinds VALUES (1); CREATE VIEW many AS SELECT 1 AS one; CREATE TABLE below (a INT)");
    let restore = |from: &str| {
        let go = args!["restore", from, "--db", "main", "--into", other.url(), "--yes"];
        world.snap_as(&other, go).ok();
    };
    restore("latest");
    same(&before, &other.fingerprint(), "the copy");
    // Later states go to and fro.
    schema.ask("DELETE FROM many WHERE a % 3 = 0; ALTER TABLE legacy ADD COLUMN d INT DEFAULT 4; DROP VIEW above; UPDATE kinds SET t = 'changed' WHERE ti = 0");
    let after = schema.fingerprint();
    backup();
    restore("latest");
    same(&after, &other.fingerprint(), "the later state");
    restore("latest~1");
    same(&before, &other.fingerprint(), "the earlier state");
}
