//! The header of one entry of an archive, and PAX records for what it cannot hold: long names,
//! nanoseconds, times before 1970, large numbers, extended attributes.

use std::io;

use tar::{EntryType, Header};

use crate::snapshot::annex::Annex;
use crate::tree::{Meta, Mtime};

/// One entry of the archive.
pub(super) struct Item<'e> {
    pub(super) path: Vec<u8>,
    pub(super) meta: &'e Meta,
    pub(super) mtime: Mtime,
    pub(super) kind: EntryType,
    pub(super) size: u64,
    pub(super) link: Option<Vec<u8>>,
    pub(super) device: Option<u64>,
}

/// What stands before an entry.
pub(super) struct Head {
    pub(super) header: Header,
    /// Sorted: the same entry gives the same bytes.
    pub(super) pax: Vec<(String, Vec<u8>)>,
    /// So many attributes have names that no record can hold.
    pub(super) nameless: u64,
}

impl Item<'_> {
    /// Lays it out.
    pub(super) fn head(&self, annex: &Annex) -> io::Result<Head> {
        let mut header = Header::new_ustar();
        let mut pax: Vec<(String, Vec<u8>)> = Vec::new();
        let mut nameless = 0;
        header.set_entry_type(self.kind);
        header.set_mode(self.meta.mode & 0o7777);
        for (key, id) in [("uid", self.meta.uid), ("gid", self.meta.gid)] {
            // Seven octal digits.
            let fits = if id < 1 << 21 { u64::from(id) } else { 0 };
            if key == "uid" {
                header.set_uid(fits);
            } else {
                header.set_gid(fits);
            }
            if fits != u64::from(id) {
                pax.push((key.to_owned(), id.to_string().into_bytes()));
            }
        }
        header.set_size(self.size);
        header.set_mtime(u64::try_from(self.mtime.secs).unwrap_or(0));
        if self.mtime.nanos != 0 || self.mtime.secs < 0 {
            pax.push(("mtime".to_owned(), decimal(self.mtime).into_bytes()));
        }
        let raw = header.as_mut_bytes();
        if !put(&mut raw[..100], &self.path) {
            pax.push(("path".to_owned(), self.path.clone()));
        }
        if let Some(link) = &self.link
            && !put(&mut raw[157..257], link)
        {
            pax.push(("linkpath".to_owned(), link.clone()));
        }
        if let Some(device) = self.device {
            let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
            header.set_device_major(major)?;
            header.set_device_minor(minor)?;
        }
        names(&mut header, self.meta, annex);
        for xattr in &self.meta.xattrs {
            match std::str::from_utf8(&xattr.name).ok().filter(|name| !name.contains('=')) {
                Some(name) => pax.push((format!("SCHILY.xattr.{name}"), xattr.value.to_vec())),
                None => nameless += 1,
            }
        }
        header.set_cksum();
        pax.sort();
        Ok(Head { header, pax, nameless })
    }
}

/// Names of owners, as far as they are known and fit; the numbers are there whatever they are.
fn names(header: &mut Header, meta: &Meta, annex: &Annex) {
    let fits = |name: &&String| name.len() < 32 && name.is_ascii();
    if let Some(user) = annex.users.get(&meta.uid).filter(fits) {
        let _ = header.set_username(user);
    }
    if let Some(group) = annex.groups.get(&meta.gid).filter(fits) {
        let _ = header.set_groupname(group);
    }
}

/// Puts bytes into a field; whether all of them fit. What is cut is said by a PAX record.
fn put(field: &mut [u8], bytes: &[u8]) -> bool {
    let fits = bytes.len() <= field.len();
    let length = bytes.len().min(field.len());
    field[..length].copy_from_slice(&bytes[..length]);
    fits
}

/// A time as PAX spells it: a decimal number of seconds.
fn decimal(time: Mtime) -> String {
    let nanos = i128::from(time.secs) * 1_000_000_000 + i128::from(time.nanos);
    let sign = if nanos < 0 { "-" } else { "" };
    let nanos = nanos.unsigned_abs();
    let (whole, part) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
    let text = format!("{sign}{whole}.{part:09}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_decimal_numbers_on_both_sides_of_1970() {
        let time = |secs, nanos| decimal(Mtime { secs, nanos });
        assert_eq!(time(5, 0), "5");
        assert_eq!(time(5, 250_000_000), "5.25");
        assert_eq!(time(5, 1), "5.000000001");
        assert_eq!(time(-5, 250_000_000), "-4.75");
        assert_eq!(time(-1, 250_000_000), "-0.75");
        assert_eq!(time(-10, 0), "-10");
        assert_eq!(time(0, 0), "0");
    }
}
