//! Key slots: the secrets, wrapped for one holder.

use argon2::{Algorithm, Argon2, Params, Version};
use minicbor::{Decode, Encode};
use secrecy::{ExposeSecret, SecretString};
use zeroize::{Zeroize, Zeroizing};

use super::Secrets;
use crate::os::clock::Moment;
use crate::repository::id::{ObjectId, RepositoryId};
use crate::repository::object::ObjectKind;
use crate::repository::seal::{Sealer, Turn, random};

const WRAP_CONTEXT: &str = "snap-backup 2026 format 1: wrapping key of a slot";
/// No honest slot asks for more; a forged one must not make us allocate without bound.
const MEMORY_KIB_MAX: u32 = 4 * 1024 * 1024;
const PASSES_MAX: u32 = 1024;

/// Who holds the secret that opens a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum SlotKind {
    /// A person who knows a passphrase.
    #[n(1)]
    Passphrase,
    /// A machine, in a file that only its owner reads.
    #[n(2)]
    Machine,
    /// Whoever keeps the printed or exported key.
    #[n(3)]
    Exported,
}

/// How hard a passphrase is to guess: the parameters of Argon2id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Argon {
    /// Memory, in KiB.
    #[n(0)]
    pub memory_kib: u32,
    /// Passes over it.
    #[n(1)]
    pub passes: u32,
    /// Lanes.
    #[n(2)]
    pub lanes: u32,
}

impl Default for Argon {
    /// The second choice of RFC 9106: 64 MiB, for machines that have other work.
    fn default() -> Self {
        Self { memory_kib: 64 * 1024, passes: 3, lanes: 4 }
    }
}

/// What is shown of a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotInfo {
    /// Its name.
    pub id: ObjectId,
    /// Who opens it.
    pub kind: SlotKind,
    /// What the user called it.
    pub label: String,
    /// When it was made.
    pub created: Moment,
}

/// A slot as it is stored. Layout: FORMAT.md, "Key slot".
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(in crate::repository) struct Slot {
    #[cbor(n(0), with = "minicbor::bytes")]
    repository: [u8; 32],
    #[n(1)]
    pub(in crate::repository) kind: SlotKind,
    #[n(2)]
    pub(in crate::repository) label: String,
    #[n(3)]
    pub(in crate::repository) created_ns: i64,
    #[cbor(n(4), with = "minicbor::bytes")]
    salt: [u8; 32],
    #[n(5)]
    argon: Option<Argon>,
    #[cbor(n(6), with = "minicbor::bytes")]
    wrapped: Vec<u8>,
}

