//! A restore converges from wherever the schema is, also after it was killed.

use std::process::{Command, Stdio};

use snap_backup::database::DatabaseError;
use snap_backup::monitor::Recorder;
use snap_backup::os::crash::{self, CrashPoint, Ordered};
use snap_backup::repository::{ChunkId, Repository, Unlock};

use crate::oracle::{assert_same, look};
use crate::world::{Connection, World, at_work, sql};

const EVERYTHING: &str = include_str!("everything.sql");

/// What a migration that dies half way may leave.
const HALF_MIGRATED: &str = "
    SET sql_mode = '';
    CREATE TABLE added (id INT PRIMARY KEY, n INT, CONSTRAINT hen_egg2 FOREIGN KEY (n) REFERENCES hen (id)) ENGINE=InnoDB;
    INSERT INTO added VALUES (1, 1);
    DROP TRIGGER t1;
    CREATE TRIGGER t5 AFTER INSERT ON many FOR EACH ROW SET @a = 1;
    ALTER TABLE numbers ADD COLUMN extra INT FIRST, DROP COLUMN dd;
    ALTER TABLE texts CONVERT TO CHARACTER SET latin1;
    SET foreign_key_checks = 0; DROP TABLE hen; SET foreign_key_checks = 1;
    DROP TABLE old_style; CREATE VIEW old_style AS SELECT 1 AS id;
    DROP VIEW z_base; CREATE TABLE z_base (a INT);
    CREATE OR REPLACE VIEW across AS SELECT 2 AS two;
    UPDATE many SET v = 'changed' WHERE id % 1000 = 1;
    DELETE FROM keyless WHERE a = 2 LIMIT 1;
    INSERT INTO zero_key VALUES (77, 1); DELETE FROM zero_key WHERE id = 77;
    ALTER DATABASE CHARACTER SET = utf8mb4;
    CREATE PROCEDURE p () SELECT 1;
    CREATE FUNCTION f () RETURNS INT RETURN 1;
    CREATE EVENT e ON SCHEDULE EVERY 1 YEAR DO SET @a = 1;
    CREATE SEQUENCE sq;
    CREATE TABLE cut (a INT) PARTITION BY HASH (a) PARTITIONS 3;";

#[test]
#[ignore = "needs MariaDB; bash tests/all.sh runs it"]
fn a_half_migrated_schema_is_put_back_whole() {
    let world = World::with(EVERYTHING);
    let before = look(&world.schema);
    let state = world.dump();
    world.run(HALF_MIGRATED);
    assert_eq!(world.restore(&state).unwrap(), state.fingerprint);
    assert_same("converged", &before, &look(&world.schema));
    assert_eq!(world.run("SHOW FUNCTION STATUS WHERE Db = DATABASE()"), "");
}

#[test]
#[ignore = "needs MariaDB; bash tests/all.sh runs it"]
fn tables_that_are_equal_are_not_touched() {
    let world = World::with(EVERYTHING);
    let state = world.dump();
    // The server gives a table a new number, and a file a new time, whenever it is made.
    let marks = |world: &World| {
        let numbers = format!(
            "SELECT NAME, TABLE_ID FROM information_schema.INNODB_SYS_TABLES \
             WHERE NAME LIKE '{}/%' ORDER BY NAME",
            world.schema
        );
        let times = format!(
            "SELECT TABLE_NAME, CREATE_TIME, UPDATE_TIME FROM information_schema.TABLES \
             WHERE TABLE_SCHEMA = '{}' AND ENGINE IN ('MyISAM', 'Aria') ORDER BY 1",
            world.schema
        );
        (sql(&numbers), sql(&times))
    };
    let before = marks(&world);
    world.run("UPDATE numbers SET ti = 5; CREATE TABLE added (a INT); DROP VIEW b_on_z");
    assert_eq!(world.restore(&state).unwrap(), state.fingerprint);
    let after = marks(&world);
    assert_eq!(before.1, after.1);
    let changed: Vec<_> =
        before.0.lines().zip(after.0.lines()).filter(|(old, new)| old != new).collect();
    assert_eq!(changed.len(), 1, "{changed:?}");
    assert!(changed[0].0.contains("/numbers"), "{changed:?}");
}

