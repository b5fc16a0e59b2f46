//! The private MariaDB that `tests/all.sh` started, and schemas on it that a test has to itself.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

/// The server as its administrator reaches it.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) socket: String,
    pub(crate) host: String,
    pub(crate) port: String,
    user: String,
    password: String,
}

impl Server {
    /// The server of this run. Tests that need it are ignored where there is none.
    pub(crate) fn of_this_run() -> Self {
        let get = |name: &str| {
            let name = format!("SNAP_TEST_MYSQL_{name}");
            std::env::var(&name)
                .unwrap_or_else(|_| panic!("{name} is not set: bash tests/all.sh sets it"))
        };
        Self {
            socket: get("SOCKET"),
            host: get("HOST"),
            port: get("PORT"),
            user: get("USER"),
            password: get("PASSWORD"),
        }
    }

    /// One that lets root in without a password, by its socket alone.
    pub(crate) fn of_root(socket: &std::path::Path) -> Self {
        Self {
            socket: socket.display().to_string(),
            host: "localhost".to_owned(),
            port: String::new(),
            user: "root".to_owned(),
            password: String::new(),
        }
    }

    /// Whether it lets its administrator in.
    pub(crate) fn answers(&self) -> bool {
        let mut command = self.client("mariadb");
        command.args(["--execute", "DO 1"]);
        command.output().is_ok_and(|output| output.status.success())
    }

    fn client(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.args(["--no-defaults", "--default-character-set=utf8mb4"]);
        command.arg(format!("--socket={}", self.socket)).arg(format!("--user={}", self.user));
        command.env("MYSQL_PWD", &self.password).stdin(Stdio::null());
        command
    }

    /// Runs SQL; rows come back separated by tabs, as the server spells them.
    #[track_caller]
    pub(crate) fn ask(&self, sql: &str) -> String {
        let mut command = self.client("mariadb");
        command.args(["--batch", "--skip-column-names", "--execute", sql]);
        finished(command, sql)
    }

    /// Runs a file of SQL in `schema`.
    #[track_caller]
    pub(crate) fn load(&self, schema: &str, file: &std::path::Path) {
        let mut command = self.client("mariadb");
        let input = std::fs::File::open(file).expect("the fixture is there");
        command.arg(schema).stdin(Stdio::from(input));
        finished(command, &file.display().to_string());
    }

    /// A schema as text: definitions, rows, views, triggers, routines, events.
    #[track_caller]
    pub(crate) fn dump(&self, schema: &str) -> String {
        self.dump_as_it_is(schema).replace(schema, "SCHEMA")
    }

    #[track_caller]
    fn dump_as_it_is(&self, schema: &str) -> String {
        let mut command = self.client("mariadb-dump");
        command.args([
            "--skip-comments",
            "--skip-dump-date",
            "--skip-extended-insert",
            "--hex-blob",
            "--order-by-primary",
            "--routines",
            "--triggers",
            "--events",
            "--skip-lock-tables",
            schema,
        ]);
        finished(command, schema)
    }

    /// An empty schema of its own, with an account that may do everything in it and nothing else.
    pub(crate) fn schema(&self) -> Schema {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("t{}_{count}", std::process::id());
        let user = format!("u{}_{count}", std::process::id());
        let password = format!("pw-{:x}-canary", rand_bits());
        for host in ["localhost", "127.0.0.1"] {
            self.ask(&format!("CREATE USER '{user}'@'{host}' IDENTIFIED BY '{password}'"));
            self.ask(&format!("GRANT ALL ON `{name}`.* TO '{user}'@'{host}'"));
        }
        self.ask(&format!("CREATE DATABASE `{name}` CHARACTER SET utf8mb4"));
        Schema { server: self.clone(), name, user: user.clone(), password, account: user }
    }

    /// An empty schema in which the account of `other` may do everything: one that another
    /// account's views and triggers can be made in, as their definer.
    pub(crate) fn schema_of(&self, other: &Schema) -> Schema {
        let mut schema = self.schema();
        let (name, user) = (&schema.name, &other.user);
        for host in ["localhost", "127.0.0.1"] {
            self.ask(&format!("GRANT ALL ON `{name}`.* TO '{user}'@'{host}'"));
        }
        schema.user.clone_from(&other.user);
        schema.password.clone_from(&other.password);
        schema
    }
}

#[track_caller]
fn finished(mut command: Command, what: &str) -> String {
    let output = command.output().unwrap_or_else(|e| panic!("cannot start {command:?}: {e}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn rand_bits() -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

/// One schema and its account; dropped with the value.
#[derive(Debug)]
pub(crate) struct Schema {
    pub(crate) server: Server,
    pub(crate) name: String,
    pub(crate) user: String,
    pub(crate) password: String,
    /// The account made with this schema, and dropped with it.
    account: String,
}

impl Schema {
    /// Runs a file of SQL as the schema's own account, so that it is the definer of views.
    #[track_caller]
    pub(crate) fn load(&self, file: &std::path::Path) {
        let own = Server {
            user: self.user.clone(),
            password: self.password.clone(),
            ..self.server.clone()
        };
        own.load(&self.name, file);
    }

    /// Runs SQL in the schema.
    #[track_caller]
    pub(crate) fn ask(&self, sql: &str) -> String {
        self.server.ask(&format!("USE `{}`; {sql}", self.name))
    }

    /// The schema as SQL that makes it again, definers and all.
    #[track_caller]
    pub(crate) fn dump(&self) -> String {
        self.server.dump_as_it_is(&self.name)
    }

    /// Makes the schema again from its own dump.
    #[track_caller]
    pub(crate) fn reload(&self, dump: &std::path::Path) {
        let name = &self.name;
        self.server.ask(&format!(
            "DROP DATABASE IF EXISTS `{name}`; CREATE DATABASE `{name}` CHARACTER SET utf8mb4"
        ));
        self.server.load(name, dump);
    }

    /// The schema's address, as a person types it.
    pub(crate) fn url(&self) -> String {
        format!("mysql://{}@localhost/{}?socket={}", self.user, self.name, self.server.socket)
    }

    /// The schema's fingerprint, by the oracle.
    pub(crate) fn fingerprint(&self) -> String {
        crate::oracle::schema(&self.server, &self.name)
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        let (name, account) = (&self.name, &self.account);
        let sql = format!(
            "DROP DATABASE IF EXISTS `{name}`; DROP USER IF EXISTS '{account}'@'localhost', '{account}'@'127.0.0.1'"
        );
        let mut command = self.server.client("mariadb");
        // A test that failed because the server died must not fail a second time here.
        let _ = command.args(["--execute", &sql]).output();
    }
}
