#![expect(clippy::disallowed_methods, reason = "a test plays the application and its accidents")]

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::Connection;

use super::*;
use crate::database;
use crate::monitor::Recorder;
use crate::repository::{Argon, InitOptions, WriteOptions};

/// A repository, a directory for the application and one for scratch.
struct World {
    dir: tempfile::TempDir,
    repository: Repository,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["app", "scratch"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        let argon = Argon { memory_kib: 8, passes: 1, lanes: 1 };
        let key = dir.path().join("key");
        let options = InitOptions { machine_key_file: Some(&key), argon, ..Default::default() };
        let repository = Repository::init(&dir.path().join("repository"), &options).unwrap();
        Self { dir, repository }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("app/data.sqlite")
    }

    fn run(&self, sql: &str) {
        let connection = Connection::open(self.path()).unwrap();
        connection.execute_batch(sql).unwrap();
    }

    fn database(&self) -> Box<dyn Database> {
        let options = OpenOptions::new(self.dir.path().join("scratch"));
        database::open("main", &Address::Sqlite(self.path()), &options).unwrap()
    }

    fn dump(&self) -> Result<DatabaseState, DatabaseError> {
        let writer = self.repository.begin(&WriteOptions::default()).unwrap();
        let state = self.database().dump(&writer, &Recorder::default())?;
        writer.commit(b"record").unwrap();
        Ok(state)
    }

    fn restore(&self, state: &DatabaseState) -> Result<Fingerprint, DatabaseError> {
        self.database().restore(&self.repository, &state.state, &Recorder::default())
    }

    fn fingerprint(&self, state: &DatabaseState) -> Fingerprint {
        self.database().fingerprint(&self.repository, &state.state).unwrap()
    }

    /// All tables, definitions and rows as text: what anybody who asks SQLite gets to see.
    fn content(&self) -> String {
        content(&self.path())
    }

    fn in_app(&self) -> Vec<String> {
        let names = fs::read_dir(self.dir.path().join("app")).unwrap();
        let mut names: Vec<_> =
            names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn content(path: &Path) -> String {
    let connection = Connection::open(path).unwrap();
    let mut out = String::new();
    let mut schema =
        connection.prepare("SELECT type, name, sql FROM sqlite_schema ORDER BY name").unwrap();
    let objects = schema
        .query_map([], |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, Option<String>>(2)?,
            ))
        })
        .unwrap();
    for object in objects {
        let (kind, name, sql) = object.unwrap();
        writeln!(out, "{kind} {name} {sql:?}").unwrap();
        if kind == "table" {
            let mut rows = connection.prepare(&format!("SELECT * FROM \"{name}\"")).unwrap();
            let columns = rows.column_count();
            let mut rows = rows.query([]).unwrap();
            while let Some(row) = rows.next().unwrap() {
                for column in 0..columns {
                    write!(out, "{:?} ", row.get_ref(column).unwrap()).unwrap();
                }
                out.push('\n');
            }
        }
    }
    out
}

const APP: &str = "
    CREATE TABLE user (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, photo BLOB);
    CREATE INDEX by_name ON user (name);
    CREATE VIEW named AS SELECT name FROM user;
    CREATE TRIGGER shout AFTER INSERT ON user BEGIN
        UPDATE user SET name = upper(name) WHERE id = new.id; END;
    WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 3000)
        INSERT INTO user (name, photo) SELECT 'user ' || n, randomblob(200) FROM n;";

