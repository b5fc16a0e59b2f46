//! A database as large as a shop's: dumped, restored elsewhere, compared by the oracle.

use std::process::{Command, Stdio};
use std::time::Instant;

use snap_backup::monitor::Recorder;
use snap_backup::repository::WriteOptions;

use crate::oracle::{assert_same, look};
use crate::world::{World, at_work, socket};

/// Tables of several kinds; `{rows}` is the size of the largest.
fn shop(rows: u32) -> String {
    format!(
        "SET sql_mode = '', foreign_key_checks = 0;
         CREATE TABLE customer (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, email VARCHAR(96) NOT NULL,
            name VARCHAR(32), address TEXT, newsletter TINYINT(1), date_added DATETIME NOT NULL,
            KEY (email)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
         INSERT INTO customer SELECT seq, CONCAT(MD5(seq), '@example.com'), SUBSTR(MD5(seq * 3), 1, 12),
            CONCAT(SHA1(seq), '\\n', SHA1(seq + 1), ' é'), seq % 2, '2020-01-01' + INTERVAL seq MINUTE
            FROM seq_1_to_{quarter};
         CREATE TABLE order_line (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, customer INT NOT NULL,
            product INT NOT NULL, name VARCHAR(255) NOT NULL, price DECIMAL(15,4) NOT NULL, total DOUBLE,
            tax FLOAT, at DATETIME NOT NULL DEFAULT '0000-00-00 00:00:00', note VARCHAR(200), KEY (customer),
            KEY (product, at), CONSTRAINT of_customer FOREIGN KEY (customer) REFERENCES customer (id))
            ENGINE=InnoDB DEFAULT CHARSET=utf8mb3;
         INSERT INTO order_line SELECT seq, seq % {quarter} + 1, seq % 5000, CONCAT('Product ', SHA1(seq % 5000)),
            seq % 100000 / 100, seq / 3, seq / 7, '2021-01-01' + INTERVAL seq SECOND, SHA2(seq, 256)
            FROM seq_1_to_{rows};
         CREATE TABLE product (product_id INT NOT NULL AUTO_INCREMENT, model VARCHAR(64) NOT NULL,
            description MEDIUMTEXT NOT NULL, quantity INT NOT NULL DEFAULT 0, PRIMARY KEY (product_id),
            KEY (model)) ENGINE=MyISAM DEFAULT CHARSET=utf8mb3;
         INSERT INTO product SELECT seq, MD5(seq), REPEAT(CONCAT(SHA1(seq), ' lorem ipsum '), 12), seq % 90
            FROM seq_1_to_{quarter};
         CREATE TABLE session (id CHAR(32) CHARACTER SET latin1 NOT NULL PRIMARY KEY, data BLOB NOT NULL)
            ENGINE=InnoDB;
         INSERT INTO session SELECT MD5(seq), RANDOM_BYTES(800) FROM seq_1_to_{quarter};
         CREATE VIEW best AS SELECT product, COUNT(*) AS n FROM order_line GROUP BY product;
         CREATE VIEW best_ten AS SELECT * FROM best ORDER BY n DESC LIMIT 10;
         CREATE TRIGGER less AFTER INSERT ON order_line FOR EACH ROW
            UPDATE product SET quantity = quantity - 1 WHERE product_id = NEW.product;",
        quarter = rows / 4,
    )
}

/// What the vendor's dump through zstd takes, thrown away.
fn seconds_of_the_vendor(schema: &str) -> f64 {
    let begun = Instant::now();
    let mut dump = Command::new("mariadb-dump")
        .args(["--no-defaults", "--user=root", "--single-transaction", "--socket"])
        .arg(socket())
        .arg(schema)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut zstd = Command::new("zstd")
        .args(["-3", "-T0", "-q", "-c"])
        .stdin(dump.stdout.take().unwrap())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    assert!(dump.wait().unwrap().success() && zstd.wait().unwrap().success());
    begun.elapsed().as_secs_f64()
}

#[test]
#[ignore = "needs MariaDB; bash tests/all.sh runs it"]
fn a_large_database_comes_back_elsewhere() {
    // SNAP_TEST_CAMPAIGN=full: 500 MB. Run it alone and with --release for figures.
    let full = std::env::var("SNAP_TEST_CAMPAIGN").is_ok_and(|all| all == "full");
    let rows = if full { 1_600_000 } else { 40_000 };
    let world = World::with(&shop(rows));
    let guard = at_work();
    let mut said = Vec::new();
    let mut time = |what: &str, begun: Instant| {
        said.push(format!("{what} {:.1} s", begun.elapsed().as_secs_f64()));
    };
    let writer = world.repository.begin(&WriteOptions::default()).unwrap();
    let begun = Instant::now();
    let state = world.database().dump(&writer, &Recorder::default()).unwrap();
    writer.sync().unwrap();
    time("dump", begun);
    let stored = writer.totals().stored_bytes;
    writer.commit(b"record").unwrap();
    let begun = Instant::now();
    assert_eq!(
        world.database().fingerprint(&world.repository, &state.state).unwrap(),
        state.fingerprint
    );
    time("fingerprint", begun);
    drop(guard);

    let other = World::new();
    let begun = Instant::now();
    assert_eq!(world.restore_at(other.address(), &state).unwrap(), state.fingerprint);
    time("load", begun);
    world.run("UPDATE customer SET name = 'x' WHERE id % 1000 = 0");
    let begun = Instant::now();
    assert_eq!(world.restore(&state).unwrap(), state.fingerprint);
    time("converge", begun);
    if full {
        said.push(format!("mariadb-dump | zstd {:.1} s", seconds_of_the_vendor(&world.schema)));
    }
    println!(
        "{} rows, {} MB of rows, {} MB stored: {}",
        state.rows,
        state.bytes / 1_000_000,
        stored / 1_000_000,
        said.join(", ")
    );
    assert_same("elsewhere", &look(&world.schema), &look(&other.schema));
}
