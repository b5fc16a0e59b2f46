//! Sealing: one key for each object, made from the master key, the object's kind and its name.
//!
//! A name serves one write, so a key seals one object, and small counters are safe nonces. An
//! object that was swapped, renamed or copied from another repository does not open, because its
//! place makes its key.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroizing;

use super::id::{ObjectId, RepositoryId};
use super::object::ObjectKind;
use crate::os::random;

/// What sealing adds to the length.
pub(super) const TAG_BYTES: usize = 16;

const OBJECT_KEY_CONTEXT: &str = "snap-backup 2026 format 1: key of one sealed object";
const TAG_KEY_CONTEXT: &str = "snap-backup 2026 format 1: tag key of one clear object";

/// Which seal of an object this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// The only one, of objects sealed as a whole.
    Whole,
    /// A frame of a pack.
    Frame(u32),
    /// The footer of a pack.
    Footer,
}

impl Turn {
    fn nonce(self) -> Nonce {
        let mut nonce = [0; 12];
        match self {
            Self::Whole => {}
            Self::Frame(ordinal) => nonce[..4].copy_from_slice(&ordinal.to_le_bytes()),
            Self::Footer => nonce = [0xff; 12],
        }
        Nonce::assume_unique_for_key(nonce)
    }
}

/// Sealed bytes that are not what was sealed, or not in their place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotAuthentic;

/// Seals and opens the parts of one object.
pub(super) struct Sealer {
    key: LessSafeKey,
    /// Repository id, kind, name: bound to every seal beside the clear header.
    place: [u8; 65],
}

impl Sealer {
    pub(super) fn new(
        master: &[u8; 32],
        repository: &RepositoryId,
        kind: ObjectKind,
        name: &ObjectId,
    ) -> Self {
        let key = object_key(OBJECT_KEY_CONTEXT, master, kind, name);
        Self::with_key(&key, repository, kind, name)
    }

    /// Seals with a key that comes from elsewhere: key slots are sealed before there is a master.
    pub(super) fn with_key(
        key: &[u8; 32],
        repository: &RepositoryId,
        kind: ObjectKind,
        name: &ObjectId,
    ) -> Self {
        let key = UnboundKey::new(&AES_256_GCM, key).expect("the key has the length of the cipher");
        let mut place = [0; 65];
        place[..32].copy_from_slice(repository.as_bytes());
        place[32] = kind.code();
        place[33..].copy_from_slice(name.as_bytes());
        Self { key: LessSafeKey::new(key), place }
    }

    /// Seals `buffer[from..]` in place, appends the tag, and binds `clear` to it.
    pub(super) fn seal(&self, turn: Turn, clear: &[u8], buffer: &mut Vec<u8>, from: usize) {
        buffer.extend_from_slice(&[0; TAG_BYTES]);
        self.seal_slice(turn, clear, &mut buffer[from..]);
    }

    /// Seals all of `buffer` but its last bytes in place, and makes the tag of these.
    pub(super) fn seal_slice(&self, turn: Turn, clear: &[u8], buffer: &mut [u8]) {
        let (text, room) = buffer.split_at_mut(buffer.len() - TAG_BYTES);
        let aad = Aad::from(self.bound(clear));
        let tag = self
            .key
            .seal_in_place_separate_tag(turn.nonce(), aad, text)
            .expect("a buffer in memory is shorter than the cipher's limit");
        room.copy_from_slice(tag.as_ref());
    }

    /// Seals `plain` into `sealed`, which is longer by the tag.
    pub(super) fn seal_from(&self, turn: Turn, clear: &[u8], plain: &[u8], sealed: &mut [u8]) {
        let (text, tag) = sealed.split_at_mut(plain.len());
        let aad = Aad::from(self.bound(clear));
        self.key.seal_out_of_place_scatter(turn.nonce(), aad, plain, text, &[], tag).expect(
            "there is room for text and tag, and a buffer is shorter than the cipher's limit",
        );
    }

    /// Opens `sealed` into `plain`, whose former content goes.
    pub(super) fn open(
        &self,
        turn: Turn,
        clear: &[u8],
        sealed: &[u8],
        plain: &mut Vec<u8>,
    ) -> Result<(), NotAuthentic> {
        let length = sealed.len().checked_sub(TAG_BYTES).ok_or(NotAuthentic)?;
        let (text, tag) = sealed.split_at(length);
        plain.resize(length, 0);
        self.key
            .open_separate_gather(turn.nonce(), Aad::from(self.bound(clear)), text, tag, plain)
            .map_err(|_| {
                // What an unauthentic text decrypts to is never to be seen.
                plain.clear();
                NotAuthentic
            })
    }