#[test]
fn a_database_comes_back_as_it_was_whatever_its_pages_and_journal_are() {
    for settings in [
        "",
        "PRAGMA journal_mode = WAL;",
        "PRAGMA page_size = 65536; PRAGMA journal_mode = TRUNCATE;",
        "PRAGMA page_size = 512; PRAGMA auto_vacuum = INCREMENTAL;",
        "PRAGMA encoding = 'UTF-16be'; PRAGMA user_version = 7; PRAGMA application_id = 9;",
    ] {
        let world = World::new();
        world.run(settings);
        world.run(APP);
        // Leaves free pages in the file.
        world.run("DELETE FROM user WHERE id BETWEEN 100 AND 2000");
        let before = world.content();
        let state = world.dump().unwrap();
        assert_eq!(world.fingerprint(&state), state.fingerprint, "{settings}: live and dumped");

        world.run("DROP TABLE user; CREATE TABLE other (x); PRAGMA user_version = 8;");
        assert_ne!(world.fingerprint(&state), state.fingerprint, "{settings}: changed");

        let restored = world.restore(&state).unwrap();
        assert_eq!(restored, state.fingerprint, "{settings}");
        assert_eq!(world.content(), before, "{settings}");
        assert_eq!(world.fingerprint(&state), state.fingerprint, "{settings}: restored");
        // And once more: what is equal already stays so.
        assert_eq!(world.restore(&state).unwrap(), state.fingerprint, "{settings}");
        assert_eq!(world.dump().unwrap().fingerprint, state.fingerprint, "{settings}");
    }
}

#[test]
fn the_fingerprint_moves_with_every_change_of_content() {
    let world = World::new();
    world.run(APP);
    let state = world.dump().unwrap();
    for change in [
        "UPDATE user SET photo = x'00' WHERE id = 5",
        "PRAGMA user_version = 3",
        "CREATE TABLE t (a)",
        "DELETE FROM user WHERE id = 3000",
    ] {
        world.restore(&state).unwrap();
        world.run(change);
        assert_ne!(world.fingerprint(&state), state.fingerprint, "{change}");
    }
}

#[test]
fn a_dump_beside_a_writer_holds_one_instant() {
    for mode in ["WAL", "DELETE"] {
        let world = World::new();
        world.run(&format!("PRAGMA journal_mode = {mode};"));
        world.run(
            "CREATE TABLE account (id INTEGER PRIMARY KEY, balance INTEGER, pad BLOB);
             WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 20000)
                INSERT INTO account SELECT n, 100, randomblob(300) FROM n;",
        );
        let stop = AtomicBool::new(false);
        let state = std::thread::scope(|scope| {
            scope.spawn(|| {
                let writer = Connection::open(world.path()).unwrap();
                writer.busy_timeout(image::BUSY).unwrap();
                writer.execute_batch("PRAGMA synchronous = OFF").unwrap();
                let mut turn = 0_u32;
                while !stop.load(Ordering::Relaxed) {
                    turn = turn.wrapping_mul(7919) + 1;
                    let (from, to) = (turn % 20_000 + 1, turn / 7 % 20_000 + 1);
                    let sql = format!(
                        "BEGIN IMMEDIATE;
                         UPDATE account SET balance = balance - 1 WHERE id = {from};
                         UPDATE account SET balance = balance + 1 WHERE id = {to}; COMMIT"
                    );
                    writer.execute_batch(&sql).unwrap();
                }
            });
            let state = world.dump();
            stop.store(true, Ordering::Relaxed);
            state.unwrap()
        });
        world.restore(&state).unwrap();
        let connection = Connection::open(world.path()).unwrap();
        let sum: i64 =
            connection.query_row("SELECT sum(balance) FROM account", [], |row| row.get(0)).unwrap();
        assert_eq!(sum, 2_000_000, "{mode}: money was made or lost");
    }
}

#[test]
fn no_log_or_journal_of_the_old_file_is_replayed_on_the_new_one() {
    let world = World::new();
    world.run("PRAGMA journal_mode = WAL;");
    world.run(APP);
    let state = world.dump().unwrap();
    let before = world.content();
    // A log with a committed change, as a process that was killed leaves it.
    let connection = Connection::open(world.path()).unwrap();
    connection.execute_batch("UPDATE user SET name = 'from the log'").unwrap();
    let saved = world.dir.path().join("saved");
    fs::copy(restore::beside(&world.path())[0].clone(), &saved).unwrap();
    drop(connection);
    fs::copy(&saved, &restore::beside(&world.path())[0]).unwrap();
    fs::write(&restore::beside(&world.path())[2], b"not a journal at all").unwrap();

    world.restore(&state).unwrap();
    assert_eq!(world.in_app(), ["data.sqlite"]);
    assert_eq!(world.content(), before);
}

