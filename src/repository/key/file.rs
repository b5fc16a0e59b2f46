//! Key files: the machine key, and the exported key that a person keeps elsewhere.
//!
//! Both are the same few lines of text, so that a printed key can be typed in again.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use crate::os::file;
use crate::repository::error::RepositoryError;
use crate::repository::id::{ObjectId, RepositoryId, parse_hex};

const FIRST_LINE: &str = "snap-backup key 1";
/// More than any key file has; what is longer is something else.
const FILE_BYTES_MAX: u64 = 4096;

/// What a key file says.
pub(in crate::repository) struct KeyFile {
    pub(in crate::repository) repository: RepositoryId,
    pub(in crate::repository) slot: ObjectId,
    pub(in crate::repository) secret: Zeroizing<[u8; 32]>,
}

impl KeyFile {
    pub(in crate::repository) fn to_text(&self) -> SecretString {
        let secret = ObjectId::from_bytes(*self.secret);
        SecretString::from(format!(
            "{FIRST_LINE}\nrepository {}\nslot {}\nsecret {}\n",
            self.repository, self.slot, secret
        ))
    }

    /// Reads the lines, in any order, whatever the white space around them.
    pub(in crate::repository) fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        if lines.next() != Some(FIRST_LINE) {
            return None;
        }
        let (mut repository, mut slot, mut secret) = (None, None, None);
        for line in lines {
            let (word, value) = line.split_once(char::is_whitespace)?;
            let value = parse_hex(value.trim())?;
            match word {
                "repository" => repository = Some(RepositoryId::from_bytes(value)),
                "slot" => slot = Some(ObjectId::from_bytes(value)),
                "secret" => secret = Some(Zeroizing::new(value)),
                _ => return None,
            }
        }
        Some(Self { repository: repository?, slot: slot?, secret: secret? })
    }

    /// Reads the key file at `path`, unless others could have read it too.
    pub(in crate::repository) fn read(path: &Path) -> Result<Self, RepositoryError> {
        let unusable = |what| RepositoryError::KeyFile { path: path.to_owned(), what };
        let mut opened = File::open(path).map_err(RepositoryError::io("read", path))?;
        let meta = opened.metadata().map_err(RepositoryError::io("read", path))?;
        if !meta.is_file() || meta.len() > FILE_BYTES_MAX {
            return Err(unusable("it is not a key file"));
        }
        if meta.mode() & 0o077 != 0 {
            return Err(unusable("others may read it; its mode must be 0600"));
        }
        let mut text = Zeroizing::new(String::new());
        match opened.read_to_string(&mut text) {
            Ok(_) => Self::parse(&text).ok_or_else(|| unusable("it is not a key file")),
            Err(error) => Err(RepositoryError::io("read", path)(error)),
        }
    }

    /// Writes the key file to `path`, readable by its owner alone.
    pub(in crate::repository) fn write(&self, path: &Path) -> Result<(), RepositoryError> {
        let name = path.file_name().and_then(|name| name.to_str());
        let (Some(dir), Some(name)) = (path.parent(), name) else {
            let what = "its name is not usable";
            return Err(RepositoryError::KeyFile { path: path.to_owned(), what });
        };
        let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
        file::replace(dir, name, self.to_text().expose_secret().as_bytes(), 0o600)
            .map_err(RepositoryError::io("write", path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn some_key() -> KeyFile {
        KeyFile {
            repository: RepositoryId::from_bytes([1; 32]),
            slot: ObjectId::from_bytes([2; 32]),
            secret: Zeroizing::new([3; 32]),
        }
    }

    #[test]
    fn a_key_file_that_others_can_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        some_key().write(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(*KeyFile::read(&path).unwrap().secret, [3; 32]);

        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(KeyFile::read(&path), Err(RepositoryError::KeyFile { .. })));
    }

    #[test]
    fn a_key_typed_in_again_is_the_same_key() {
        let text = some_key().to_text();
        let typed = text.expose_secret().replace('\n', "\r\n\n  ");
        let read = KeyFile::parse(&typed).expect("white space does not matter");
        assert_eq!((read.repository, read.slot), (some_key().repository, some_key().slot));
        assert!(KeyFile::parse("snap-backup key 2\n").is_none());
        assert!(KeyFile::parse("-----BEGIN PGP PRIVATE KEY BLOCK-----\n").is_none());
    }
}
