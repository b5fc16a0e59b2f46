//! What an archive says of an entry beside its header: long names and PAX records.
//!
//! They are read here and not by the `tar` crate, which takes them however long they claim to be,
//! and cuts records at line breaks, which names may hold.

use std::io::Read;

use super::{bad, malformed};
use crate::snapshot::SnapshotError;
use crate::tree::{Mtime, Xattr};

/// Long names and PAX records are not longer than this: attributes of 64 KiB fit several times.
const EXTENSION_BYTES_MAX: u64 = 1 << 20;

/// Reads what stands before an entry and speaks of it.
pub(super) fn extension<R: Read>(entry: &mut tar::Entry<'_, R>) -> Result<Vec<u8>, SnapshotError> {
    if entry.size() > EXTENSION_BYTES_MAX {
        return Err(bad(b"", "what is said of an entry is too long"));
    }
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes).map_err(|error| malformed(&error))?;
    Ok(bytes)
}

pub(super) fn without_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    while bytes.last() == Some(&0) {
        bytes.pop();
    }
    bytes
}

/// What is said of the next entry, beside its header.
#[derive(Default)]
pub(super) struct Said {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) mtime: Option<Mtime>,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) xattrs: Vec<Xattr>,
}

impl Said {
    /// Reads PAX records: `LENGTH KEY=VALUE` and a line break, the length counting all of it.
    pub(super) fn records(&mut self, mut rest: &[u8]) -> Result<(), SnapshotError> {
        while !rest.is_empty() {
            let record = first_record(rest);
            let (key, value, length) =
                record.ok_or_else(|| bad(b"", "a PAX record does not add up"))?;
            self.record(key, value)?;
            rest = &rest[length..];
        }
        self.xattrs.sort();
        self.xattrs.dedup_by(|a, b| a.name == b.name);
        Ok(())
    }

    fn record(&mut self, key: &[u8], value: &[u8]) -> Result<(), SnapshotError> {
        let text = || std::str::from_utf8(value).ok();
        let wrong = || bad(key, "this PAX record does not say what it should");
        match key {
            b"path" => self.path = Some(value.to_vec()),
            b"linkpath" => self.link = Some(value.to_vec()),
            b"size" => self.size = Some(text().and_then(|t| t.parse().ok()).ok_or_else(wrong)?),
            b"mtime" => self.mtime = Some(text().and_then(time).ok_or_else(wrong)?),
            b"uid" => self.uid = Some(text().and_then(|t| t.parse().ok()).ok_or_else(wrong)?),
            b"gid" => self.gid = Some(text().and_then(|t| t.parse().ok()).ok_or_else(wrong)?),
            _ if key.starts_with(b"GNU.sparse.") => {
                return Err(bad(b"", "it is sparse in a way that is not known"));
            }
            _ => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    self.xattrs.push(Xattr { name: name.into(), value: value.into() });
                }
            }
        }
        Ok(())
    }
}

/// Key, value and length of the first record.
fn first_record(bytes: &[u8]) -> Option<(&[u8], &[u8], usize)> {
    let blank = bytes.iter().take(12).position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(&bytes[..blank]).ok()?.parse().ok()?;
    let record = bytes.get(blank + 1..length)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    Some((&record[..equals], &record[equals + 1..], length))
}

/// Reads a decimal number of seconds; what is finer than nanoseconds is cut.
fn time(text: &str) -> Option<Mtime> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let is_negative = whole.starts_with('-');
    let whole: i64 = whole.parse().ok()?;
    if !part.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits: String = part.chars().chain(std::iter::repeat('0')).take(9).collect();
    let nanos: u32 = digits.parse().ok()?;
    Some(if is_negative && nanos > 0 {
        Mtime { secs: whole.checked_sub(1)?, nanos: 1_000_000_000 - nanos }
    } else {
        Mtime { secs: whole, nanos }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_on_both_sides_of_1970() {
        let at = |secs, nanos| Some(Mtime { secs, nanos });
        assert_eq!(time("5"), at(5, 0));
        assert_eq!(time("5.25"), at(5, 250_000_000));
        assert_eq!(time("5.0000000019"), at(5, 1));
        assert_eq!(time("-4.75"), at(-5, 250_000_000));
        assert_eq!(time("-0.75"), at(-1, 250_000_000));
        assert_eq!(time("-10"), at(-10, 0));
        assert_eq!(time("x"), None);
        assert_eq!(time("1.x"), None);
    }

    #[test]
    fn records_are_as_long_as_they_say_whatever_is_in_them() {
        let mut said = Said::default();
        said.records(b"15 path=a\nb=c\n\n20 SCHILY.xattr.u=\0\n").unwrap();
        assert_eq!(said.path.as_deref(), Some(&b"a\nb=c\n"[..]));
        assert_eq!((&*said.xattrs[0].name, &*said.xattrs[0].value), (&b"u"[..], &b"\0"[..]));
        for wrong in [&b"99 path=a\n"[..], b"path=a\n", b"9 path=ab\n", b"x path=a\n", b"6 path\n"]
        {
            assert!(Said::default().records(wrong).is_err(), "{}", wrong.escape_ascii());
        }
    }
}