#[test]
fn what_a_killed_writer_left_half_done_is_not_part_of_the_state() {
    let world = World::new();
    world.run(APP);
    let before = world.content();
    let writer = Connection::open(world.path()).unwrap();
    // So small a cache that changed pages reach the file before the commit.
    writer.execute_batch("PRAGMA cache_size = 2; BEGIN; UPDATE user SET name = 'half'").unwrap();
    let killed = World::new();
    for (from, to) in [(world.path(), killed.path())].into_iter().chain([(
        restore::beside(&world.path())[2].clone(),
        restore::beside(&killed.path())[2].clone(),
    )]) {
        fs::copy(from, to).unwrap();
    }
    let torn = fs::read(killed.path()).unwrap();
    assert!(torn.windows(4).any(|four| four == b"half"), "the accident did not happen");
    let state = killed.dump().unwrap();
    killed.run("DROP TABLE user");
    killed.restore(&state).unwrap();
    assert_eq!(killed.content(), before);
}

#[test]
fn a_missing_file_is_an_error_and_is_never_created() {
    let world = World::new();
    assert!(matches!(world.dump(), Err(DatabaseError::NoFile { .. })));
    assert!(matches!(world.database().activity(), Err(DatabaseError::NoFile { .. })));
    assert!(matches!(world.database().read("t", &["a"], &[]), Err(DatabaseError::NoFile { .. })));
    assert_eq!(world.in_app(), [""; 0]);
}

#[test]
fn a_restore_needs_nothing_of_the_file_that_was_there() {
    let world = World::new();
    world.run(APP);
    let before = world.content();
    let state = world.dump().unwrap();
    fs::write(world.path(), b"emptied by a migration").unwrap();
    world.restore(&state).unwrap();
    assert_eq!(world.content(), before);
    fs::remove_file(world.path()).unwrap();
    // What a kill left of an earlier try.
    fs::write(restore::aside_of(&world.path()), b"?").unwrap();
    world.restore(&state).unwrap();
    assert_eq!(world.content(), before);
    assert_eq!(world.in_app(), ["data.sqlite"]);
}

#[test]
fn mode_and_attributes_travel_with_the_state() {
    let world = World::new();
    world.run(APP);
    fs::set_permissions(world.path(), fs::Permissions::from_mode(0o640)).unwrap();
    let file = fs::File::open(world.path()).unwrap();
    let has_xattrs = At::Open(file.as_fd()).set_xattr(b"user.snap", b"kept").is_ok();
    drop(file);
    let owner = |world: &World| {
        let meta = fs::metadata(world.path()).unwrap();
        (meta.uid(), meta.gid(), meta.mode() & 0o7777)
    };
    let before = owner(&world);
    let state = world.dump().unwrap();
    fs::remove_file(world.path()).unwrap();
    world.restore(&state).unwrap();
    assert_eq!(owner(&world), before);
    if has_xattrs {
        let file = fs::File::open(world.path()).unwrap();
        let xattrs = At::Open(file.as_fd()).xattrs().unwrap();
        assert!(xattrs.contains(&((*b"user.snap").into(), (*b"kept").into())));
    }
}

#[test]
fn damage_is_found_when_it_is_dumped_and_not_when_it_is_needed() {
    let world = World::new();
    world.run(APP);
    let mut bytes = fs::read(world.path()).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 3000].fill(0xaa);
    fs::write(world.path(), &bytes).unwrap();
    let refused = world.dump();
    assert!(matches!(refused, Err(DatabaseError::Corrupt { .. })), "{refused:?}");
}

