//! One instant, whoever writes; and who is there.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use snap_backup::database::{Consistency, DatabaseError, MySqlAddress};

use crate::world::{Connection, World, sql};

const BANK: &str = "
    CREATE TABLE account (id INT PRIMARY KEY, balance INT NOT NULL, pad CHAR(200) DEFAULT 'x') ENGINE=InnoDB;
    INSERT INTO account (id, balance) SELECT seq, 100 FROM seq_1_to_20000;
    CREATE TABLE transfer (id INT AUTO_INCREMENT PRIMARY KEY, source INT NOT NULL, target INT NOT NULL,
        FOREIGN KEY (source) REFERENCES account (id), FOREIGN KEY (target) REFERENCES account (id)) ENGINE=InnoDB;
    CREATE TABLE count_a (n INT) ENGINE=MyISAM; CREATE TABLE count_b (n INT) ENGINE=MyISAM;
    INSERT INTO count_a VALUES (0); INSERT INTO count_b VALUES (0);";

/// Money moves and each move is written down, in one transaction; two counters without
/// transactions follow, the first always first.
fn move_money(bank: &World, stop: &AtomicBool) -> u32 {
    let mut teller = Connection::open(bank);
    let mut turn = 0_u32;
    while !stop.load(Ordering::Relaxed) {
        turn += 1;
        let (from, to) =
            (turn.wrapping_mul(7919) % 20_000 + 1, turn.wrapping_mul(104_729) % 20_000 + 1);
        teller.run("START TRANSACTION");
        teller.run(&format!("UPDATE account SET balance = balance - 1 WHERE id = {from}"));
        teller.run(&format!("INSERT INTO transfer (source, target) VALUES ({from}, {to})"));
        teller.run(&format!("UPDATE account SET balance = balance + 1 WHERE id = {to}"));
        teller.run("COMMIT");
        teller.run("UPDATE count_a SET n = n + 1");
        teller.run("UPDATE count_b SET n = n + 1");
    }
    turn
}

/// What is false in any state between two instants, with two tellers.
fn assert_one_instant(what: &str, copy: &World) {
    let sums = copy.run(
        "SELECT SUM(balance) FROM account;
         SELECT COUNT(*) FROM (
            SELECT a.id FROM account a
            LEFT JOIN (SELECT source id, COUNT(*) n FROM transfer GROUP BY 1) s ON s.id = a.id
            LEFT JOIN (SELECT target id, COUNT(*) n FROM transfer GROUP BY 1) t ON t.id = a.id
            WHERE a.balance <> 100 - IFNULL(s.n, 0) + IFNULL(t.n, 0)) wrong;
         SELECT a.n - b.n BETWEEN 0 AND 2 FROM count_a a, count_b b;
         SELECT (SELECT COUNT(*) FROM transfer) - a.n BETWEEN 0 AND 2 FROM count_a a;",
    );
    assert_eq!(sums, "2000000\n0\n1\n1\n", "{what}");
}

#[test]
#[ignore = "needs MariaDB; bash tests/all.sh runs it"]
fn a_dump_beside_a_writer_holds_one_instant_on_every_rung() {
    let bank = World::with(BANK);
    let ladder: [(&str, MySqlAddress); 2] =
        [("backup stages", bank.address()), ("table locks", bank.account("ALL PRIVILEGES", ""))];
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let tellers: Vec<_> = (0..2).map(|_| scope.spawn(|| move_money(&bank, &stop))).collect();
        // Whatever fails below, the tellers must go home.
        let _closing = Closing(&stop);
        for (rung, address) in ladder {
            for _ in 0..3 {
                let mut database = bank.database_at(address.clone(), None);
                let state = bank.try_dump(&mut *database).unwrap();
                assert_eq!(state.consistency, Consistency::OnePoint);
                let copy = World::new();
                bank.restore_at(copy.address(), &state).unwrap();
                assert_one_instant(rung, &copy);
            }
        }
        stop.store(true, Ordering::Relaxed);
        for teller in tellers {
            assert!(teller.join().unwrap() > 20, "nobody wrote meanwhile");
        }
    });
}

struct Closing<'a>(&'a AtomicBool);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
#[ignore = "needs MariaDB; bash tests/all.sh runs it"]
fn without_any_lock_one_snapshot_serves_and_tables_without_transactions_are_told() {
    let bank = World::with(BANK);
    let rights = "SELECT, SHOW VIEW, TRIGGER, EVENT, EXECUTE";
    let account = bank.account(rights, "");
    let state = bank.try_dump(&mut *bank.database_at(account.clone(), None)).unwrap();
    assert_eq!(state.consistency, Consistency::PerTable);
    bank.run("DROP TABLE count_a, count_b");
    let state = bank.try_dump(&mut *bank.database_at(account, None)).unwrap();
    assert_eq!(state.consistency, Consistency::OnePoint);
}

#[test]
#[ignore = "needs MariaDB; bash tests/all.sh runs it"]
fn a_writer_that_holds_a_lock_is_named_and_the_wait_is_short() {
    let bank = World::with(BANK);
    let account = bank.account("ALL PRIVILEGES", "PROCESS");
    let mut writer = Connection::open(&bank);
    writer.run("START TRANSACTION");
    writer.run("UPDATE account SET balance = 5 WHERE id = 1");
    let begun = std::time::Instant::now();
    let refused = bank.try_dump(&mut *bank.database_at(account, None));
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
    let Err(DatabaseError::LockTimeout { blocker: Some(blocker), .. }) = refused else {
        panic!("{refused:?}")
    };
    assert!(blocker.contains(&format!("connection {} ", writer.id())), "{blocker}");
}

