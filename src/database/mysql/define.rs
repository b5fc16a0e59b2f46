//! Drops and creates the objects of a schema, each under the settings it was created with.

use std::error::Error;
use std::time::Duration;

use super::blocker::explain;
use super::definition::{Moved, move_trigger, move_view};
use super::session::{Session, code_in, text};
use super::text::{literal, name, push_hex, qualified};
use crate::database::state::{Trigger, View};
use crate::database::{DatabaseError, ObjectKind};
use crate::os::clock;

/// No such table, an invalid view: what a view says whose base is not there yet.
const NOT_THERE_YET: [u16; 3] = [1146, 1356, 1054];

/// MariaDB calls it a deadlock when it meets a backup of somebody else while it defines something
/// on a table without transactions. The statement was not run.
pub(super) const DEADLOCK: u16 = 1213;

/// How often such a statement is sent.
const TRIES: u32 = 10;

/// "Can't create table … (errno: 184)". InnoDB removes the file of a table whose drop a crash cut
/// short only in the background, after the server has started again (row purge), if at all. Until
/// then there can be no table of that name.
const CANNOT_CREATE: u16 = 1005;
const FILE_IS_THERE: &str = "errno: 184";
/// So often, and so far apart, it is tried again.
const PURGE_TRIES: u32 = 100;
const PURGE_PAUSE: Duration = Duration::from_millis(200);

fn is_unpurged(why: &DatabaseError) -> bool {
    let says_so = || why.source().is_some_and(|source| source.to_string().contains(FILE_IS_THERE));
    code_in(why) == Some(CANNOT_CREATE) && says_so()
}

/// A connection that drops and creates in one schema.
pub(super) struct Definer<'a> {
    pub(super) session: &'a mut Session,
    /// Where to.
    pub(super) schema: &'a str,
    /// What the schema was called where the state comes from.
    pub(super) origin: &'a str,
}