/// The secret that opens a slot.
pub(in crate::repository) enum Holder<'a> {
    Passphrase(&'a SecretString, Argon),
    Machine(&'a [u8; 32]),
    Exported(&'a [u8; 32]),
}

impl Slot {
    /// Wraps `secrets` for `holder`.
    pub(in crate::repository) fn wrap(
        secrets: &Secrets,
        repository: &RepositoryId,
        name: &ObjectId,
        holder: &Holder<'_>,
        label: &str,
        created: Moment,
    ) -> Option<Self> {
        let (kind, argon) = match holder {
            Holder::Passphrase(_, argon) => (SlotKind::Passphrase, Some(*argon)),
            Holder::Machine(_) => (SlotKind::Machine, None),
            Holder::Exported(_) => (SlotKind::Exported, None),
        };
        let mut slot = Self {
            repository: *repository.as_bytes(),
            kind,
            label: label.to_owned(),
            created_ns: created.0,
            salt: random(),
            argon,
            wrapped: Vec::new(),
        };
        let sealer = match holder {
            Holder::Passphrase(phrase, _) => slot.sealer_of_passphrase(name, phrase)?,
            Holder::Machine(secret) | Holder::Exported(secret) => {
                slot.sealer_of_secret(name, secret)
            }
        };
        let mut wrapped = secrets.to_bytes();
        sealer.seal(Turn::Whole, slot.clear_hash().as_bytes(), &mut wrapped, 0);
        slot.wrapped = std::mem::take(&mut *wrapped);
        Some(slot)
    }

    /// Opens the slot with a passphrase; `None` if it is not its passphrase.
    pub(in crate::repository) fn open_with_passphrase(
        &self,
        name: &ObjectId,
        passphrase: &SecretString,
    ) -> Option<Secrets> {
        self.unwrap_with(&self.sealer_of_passphrase(name, passphrase)?)
    }

    /// Opens the slot with the secret of a key file; `None` if it is not its secret.
    pub(in crate::repository) fn open_with_secret(
        &self,
        name: &ObjectId,
        secret: &[u8; 32],
    ) -> Option<Secrets> {
        self.unwrap_with(&self.sealer_of_secret(name, secret))
    }

    pub(in crate::repository) fn repository(&self) -> RepositoryId {
        RepositoryId::from_bytes(self.repository)
    }

    fn unwrap_with(&self, sealer: &Sealer) -> Option<Secrets> {
        let mut plain = Zeroizing::new(Vec::new());
        let clear = self.clear_hash();
        sealer.open(Turn::Whole, clear.as_bytes(), &self.wrapped, &mut plain).ok()?;
        Secrets::from_bytes(&plain)
    }

    fn sealer_of_passphrase(&self, name: &ObjectId, phrase: &SecretString) -> Option<Sealer> {
        let argon = self.argon?;
        if argon.memory_kib > MEMORY_KIB_MAX || argon.passes > PASSES_MAX {
            return None;
        }
        let params = Params::new(argon.memory_kib, argon.passes, argon.lanes, Some(32)).ok()?;
        let mut derived = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(phrase.expose_secret().as_bytes(), &self.salt, &mut *derived)
            .ok()?;
        Some(self.sealer_of_secret(name, &derived))
    }

    fn sealer_of_secret(&self, name: &ObjectId, secret: &[u8; 32]) -> Sealer {
        let mut hasher = blake3::Hasher::new_derive_key(WRAP_CONTEXT);
        hasher.update(secret);
        hasher.update(&self.salt);
        let key = Zeroizing::new(*hasher.finalize().as_bytes());
        hasher.zeroize();
        Sealer::with_key(&key, &self.repository(), ObjectKind::Key, name)
    }

    /// All fields but the wrapped secrets, so that none can be altered under them.
    fn clear_hash(&self) -> blake3::Hash {
        let clear = Self { wrapped: Vec::new(), ..self.clone() };
        blake3::hash(&minicbor::to_vec(clear).expect("memory takes every byte"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: Argon = Argon { memory_kib: 8, passes: 1, lanes: 1 };

    #[test]
    fn only_its_own_passphrase_opens_a_slot() {
        let secrets = Secrets::random();
        let (repository, name) = (RepositoryId::from_bytes([1; 32]), ObjectId::from_bytes([2; 32]));
        let right = SecretString::from("correct horse");
        let holder = Holder::Passphrase(&right, CHEAP);
        let slot = Slot::wrap(&secrets, &repository, &name, &holder, "ann", Moment(5)).unwrap();

        let opened = slot.open_with_passphrase(&name, &right).expect("the right passphrase");
        assert_eq!(*opened.to_bytes(), *secrets.to_bytes());
        assert!(slot.open_with_passphrase(&name, &SecretString::from("wrong")).is_none());
        assert!(slot.open_with_passphrase(&ObjectId::from_bytes([3; 32]), &right).is_none());
        let renamed = Slot { label: "eve".to_owned(), ..slot.clone() };
        assert!(renamed.open_with_passphrase(&name, &right).is_none());
        assert!(slot.open_with_secret(&name, &[0; 32]).is_none());
    }

    #[test]
    fn a_slot_that_asks_for_all_memory_is_not_tried() {
        let secrets = Secrets::random();
        let (repository, name) = (RepositoryId::from_bytes([1; 32]), ObjectId::from_bytes([2; 32]));
        let greedy = Argon { memory_kib: u32::MAX, ..CHEAP };
        let phrase = SecretString::from("p");
        let holder = Holder::Passphrase(&phrase, greedy);
        assert!(Slot::wrap(&secrets, &repository, &name, &holder, "", Moment(0)).is_none());
    }
}
