//! A schema on the private server, and a repository to keep it in.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use mysql::prelude::Queryable;
use secrecy::{ExposeSecret, SecretString};
use snap_backup::database::{
    self, Address, Database, DatabaseError, DatabaseState, Fingerprint, MySqlAddress, OpenOptions,
};
use snap_backup::monitor::Recorder;
use snap_backup::repository::{Argon, InitOptions, Repository, WriteOptions};

/// The server's socket; root needs no password there.
pub(crate) fn socket() -> PathBuf {
    std::env::var_os("SNAP_TEST_MYSQL_SOCKET")
        .expect("SNAP_TEST_MYSQL_SOCKET names the private server: see tests/all.sh")
        .into()
}

/// Runs SQL as root through the vendor's client, and returns what it prints.
pub(crate) fn sql(statements: &str) -> String {
    let (ok, out, err) = try_sql(statements);
    assert!(ok, "{err}");
    out
}

/// Statements of the tests and backups of the product keep apart: MariaDB calls it a deadlock when
/// a trigger is made on a MyISAM table while a backup begins. A test that wants the two to meet
/// has a connection of its own.
static APART: RwLock<()> = RwLock::new(());

/// Held while the product is at work on the server.
pub(crate) fn at_work() -> RwLockReadGuard<'static, ()> {
    APART.read().unwrap_or_else(PoisonError::into_inner)
}

/// The same, where it may fail: whether it did not, its output and its complaint.
pub(crate) fn try_sql(statements: &str) -> (bool, String, String) {
    let _alone = APART.write().unwrap_or_else(PoisonError::into_inner);
    let mut client = Command::new("mariadb")
        .args([
            "--no-defaults",
            "--user=root",
            "--batch",
            "--raw",
            "--skip-column-names",
            "--comments",
        ])
        .arg("--default-character-set=utf8mb4")
        .arg("--socket")
        .arg(socket())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the mariadb client is installed");
    let mut stdin = client.stdin.take().expect("it was piped");
    stdin.write_all(statements.as_bytes()).expect("the client reads");
    drop(stdin);
    let done = client.wait_with_output().expect("the client ends");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (done.status.success(), text(done.stdout), text(done.stderr))
}

/// A connection of its own that lasts: an application, or somebody in the way.
pub(crate) struct Connection(mysql::Conn);

impl Connection {
    /// As root.
    pub(crate) fn open(world: &World) -> Self {
        Self::open_as(&world.address())
    }

    pub(crate) fn open_as(address: &MySqlAddress) -> Self {
        let options = mysql::OptsBuilder::new()
            .socket(Some(socket().to_string_lossy()))
            .user(Some(address.user.as_str()))
            .pass(Some(address.password.expose_secret()))
            .db_name(Some(address.schema.as_str()));
        Self(mysql::Conn::new(options).expect("the server lets us in"))
    }

    pub(crate) fn run(&mut self, statement: &str) {
        self.try_run(statement).unwrap_or_else(|why| panic!("{statement}: {why}"));
    }

    pub(crate) fn try_run(&mut self, statement: &str) -> Result<(), mysql::Error> {
        self.0.query_drop(statement)
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.connection_id()
    }
}

/// A repository, and schemas of its own on the server, dropped at the end.
pub(crate) struct World {
    dir: tempfile::TempDir,
    pub(crate) repository: Repository,
    pub(crate) schema: String,
}

impl World {
    /// An empty schema.
    pub(crate) fn new() -> Self {
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let schema = format!("t{}_{serial}", std::process::id());
        let dir = tempfile::tempdir().unwrap();
        let argon = Argon { memory_kib: 8, passes: 1, lanes: 1 };
        let key = dir.path().join("key");
        let options = InitOptions { machine_key_file: Some(&key), argon, ..Default::default() };
        let repository = Repository::init(&dir.path().join("repository"), &options).unwrap();
        sql(&format!("CREATE DATABASE {schema} CHARACTER SET utf8mb4"));
        Self { dir, repository, schema }
    }

    /// A schema with what `statements` make in it.
    pub(crate) fn with(statements: &str) -> Self {
        let world = Self::new();
        world.run(statements);
        world
    }

    pub(crate) fn run(&self, statements: &str) -> String {
        sql(&format!("USE {};\n{statements}", self.schema))
    }

    /// The schema of another process's world.
    pub(crate) fn database_of(schema: &str) -> Box<dyn Database> {
        let options = OpenOptions::new(std::env::temp_dir());
        let address = Address::MySql(Self::address_of(schema));
        database::open("main", &address, &options).unwrap()
    }

    pub(crate) fn address(&self) -> MySqlAddress {
        Self::address_of(&self.schema)
    }

    fn address_of(schema: &str) -> MySqlAddress {
        MySqlAddress {
            host: "localhost".into(),
            port: 3306,
            socket: Some(socket()),
            user: "root".into(),
            password: SecretString::from(""),
            schema: schema.to_owned(),
        }
    }

    pub(crate) fn database(&self) -> Box<dyn Database> {
        self.database_at(self.address(), None)
    }

    pub(crate) fn database_at(
        &self,
        address: MySqlAddress,
        prefix: Option<&str>,
    ) -> Box<dyn Database> {
        let options = OpenOptions {
            prefix: prefix.map(str::to_owned),
            lock_wait_s: 3,
            ..OpenOptions::new(self.dir.path().to_owned())
        };
        database::open("main", &Address::MySql(address), &options).unwrap()
    }

    /// An account of its own with these rights on the schema, e.g. `SELECT, TRIGGER`.
    pub(crate) fn account(&self, rights: &str, global: &str) -> MySqlAddress {
        let user = format!("u{}", self.schema);
        let schema = self.schema.replace('_', "\\_");
        sql(&format!("CREATE OR REPLACE USER {user}@localhost IDENTIFIED BY 'hunter2'"));
        if !rights.is_empty() {
            sql(&format!("GRANT {rights} ON `{schema}`.* TO {user}@localhost"));
        }
        if !global.is_empty() {
            sql(&format!("GRANT {global} ON *.* TO {user}@localhost"));
        }
        MySqlAddress { user, password: SecretString::from("hunter2"), ..self.address() }
    }

    pub(crate) fn dump(&self) -> DatabaseState {
        self.try_dump(&mut *self.database()).unwrap()
    }

    pub(crate) fn try_dump(
        &self,
        database: &mut dyn Database,
    ) -> Result<DatabaseState, DatabaseError> {
        let _at_work = at_work();
        let writer = self.repository.begin(&WriteOptions::default()).unwrap();
        let state = database.dump(&writer, &Recorder::default())?;
        writer.commit(b"record").unwrap();
        Ok(state)
    }

    pub(crate) fn restore(&self, state: &DatabaseState) -> Result<Fingerprint, DatabaseError> {
        self.restore_at(self.address(), state)
    }

    /// Restores into the schema at `address`.
    pub(crate) fn restore_at(
        &self,
        address: MySqlAddress,
        state: &DatabaseState,
    ) -> Result<Fingerprint, DatabaseError> {
        let _at_work = at_work();
        let mut database = self.database_at(address, None);
        database.restore(&self.repository, &state.state, &Recorder::default())
    }

    pub(crate) fn fingerprint(&self, state: &DatabaseState) -> Fingerprint {
        let _at_work = at_work();
        self.database().fingerprint(&self.repository, &state.state).unwrap()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let schema = &self.schema;
        // A failed test has enough to say already.
        let _ = try_sql(&format!(
            "DROP DATABASE IF EXISTS {schema}; DROP USER IF EXISTS u{schema}@localhost"
        ));
    }
}
