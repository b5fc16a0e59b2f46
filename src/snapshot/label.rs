//! What a user says of a snapshot after it was taken: tags and a note.
//!
//! A record is never modified, and its id is what journals and people know it by. So what is said
//! later stands in a label of its own, which names the snapshot; the highest number wins.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};

use super::SnapshotError;
use super::record::Snapshot;
use crate::repository::{ObjectId, RecordKind, Repository, RepositoryError};

/// Layout: RECORD.md, "Labels".
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
struct StoredLabel {
    #[cbor(n(0), with = "minicbor::bytes")]
    snapshot: [u8; 32],
    #[n(1)]
    number: u64,
    #[n(2)]
    tags: Vec<String>,
    #[n(3)]
    note: Option<String>,
}

/// The label of each snapshot that has one.
#[derive(Debug, Default)]
pub(super) struct Labels(BTreeMap<ObjectId, Vec<(ObjectId, StoredLabel)>>);

impl Labels {
    pub(super) fn read(repository: &Repository) -> Result<Self, SnapshotError> {
        let mut labels = Self::default();
        for name in repository.record_ids(RecordKind::Label)? {
            let raw = match repository.record(RecordKind::Label, &name) {
                Ok(Some(raw)) => raw,
                // Replaced since the names were listed; or damaged, which a check tells: words
                // that are lost keep nobody from a restore.
                Ok(None)
                | Err(RepositoryError::Damaged { .. } | RepositoryError::TooNew { .. }) => {
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let Ok(stored) = minicbor::decode::<StoredLabel>(&raw) else { continue };
            let of = ObjectId::from_bytes(stored.snapshot);
            labels.0.entry(of).or_default().push((name, stored));
        }
        for of in labels.0.values_mut() {
            of.sort_by_key(|(name, stored)| (stored.number, *name));
        }
        Ok(labels)
    }

    /// Says of a snapshot what its label says.
    pub(super) fn apply(&self, snapshot: &mut Snapshot) {
        if let Some((_, label)) = self.0.get(&snapshot.id).and_then(|of| of.last()) {
            snapshot.tags.clone_from(&label.tags);
            snapshot.note.clone_from(&label.note);
        }
    }
}

/// Gives a snapshot these tags and this note, in place of those it has. Durable on return.
pub fn relabel(
    repository: &Repository,
    snapshot: &ObjectId,
    tags: &[String],
    note: Option<&str>,
) -> Result<(), SnapshotError> {
    let labels = Labels::read(repository)?;
    let before = labels.0.get(snapshot).map_or(&[][..], Vec::as_slice);
    let stored = StoredLabel {
        snapshot: *snapshot.as_bytes(),
        number: before.last().map_or(1, |(_, newest)| newest.number + 1),
        tags: tags.to_vec(),
        note: note.map(str::to_owned),
    };
    let body = minicbor::to_vec(&stored).expect("memory takes every byte");
    repository.put_record(RecordKind::Label, &body)?;
    for (name, _) in before {
        repository.remove_record(RecordKind::Label, name)?;
    }
    Ok(())
}

/// Removes the labels of snapshots that are no more; `exists` says which are.
pub fn drop_labels(
    repository: &Repository,
    exists: &dyn Fn(&ObjectId) -> bool,
) -> Result<(), SnapshotError> {
    for (of, labels) in Labels::read(repository)?.0 {
        if !exists(&of) {
            for (name, _) in labels {
                repository.remove_record(RecordKind::Label, &name)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_1_labels_stay_these_bytes_for_ever() {
        let label = StoredLabel {
            snapshot: [0xab; 32],
            number: 2,
            tags: vec!["a".into()],
            note: Some("b".into()),
        };
        let mut golden = vec![0xa4, 0x00, 0x58, 0x20];
        golden.extend_from_slice(&[0xab; 32]);
        golden.extend_from_slice(&[0x01, 0x02, 0x02, 0x81, 0x61, b'a', 0x03, 0x61, b'b']);
        assert_eq!(minicbor::to_vec(&label).unwrap(), golden);
        assert_eq!(minicbor::decode::<StoredLabel>(&golden).unwrap(), label);
    }
}