    fn bound(&self, clear: &[u8]) -> Bound {
        let mut bound = Bound { bytes: [0; Bound::MAX], length: self.place.len() + clear.len() };
        bound.bytes[..self.place.len()].copy_from_slice(&self.place);
        bound.bytes[self.place.len()..bound.length].copy_from_slice(clear);
        bound
    }
}

/// Associated data, without an allocation for each frame.
struct Bound {
    bytes: [u8; Self::MAX],
    length: usize,
}

impl Bound {
    /// Room for the place and for the headers of a pack and of a frame in it.
    const MAX: usize = 160;
}

impl AsRef<[u8]> for Bound {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// The keyed tag of an object that is stored clear but must not be altered.
pub(super) fn tag(
    master: &[u8; 32],
    repository: &RepositoryId,
    kind: ObjectKind,
    name: &ObjectId,
    bytes: &[u8],
) -> blake3::Hash {
    let key = object_key(TAG_KEY_CONTEXT, master, kind, name);
    let mut hasher = blake3::Hasher::new_keyed(&key);
    hasher.update(repository.as_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

fn object_key(
    context: &str,
    master: &[u8; 32],
    kind: ObjectKind,
    name: &ObjectId,
) -> Zeroizing<[u8; 32]> {
    let mut hasher = blake3::Hasher::new_derive_key(context);
    hasher.update(master);
    hasher.update(&[kind.code()]);
    hasher.update(name.as_bytes());
    let key = Zeroizing::new(*hasher.finalize().as_bytes());
    zeroize::Zeroize::zeroize(&mut hasher);
    key
}

/// Random bytes from the system.
pub(super) fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    random::fill(&mut bytes).expect("the system gives random bytes");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer(repository: u8, kind: ObjectKind, name: u8) -> Sealer {
        let repository = RepositoryId::from_bytes([repository; 32]);
        Sealer::new(&[7; 32], &repository, kind, &ObjectId::from_bytes([name; 32]))
    }

    #[test]
    fn a_seal_opens_only_in_its_own_place() {
        let mut sealed = b"head".to_vec();
        sealed.extend_from_slice(b"plain");
        sealer(1, ObjectKind::Pack, 2).seal(Turn::Frame(3), b"head", &mut sealed, 4);
        let mut elsewhere = [0; 5 + TAG_BYTES];
        sealer(1, ObjectKind::Pack, 2).seal_from(Turn::Frame(3), b"head", b"plain", &mut elsewhere);
        assert_eq!(elsewhere, sealed[4..], "sealed in place or from elsewhere, it is the same");
        let opens = |by: Sealer, turn, clear: &[u8]| {
            let mut plain = Vec::new();
            by.open(turn, clear, &sealed[4..], &mut plain).map(|()| plain)
        };
        assert_eq!(
            opens(sealer(1, ObjectKind::Pack, 2), Turn::Frame(3), b"head"),
            Ok(b"plain".to_vec())
        );
        for moved in [
            opens(sealer(9, ObjectKind::Pack, 2), Turn::Frame(3), b"head"),
            opens(sealer(1, ObjectKind::Index, 2), Turn::Frame(3), b"head"),
            opens(sealer(1, ObjectKind::Pack, 9), Turn::Frame(3), b"head"),
            opens(sealer(1, ObjectKind::Pack, 2), Turn::Frame(4), b"head"),
            opens(sealer(1, ObjectKind::Pack, 2), Turn::Footer, b"head"),
            opens(sealer(1, ObjectKind::Pack, 2), Turn::Frame(3), b"tail"),
        ] {
            assert_eq!(moved, Err(NotAuthentic));
        }
    }

    #[test]
    fn every_flipped_bit_of_a_seal_is_noticed() {
        let sealer = sealer(1, ObjectKind::Pin, 2);
        let mut sealed = b"some plain bytes".to_vec();
        sealer.seal(Turn::Whole, b"", &mut sealed, 0);
        for bit in 0..sealed.len() * 8 {
            let mut hurt = sealed.clone();
            hurt[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(sealer.open(Turn::Whole, b"", &hurt, &mut Vec::new()), Err(NotAuthentic));
        }
    }
}