struct Holder(Child);

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A process that has the file open, once this returns.
fn holder(path: &Path) -> Holder {
    let mut child = Command::new("sh")
        .args(["-c", "exec 3<\"$0\"; echo ready; exec sleep 600"])
        .arg(path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = [0; 6];
    child.stdout.take().unwrap().read_exact(&mut line).unwrap();
    Holder(child)
}

#[test]
fn a_file_that_another_process_has_open_is_not_replaced_and_the_process_is_named() {
    let world = World::new();
    world.run(APP);
    let state = world.dump().unwrap();
    world.run("DELETE FROM user");
    let inode = fs::metadata(world.path()).unwrap().ino();
    let holder = holder(&world.path());
    let pid = holder.0.id();
    let refused = world.restore(&state);
    let Err(DatabaseError::Held { holders, .. }) = refused else { panic!("{refused:?}") };
    assert!(holders[0].contains(&pid.to_string()), "{holders:?}");
    assert_eq!(fs::metadata(world.path()).unwrap().ino(), inode);
    let sessions = world.database().activity().unwrap().sessions;
    assert_eq!(sessions[0].id, u64::from(pid));
    drop(holder);
    assert_eq!(world.restore(&state).unwrap(), state.fingerprint);
}

#[test]
fn a_stored_image_is_proved_by_rebuilding_it() {
    let world = World::new();
    world.run(APP);
    let state = world.dump().unwrap();
    world.run("DROP TABLE user");
    let scratch = world.dir.path().join("scratch");
    let proof = world.database().prove(&world.repository, &state.state, &scratch).unwrap();
    assert_eq!(proof, Proof::Proved);
    assert_eq!(fs::read_dir(scratch).unwrap().count(), 0);
}

#[test]
fn references_into_the_void_are_told_and_carried() {
    let world = World::new();
    world.run("CREATE TABLE a (id INTEGER PRIMARY KEY); CREATE TABLE b (a REFERENCES a);");
    world.run("PRAGMA foreign_keys = OFF; INSERT INTO b VALUES (5);");
    let state = world.dump().unwrap();
    assert_eq!(state.facts, [database::Fact::BrokenReference { table: "b".into() }]);
}

#[test]
fn writing_is_noticed_between_two_samples() {
    for mode in ["WAL", "DELETE"] {
        let world = World::new();
        world.run(&format!("PRAGMA journal_mode = {mode};"));
        world.run(APP);
        let before = world.database().activity().unwrap();
        assert!(world.database().activity().unwrap().is_quiet_since(&before));
        // Held open, so that the log is not moved into the file.
        let connection = Connection::open(world.path()).unwrap();
        connection.execute_batch("UPDATE user SET photo = x'01' WHERE id = 9").unwrap();
        assert!(!world.database().activity().unwrap().is_quiet_since(&before), "{mode}");
    }
}

#[test]
fn a_setting_is_read_set_and_put_back_with_its_type() {
    let world = World::new();
    world.run(
        "CREATE TABLE setting (name TEXT PRIMARY KEY, value);
         INSERT INTO setting VALUES ('shut', 0), ('title', 'it''s'), ('none', NULL);",
    );
    let mut database = world.database();
    let shut = [("name", Some(&b"shut"[..]))];
    let before = world.content();
    let read = database.read("setting", &["value", "name"], &shut).unwrap();
    assert_eq!(read, Some(vec![vec![Some(b"0".to_vec()), Some(b"shut".to_vec())]]));
    assert_eq!(database.write("setting", "value", Some(b"1"), &shut).unwrap(), 1);
    let connection = Connection::open(world.path()).unwrap();
    let sql = "SELECT typeof(value) || value FROM setting WHERE name = 'shut'";
    let now: String = connection.query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(now, "integer1");
    database.write("setting", "value", Some(b"0"), &shut).unwrap();
    assert_eq!(world.content(), before);

    let null = [("value", None)];
    assert_eq!(database.read("setting", &["name"], &null).unwrap().unwrap().len(), 1);
    assert_eq!(database.read("no_such_table", &["name"], &[]).unwrap(), None);
}
