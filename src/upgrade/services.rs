//! What shuts the site: looked at first, recorded, and put back exactly as it was.
//!
//! The switch's earlier bytes lie in the repository; the journal names them. They are durable
//! before anything is turned.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::app::files::Live;
use crate::app::maintenance::{self, Blobs, Extent, Hands, Recorded, Systemctl};
use crate::app::profile::Expect;
use crate::app::{App, AppError};
use crate::database::Database;
use crate::repository::{PackClass, Repository, Writer};
use crate::tree::{Mtime, TreePath};

use super::UpgradeError;
use super::children::{Command, Nursery};
use super::course::Course;
use super::event::Event;
use super::journal::Transaction;
use super::stored::Digest;

/// A maintenance command answers at once, or something is wrong.
const TIMEOUT: Duration = Duration::from_mins(2);

/// The switches of one application, as they were found.
#[derive(Debug, Default)]
pub(super) struct Services {
    recorded: Recorded,
    blobs: Blobs,
}

/// What the journal keeps of them.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Stored {
    #[serde(default)]
    recorded: Recorded,
    /// Where the bytes that were found lie, by name.
    #[serde(default)]
    blobs: Vec<(String, Digest)>,
}

/// What switches are turned with.
pub(super) struct Turning<'a> {
    pub(super) app: &'a App,
    pub(super) databases: &'a mut [Box<dyn Database>],
    pub(super) nursery: &'a Nursery,
}

impl Services {
    /// Looks at every switch, before any is turned.
    pub(super) fn look(
        course: &mut Course<'_>,
        turning: &mut Turning<'_>,
    ) -> Result<Self, UpgradeError> {
        let app = turning.app;
        let looked = turning.with_hands(course, |hands| maintenance::look(app, hands));
        let (recorded, blobs) = looked?;
        Ok(Self { recorded, blobs })
    }

    /// The switches as the journal and the repository remember them.
    pub(super) fn again(
        transaction: &Transaction,
        repository: Option<&Repository>,
    ) -> Result<Self, UpgradeError> {
        let Some(stored) = stored(transaction)? else { return Ok(Self::default()) };
        let mut blobs = Blobs::new();
        for (name, id) in stored.blobs {
            let Some(repository) = repository else {
                let what = format!("the earlier bytes of {name}");
                return Err(UpgradeError::NoWayBack { what });
            };
            blobs.push((name, repository.get(&id.chunk())?));
        }
        Ok(Self { recorded: stored.recorded, blobs })
    }

    /// Whether turning them shuts the site at all.
    pub(super) fn shut_the_site(&self) -> bool {
        !self.recorded.switches.is_empty()
    }

    /// The switches that are files: where each is, and the time that its directory had before.
    pub(super) fn files(&self) -> Vec<(TreePath, Mtime)> {
        self.recorded.files().collect()
    }

    /// Makes the bytes that were found durable, and gives what the journal keeps.
    pub(super) fn keep(&self, writer: &Writer<'_>) -> Result<serde_json::Value, UpgradeError> {
        let mut bundle = writer.bundle(PackClass::Data);
        let put = self
            .blobs
            .iter()
            .map(|(name, bytes)| Ok((name.clone(), Digest::from(bundle.put(bytes)?))));
        let blobs = put.collect::<Result<Vec<_>, UpgradeError>>();
        // A bundle that is dropped half full makes its run fail, whatever went wrong.
        bundle.finish()?;
        let stored = Stored { recorded: self.recorded.clone(), blobs: blobs? };
        writer.sync()?;
        Ok(serde_json::to_value(&stored).expect("switches are structs with text keys"))
    }

    /// The same bytes, for the safety snapshot to list.
    pub(super) fn attachments(&self) -> Vec<(String, Vec<u8>)> {
        self.blobs.clone()
    }

    /// Shuts the site.
    pub(super) fn shut(
        &self,
        course: &mut Course<'_>,
        turning: &mut Turning<'_>,
    ) -> Result<(), UpgradeError> {
        turning.with_hands(course, |hands| maintenance::shut(&self.recorded, hands))
    }

    /// Puts everything back as it was found.
    pub(super) fn put_back(
        &self,
        course: &mut Course<'_>,
        extent: Extent,
        turning: &mut Turning<'_>,
    ) -> Result<(), UpgradeError> {
        let blob = |name: &str| {
            let found = self.blobs.iter().find(|(known, _)| known == name);
            found
                .map(|(_, bytes)| bytes.clone())
                .ok_or_else(|| AppError::SwitchFailed { what: name.to_owned(), source: None })
        };
        turning
            .with_hands(course, |hands| maintenance::put_back(&self.recorded, extent, &blob, hands))
    }
}

/// Whether the journal names bytes that only the repository holds.
pub(super) fn needs_repository(transaction: &Transaction) -> Result<bool, UpgradeError> {
    Ok(stored(transaction)?.is_some_and(|stored| !stored.blobs.is_empty()))
}

fn stored(transaction: &Transaction) -> Result<Option<Stored>, UpgradeError> {
    let recorded = transaction.events.iter().find_map(|recorded| match &recorded.event {
        Event::Quiescing(quiescing) => Some(quiescing.maintenance.clone()),
        _ => None,
    });
    let Some(value) = recorded.filter(|value| !value.is_null()) else { return Ok(None) };
    let number = transaction.header.number;
    serde_json::from_value(value).map(Some).map_err(|source| {
        let kind = super::state::EventKind::Quiescing.name().to_owned();
        let source = super::event::BadBody { kind, source: Some(source) };
        super::journal::JournalError::Body { number, source }.into()
    })
}

impl Turning<'_> {
    fn with_hands<T>(
        &mut self,
        course: &mut Course<'_>,
        work: impl FnOnce(&mut Hands<'_>) -> Result<T, AppError>,
    ) -> Result<T, UpgradeError> {
        let token = course.header.token_hex();
        let systemctl =
            Systemctl { trampoline: course.ground.trampoline, program: Path::new("systemctl") };
        let (app, nursery) = (self.app, self.nursery);
        let mut run = |what: &str, argv: &[OsString]| {
            command(course, nursery, app, what, argv).map_err(|error| Box::new(error).into())
        };
        let mut hands = Hands {
            root: &app.root,
            token: &token,
            databases: &mut *self.databases,
            systemctl: &systemctl,
            run: &mut run,
        };
        Ok(work(&mut hands)?)
    }
}

/// Runs one of the application's own commands; what it prints counts, not how it ends.
fn command(
    course: &mut Course<'_>,
    nursery: &Nursery,
    app: &App,
    what: &str,
    argv: &[OsString],
) -> Result<String, UpgradeError> {
    let account = app.account(&Live::open(&app.root)?)?;
    let expect = Expect { exit: (0..=255).collect(), must: None, must_not: None };
    let command = Command {
        what: what.to_owned(),
        argv: argv.to_vec(),
        dir: &app.root,
        account: Some(&account),
        env: Vec::new(),
        expect: &expect,
        prompts: &[],
        idle_timeout: TIMEOUT,
        timeout: TIMEOUT,
    };
    nursery.run(course, &command)
}