#[test]
#[ignore = "needs MariaDB; bash tests/all.sh runs it"]
fn a_definition_that_changes_during_the_dump_is_noticed_or_does_not_matter() {
    let world = World::with(
        "CREATE TABLE t (id INT PRIMARY KEY, v CHAR(100)) ENGINE=InnoDB;
         INSERT INTO t SELECT seq, MD5(seq) FROM seq_1_to_20000;
         CREATE TABLE u (id INT PRIMARY KEY, v CHAR(100)) ENGINE=InnoDB;
         INSERT INTO u SELECT seq, MD5(seq) FROM seq_1_to_20000",
    );
    let full = std::env::var("SNAP_TEST_CAMPAIGN").is_ok_and(|all| all == "full");
    let rounds = if full { 1000 } else { 10 };
    let stop = AtomicBool::new(false);
    let (mut noticed, mut accepted) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut migrator = Connection::open(&world);
            let mut turn = 0;
            while !stop.load(Ordering::Relaxed) {
                turn += 1;
                let table = if turn % 2 == 0 { "t" } else { "u" };
                // Instant: no error for whoever reads, but another definition.
                migrator.run(&format!("ALTER TABLE {table} ADD COLUMN c{turn} INT DEFAULT {turn}"));
                std::thread::yield_now();
                migrator.run(&format!("ALTER TABLE {table} DROP COLUMN c{turn}"));
                migrator.run(&format!("ALTER TABLE {table} FORCE"));
            }
        });
        let _closing = Closing(&stop);
        // The sample ends once both have been seen.
        for round in 0..1000 {
            if round >= rounds && noticed > 0 && accepted > 0 {
                break;
            }
            match world.try_dump(&mut *world.database()) {
                Ok(state) => {
                    let copy = World::new();
                    let loaded = world.restore_at(copy.address(), &state).unwrap();
                    assert_eq!(loaded, state.fingerprint);
                    let rows = copy.run("SELECT COUNT(*), SUM(v = MD5(id)) FROM t");
                    assert_eq!(rows, "20000\t20000\n");
                    accepted += 1;
                }
                Err(DatabaseError::ChangedMeanwhile { .. }) => noticed += 1,
                Err(other) => panic!("{other:?}"),
            }
        }
    });
    assert!(noticed > 0 && accepted > 0, "{noticed} noticed, {accepted} accepted");
}

#[test]
#[ignore = "needs MariaDB; bash tests/all.sh runs it"]
fn sessions_of_the_account_are_seen_and_ended_and_no_others() {
    let world = World::with("CREATE TABLE t (a INT) ENGINE=InnoDB");
    let account = world.account("ALL PRIVILEGES", "");
    let mut theirs = Connection::open_as(&account);
    let mut root = Connection::open(&world);
    let mut database = world.database_at(account, None);
    let seen = database.activity().unwrap().sessions;
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(seen[0].id, u64::from(theirs.id()));
    database.end_sessions().unwrap();
    assert!(theirs.try_run("SELECT 1").is_err());
    // A connection of ours that was just closed is listed until the server has read its farewell.
    let begun = Instant::now();
    loop {
        let left = database.activity().unwrap().sessions;
        assert!(left.iter().all(|one| one.id != u64::from(theirs.id())), "{left:?}");
        if left.is_empty() {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{left:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
    root.run("SELECT 1");
}

#[test]
#[ignore = "needs MariaDB; bash tests/all.sh runs it"]
fn writing_moves_a_counter() {
    for engine in ["InnoDB", "MyISAM"] {
        let world = World::with(&format!("CREATE TABLE t (a INT) ENGINE={engine}"));
        let mut database = world.database();
        for change in [
            "INSERT INTO t VALUES (1)",
            "UPDATE t SET a = 2",
            "DELETE FROM t",
            "ALTER TABLE t ADD b INT",
            "TRUNCATE t",
        ] {
            let before = database.activity().unwrap();
            world.run(change);
            assert!(!database.activity().unwrap().is_quiet_since(&before), "{engine}: {change}");
        }
    }
}

#[test]
#[ignore = "needs MariaDB; bash tests/all.sh runs it"]
fn a_setting_is_read_set_and_put_back() {
    let world = World::with(
        "CREATE TABLE setting (id INT PRIMARY KEY, k VARCHAR(20), v TEXT CHARACTER SET latin1);
         INSERT INTO setting VALUES (1, 'shut', '0'), (2, 'Shut', '5'), (3, 'none', NULL)",
    );
    let mut database = world.database();
    let shut = [("k", Some(&b"shut"[..]))];
    let one = |text: &str| Some(vec![vec![Some(text.as_bytes().to_vec())]]);
    assert_eq!(database.read("setting", &["v"], &shut).unwrap(), one("0"));
    assert_eq!(database.write("setting", "v", Some(b"1"), &shut).unwrap(), 1);
    assert_eq!(database.read("setting", &["v"], &shut).unwrap(), one("1"));
    assert_eq!(database.write("setting", "v", Some(b"1"), &shut).unwrap(), 1, "also if it is set");
    database.write("setting", "v", None, &shut).unwrap();
    let null = database.read("setting", &["id"], &[("v", None)]).unwrap().unwrap();
    assert_eq!(null.len(), 2);
    assert_eq!(database.read("no_such_table", &["v"], &[]).unwrap(), None);
}

#[test]
#[ignore = "needs MariaDB; bash tests/all.sh runs it"]
fn the_server_is_known_by_its_own_facts() {
    let world = World::new();
    let identity = world.database().identity().unwrap();
    assert!(identity.starts_with("mariadb "), "{identity}");
    assert!(identity.contains(sql("SELECT @@datadir").trim()), "{identity}");
}
