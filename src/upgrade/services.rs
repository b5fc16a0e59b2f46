//! What shuts the site, and how it was before.

#![expect(
    clippy::unused_self,
    clippy::unnecessary_wraps,
    reason = "the switches come with the maintenance kinds of `app`"
)]

use crate::app::App;
use crate::repository::{Repository, Writer};

use super::UpgradeError;
use super::children::Nursery;
use super::course::Course;
use super::covered::Covered;
use super::journal::Transaction;

/// The switches of one application, as they were found.
#[derive(Debug, Default)]
pub(super) struct Services {
    found: Vec<()>,
}

impl Services {
    /// Looks at every switch, before any is turned.
    pub(super) fn look(_app: &App, _covered: &mut Covered) -> Result<Self, UpgradeError> {
        Ok(Self::default())
    }

    /// The switches as the journal and the safety snapshot remember them.
    pub(super) fn recorded(
        _transaction: &Transaction,
        _repository: Option<&Repository>,
    ) -> Result<Self, UpgradeError> {
        Ok(Self::default())
    }

    /// Whether turning them shuts the site at all.
    pub(super) fn shut_the_site(&self) -> bool {
        !self.found.is_empty()
    }

    /// What the journal keeps.
    pub(super) fn record(&self) -> serde_json::Value {
        serde_json::Value::Null
    }

    /// Makes those bytes durable before a switch is turned.
    pub(super) fn keep(&self, _writer: &Writer<'_>) -> Result<(), UpgradeError> {
        Ok(())
    }

    /// Bytes that the safety snapshot keeps.
    pub(super) fn attachments(&self) -> Vec<(String, Vec<u8>)> {
        Vec::new()
    }

    /// Shuts the site.
    pub(super) fn shut(
        &self,
        _course: &mut Course<'_>,
        _nursery: &Nursery,
    ) -> Result<(), UpgradeError> {
        Ok(())
    }

    /// Puts everything back as it was found.
    pub(super) fn put_back(
        &self,
        _course: &mut Course<'_>,
        _nursery: &Nursery,
    ) -> Result<(), UpgradeError> {
        Ok(())
    }
}
