//! The repository's secrets, and the slots that wrap them.
//!
//! Three random secrets do all the work; they never change. Each slot wraps them for one holder:
//! a passphrase (Argon2id), a machine key file (0600), an exported key. Slots come and go without
//! touching data.

mod file;
mod slot;

use zeroize::{Zeroize, ZeroizeOnDrop};

pub(super) use file::KeyFile;
pub use slot::{Argon, SlotInfo, SlotKind};
pub(super) use slot::{Holder, Slot};

/// The three secrets.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(super) struct Secrets {
    /// All object keys come from it.
    pub(super) master: [u8; 32],
    /// Keys the hash that names chunks.
    pub(super) id_key: [u8; 32],
    /// Seeds the cutting of large files.
    pub(super) chunker: [u8; 32],
}

impl Secrets {
    pub(super) fn random() -> Self {
        use super::seal::random;
        Self { master: random(), id_key: random(), chunker: random() }
    }

    /// Names and cuts as `other` does, and opens nothing of it.
    pub(super) fn name_like(&mut self, other: &Self) {
        self.id_key = other.id_key;
        self.chunker = other.chunker;
    }

    /// The seed of the gear table.
    pub(super) fn chunker_seed(&self) -> u64 {
        let first = self.chunker.first_chunk().expect("32 bytes hold 8");
        u64::from_le_bytes(*first)
    }

    fn to_bytes(&self) -> zeroize::Zeroizing<Vec<u8>> {
        let mut bytes = zeroize::Zeroizing::new(Vec::with_capacity(Self::BYTES + 16));
        for secret in [&self.master, &self.id_key, &self.chunker] {
            bytes.extend_from_slice(secret);
        }
        bytes
    }

    const BYTES: usize = 96;

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::BYTES] = bytes.try_into().ok()?;
        let mut secrets = Self { master: [0; 32], id_key: [0; 32], chunker: [0; 32] };
        secrets.master.copy_from_slice(&bytes[..32]);
        secrets.id_key.copy_from_slice(&bytes[32..64]);
        secrets.chunker.copy_from_slice(&bytes[64..]);
        Some(secrets)
    }
}
