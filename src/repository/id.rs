//! The names of chunks and of stored objects.

use std::fmt;

/// What a chunk is called: the BLAKE3 of its plain bytes, keyed with the repository's id key.
///
/// Made only by hashing ([`crate::repository`]) or by decoding what was hashed before.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkId([u8; 32]);

impl ChunkId {
    /// Takes the bytes of an id that was read from the repository.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Tells one repository from every other: 32 random bytes, for ever the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepositoryId([u8; 32]);

impl RepositoryId {
    /// Takes the bytes of an id that was read from a repository or a key file.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first 8 hex digits, enough for a person and for the name of a cache directory.
    pub fn short(&self) -> String {
        self.to_string()[..8].to_owned()
    }
}

/// What an object in the repository is called: 32 random bytes, used for one write only.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId([u8; 32]);

impl ObjectId {
    /// Takes the bytes of a name that was read from the repository.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// A name that nothing has had before, and nothing will have again.
    pub fn random() -> Self {
        Self(super::seal::random())
    }

    /// Reads 64 hex digits, upper or lower case.
    pub fn parse(text: &str) -> Option<Self> {
        parse_hex(text).map(Self)
    }

    /// The first 6 hex digits, as listings show it.
    pub fn short(&self) -> String {
        self.to_string()[..6].to_owned()
    }
}

/// Reads 64 hex digits, upper or lower case.
pub(super) fn parse_hex(text: &str) -> Option<[u8; 32]> {
    let text = text.as_bytes();
    if text.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        let digit = |c: u8| char::from(c).to_digit(16).and_then(|d| u8::try_from(d).ok());
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

/// A pack is named for each frame that is read of it, so this is not left to the formatter.
fn hex_of(bytes: &[u8; 32]) -> [u8; 64] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut digits = [0; 64];
    for (pair, byte) in digits.as_chunks_mut::<2>().0.iter_mut().zip(bytes) {
        *pair = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
    }
    digits
}

macro_rules! shown_as_hex {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let digits = hex_of(&self.0);
                f.write_str(std::str::from_utf8(&digits).expect("digits are ASCII"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }
    };
}

shown_as_hex!(RepositoryId);
shown_as_hex!(ChunkId);
shown_as_hex!(ObjectId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_survives_being_written_as_hex() {
        let id = ObjectId::from_bytes([0xa7; 32]);
        assert_eq!(ObjectId::parse(&id.to_string()), Some(id));
        assert_eq!(ObjectId::parse("a7"), None);
        assert_eq!(ObjectId::parse(&"zz".repeat(32)), None);
    }
}