#[test]
#[ignore = "needs MariaDB; bash tests/all.sh runs it"]
fn a_counter_is_put_back_without_loading_a_row() {
    let world = World::with(EVERYTHING);
    let before = look(&world.schema);
    let state = world.dump();
    world.run("INSERT INTO many (v) VALUES ('x'), ('y'); DELETE FROM many WHERE v IN ('x', 'y')");
    world.run("ALTER TABLE numbers AUTO_INCREMENT = 99; ALTER TABLE empty AUTO_INCREMENT = 9");
    let monitor = Recorder::default();
    let guard = at_work();
    world.database().restore(&world.repository, &state.state, &monitor).unwrap();
    drop(guard);
    assert_eq!(monitor.total(snap_backup::monitor::Counter::BytesWritten), 0);
    assert_same("counters", &before, &look(&world.schema));
    assert_eq!(
        world.run("INSERT INTO numbers (ti) VALUES (1); SELECT MAX(id) FROM numbers"),
        "51\n"
    );
}

/// Not a test: what [`wherever_a_restore_dies`] starts and kills.
#[test]
#[ignore = "needs MariaDB; bash tests/all.sh runs it"]
fn a_restore_that_may_be_killed() {
    let Ok(order) = std::env::var("SNAP_TEST_RESTORE") else { return };
    let mut words = order.split('\n');
    let mut next = || words.next().expect("four lines").to_owned();
    let (point, schema, repository, state) = (next(), next(), next(), next());
    if !point.is_empty() {
        crash::arm(Ordered::parse(&point).expect("a crash point"));
    }
    let key = std::path::Path::new(&repository).with_file_name("key");
    let repository = Repository::open(repository.as_ref(), &Unlock::KeyFile(&key), None).unwrap();
    let bytes: Vec<u8> =
        (0..32).map(|at| u8::from_str_radix(&state[2 * at..2 * at + 2], 16).unwrap()).collect();
    let state = ChunkId::from_bytes(bytes.try_into().unwrap());
    let mut database = World::database_of(&schema);
    database.restore(&repository, &state, &Recorder::default()).unwrap();
}

#[test]
#[ignore = "needs MariaDB; bash tests/all.sh runs it"]
fn wherever_a_restore_dies_the_next_one_ends_equal() {
    let world = World::with(EVERYTHING);
    let before = look(&world.schema);
    let state = world.dump();
    let restore = |point: &str| {
        let order = format!(
            "{point}\n{}\n{}\n{}",
            world.schema,
            world.repository.location().display(),
            state.state
        );
        let exe = std::env::current_exe().unwrap();
        let mut child = Command::new(exe);
        child.args(["--ignored", "--exact", "restore::a_restore_that_may_be_killed"]);
        child.env("SNAP_TEST_RESTORE", order).stdout(Stdio::null()).stderr(Stdio::inherit());
        let _at_work = at_work();
        child.status().unwrap().success()
    };
    let points = [
        CrashPoint::RowsRead,
        CrashPoint::ObjectDropped,
        CrashPoint::TableCreated,
        CrashPoint::RowsLoaded,
        CrashPoint::ViewsCreated,
        CrashPoint::TriggerCreated,
        CrashPoint::TriggersCreated,
    ];
    let mut kills = 0;
    for point in points {
        // The first, a later and, if there are so many, a late one.
        for hit in [1, 3, 14] {
            world.run(HALF_MIGRATED);
            let survived = restore(&format!("{}:{hit}", point.name()));
            kills += usize::from(!survived);
            if hit == 1 {
                assert!(!survived, "{} was never reached", point.name());
            }
            assert!(restore(""), "after {}:{hit}", point.name());
            assert_same(point.name(), &before, &look(&world.schema));
        }
    }
    assert!(kills >= 14, "{kills}");
}

