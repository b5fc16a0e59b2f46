//! What a transaction covers: the application's roots and databases, and a snapshot of both.

use std::fs::File;
use std::path::Path;

use crate::app::App;
use crate::database::{self, Consistency, Database, DatabaseState, Fact, OpenOptions};
use crate::monitor::Monitor;
use crate::os::file;
use crate::repository::Writer;
use crate::snapshot::{AppMark, Class, DatabaseMark, Memory, Prepared, Request, Source, prepare};
use crate::tree::Exclusions;
use crate::tree::walk::Walker;

use super::UpgradeError;
use super::event::Label;
use super::plan::{Refusal, RefusalKind};

/// Roots and databases of one application.
pub(super) struct Covered {
    /// The application's own root first.
    pub(super) sources: Vec<Source>,
    pub(super) databases: Vec<Box<dyn Database>>,
    /// What the dumps told, by the database's name.
    pub(super) facts: Vec<(String, Fact)>,
    /// Databases whose last dump holds no one instant, unless nobody wrote.
    pub(super) per_table: Vec<String>,
}

/// What a snapshot within a transaction says of itself.
pub(super) struct Naming<'a> {
    pub(super) app: &'a App,
    /// What it is: the way back, or what fills the repository before it.
    pub(super) note: &'a str,
    pub(super) tags: Vec<String>,
    /// Bytes that only this snapshot keeps.
    pub(super) attachments: Vec<(String, Vec<u8>)>,
}

impl Covered {
    /// Opens what `app` is made of, as the configuration says that it was read from.
    pub(super) fn of(app: &App, scratch_dir: &Path) -> Result<Self, UpgradeError> {
        let mut sources = Vec::new();
        for area in app.areas()? {
            let exclusions = Exclusions::compile(area.exclusions)?;
            sources.push(Source { label: area.label, path: area.path, exclusions });
        }
        Ok(Self {
            sources,
            databases: databases(app, scratch_dir)?,
            facts: Vec::new(),
            per_table: Vec::new(),
        })
    }

    /// Makes everything written to the roots durable.
    pub(super) fn sync(&self) -> Result<(), UpgradeError> {
        for Source { path, .. } in &self.sources {
            File::open(path)
                .and_then(|opened| file::syncfs(&opened))
                .map_err(|source| UpgradeError::Io { doing: "sync", path: path.clone(), source })?;
        }
        Ok(())
    }

    /// Stores all of it: databases, then trees. The snapshot exists once it is committed.
    pub(super) fn store(
        &mut self,
        writer: &Writer<'_>,
        naming: Naming<'_>,
        memory: Memory<'_>,
        monitor: &dyn Monitor,
    ) -> Result<Prepared, UpgradeError> {
        let mut marks = Vec::new();
        self.facts.clear();
        self.per_table.clear();
        for database in &mut self.databases {
            let state = database.dump(writer, monitor)?;
            let name = database.name();
            if state.consistency == Consistency::PerTable {
                self.per_table.push(name.to_owned());
            }
            self.facts.extend(state.facts.iter().map(|fact| (name.to_owned(), fact.clone())));
            marks.push(mark(database.as_mut(), &state)?);
        }
        marks.sort_by(|a, b| a.name.cmp(&b.name));
        let app = naming.app;
        let request = Request {
            class: Class::Safety,
            source: app.name.clone(),
            sources: &self.sources,
            app: Some(AppMark {
                name: app.name.clone(),
                version: app.version.as_str().to_owned(),
                profile: app.profile.name.clone(),
            }),
            attachments: naming.attachments,
            tags: naming.tags,
            note: Some(naming.note.to_owned()),
            memory,
            walker: Walker::Fast,
            threads: None,
        };
        let mut prepared = prepare(writer, request, monitor)?;
        prepared.snapshot.databases = marks;
        match prepared.snapshot.problems.first() {
            Some(problem) => Err(UpgradeError::PartialSafety {
                what: format!("{}: {}", problem.path.display(), problem.what),
            }),
            None if prepared.snapshot.is_partial() => {
                Err(UpgradeError::PartialSafety { what: "something could not be read".into() })
            }
            None => Ok(prepared),
        }
    }
}

impl Covered {
    /// A dump that holds no one instant, of a site that nothing shuts, forbids any upgrade: while
    /// the site is shut nobody writes, and that is checked, so one instant is what was read.
    pub(super) fn needs_shutting(&self, shut: bool) -> Result<(), UpgradeError> {
        match &self.per_table[..] {
            [name, ..] if !shut => Err(UpgradeError::Refused(vec![no_one_instant(name)])),
            _ => Ok(()),
        }
    }

    /// What a dump told that forbids any upgrade.
    pub(super) fn forbidden(&self) -> Option<UpgradeError> {
        let stops = |fact: &Fact| matches!(fact, Fact::NotWritable { .. });
        let (name, fact) = self.facts.iter().find(|(_, fact)| stops(fact))?;
        let why = format!("database {name}: {fact}");
        Some(UpgradeError::Refused(vec![Refusal { kind: RefusalKind::Database, what: why }]))
    }

    /// How sure the way back can be at best, after what the dumps told, and why.
    pub(super) fn at_best(&self) -> (Label, Vec<String>) {
        let mut best = (Label::Proved, Vec::new());
        for (name, fact) in &self.facts {
            let label = match fact {
                Fact::BrokenReference { .. } => Label::Proved,
                Fact::OrphanDefiner { .. } => Label::Verified,
                Fact::CommitsNotFlushed | Fact::NotWritable { .. } => Label::BestEffort,
            };
            best.0 = best.0.min(label);
            best.1.push(format!("database {name}: {fact}"));
        }
        best
    }
}

/// Why a database cannot be the way back of a site that stays open.
pub(super) fn no_one_instant(name: &str) -> Refusal {
    let what = format!(
        "database {name}: tables without transactions would be read one after the other, for the \
         account lacks the right LOCK TABLES, and no maintenance switch shuts the site meanwhile"
    );
    Refusal { kind: RefusalKind::Preflight, what }
}

/// Opens the databases of `app`.
pub(super) fn databases(
    app: &App,
    scratch_dir: &Path,
) -> Result<Vec<Box<dyn Database>>, UpgradeError> {
    let open = |one: &crate::app::credentials::AppDatabase| {
        let prefix = Some(one.prefix.clone()).filter(|prefix| !prefix.is_empty());
        let options = OpenOptions { prefix, ..OpenOptions::new(scratch_dir.to_owned()) };
        database::open(&one.name, &one.address, &options).map_err(UpgradeError::from)
    };
    app.databases.iter().map(open).collect()
}

fn mark(database: &mut dyn Database, state: &DatabaseState) -> Result<DatabaseMark, UpgradeError> {
    Ok(DatabaseMark {
        name: database.name().to_owned(),
        kind: database.kind(),
        state: state.state,
        fingerprint: state.fingerprint,
        identity: database.identity()?,
        address: database.address(),
        rows: state.rows,
        bytes: state.bytes,
    })
}
