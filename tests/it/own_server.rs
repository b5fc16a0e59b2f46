//! A MariaDB of one test's own, for what nobody may do to the one all share: kill it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::is_root;
use crate::run::{tool, until};
use crate::server::Server;

/// Installed below a directory; stopped with the value.
#[derive(Debug)]
pub(crate) struct OwnServer {
    dir: PathBuf,
    running: Option<Child>,
}

impl OwnServer {
    /// Installs and starts one.
    pub(crate) fn start(dir: &Path) -> Self {
        let mut server = Self { dir: dir.to_owned(), running: None };
        // A server that starts sweeps its directory for temporary tables, whoever made them.
        std::fs::create_dir_all(dir.join("tmp")).expect("a fresh directory");
        let data = format!("--datadir={}", server.data().display());
        let mut args = vec!["--no-defaults", "--skip-test-db", &data];
        args.push("--auth-root-authentication-method=normal");
        if is_root() {
            args.push("--user=root");
        }
        let args: Vec<&dyn AsRef<std::ffi::OsStr>> = args.iter().map(|arg| arg as _).collect();
        tool("mariadb-install-db", &args);
        server.start_again();
        server
    }

    fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    fn socket(&self) -> PathBuf {
        self.dir.join("sock")
    }

    /// Starts it on what it left.
    pub(crate) fn start_again(&mut self) {
        let log = std::fs::File::create(self.dir.join("log")).expect("ours");
        let mut command = Command::new("mariadbd");
        command.args(["--no-defaults", "--skip-networking", "--performance-schema=OFF"]);
        command.args(["--innodb-buffer-pool-size=32M", "--character-set-server=utf8mb4"]);
        command.arg(format!("--datadir={}", self.data().display()));
        command.arg(format!("--tmpdir={}", self.dir.join("tmp").display()));
        command.arg(format!("--socket={}", self.socket().display()));
        command.arg(format!("--pid-file={}", self.dir.join("pid").display()));
        if is_root() {
            command.arg("--user=root");
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::from(log));
        self.running = Some(command.spawn().expect("mariadbd runs"));
        let server = self.server();
        until("the server of this test answers", || server.answers());
    }

    /// The file of a table of the one schema that has it.
    pub(crate) fn file_of(&self, table: &str) -> PathBuf {
        let name = std::ffi::OsString::from(format!("{table}.ibd"));
        let mut files = self.files().into_iter();
        files.find(|file| file.file_name() == Some(&name)).expect("the table is there")
    }

    /// What a death of the server in the middle of a definition may leave.
    pub(crate) fn file_of_no_table(&self) -> Option<PathBuf> {
        let mut files = self.files().into_iter();
        files.find(|file| !file.with_extension("frm").exists())
    }

    /// The files of all tables that are not the server's own.
    fn files(&self) -> Vec<PathBuf> {
        let inside = |dir: PathBuf| {
            let entries = std::fs::read_dir(dir).expect("ours");
            entries.map(|entry| entry.expect("ours").path())
        };
        let is_own = |dir: &PathBuf| dir.ends_with("mysql") || dir.ends_with("sys");
        let schemas = inside(self.data()).filter(|dir| dir.is_dir() && !is_own(dir));
        schemas
            .flat_map(inside)
            .filter(|file| file.extension().is_some_and(|ext| ext == "ibd"))
            .collect()
    }

    /// Kills it, as a power cut would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.kill().expect("ours");
            running.wait().expect("ours");
        }
    }

    /// How its administrator reaches it.
    pub(crate) fn server(&self) -> Server {
        Server::of_root(&self.socket())
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        self.kill();
    }
}
