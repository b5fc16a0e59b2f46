//! The checksum of an archive, computed over the very bytes that are read from it.

use std::cell::Cell;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::rc::Rc;

use aws_lc_rs::digest::{self, Algorithm, Context, SHA256, SHA512};

use crate::app::AppError;

use super::ReleaseError;

/// A checksum that an archive must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checksum {
    is_long: bool,
    hex: String,
}

impl Checksum {
    /// Reads `sha256:HEX`, `sha512:HEX` or the digits alone, as `sha256sum` prints them before a
    /// file's name.
    pub fn parse(text: &str) -> Result<Self, ReleaseError> {
        let bad = || ReleaseError::BadChecksum { text: text.to_owned() };
        let first = text.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
        let (named, hex) = match first.split_once(':') {
            Some(("sha256", hex)) => (Some(64), hex),
            Some(("sha512", hex)) => (Some(128), hex),
            Some(_) => return Err(bad()),
            None => (None, first.as_str()),
        };
        let fits = matches!(hex.len(), 64 | 128) && named.is_none_or(|length| length == hex.len());
        if !fits || !hex.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(bad());
        }
        Ok(Self { is_long: hex.len() == 128, hex: hex.to_owned() })
    }

    fn algorithm(&self) -> &'static Algorithm {
        if self.is_long { &SHA512 } else { &SHA256 }
    }

    fn name(&self) -> &'static str {
        if self.is_long { "sha512" } else { "sha256" }
    }
}

/// As [`Checksum::parse`] reads it.
impl std::fmt::Display for Checksum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.name(), self.hex)
    }
}

/// A file that is hashed while it is read.
pub(super) struct Hashing<'a> {
    file: File,
    wanted: Option<(&'a Checksum, Context)>,
    bytes: Rc<Cell<u64>>,
}

impl<'a> Hashing<'a> {
    /// `bytes` counts what was read.
    pub(super) fn new(file: File, wanted: Option<&'a Checksum>, bytes: Rc<Cell<u64>>) -> Self {
        let wanted = wanted.map(|wanted| (wanted, Context::new(wanted.algorithm())));
        Self { file, wanted, bytes }
    }

    /// Reads what is left, and compares.
    pub(super) fn finish(mut self, path: &Path) -> Result<(), AppError> {
        let unreadable = |source| ReleaseError::Unreadable { path: path.to_owned(), source };
        io::copy(&mut self, &mut io::sink()).map_err(unreadable)?;
        let Some((wanted, context)) = self.wanted else { return Ok(()) };
        let found = hex(&context.finish());
        if found == wanted.hex {
            return Ok(());
        }
        Err(ReleaseError::Checksum {
            path: path.to_owned(),
            wanted: wanted.to_string(),
            found: format!("{}:{found}", wanted.name()),
        }
        .into())
    }
}

impl Read for Hashing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.bytes.set(self.bytes.get() + count as u64);
        if let Some((_, context)) = &mut self.wanted {
            context.update(&buffer[..count]);
        }
        Ok(count)
    }
}

fn hex(digest: &digest::Digest) -> String {
    digest.as_ref().iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a string takes every digit");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_is_read_as_tools_print_it() {
        let short = "a".repeat(64);
        let long = "B".repeat(128);
        assert_eq!(
            Checksum::parse(&format!("{short}  x.tar")).unwrap().to_string(),
            format!("sha256:{short}")
        );
        assert!(Checksum::parse(&format!("sha512:{long}")).unwrap().is_long);
        for wrong in
            ["", "abc", &format!("sha512:{short}"), &format!("md5:{short}"), &"g".repeat(64)]
        {
            assert!(Checksum::parse(wrong).is_err(), "{wrong}");
        }
    }
}
