//! How bytes stand in the journal's JSON: readable where they can be, exact always.

use std::fmt::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::repository::{ChunkId, ObjectId};
use crate::tree::TreePath;

/// 32 bytes: an id, a digest or a fingerprint, written as 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The first digits, as screens show a digest.
    pub fn short(&self) -> String {
        self.to_string()[..8].to_owned()
    }

    /// As the name of a stored object.
    pub const fn object(&self) -> ObjectId {
        ObjectId::from_bytes(self.0)
    }

    /// As the name of a chunk.
    pub const fn chunk(&self) -> ChunkId {
        ChunkId::from_bytes(self.0)
    }
}

impl From<ObjectId> for Digest {
    fn from(id: ObjectId) -> Self {
        Self(*id.as_bytes())
    }
}

impl From<ChunkId> for Digest {
    fn from(id: ChunkId) -> Self {
        Self(*id.as_bytes())
    }
}

impl From<blake3::Hash> for Digest {
    fn from(hash: blake3::Hash) -> Self {
        Self(*hash.as_bytes())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        ObjectId::from_bytes(self.0).fmt(f)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let id = ObjectId::parse(&text).ok_or_else(|| de::Error::custom("not 64 hex digits"))?;
        Ok(Self::from(id))
    }
}

/// Bytes as text: what is UTF-8 stands as it is, a backslash is doubled, the rest is `\xNN`.
pub fn escape(raw: &[u8]) -> String {
    let mut text = String::with_capacity(raw.len());
    for chunk in raw.utf8_chunks() {
        text.push_str(&chunk.valid().replace('\\', "\\\\"));
        for byte in chunk.invalid() {
            write!(text, "\\x{byte:02x}").expect("a string takes any text");
        }
    }
    text
}

/// Undoes [`escape`]; `None` for text that it never writes.
pub fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut raw = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        raw.extend_from_slice(&rest.as_bytes()[..at]);
        let escaped = &rest[at + 1..];
        if let Some(after) = escaped.strip_prefix('\\') {
            raw.push(b'\\');
            rest = after;
        } else {
            let digits = escaped.strip_prefix('x')?.get(..2)?;
            raw.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &escaped[3..];
        }
    }
    raw.extend_from_slice(rest.as_bytes());
    Some(raw)
}

/// `#[serde(with = "tree_path")]`, and the same for vectors of paths through [`PathText`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PathText(pub TreePath);

impl Serialize for PathText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&escape(self.0.as_bytes()))
    }
}

impl<'de> Deserialize<'de> for PathText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let raw = unescape(&text).ok_or_else(|| de::Error::custom("a broken escape"))?;
        TreePath::parse(&raw).map(Self).map_err(de::Error::custom)
    }
}

/// `#[serde(with = "stored::file_path")]` for a path on this machine.
pub mod file_path {
    use super::{Deserialize, Deserializer, OsStrExt, OsStringExt, Path, PathBuf, Serializer, de};

    /// Writes it escaped.
    pub fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::escape(path.as_os_str().as_bytes()))
    }

    /// Reads it back, byte for byte.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
        let text = String::deserialize(deserializer)?;
        let raw = super::unescape(&text).ok_or_else(|| de::Error::custom("a broken escape"))?;
        Ok(PathBuf::from(std::ffi::OsString::from_vec(raw)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_come_back_from_their_text(raw: Vec<u8>) {
            prop_assert_eq!(unescape(&escape(&raw)), Some(raw));
        }
    }

    #[test]
    fn text_that_was_never_written_is_refused() {
        for text in ["\\", "\\x", "\\x1", "\\xzz", "\\n"] {
            assert_eq!(unescape(text), None, "{text}");
        }
    }

    #[test]
    fn a_digest_is_64_hex_digits_in_json() {
        let digest = Digest([0xab; 32]);
        let json = serde_json::to_string(&digest).expect("a string");
        assert_eq!(json, format!("\"{}\"", "ab".repeat(32)));
        assert_eq!(serde_json::from_str::<Digest>(&json).ok(), Some(digest));
        assert!(serde_json::from_str::<Digest>("\"ab\"").is_err());
    }
}
