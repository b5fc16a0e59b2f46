//! Listing and removing key slots.

use super::error::RepositoryError;
use super::id::ObjectId;
use super::key::SlotInfo;
use super::object::ObjectKind;
use super::open::read_slot;
use super::repository::Repository;
use crate::os::clock::Moment;

impl Repository {
    /// The key slots, the oldest first. A slot that cannot be read is left out: see `check`.
    pub fn list_keys(&self) -> Result<Vec<SlotInfo>, RepositoryError> {
        let backend = &*self.inner.backend;
        let mut slots = Vec::new();
        for name in backend.list(ObjectKind::Key)? {
            if let Some((id, slot)) = read_slot(backend, &name) {
                let created = Moment(slot.created_ns);
                slots.push(SlotInfo { id, kind: slot.kind, label: slot.label, created });
            }
        }
        slots.sort_by_key(|slot| (slot.created, slot.id));
        Ok(slots)
    }

    /// Removes the slot `id`, but never the last one.
    pub fn remove_key(&self, id: &ObjectId) -> Result<(), RepositoryError> {
        let refused = |what| RepositoryError::KeySlot { slot: id.to_string(), what };
        let slots = self.list_keys()?;
        if !slots.iter().any(|slot| slot.id == *id) {
            return Err(refused("there is no such slot"));
        }
        if slots.len() == 1 {
            return Err(refused("it is the only one"));
        }
        let backend = &*self.inner.backend;
        backend.remove(ObjectKind::Key, &id.to_string())?;
        backend.sync(ObjectKind::Key)
    }
}
