//! The records of a state, as they are stored. Layout: STATE.md.
//!
//! These are not working types: a field here is a promise to every later version.

use minicbor::{Decode, Encode};

/// The version that this program writes, and the newest that it reads.
pub const VERSION: u32 = 1;

/// How many objects one page lists.
pub const OBJECTS_PER_PAGE: usize = 1024;

/// Where a state begins. Its chunk's id is the state's id.
#[derive(Clone, Debug, Decode, Encode, PartialEq)]
pub struct Root {
    /// [`VERSION`] of the writer. Always first.
    #[n(0)]
    pub version: u32,
    /// `mysql` or `sqlite`.
    #[n(1)]
    pub kind: String,
    /// The state's fingerprint.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub fingerprint: [u8; 32],
    /// The server or library and its version, for people.
    #[n(3)]
    pub made_by: String,
    /// Which server or file it was taken from.
    #[n(4)]
    pub identity: String,
    /// 0: all tables at one point; 1: table by table.
    #[n(5)]
    pub consistency: u32,
    /// What an operator should know.
    #[n(6)]
    pub facts: Vec<StoredFact>,
    /// Names of features that a reader must know to restore this state.
    #[n(7)]
    pub needs: Vec<String>,
    /// How many rows (0 for SQLite), and how many bytes rows or pages have.
    #[n(8)]
    pub rows: u64,
    /// See `rows`.
    #[n(9)]
    pub bytes: u64,
    /// Of MySQL and MariaDB.
    #[n(10)]
    pub schema: Option<SchemaRecord>,
    /// Of SQLite.
    #[n(11)]
    pub image: Option<Image>,
}

/// A fact, by its name and up to three values.
#[derive(Clone, Debug, Decode, Encode, PartialEq)]
pub struct StoredFact {
    /// Its name.
    #[n(0)]
    pub name: String,
    /// Its values.
    #[n(1)]
    pub values: Vec<String>,
}

/// One schema.
#[derive(Clone, Debug, Decode, Encode, PartialEq)]
pub struct SchemaRecord {
    /// Its name where it was dumped.
    #[n(0)]
    pub name: String,
    /// Its default character set.
    #[n(1)]
    pub charset: String,
    /// Its default collation.
    #[n(2)]
    pub collation: String,
    /// What a chunk of rows has on average: how the live tables must be cut to be compared.
    #[n(3)]
    pub cut_target: u32,
    /// The chunks that list the objects: [`ObjectPage`] each.
    #[n(4)]
    pub pages: Vec<Id>,
    /// Only names that begin with this were looked at; empty for the whole schema.
    #[n(5)]
    pub prefix: String,
}

/// A chunk's id.
#[derive(Clone, Copy, Debug, Decode, Encode, PartialEq, Eq)]
#[cbor(transparent)]
pub struct Id(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 32]);

/// Up to [`OBJECTS_PER_PAGE`] objects, sorted by kind and name.
#[derive(Clone, Debug, Decode, Encode, PartialEq)]
pub struct ObjectPage {
    /// The objects.
    #[n(0)]
    pub objects: Vec<ObjectRecord>,
}

/// What the fingerprint is made of, and where the rest is.
#[derive(Clone, Debug, Decode, Encode, PartialEq)]
pub struct ObjectRecord {
    /// 1 schema, 2 table, 3 view, 4 trigger.
    #[n(0)]
    pub kind: u32,
    /// Its name.
    #[n(1)]
    pub name: String,
    /// The digest of its definition, with its own schema's name taken out.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub definition: [u8; 32],
    /// The digest of its rows; zeroes where there are none.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub rows_digest: [u8; 32],
    /// How many rows it has.
    #[n(4)]
    pub rows: u64,
    /// How many bytes they have, encoded.
    #[n(5)]
    pub bytes: u64,
    /// The next AUTO_INCREMENT value, where the server keeps it over a restart.
    #[n(6)]
    pub auto_increment: Option<u64>,
    /// The chunk that holds the [`Table`], [`View`] or [`Trigger`]; none for the schema itself.
    #[n(7)]
    pub chunk: Option<Id>,
}

/// What a table is made of.
#[derive(Clone, Debug, Decode, Encode, PartialEq)]
pub struct Table {
    /// Its CREATE statement without the AUTO_INCREMENT mark, as the server spelled it.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub definition: Vec<u8>,
    /// The columns whose values are stored, in this order in each row.
    #[n(1)]
    pub columns: Vec<Column>,
    /// The columns that order the rows; empty if nothing does.
    #[n(2)]
    pub key: Vec<String>,
    /// The chunks that list the rows' chunks.
    #[n(3)]
    pub lists: Vec<Id>,
}

/// One column whose values are stored.
#[derive(Clone, Debug, Decode, Encode, PartialEq)]
pub struct Column {
    /// Its name.
    #[n(0)]
    pub name: String,
    /// How its values are spelled: see STATE.md.
    #[n(1)]
    pub spelling: u32,
}

/// What a view is made of.
#[derive(Clone, Debug, Decode, Encode, PartialEq)]
pub struct View {
    /// Its CREATE statement, in the bytes of `client_charset`.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub definition: Vec<u8>,
    /// The client's character set when it was created.
    #[n(1)]
    pub client_charset: String,
    /// The connection's collation when it was created.
    #[n(2)]
    pub collation: String,
}

/// What a trigger is made of.
#[derive(Clone, Debug, Decode, Encode, PartialEq)]
pub struct Trigger {
    /// Its CREATE statement, in the bytes of `client_charset`.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub definition: Vec<u8>,
    /// The client's character set when it was created.
    #[n(1)]
    pub client_charset: String,
    /// The connection's collation when it was created.
    #[n(2)]
    pub collation: String,
    /// The schema's default collation when it was created.
    #[n(3)]
    pub schema_collation: String,
    /// The `sql_mode` under which its body is read.
    #[n(4)]
    pub sql_mode: String,
    /// Its table.
    #[n(5)]
    pub table: String,
    /// `BEFORE INSERT` and so on.
    #[n(6)]
    pub when: String,
    /// Its place among the triggers of the same table and moment, from 1.
    #[n(7)]
    pub place: u32,
}

/// The pages of a SQLite file, and what its file carries beside them.
#[derive(Clone, Debug, Decode, Encode, PartialEq)]
pub struct Image {
    /// The size of a page.
    #[n(0)]
    pub page_bytes: u32,
    /// The chunks that list the pages' chunks.
    #[n(1)]
    pub lists: Vec<Id>,
    /// Permission bits.
    #[n(2)]
    pub mode: u32,
    /// The owner's number.
    #[n(3)]
    pub uid: u32,
    /// The group's number.
    #[n(4)]
    pub gid: u32,
    /// Extended attributes, access control lists among them.
    #[n(5)]
    pub xattrs: Vec<Xattr>,
}

/// One extended attribute.
#[derive(Clone, Debug, Decode, Encode, PartialEq)]
pub struct Xattr {
    /// Its name.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub name: Vec<u8>,
    /// Its value.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub value: Vec<u8>,
}