impl Definer<'_> {
    /// Runs a statement that waits for a lock on the object.
    fn run(
        &mut self,
        doing: &str,
        kind: ObjectKind,
        of: &str,
        sql: &str,
    ) -> Result<(), DatabaseError> {
        let (doing, mut tries, mut purges) = (format!("{doing} {kind} {of}"), 1, 1);
        let done = loop {
            match self.session.run(&doing, sql) {
                Err(why) if code_in(&why) == Some(DEADLOCK) && tries < TRIES => tries += 1,
                Err(why) if is_unpurged(&why) && purges < PURGE_TRIES => {
                    clock::pause(PURGE_PAUSE);
                    purges += 1;
                }
                done => break done,
            }
        };
        let wanted = format!("the lock on {kind} {of}");
        done.map_err(|why| explain(why, self.session, &wanted))
    }

    pub(super) fn drop(&mut self, kind: ObjectKind, of: &str) -> Result<(), DatabaseError> {
        let what = match kind {
            ObjectKind::Table => "TABLE",
            ObjectKind::View => "VIEW",
            ObjectKind::Trigger => "TRIGGER",
            ObjectKind::Procedure => "PROCEDURE",
            ObjectKind::Function => "FUNCTION",
            ObjectKind::Package => "PACKAGE",
            ObjectKind::Event => "EVENT",
            ObjectKind::Sequence => "SEQUENCE",
            ObjectKind::Schema | ObjectKind::Image => unreachable!("never dropped"),
        };
        let sql = format!("DROP {what} IF EXISTS {}", qualified(self.schema, of));
        self.run("drop", kind, of, &sql)
    }

    pub(super) fn set_defaults(
        &mut self,
        charset: &str,
        collation: &str,
    ) -> Result<(), DatabaseError> {
        let sql = format!(
            "ALTER DATABASE {} CHARACTER SET = {} COLLATE = {}",
            name(self.schema),
            word(charset)?,
            word(collation)?
        );
        let schema = self.schema.to_owned();
        self.run("change", ObjectKind::Schema, &schema, &sql)
    }

    pub(super) fn set_counter(
        &mut self,
        table: &str,
        mark: Option<u64>,
    ) -> Result<(), DatabaseError> {
        let table_name = qualified(self.schema, table);
        let sql = format!("ALTER TABLE {table_name} AUTO_INCREMENT = {}", mark.unwrap_or(1));
        self.run("set the counter of", ObjectKind::Table, table, &sql)
    }

    /// Creates a table from the server's own text, which names no schema.
    pub(super) fn create_table(&mut self, table: &str, text: &[u8]) -> Result<(), DatabaseError> {
        let what = "a table's definition";
        let text = std::str::from_utf8(text).map_err(|_| DatabaseError::DamagedState { what })?;
        match self.run("create", ObjectKind::Table, table, text) {
            Err(why) if is_unpurged(&why) => Err(self.file_in_the_way(table, why)),
            done => done,
        }
    }

    /// Not every such file is removed in the end: a server that died while it made the table knows
    /// nothing of it (seen with MariaDB 10.11.19), and no statement takes it away.
    fn file_in_the_way(&mut self, table: &str, why: DatabaseError) -> DatabaseError {
        let Ok(Some(row)) = self.session.row("ask for its directory", "SELECT @@datadir") else {
            return why;
        };
        let data = row.into_iter().next().map(text).unwrap_or_default();
        let dir = format!("{}/{}", data.trim_end_matches('/'), self.schema);
        DatabaseError::FileInTheWay { table: table.to_owned(), dir }
    }

    /// Creates views until none is left: each is created once those it stands on are there.
    pub(super) fn create_views(&mut self, views: &[(String, View)]) -> Result<(), DatabaseError> {
        let mut left: Vec<_> = views.iter().collect();
        while !left.is_empty() {
            let before = left.len();
            let (mut later, mut first) = (Vec::new(), None);
            for one in left {
                match self.create_view(&one.0, &one.1) {
                    Err(why) if code_in(&why).is_some_and(|code| NOT_THERE_YET.contains(&code)) => {
                        later.push(one);
                        first.get_or_insert(why);
                    }
                    done => done?,
                }
            }
            if let Some(why) = first.filter(|_| later.len() == before) {
                return Err(why);
            }
            left = later;
        }
        Ok(())
    }

    fn create_view(&mut self, of: &str, view: &View) -> Result<(), DatabaseError> {
        let text = self.moved(ObjectKind::View, of, view_text(view, self.origin, self.schema))?;
        self.settings("", &view.client_charset, &view.collation)?;
        self.run_text("create", ObjectKind::View, of, &text, &view.client_charset)
    }

    /// Creates a trigger, after those that come before it.
    pub(super) fn create_trigger(
        &mut self,
        of: &str,
        trigger: &Trigger,
    ) -> Result<(), DatabaseError> {
        let text =
            self.moved(ObjectKind::Trigger, of, trigger_text(trigger, self.origin, self.schema))?;
        self.settings(&trigger.sql_mode, &trigger.client_charset, &trigger.collation)?;
        self.run_text("create", ObjectKind::Trigger, of, &text, &trigger.client_charset)
    }

    fn moved(&self, kind: ObjectKind, of: &str, moved: Moved) -> Result<Vec<u8>, DatabaseError> {
        if moved.is_whole {
            return Ok(moved.text);
        }
        let (name, schema) = (of.to_owned(), self.origin.to_owned());
        Err(DatabaseError::NotMappable { kind, name, schema })
    }

    fn settings(
        &mut self,
        sql_mode: &str,
        charset: &str,
        collation: &str,
    ) -> Result<(), DatabaseError> {
        let sql = format!(
            "SET SESSION sql_mode = {}, character_set_client = {}, collation_connection = {}",
            literal(sql_mode),
            word(charset)?,
            word(collation)?
        );
        self.session.run("take on the settings of a definition", &sql)
    }

    /// Runs a text in the bytes of its creator. The driver sends UTF-8 only; what is none is
    /// handed over in hexadecimal.
    fn run_text(
        &mut self,
        doing: &str,
        kind: ObjectKind,
        of: &str,
        text: &[u8],
        charset: &str,
    ) -> Result<(), DatabaseError> {
        if let Ok(text) = std::str::from_utf8(text) {
            return self.run(doing, kind, of, text);
        }
        let mut sql = format!("EXECUTE IMMEDIATE _{} ", word(charset)?);
        push_hex(text, &mut sql);
        self.run(doing, kind, of, &sql)
    }
}

/// The name of a character set or collation, which stands in statements without quotes.
pub(super) fn word(name: &str) -> Result<&str, DatabaseError> {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if !name.is_empty() && name.bytes().all(is_word) {
        Ok(name)
    } else {
        Err(DatabaseError::DamagedState { what: "the name of a character set" })
    }
}

/// A view's text for `schema`: untouched if it comes from a schema of that name.
pub(super) fn view_text(view: &View, origin: &str, schema: &str) -> Moved {
    if origin == schema {
        return Moved { text: view.definition.clone(), is_whole: true };
    }
    move_view(&view.definition, origin, schema)
}

/// The same of a trigger.
pub(super) fn trigger_text(trigger: &Trigger, origin: &str, schema: &str) -> Moved {
    if origin == schema {
        return Moved { text: trigger.definition.clone(), is_whole: true };
    }
    move_trigger(&trigger.definition, origin, &trigger.sql_mode)
}
