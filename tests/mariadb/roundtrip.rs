//! Everything that is carried comes back as it was.

use snap_backup::database::{DatabaseError, Fact, ObjectKind, Proof};

use crate::oracle::{assert_same, look};
use crate::world::{World, at_work, sql};

const EVERYTHING: &str = include_str!("everything.sql");

#[test]
#[ignore = "needs MariaDB; bash tests/all.sh runs it"]
fn every_object_and_value_comes_back_into_an_emptied_schema() {
    let world = World::with(EVERYTHING);
    let before = look(&world.schema);
    let state = world.dump();
    assert_eq!(world.fingerprint(&state), state.fingerprint, "live and dumped");

    let schema = &world.schema;
    sql(&format!("DROP DATABASE {schema}; CREATE DATABASE {schema} CHARACTER SET utf8mb4"));
    assert_ne!(world.fingerprint(&state), state.fingerprint, "emptied");
    assert_eq!(world.restore(&state).unwrap(), state.fingerprint);
    assert_same("restored", &before, &look(&world.schema));
    // Equal content has equal fingerprints also if it is dumped anew.
    assert_eq!(world.dump().fingerprint, state.fingerprint);
    assert_eq!(world.dump().state, state.state);
}

#[test]
#[ignore = "needs MariaDB; bash tests/all.sh runs it"]
fn a_state_can_be_loaded_into_a_schema_of_another_name() {
    let (world, other) = (World::with(EVERYTHING), World::new());
    // Its body names a table with the schema's name; its head may do so.
    world.run(&format!(
        "CREATE TRIGGER {0}.headed BEFORE DELETE ON `{0}`.egg FOR EACH ROW SET @a = 1",
        world.schema
    ));
    let state = world.dump();
    let before = look(&world.schema);
    let loaded = world.restore_at(other.address(), &state).unwrap();
    assert_eq!(loaded, state.fingerprint);
    // The head's qualifier is gone; everything else is the same text.
    let mut after = look(&other.schema);
    let head = "TRIGGER headed BEFORE DELETE ON egg";
    assert!(after.dump.contains(&format!("{head} FOR EACH ROW")), "{}", after.dump);
    after.dump = after.dump.replace(head, "TRIGGER SCHEMA.headed BEFORE DELETE ON `SCHEMA`.egg");
    assert_same("in another schema", &before, &after);
}

#[test]
#[ignore = "needs MariaDB; bash tests/all.sh runs it"]
fn a_body_that_names_its_own_schema_is_not_moved_into_another() {
    let (world, other) =
        (World::with("CREATE TABLE t (a INT)"), World::with("CREATE TABLE kept (a INT)"));
    world.run(&format!(
        "CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW DELETE FROM {}.t WHERE 1 = 0",
        world.schema
    ));
    let state = world.dump();
    let refused = world.restore_at(other.address(), &state);
    let Err(DatabaseError::NotMappable { kind, name, .. }) = refused else { panic!("{refused:?}") };
    assert_eq!((kind, name.as_str()), (ObjectKind::Trigger, "tr"));
    assert_eq!(other.run("SHOW TABLES"), "kept\n", "nothing was touched");
    assert_eq!(world.restore(&state).unwrap(), state.fingerprint);
}

#[test]
#[ignore = "needs MariaDB; bash tests/all.sh runs it"]
fn accounts_that_are_gone_are_told() {
    let world = World::with(EVERYTHING);
    let facts = world.dump().facts;
    let orphan = |kind, name: &str| {
        let is_it = |fact: &Fact| match fact {
            Fact::OrphanDefiner { kind: of, name: called, definer } => {
                *of == kind && called == name && definer.contains("ghost")
            }
            _ => false,
        };
        facts.iter().any(is_it)
    };
    assert!(orphan(ObjectKind::View, "haunted"), "{facts:?}");
    assert!(orphan(ObjectKind::Trigger, "t4"), "{facts:?}");
}

