//! The files digest: equal exactly when all roots are.

use super::record::Root;
use crate::repository::Repository;
use crate::tree::manifest;

const CONTEXT: &str = "snap-backup files digest 1";

/// The digest of `roots`, in whatever order. Layout: `RECORD.md`, "Files digest".
pub fn files_digest(repository: &Repository, roots: &[Root]) -> [u8; 32] {
    let mut sorted: Vec<_> = roots.iter().collect();
    sorted.sort_by(|a, b| a.label.cmp(&b.label));
    let mut hasher = repository.hasher(CONTEXT);
    for root in sorted {
        let object = manifest::encode_leaf(std::slice::from_ref(&root.entry));
        for bytes in [root.label.as_bytes(), &object] {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        }
    }
    *hasher.finalize().as_bytes()
}
