//! What cannot be carried is refused by name, before anything is stored.

use snap_backup::database::{DatabaseError, MySqlAddress};

use crate::world::World;

/// The objects that a dump refuses.
fn refused(statements: &str) -> String {
    let world = World::with(statements);
    match world.try_dump(&mut *world.database()) {
        Err(error @ DatabaseError::Refused { .. }) => error.to_string(),
        other => panic!("{statements}: {other:?}"),
    }
}

#[test]
#[ignore = "needs MariaDB; bash tests/all.sh runs it"]
fn each_object_that_is_not_carried_yet_is_named() {
    for (statements, named) in [
        ("CREATE PROCEDURE p () SELECT 1", "procedure p"),
        ("CREATE FUNCTION f () RETURNS INT RETURN 1", "function f"),
        ("CREATE EVENT e ON SCHEDULE EVERY 1 YEAR DO SET @a = 1", "event e"),
        ("CREATE SEQUENCE s", "sequence s"),
        ("CREATE TABLE p (a INT) PARTITION BY HASH (a) PARTITIONS 2", "table p (partitioned)"),
        ("CREATE TABLE v (a INT) WITH SYSTEM VERSIONING", "table v (system-versioned)"),
        (
            "CREATE TABLE a (id INT) ENGINE=MyISAM; \
             CREATE TABLE m (id INT) ENGINE=MERGE UNION=(a)",
            "table m (engine MRG_MyISAM)",
        ),
        ("CREATE TABLE t (a INT); CREATE VIEW v AS SELECT * FROM t; DROP TABLE t", "view v"),
        (
            "SET sql_mode = 'ORACLE';\nDELIMITER //\nCREATE PACKAGE pk AS FUNCTION f RETURN INT; END//",
            "package pk",
        ),
    ] {
        let said = refused(statements);
        assert!(said.contains(named), "{statements}: {said}");
    }
}

#[test]
#[ignore = "needs MariaDB; bash tests/all.sh runs it"]
fn what_the_server_itself_cannot_spell_is_refused_and_a_question_mark_is_not() {
    for column in ["VARCHAR(9) DEFAULT '😀'", "ENUM('a', '😀')", "SET('?', 'x😀')"] {
        let said = refused(&format!("CREATE TABLE t (c {column}) CHARACTER SET utf8mb4"));
        assert!(said.contains("column c"), "{column}: {said}");
    }
    let world = World::with(
        "CREATE TABLE t (a VARCHAR(9) DEFAULT '?', b ENUM('?', 'é') DEFAULT '?' NOT NULL, \
         c VARCHAR(20) DEFAULT (CONCAT('😀', '?')) COMMENT '?') CHARACTER SET utf8mb4",
    );
    let state = world.dump();
    let before = crate::oracle::look(&world.schema);
    world.run("DROP TABLE t");
    world.restore(&state).unwrap();
    crate::oracle::assert_same("question marks", &before, &crate::oracle::look(&world.schema));
}

#[test]
#[ignore = "needs MariaDB; bash tests/all.sh runs it"]
fn all_refusals_are_told_at_once() {
    let said = refused(
        "CREATE PROCEDURE p () SELECT 1; CREATE SEQUENCE s; \
         CREATE TABLE v (a INT) WITH SYSTEM VERSIONING",
    );
    for named in ["procedure p", "sequence s", "table v"] {
        assert!(said.contains(named), "{said}");
    }
}

#[test]
#[ignore = "needs MariaDB; bash tests/all.sh runs it"]
fn a_table_without_the_prefix_makes_the_schema_shared() {
    let world = World::with("CREATE TABLE oc_a (a INT); CREATE TABLE ocxb (a INT)");
    let mut database = world.database_at(world.address(), Some("oc_"));
    let Err(DatabaseError::SharedSchema { names, .. }) = world.try_dump(&mut *database) else {
        panic!("a shared schema was dumped")
    };
    assert_eq!(names, ["ocxb"]);
    world.run("DROP TABLE ocxb");
    world.try_dump(&mut *database).unwrap();
}

#[test]
#[ignore = "needs MariaDB; bash tests/all.sh runs it"]
fn an_account_that_cannot_see_everything_is_refused_with_the_right_it_lacks() {
    let world = World::with("CREATE TABLE t (a INT)");
    for (rights, lacking) in [
        ("SELECT, INSERT", "SHOW VIEW"),
        ("SELECT, SHOW VIEW, EVENT, EXECUTE", "TRIGGER"),
        ("SELECT, SHOW VIEW, TRIGGER, EXECUTE", "EVENT"),
    ] {
        let account = world.account(rights, "");
        let refused = world.try_dump(&mut *world.database_at(account, None));
        let Err(DatabaseError::Blind { right, .. }) = refused else { panic!("{refused:?}") };
        assert_eq!(right, lacking);
    }
}

#[test]
#[ignore = "needs MariaDB; bash tests/all.sh runs it"]
fn a_wrong_password_a_wrong_schema_and_a_dead_server_are_told_apart() {
    let world = World::with("CREATE TABLE t (a INT)");
    let account = world.account("ALL PRIVILEGES", "");
    let try_at = |address: MySqlAddress| world.try_dump(&mut *world.database_at(address, None));
    let wrong = MySqlAddress { password: "not hunter2".into(), ..account.clone() };
    let refused = try_at(wrong);
    assert!(matches!(refused, Err(DatabaseError::LoginRefused { .. })), "{refused:?}");
    let said = refused.unwrap_err();
    assert!(!format!("{said} {said:?}").contains("hunter2"), "{said:?}");
    let nowhere = MySqlAddress { schema: "no_such_schema".into(), ..world.address() };
    let refused = try_at(nowhere);
    assert!(matches!(refused, Err(DatabaseError::NoSchema { .. })), "{refused:?}");
    let dead = MySqlAddress { socket: Some("/nowhere/at/all.sock".into()), ..account.clone() };
    let refused = try_at(dead);
    assert!(matches!(refused, Err(DatabaseError::Unreachable { .. })), "{refused:?}");
    let remote = MySqlAddress { socket: None, host: "192.0.2.1".into(), ..account };
    let refused = try_at(remote);
    assert!(matches!(refused, Err(DatabaseError::NotLocal { .. })), "{refused:?}");
}

#[test]
#[ignore = "needs MariaDB; bash tests/all.sh runs it"]
fn an_account_with_all_rights_on_its_schema_alone_dumps_and_restores() {
    let world = World::with(
        "CREATE TABLE t (a INT PRIMARY KEY) ENGINE=InnoDB; CREATE TABLE m (a INT PRIMARY KEY) ENGINE=MyISAM; \
         INSERT INTO t VALUES (1), (2); INSERT INTO m VALUES (3); CREATE SQL SECURITY INVOKER VIEW w AS SELECT a FROM t",
    );
    let account = world.account("ALL PRIVILEGES", "");
    let user = account.user.clone();
    world.run(&format!("CREATE OR REPLACE DEFINER={user}@localhost VIEW w AS SELECT a FROM t"));
    let state = world.try_dump(&mut *world.database_at(account.clone(), None)).unwrap();
    assert_eq!(state.consistency, snap_backup::database::Consistency::OnePoint);
    world.run("DROP TABLE m; UPDATE t SET a = 5 WHERE a = 1; DROP VIEW w");
    assert_eq!(world.restore_at(account, &state).unwrap(), state.fingerprint);
}