#[test]
#[ignore = "needs MariaDB; bash tests/all.sh runs it"]
fn every_change_of_content_moves_the_fingerprint_and_undoing_it_moves_it_back() {
    let world = World::with(EVERYTHING);
    let state = world.dump();
    for (change, undo) in [
        (
            "UPDATE numbers SET fl = fl * 1.0000001 WHERE id = 1",
            "UPDATE numbers SET fl = 0.1 WHERE id = 1",
        ),
        ("INSERT INTO keyless VALUES (2, 'x')", "DELETE FROM keyless WHERE a = 2 LIMIT 1"),
        (
            "UPDATE choices SET e = 'a' WHERE id = 6",
            "SET sql_mode = ''; UPDATE choices SET e = 0 WHERE id = 6",
        ),
        ("UPDATE texts SET c = 'A' WHERE id = 1", "UPDATE texts SET c = 'a' WHERE id = 1"),
        ("ALTER TABLE numbers AUTO_INCREMENT = 60", "ALTER TABLE numbers AUTO_INCREMENT = 51"),
        ("ALTER TABLE empty COMMENT = 'x'", "ALTER TABLE empty COMMENT = ''"),
        ("ALTER TABLE empty ADD c INT", "ALTER TABLE empty DROP c"),
        ("CREATE TABLE more (a INT)", "DROP TABLE more"),
        ("CREATE VIEW more AS SELECT 1", "DROP VIEW more"),
        ("CREATE EVENT more ON SCHEDULE EVERY 1 YEAR DO SET @a = 1", "DROP EVENT more"),
        ("CREATE FUNCTION more () RETURNS INT RETURN 1", "DROP FUNCTION more"),
        (
            "ALTER DATABASE CHARACTER SET = utf8mb4",
            "ALTER DATABASE CHARACTER SET = latin1 COLLATE = latin1_german1_ci",
        ),
    ] {
        world.run(change);
        assert_ne!(world.fingerprint(&state), state.fingerprint, "{change}");
        world.run(undo);
        assert_eq!(world.fingerprint(&state), state.fingerprint, "{undo}");
    }
    // Neither the order of keyless rows nor a rebuilt table is content.
    world.run("TRUNCATE keyless; INSERT INTO keyless VALUES (NULL, NULL), (2, 'x'), (2, 'x'), (1, 'y'), (NULL, NULL), (2, 'x')");
    world.run("ALTER TABLE many ENGINE = InnoDB; ANALYZE TABLE many");
    assert_eq!(world.fingerprint(&state), state.fingerprint);
}

#[test]
#[ignore = "needs MariaDB; bash tests/all.sh runs it"]
fn a_second_dump_of_a_slightly_changed_table_stores_little() {
    let world = World::with(
        "CREATE TABLE t (id INT PRIMARY KEY, v CHAR(32)) ENGINE=InnoDB; \
         INSERT INTO t SELECT seq, MD5(seq) FROM seq_1_to_200000",
    );
    let options = snap_backup::repository::WriteOptions::default();
    let monitor = snap_backup::monitor::Recorder::default();
    let mut stored = Vec::new();
    for change in
        ["", "UPDATE t SET v = 'changed' WHERE id IN (5, 50000); DELETE FROM t WHERE id = 70000"]
    {
        world.run(change);
        let _at_work = at_work();
        let writer = world.repository.begin(&options).unwrap();
        world.database().dump(&writer, &monitor).unwrap();
        writer.sync().unwrap();
        stored.push(writer.totals().bytes);
        writer.commit(b"record").unwrap();
    }
    // Three rows lie in three chunks, and the two around one that goes may become one. The longest
    // have 256 KiB and a row; how long these are is up to the key of the repository.
    let chunks = 4 * (256 + 1) * 1024;
    let lists = 64 * 1024;
    assert!(stored[1] < chunks + lists && stored[1] * 6 < stored[0], "{stored:?}");
}

#[test]
#[ignore = "needs MariaDB; bash tests/all.sh runs it"]
fn a_stored_schema_is_verified_by_decoding_it() {
    let world = World::with(EVERYTHING);
    let state = world.dump();
    let scratch = std::env::temp_dir();
    let proof = world.database().prove(&world.repository, &state.state, &scratch).unwrap();
    assert_eq!(proof, Proof::Verified);
}
