//! The hash chain: each event's hash covers the one before it, the first one's the transaction.

use super::Number;
use super::read::Header;

/// Covers what a transaction is. The plan is covered by its digest.
pub(super) fn of_header(header: &Header) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("snap-backup journal v1 transaction");
    hasher.update(&header.number.0.to_le_bytes());
    hasher.update(&header.token);
    hasher.update(&header.plan_digest);
    hasher.update(&header.format.to_le_bytes());
    for text in [&header.app, &header.features, &header.binary_version, &header.machine_id] {
        part(&mut hasher, text.as_bytes());
    }
    *hasher.finalize().as_bytes()
}

/// Covers one event and, through `prev`, all before it.
pub(super) fn of_event(
    prev: &[u8; 32],
    number: Number,
    seq: i64,
    kind: &str,
    body: &[u8],
    at: i64,
) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("snap-backup journal v1 event");
    hasher.update(prev);
    hasher.update(&number.0.to_le_bytes());
    hasher.update(&seq.to_le_bytes());
    hasher.update(&at.to_le_bytes());
    part(&mut hasher, kind.as_bytes());
    part(&mut hasher, body);
    *hasher.finalize().as_bytes()
}

/// With its length before it, so that no two lists of parts look alike.
fn part(hasher: &mut blake3::Hasher, bytes: &[u8]) {
    hasher.update(&(bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
}
