//! The size of real installations: 50,000 files and 1 GB, and a database of 500 MB.
//!
//! `SNAP_TEST_LARGE=1 bash tests/all.sh` runs these too; they take minutes and 6 GB in TMPDIR.

use std::fs;
use std::path::Path;

use crate::nasty::noise;
use crate::oracle::{Skip, same, tree};
use crate::run::{args, tool};
use crate::server::Server;
use crate::stage::write;
use crate::world::World;

fn plant(root: &Path) {
    for dir in 0..700u64 {
        for file in 0..72u64 {
            // Text that compresses, with some that does not; 20 kB at the mean.
            let seed = dir * 100 + file;
            let size = 500 + usize::try_from((seed * 7919) % 39_000).expect("small");
            let mut bytes = noise(size / 4, seed + 1);
            while bytes.len() < size {
                bytes.extend_from_slice(
                    format!("function part_{dir}_{file}($argument) {{ return {seed}; }}\n")
                        .as_bytes(),
                );
            }
            write(root.join(format!("lib{}/module{dir}/file{file}.php", dir % 23)), bytes);
        }
    }
    for n in 0..12 {
        write(root.join(format!("uploads/video{n}.bin")), noise(5_000_000, n));
    }
}

#[test]
#[ignore = "large; SNAP_TEST_LARGE=1 bash tests/all.sh runs it"]
fn fifty_thousand_files_and_a_gigabyte_come_back() {
    let world = World::new();
    let source = world.path("tree");
    plant(&source);
    let size = String::from_utf8_lossy(&tool("du", &[&"-sb", &source])).into_owned();
    let files = tool("find", &[&source, &"-type", &"f", &"-printf", &"x"]).len();
    let before = tree(&source, Skip::default());
    let first = world.snap(args!["backup", source]).ok();
    let again = world.snap(args!["backup", source]).ok();
    let target = world.path("restored");
    let restore = world.snap(args!["restore", "latest", "--target", target]).ok();
    let check = world.snap(["check", "--read-data"]).ok();
    let stored = String::from_utf8_lossy(&tool("du", &[&"-sb", &world.repository()])).into_owned();
    crate::report(&format!(
        "{files} files, {} bytes: backup {:.1?}, unchanged {:.1?}, restore {:.1?}, check {:.1?}, stored {} bytes",
        size.split_whitespace().next().unwrap_or_default(),
        first.took,
        again.took,
        restore.took,
        check.took,
        stored.split_whitespace().next().unwrap_or_default()
    ));
    assert!(files >= 50_000);
    let restored = target.join(source.strip_prefix("/").expect("absolute"));
    same(&before.0, &tree(restored, Skip::default()).0, "restored");
}

#[test]
#[ignore = "large; SNAP_TEST_LARGE=1 bash tests/all.sh runs it"]
fn a_database_of_500_megabytes_comes_back() {
    let world = World::new();
    let server = Server::of_this_run();
    let schema = server.schema();
    let sql = world.path("large.sql");
    fs::write(&sql, "
CREATE TABLE parent (id INT PRIMARY KEY, name VARCHAR(100) NOT NULL, made DATETIME(6) NOT NULL) ENGINE=InnoDB;
INSERT INTO parent SELECT seq, CONCAT('parent ', seq), '2020-01-01' + INTERVAL seq SECOND FROM seq_1_to_50000;
CREATE TABLE child (
  id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, parent INT NOT NULL, amount DECIMAL(20,6) NOT NULL,
  body TEXT, raw VARBINARY(64), twice DECIMAL(21,6) AS (amount * 2) STORED, KEY (parent),
  CONSTRAINT of_parent FOREIGN KEY (parent) REFERENCES parent (id) ON DELETE CASCADE
) ENGINE=InnoDB;
INSERT INTO child (parent, amount, body, raw)
  SELECT 1 + seq % 50000, seq / 7, REPEAT(MD5(seq), 6), UNHEX(SHA2(seq, 512)) FROM seq_1_to_1000000;
CREATE TABLE log (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, line VARCHAR(400) NOT NULL, at TIMESTAMP NULL, FULLTEXT KEY (line)) ENGINE=MyISAM;
INSERT INTO log (line, at) SELECT CONCAT('line ', seq, ' ', REPEAT(MD5(seq), 5)), '2021-01-01' + INTERVAL seq SECOND FROM seq_1_to_700000;
CREATE TABLE unkeyed (a INT, b VARCHAR(200)) ENGINE=InnoDB;
INSERT INTO unkeyed SELECT seq % 1000, REPEAT('u', seq % 150) FROM seq_1_to_200000;
CREATE VIEW totals AS SELECT parent, SUM(amount) AS total FROM child GROUP BY parent;
CREATE VIEW large_totals AS SELECT * FROM totals WHERE total > 1000;
CREATE TRIGGER child_named BEFORE INSERT ON child FOR EACH ROW SET NEW.body = COALESCE(NEW.body, 'none');
CREATE TRIGGER parent_gone AFTER DELETE ON parent FOR EACH ROW INSERT INTO log (line) VALUES (CONCAT('gone ', OLD.id));
").expect("ours");
    schema.load(&sql);
    let size = schema.ask(&format!("SELECT ROUND(SUM(data_length + index_length) / 1000000) FROM information_schema.tables WHERE table_schema = '{}'", schema.name));
    let before = schema.fingerprint();
    let first = world.snap_as(&schema, args!["backup", "--db", schema.url()]).ok();
    let again = world.snap_as(&schema, args!["backup", "--db", schema.url()]).ok();
    let other = server.schema_of(&schema);
    let restore = args!["restore", "latest", "--db", "main", "--into", other.url(), "--yes"];
    let restore = world.snap_as(&other, restore).ok();
    crate::report(&format!(
        "{} MB of tables: backup {:.1?}, unchanged {:.1?}, restored elsewhere {:.1?}",
        size.trim(),
        first.took,
        again.took,
        restore.took
    ));
    assert!(size.trim().parse::<u64>().is_ok_and(|megabytes| megabytes >= 500), "{size}");
    same(&before, &other.fingerprint(), "the copy");
}
