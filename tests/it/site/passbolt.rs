//! A site that runs passbolt 1.1.0 (the stand-in), with a real MariaDB behind it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::OWNER;
use crate::is_root;
use crate::oracle::{Skip, Tree, tree};
use crate::server::{Schema, Server};
use crate::stage::{copy, edit, fixture, give};

/// What the product's definition of equal leaves out for this application.
pub(crate) const SKIP: Skip<'static> = Skip { inside: &["app/tmp"], database: &[] };

/// An installed site.
#[derive(Debug)]
pub(crate) struct Passbolt {
    pub(crate) root: PathBuf,
    pub(crate) schema: Schema,
}

impl Passbolt {
    /// Installs the site below `dir`; it reaches its server through the socket.
    pub(crate) fn install(dir: &Path) -> Self {
        Self::install_on(dir, &Server::of_this_run())
    }

    /// The same, on a server of the test's own.
    pub(crate) fn install_on(dir: &Path, server: &Server) -> Self {
        Self::install_with(dir, server, "localhost", &server.socket)
    }

    /// The same, reaching its server by TCP.
    pub(crate) fn install_over_tcp(dir: &Path) -> Self {
        let server = Server::of_this_run();
        Self::install_with(dir, &server, &server.host, "")
    }

    fn install_with(dir: &Path, server: &Server, host: &str, socket: &str) -> Self {
        let schema = server.schema();
        schema.load(&fixture("apps/passbolt-v1/site.sql"));
        let root = dir.join("passbolt");
        copy(fixture("apps/passbolt-v1/1.1.0"), &root);
        copy(fixture("apps/passbolt-v1/site"), &root);
        let config = root.join("app/Config");
        for (name, value) in [
            ("@HOST@", host),
            ("@PORT@", &server.port),
            ("@SOCKET@", socket),
            ("@LOGIN@", &schema.user),
            ("@PASSWORD@", &schema.password),
            ("@DATABASE@", &schema.name),
        ] {
            edit(config.join("database.php"), name, value);
        }
        // The real default is a directory outside the root, in a home that no test machine has.
        let home = dir.join("gnupg");
        fs::create_dir_all(&home).expect("ours");
        fs::write(home.join("pubring.kbx"), "stand-in keyring").expect("ours");
        edit(config.join("app.php"), "@GNUPG@", &home.display().to_string());
        edit(config.join("core.php"), "@SALT@", "salt-canary-93b0qyJfIxfs2guVoUub");
        edit(config.join("gpg/serverkey_private.asc"), "@KEY@", "key-canary-1f0c66a9d2");
        if is_root() {
            give(&root, OWNER);
            give(&home, OWNER);
        }
        Self { root, schema }
    }

    /// Runs the application's own console, as its owner, with `input` on its standard input.
    pub(crate) fn cake(&self, args: &[&str], input: &str) -> (i32, String) {
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid", OWNER, "--regid", OWNER, "--clear-groups"]);
            command.arg(self.root.join("app/Console/cake"));
            command
        } else {
            Command::new(self.root.join("app/Console/cake"))
        };
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("the stand-in runs");
        let mut stdin = child.stdin.take().expect("a pipe was asked for");
        // A command that asks nothing may be gone already.
        let _ = std::io::Write::write_all(&mut stdin, input.as_bytes());
        drop(stdin);
        let output = child.wait_with_output().expect("a child can be waited for");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code().unwrap_or(-1), said)
    }

    /// The fingerprints of files and database, by the oracle.
    pub(crate) fn fingerprint(&self) -> (Tree, String) {
        (tree(&self.root, SKIP), self.schema.fingerprint())
    }
}

/// A fingerprint of files without what a migration draws at random: the id in
/// `anonymous_statistics.php`, and with the file's time that of its directory.
pub(crate) fn without_chance(tree: &Tree) -> Tree {
    let line = |line: &str| {
        let name = "\"app/Config/anonymous_statistics.php\"";
        if line.starts_with(name) {
            format!("{name} is there\n")
        } else if line.starts_with("\"app/Config\" ") {
            let words: Vec<&str> = line.split(' ').take(4).collect();
            words.join(" ") + " at some time\n"
        } else {
            line.to_owned() + "\n"
        }
    };
    Tree(tree.0.lines().map(line).collect())
}

/// A fingerprint of the database without the times at which migrations of the new release ran.
pub(crate) fn without_times(database: &str) -> String {
    let line = |line: &str| {
        if line.starts_with("INSERT INTO `schema_migrations`")
            && line.contains("'Migration_1_")
            && !line.contains("Migration_1_1_0")
        {
            line.rsplit_once(",'").map_or(line, |(row, _)| row).to_owned() + "\n"
        } else if line.starts_with("checksum") && line.contains("schema_migrations") {
            String::new()
        } else {
            line.to_owned() + "\n"
        }
    };
    database.lines().map(line).collect()
}
