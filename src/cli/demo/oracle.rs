//! The demo's own judge: what an installation is, read without any code that `snap` works with.
//!
//! It walks with `walkdir`, reads the database with SQL, and hashes both without a key. It shares
//! no digest, no manifest and no fingerprint with the product: what it calls equal is equal.

use std::error::Error;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};

use super::site::DATABASE;

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// Names, kinds, modes, owners, times, link targets and bytes of everything.
    pub(super) files: blake3::Hash,
    /// Definitions and rows of everything.
    pub(super) database: blake3::Hash,
}

/// Looks at the installation at `root`.
pub(super) fn look(root: &Path) -> Result<Seen, Box<dyn Error>> {
    Ok(Seen { files: files(root)?, database: database(&root.join(DATABASE))? })
}

fn files(root: &Path) -> Result<blake3::Hash, Box<dyn Error>> {
    let mut hasher = blake3::Hasher::new();
    for entry in walkdir::WalkDir::new(root).sort_by_file_name() {
        let entry = entry?;
        let path = entry.path().strip_prefix(root)?;
        let meta = entry.metadata()?;
        let mut line = Vec::from(path.as_os_str().as_bytes());
        write!(StringIn(&mut line), "\0{:o} {}:{} ", meta.mode(), meta.uid(), meta.gid())?;
        // SQLite makes and removes its journal there, and so sets this one directory's time.
        if path != Path::new(DATABASE).parent().expect("it lies in a directory")
            && path != Path::new(DATABASE)
        {
            write!(StringIn(&mut line), "{}.{:09} ", meta.mtime(), meta.mtime_nsec())?;
        }
        if meta.is_symlink() {
            line.extend(std::fs::read_link(entry.path())?.as_os_str().as_bytes());
        } else if meta.is_file() && path != Path::new(DATABASE) {
            line.extend(blake3::hash(&std::fs::read(entry.path())?).as_bytes());
        }
        hasher.update(&(line.len() as u64).to_le_bytes());
        hasher.update(&line);
    }
    Ok(hasher.finalize())
}

fn database(path: &Path) -> Result<blake3::Hash, Box<dyn Error>> {
    let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let mut hasher = blake3::Hasher::new();
    let mut tables = Vec::new();
    let mut objects =
        db.prepare("SELECT type, name, sql FROM sqlite_schema ORDER BY type, name")?;
    let mut rows = objects.query([])?;
    while let Some(row) = rows.next()? {
        let (kind, name, sql): (String, String, Option<String>) =
            (row.get(0)?, row.get(1)?, row.get(2)?);
        hasher.update(format!("{kind}\0{name}\0{sql:?}\n").as_bytes());
        if kind == "table" {
            tables.push(name);
        }
    }
    for table in tables {
        hash_rows(&db, &table, &mut hasher)?;
    }
    Ok(hasher.finalize())
}

fn hash_rows(db: &Connection, table: &str, into: &mut blake3::Hasher) -> rusqlite::Result<()> {
    let columns = db.prepare(&format!("SELECT * FROM \"{table}\""))?.column_count();
    let order: Vec<String> = (1..=columns).map(|column| column.to_string()).collect();
    let sql = format!("SELECT * FROM \"{table}\" ORDER BY {}", order.join(", "));
    let mut all = db.prepare(&sql)?;
    let mut rows = all.query([])?;
    while let Some(row) = rows.next()? {
        for column in 0..columns {
            let cell = match row.get_ref(column)? {
                ValueRef::Null => "null".to_owned(),
                ValueRef::Integer(number) => format!("int {number}"),
                ValueRef::Real(number) => format!("real {:x}", number.to_bits()),
                ValueRef::Text(text) => format!("text {}", text.escape_ascii()),
                ValueRef::Blob(bytes) => format!("blob {}", bytes.escape_ascii()),
            };
            into.update(cell.as_bytes());
            into.update(b"\n");
        }
    }
    Ok(())
}

/// Writes text into a line of bytes.
struct StringIn<'a>(&'a mut Vec<u8>);

impl std::fmt::Write for StringIn<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.extend(text.as_bytes());
        Ok(())
    }
}
