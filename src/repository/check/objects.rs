//! Configs, key slots, records: all small objects.

use super::CheckReport;
use crate::repository::backend::{Freshness, Range};
use crate::repository::error::RepositoryError;
use crate::repository::format::{Config, config_name};
use crate::repository::id::ObjectId;
use crate::repository::key::Slot;
use crate::repository::object::{self, ObjectKind};
use crate::repository::repository::Inner;

/// Kinds that are sealed as a whole, under a name of their own.
const SEALED: [ObjectKind; 5] = [
    ObjectKind::Snapshot,
    ObjectKind::Pin,
    ObjectKind::Forgotten,
    ObjectKind::Label,
    ObjectKind::Lease,
];

impl Inner {
    pub(super) fn check_small_objects(
        &self,
        report: &mut CheckReport,
    ) -> Result<(), RepositoryError> {
        for name in self.backend.list(ObjectKind::Config)? {
            let number = name.parse().ok().map(config_name);
            let is_config = |body: &[u8]| Config::decode(body).is_some();
            self.check_clear(ObjectKind::Config, &name, number, &is_config, report)?;
        }
        for name in self.backend.list(ObjectKind::Key)? {
            let id = ObjectId::parse(&name);
            let is_slot = |body: &[u8]| minicbor::decode::<Slot>(body).is_ok();
            self.check_clear(ObjectKind::Key, &name, id, &is_slot, report)?;
        }
        for kind in SEALED {
            for name in self.backend.list(kind)? {
                self.check_sealed(kind, &name, ObjectId::parse(&name), report)?;
            }
        }
        let kind = ObjectKind::Condemned;
        for name in self.backend.list(kind)? {
            let id = name.split_once('-').and_then(|(_, id)| ObjectId::parse(id));
            self.check_sealed(kind, &name, id, report)?;
        }
        Ok(())
    }

    fn check_clear(
        &self,
        kind: ObjectKind,
        name: &str,
        id: Option<ObjectId>,
        is_well_formed: &dyn Fn(&[u8]) -> bool,
        report: &mut CheckReport,
    ) -> Result<(), RepositoryError> {
        let Some(bytes) = self.read_whole(kind, name)? else { return Ok(()) };
        let what = match (id, object::clear_body(kind, name, &bytes)) {
            (None, _) => "its name is not a name",
            (_, Err(error)) => return report.note(error),
            (Some(id), Ok(body)) => {
                if !object::is_authentic(&self.secrets.master, &self.id, kind, &id, &bytes) {
                    "its tag is wrong"
                } else if !is_well_formed(body) {
                    "it does not decode"
                } else {
                    return Ok(());
                }
            }
        };
        report.damage(kind.named(name), what);
        Ok(())
    }

    fn check_sealed(
        &self,
        kind: ObjectKind,
        name: &str,
        id: Option<ObjectId>,
        report: &mut CheckReport,
    ) -> Result<(), RepositoryError> {
        let Some(bytes) = self.read_whole(kind, name)? else { return Ok(()) };
        let Some(id) = id else {
            report.damage(kind.named(name), "its name is not a name");
            return Ok(());
        };
        match object::open(&self.sealer(kind, &id), kind, name, &bytes) {
            Ok(_) => Ok(()),
            // Leases are not synced: a power cut may tear one, and nobody stands behind it.
            Err(_) if kind == ObjectKind::Lease => {
                let object = kind.named(name);
                report.find(super::Severity::Litter, object, "it was torn by a power cut");
                Ok(())
            }
            Err(error) => report.note(error),
        }
    }

    /// An object's bytes; `None` if it went since it was listed, as leases and pins may.
    fn read_whole(&self, kind: ObjectKind, name: &str) -> Result<Option<Vec<u8>>, RepositoryError> {
        let mut bytes = Vec::new();
        match self.backend.read(kind, name, Range::All, Freshness::Cached, &mut bytes) {
            Ok(()) => Ok(Some(bytes)),
            Err(error) if self.backend.stat(kind, name)?.is_some() => Err(error),
            Err(_) => Ok(None),
        }
    }
}