#[test]
#[ignore = "needs MariaDB; bash tests/all.sh runs it"]
fn a_reader_in_the_way_is_named_and_the_wait_is_short() {
    let world =
        World::with("CREATE TABLE t (a INT PRIMARY KEY) ENGINE=InnoDB; INSERT INTO t VALUES (1)");
    let state = world.dump();
    world.run("UPDATE t SET a = 2");
    let mut reader = Connection::open(&world);
    reader.run("START TRANSACTION");
    reader.run("SELECT * FROM t");
    let begun = std::time::Instant::now();
    let refused = world.restore(&state);
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
    let Err(DatabaseError::LockTimeout { wanted, blocker, .. }) = refused else {
        panic!("{refused:?}")
    };
    assert!(wanted.contains("table t"), "{wanted}");
    let blocker = blocker.expect("root sees everybody");
    assert!(blocker.contains(&format!("connection {} ", reader.id())), "{blocker}");
    drop(reader);
    assert_eq!(world.restore(&state).unwrap(), state.fingerprint);
}

#[test]
#[ignore = "needs MariaDB; bash tests/all.sh runs it"]
fn only_tables_with_the_prefix_are_compared_and_dropped() {
    let world = World::with("CREATE TABLE oc_a (a INT PRIMARY KEY); INSERT INTO oc_a VALUES (1)");
    let mut database = world.database_at(world.address(), Some("oc_"));
    let state = world.try_dump(&mut *database).unwrap();
    world.run("CREATE TABLE wp_b (a INT); CREATE TABLE oc_new (a INT); DELETE FROM oc_a");
    assert_eq!(world.restore(&state).unwrap(), state.fingerprint);
    assert_eq!(world.run("SHOW TABLES"), "oc_a\nwp_b\n");
}

#[test]
#[ignore = "needs MariaDB; bash tests/all.sh runs it"]
fn wide_rows_and_rows_larger_than_a_chunk_come_back() {
    let columns: Vec<_> = (0..900).map(|n| format!("c{n} TINYINT")).collect();
    let world = World::with(&format!(
        "CREATE TABLE wide (id INT PRIMARY KEY, {}) ENGINE=InnoDB; \
         INSERT INTO wide (id, c0, c899) SELECT seq, seq % 100, seq % 7 FROM seq_1_to_300; \
         CREATE TABLE long_rows (id INT PRIMARY KEY, b LONGBLOB) ENGINE=InnoDB; \
         INSERT INTO long_rows SELECT seq, REPEAT(CHAR(seq + 64), seq * 700000) FROM seq_1_to_8",
        columns.join(", ")
    ));
    let before = look(&world.schema);
    let state = world.dump();
    world.run("DROP TABLE wide; DELETE FROM long_rows WHERE id > 3");
    assert_eq!(world.restore(&state).unwrap(), state.fingerprint);
    assert_same("large", &before, &look(&world.schema));
}

#[test]
#[ignore = "needs MariaDB; bash tests/all.sh runs it"]
fn a_row_that_the_server_would_not_take_back_is_refused_when_it_is_dumped() {
    let world = World::with("CREATE TABLE t (id INT PRIMARY KEY, a LONGBLOB, b LONGBLOB)");
    // Two statements make a row that no one statement could.
    world.run(
        "INSERT INTO t VALUES (1, REPEAT('a', 15000000), NULL); \
         UPDATE t SET b = REPEAT('b', 15000000)",
    );
    let refused = world.try_dump(&mut *world.database());
    let Err(DatabaseError::RowTooLarge { table, bytes, .. }) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(table, "t");
    assert!(bytes > 30_000_000);
}
