//! The switches that shut a site: looked at before any is turned, put back exactly at the end.
//!
//! A file or a row is turned by `snap` itself: its earlier bytes, metadata and the time of its
//! directory come back. The application's own command is used only where neither is possible.
//! What was found holds all that putting back needs, so the application need not be asked again.

mod file;
mod row;
mod units;

use std::ffi::OsString;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::app::profile::Switch;
use crate::app::{App, AppError};
use crate::database::Database;
use crate::os::crash::{CrashPoint, reach};
use crate::tree::{Mtime, TreePath};

pub use file::FileFound;
pub use row::RowFound;
pub use units::{Systemctl, UnitFound};

/// Runs one of the application's commands as its account, and gives back what it printed.
pub type Run<'a> =
    dyn FnMut(&str, &[OsString]) -> Result<String, Box<dyn std::error::Error + Send + Sync>> + 'a;

/// What switches are turned with.
pub struct Hands<'a> {
    /// Where the application is installed.
    pub root: &'a Path,
    /// Names what is written aside.
    pub token: &'a str,
    /// Its databases, opened.
    pub databases: &'a mut [Box<dyn Database>],
    /// How services are stopped and started.
    pub systemctl: &'a Systemctl<'a>,
    /// How its commands are run.
    pub run: &'a mut Run<'a>,
}

/// How all switches stood, in the order in which they are turned.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// One for each.
    pub switches: Vec<Found>,
}

impl Recorded {
    /// The switches that are files: where each is, and the time that its directory had before.
    pub fn files(&self) -> impl Iterator<Item = (TreePath, Mtime)> {
        self.switches.iter().filter_map(|found| match found {
            Found::File(file) => file.place(),
            Found::Row(_) | Found::Command(_) | Found::Units(_) => None,
        })
    }
}

/// How one switch stood, and all that it takes to turn it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Found {
    /// A whole file.
    File(FileFound),
    /// A column of some rows.
    Row(RowFound),
    /// The application's own command.
    Command(CommandFound),
    /// Services.
    Units(UnitFound),
}

/// How the application's own command said that it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandFound {
    get: Vec<String>,
    is_on: String,
    on: Vec<String>,
    off: Vec<String>,
    was_on: bool,
}

/// Bytes that were found, by a name that [`Recorded`] knows. They belong into the repository, not
/// into the journal.
pub type Blobs = Vec<(String, Vec<u8>)>;

/// How far putting back goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// The content is as it was: so is everything about the switch, its directory's time too.
    Exactly,
    /// The content is new: only the switch goes back.
    SwitchOnly,
}

/// Looks at every switch. Changes nothing.
pub fn look(app: &App, hands: &mut Hands<'_>) -> Result<(Recorded, Blobs), AppError> {
    let mut recorded = Recorded::default();
    let mut blobs = Blobs::new();
    for (index, switch) in app.profile.maintenance.iter().enumerate() {
        let found = match switch {
            Switch::File { file, content } => {
                let (file, content) = (file.fill(&app.vars)?, content.fill(&app.vars)?);
                let name = format!("maintenance-{index}");
                Found::File(file::look(hands.root, &file, content, name, &mut blobs)?)
            }
            Switch::Row { database, table, filter, column, on, key_columns } => {
                let table = table.fill(&app.vars)?;
                let rows = row::Wanted { database, table, filter, column, on, key_columns };
                Found::Row(row::look(rows, hands.databases)?)
            }
            Switch::Command { get, is_on, on, off } => {
                let fill = |argv: &[crate::app::profile::Template]| {
                    argv.iter().map(|word| word.fill(&app.vars)).collect::<Result<Vec<_>, _>>()
                };
                let mut found = CommandFound {
                    get: fill(get)?,
                    is_on: is_on.as_str().to_owned(),
                    on: fill(on)?,
                    off: fill(off)?,
                    was_on: false,
                };
                found.was_on = found.is_on_now(hands.run)?;
                Found::Command(found)
            }
            Switch::Units(units) => Found::Units(units::look(units, hands.systemctl)?),
        };
        recorded.switches.push(found);
    }
    let workers = &app.profile.quiesce.units;
    if !workers.is_empty() {
        recorded.switches.push(Found::Units(units::look(workers, hands.systemctl)?));
    }
    reach(CrashPoint::MaintenanceRecorded);
    Ok((recorded, blobs))
}

/// Turns every switch on. Done again, it does nothing new.
pub fn shut(recorded: &Recorded, hands: &mut Hands<'_>) -> Result<(), AppError> {
    for found in &recorded.switches {
        match found {
            Found::File(file) => file.shut(hands.root, hands.token)?,
            Found::Row(row) => row.shut(hands.databases)?,
            Found::Command(command) => command.turn(true, hands.run)?,
            Found::Units(units) => units.stop(hands.systemctl)?,
        }
        reach(CrashPoint::MaintenanceOn);
    }
    Ok(())
}

/// Puts every switch back as it stood, the last one first. Done again, it does nothing new.
///
/// `blob` gives back the bytes that [`look`] gave out under a name.
pub fn put_back(
    recorded: &Recorded,
    extent: Extent,
    blob: &dyn Fn(&str) -> Result<Vec<u8>, AppError>,
    hands: &mut Hands<'_>,
) -> Result<(), AppError> {
    for found in recorded.switches.iter().rev() {
        match found {
            Found::File(file) => file.put_back(hands.root, hands.token, extent, blob)?,
            Found::Row(row) => row.put_back(hands.databases)?,
            Found::Command(command) => command.turn(command.was_on, hands.run)?,
            Found::Units(units) => units.start(hands.systemctl)?,
        }
        reach(CrashPoint::MaintenanceRestored);
    }
    Ok(())
}

impl CommandFound {
    fn is_on_now(&self, run: &mut Run<'_>) -> Result<bool, AppError> {
        let output = self.run(&self.get, run)?;
        let is_on = regex::Regex::new(&self.is_on)
            .map_err(|_| AppError::SwitchFailed { what: self.get.join(" "), source: None })?;
        Ok(is_on.is_match(&output))
    }

    /// Never believed: the state is asked again after the command.
    fn turn(&self, on: bool, run: &mut Run<'_>) -> Result<(), AppError> {
        if self.is_on_now(run)? == on {
            return Ok(());
        }
        let argv = if on { &self.on } else { &self.off };
        self.run(argv, run)?;
        if self.is_on_now(run)? == on {
            return Ok(());
        }
        Err(AppError::SwitchFailed { what: argv.join(" "), source: None })
    }

    #[expect(clippy::unused_self, reason = "it is this switch's command")]
    fn run(&self, argv: &[String], run: &mut Run<'_>) -> Result<String, AppError> {
        let words: Vec<OsString> = argv.iter().map(Into::into).collect();
        run("maintenance", &words)
            .map_err(|source| AppError::SwitchFailed { what: argv.join(" "), source: Some(source) })
    }
}
