//! Making and opening a repository.

use std::path::{Path, PathBuf};

use secrecy::SecretString;
use zeroize::Zeroizing;

use super::backend::{Backend, Freshness, Local, Range};
use super::error::RepositoryError;
use super::format::{Config, FeatureClass, config_name};
use super::id::{ObjectId, RepositoryId};
use super::key::{Argon, Holder, KeyFile, Secrets, Slot, SlotKind};
use super::object::{self, ObjectKind};
use super::repository::{Inner, Repository};
use crate::os::clock;
use crate::os::file;
use crate::os::lock::Lock;

/// How a new repository can be opened later. At least one way is needed.
#[derive(Clone, Default)]
pub struct InitOptions<'a> {
    /// A recovery passphrase.
    pub passphrase: Option<&'a SecretString>,
    /// Where to write a machine key file; nothing may be there.
    pub machine_key_file: Option<&'a Path>,
    /// How hard the passphrase is to guess.
    pub argon: Argon,
    /// A repository whose ids and digests it shall share: id key, chunker seed and the way files
    /// are cut. Never the master key: neither opens what the other holds.
    pub like: Option<&'a Repository>,
}

/// What a repository is opened with.
#[derive(Clone, Copy, Debug)]
pub enum Unlock<'a> {
    /// A machine key file, or an exported key in a file.
    KeyFile(&'a Path),
    /// An exported key, as its text.
    Key(&'a SecretString),
    /// A passphrase.
    Passphrase(&'a SecretString),
}

impl Repository {
    /// Makes a repository in the directory `location`, which must be absent or empty.
    ///
    /// If it fails, what it made is removed again as far as possible; killed half way, it leaves a
    /// directory that is no repository yet, and that the next attempt takes.
    pub fn init(location: &Path, options: &InitOptions<'_>) -> Result<Self, RepositoryError> {
        if options.passphrase.is_none() && options.machine_key_file.is_none() {
            return Err(RepositoryError::NoKey);
        }
        let taken = options.machine_key_file.filter(|path| path.symlink_metadata().is_ok());
        if let Some(path) = taken {
            let what = "a file of that name is there";
            return Err(RepositoryError::KeyFile { path: path.to_owned(), what });
        }
        file::create_dirs(location, 0o700).map_err(RepositoryError::io("create", location))?;
        // Of two at once the second must not take what the first has made for left over.
        let alone = Lock::exclusive(location).map_err(RepositoryError::io("lock", location))?;
        let Some(_alone) = alone else {
            return Err(RepositoryError::AlreadyExists { location: location.to_owned() });
        };
        let local = Local::create(location)?;
        let root = local.root().to_owned();
        Self::init_in(Box::new(local), root.clone(), options).inspect_err(|_| {
            // All there is came from us: the directory was empty. What resists stays.
            Local::unmake(&root);
            if let Some(path) = options.machine_key_file {
                let _ = file::remove(path);
            }
        })
    }

    /// Makes a repository in `backend`, which holds nothing; `location` is how people call it.
    pub fn init_in(
        backend: Box<dyn Backend>,
        location: PathBuf,
        options: &InitOptions<'_>,
    ) -> Result<Self, RepositoryError> {
        let id = RepositoryId::from_bytes(super::seal::random());
        let mut config = Config::new(&id, clock::now().0);
        let mut secrets = Secrets::random();
        if let Some(like) = options.like {
            config.cutting = like.inner.config.cutting;
            secrets.name_like(&like.inner.secrets);
        }
        let inner = Inner::new(backend, location, config, secrets, None);
        let repository = Self::from_inner(inner);
        repository.add_first_slots(options)?;
        repository.write_config()?;
        Ok(repository)
    }

    fn add_first_slots(&self, options: &InitOptions<'_>) -> Result<(), RepositoryError> {
        if let Some(passphrase) = options.passphrase {
            self.add_passphrase(passphrase, "recovery", options.argon)?;
        }
        if let Some(path) = options.machine_key_file {
            self.add_key_file(path, &crate::os::host::name())?;
        }
        Ok(())
    }

    /// The config comes last: without it there is no repository yet. It is there twice, for
    /// without it nothing can be opened.
    fn write_config(&self) -> Result<(), RepositoryError> {
        let Inner { secrets, id, config, backend, .. } = &*self.inner;
        let kind = ObjectKind::Config;
        for number in [1, 2] {
            let body = config.encode();
            let bytes = object::tagged(&secrets.master, id, kind, &config_name(number), &body);
            backend.put(kind, &number.to_string(), &bytes)?;
        }
        backend.sync(kind)
    }

    /// Opens the repository in the directory `location`.
    ///
    /// Opened index segments are kept below `cache_dir`, or in memory.
    pub fn open(
        location: &Path,
        unlock: &Unlock<'_>,
        cache_dir: Option<&Path>,
    ) -> Result<Self, RepositoryError> {
        let local = Local::open(location)?;
        let location = local.root().to_owned();
        Self::open_in(Box::new(local), location, unlock, cache_dir)
    }

    /// Opens the repository that `backend` holds; `location` is how people call it.
    pub fn open_in(
        backend: Box<dyn Backend>,
        location: PathBuf,
        unlock: &Unlock<'_>,
        cache_dir: Option<&Path>,
    ) -> Result<Self, RepositoryError> {
        let (secrets, id) = unlock_slots(&*backend, &location, unlock)?;
        let config = read_config(&*backend, &location, &secrets, &id)?;
        config.demand(FeatureClass::Read)?;
        let cache_dir = cache_dir.map(Path::to_owned);
        let inner = Inner::new(backend, location, config, secrets, cache_dir);
        inner.note_use();
        Ok(Self::from_inner(inner))
    }

    fn from_inner(inner: Inner) -> Self {
        Self { inner: std::sync::Arc::new(inner) }
    }
}

/// Tries the slots that may fit, and gives the secrets and the id of the repository.
fn unlock_slots(
    backend: &dyn Backend,
    location: &Path,
    unlock: &Unlock<'_>,
) -> Result<(Secrets, RepositoryId), RepositoryError> {
    let wrong = || RepositoryError::WrongKey { location: location.to_owned() };
    match unlock {
        Unlock::KeyFile(path) => open_with_file(backend, &KeyFile::read(path)?).ok_or_else(wrong),
        Unlock::Key(text) => {
            let text = secrecy::ExposeSecret::expose_secret(*text);
            let file = KeyFile::parse(text).ok_or_else(wrong)?;
            open_with_file(backend, &file).ok_or_else(wrong)
        }
        Unlock::Passphrase(passphrase) => {
            for name in backend.list(ObjectKind::Key)? {
                // A damaged slot must not keep the others from opening.
                let Some((id, slot)) = read_slot(backend, &name) else { continue };
                if slot.kind != SlotKind::Passphrase {
                    continue;
                }
                if let Some(secrets) = slot.open_with_passphrase(&id, passphrase) {
                    return Ok((secrets, slot.repository()));
                }
            }
            Err(wrong())
        }
    }
}

fn open_with_file(backend: &dyn Backend, file: &KeyFile) -> Option<(Secrets, RepositoryId)> {
    let (id, slot) = read_slot(backend, &file.slot.to_string())?;
    let secrets = slot.open_with_secret(&id, &file.secret)?;
    (slot.repository() == file.repository).then_some((secrets, file.repository))
}

/// Reads a slot without believing it: opening it is what proves it.
pub(super) fn read_slot(backend: &dyn Backend, name: &str) -> Option<(ObjectId, Slot)> {
    let id = ObjectId::parse(name)?;
    let mut bytes = Vec::new();
    backend.read(ObjectKind::Key, name, Range::All, Freshness::Cached, &mut bytes).ok()?;
    let body = object::clear_body(ObjectKind::Key, name, &bytes).ok()?;
    Some((id, minicbor::decode(body).ok()?))
}

/// The config of the highest number whose tag is ours.
fn read_config(
    backend: &dyn Backend,
    location: &Path,
    secrets: &Secrets,
    id: &RepositoryId,
) -> Result<Config, RepositoryError> {
    let kind = ObjectKind::Config;
    let mut numbers: Vec<u64> =
        backend.list(kind)?.iter().filter_map(|name| name.parse().ok()).collect();
    numbers.sort_unstable_by(|a, b| b.cmp(a));
    let mut failure = RepositoryError::NotFound { location: location.to_owned() };
    for number in numbers {
        let name = number.to_string();
        let mut bytes = Vec::new();
        backend.read(kind, &name, Range::All, Freshness::Cached, &mut bytes)?;
        let damaged = |what: &str| RepositoryError::Damaged {
            object: kind.named(&name),
            what: what.to_owned(),
        };
        match object::clear_body(kind, &name, &bytes) {
            Err(error) => failure = error,
            Ok(_)
                if !object::is_authentic(
                    &secrets.master,
                    id,
                    kind,
                    &config_name(number),
                    &bytes,
                ) =>
            {
                failure = damaged("its tag is wrong");
            }
            Ok(body) => match Config::decode(body).filter(|config| config.repository() == *id) {
                Some(config) => return Ok(config),
                None => failure = damaged("it asks for what cannot be"),
            },
        }
    }
    Err(failure)
}

impl Repository {
    /// Adds a slot for `passphrase`.
    pub fn add_passphrase(
        &self,
        passphrase: &SecretString,
        label: &str,
        argon: Argon,
    ) -> Result<ObjectId, RepositoryError> {
        self.add_slot(&ObjectId::random(), &Holder::Passphrase(passphrase, argon), label)
    }

    /// Adds a slot for a new machine key, and writes the key to `path`, where nothing may be.
    pub fn add_key_file(&self, path: &Path, label: &str) -> Result<ObjectId, RepositoryError> {
        if path.symlink_metadata().is_ok() {
            let what = "a file of that name is there";
            return Err(RepositoryError::KeyFile { path: path.to_owned(), what });
        }
        let key = self.new_key();
        key.write(path)?;
        self.add_slot(&key.slot, &Holder::Machine(&key.secret), label)
    }

    /// Adds a slot for a new key, and gives the key as text, to be kept away from the machine.
    pub fn export_key(&self, label: &str) -> Result<(ObjectId, SecretString), RepositoryError> {
        let key = self.new_key();
        let id = self.add_slot(&key.slot, &Holder::Exported(&key.secret), label)?;
        Ok((id, key.to_text()))
    }

    fn new_key(&self) -> KeyFile {
        KeyFile {
            repository: self.inner.id,
            slot: ObjectId::random(),
            secret: Zeroizing::new(super::seal::random()),
        }
    }

    fn add_slot(
        &self,
        name: &ObjectId,
        holder: &Holder<'_>,
        label: &str,
    ) -> Result<ObjectId, RepositoryError> {
        let Inner { secrets, id, backend, .. } = &*self.inner;
        let slot = Slot::wrap(secrets, id, name, holder, label, clock::now());
        let slot = slot.ok_or_else(|| RepositoryError::KeySlot {
            slot: label.to_owned(),
            what: "its parameters cannot be",
        })?;
        let body = minicbor::to_vec(&slot).expect("memory takes every byte");
        let kind = ObjectKind::Key;
        let bytes = object::tagged(&secrets.master, id, kind, name, &body);
        backend.put(kind, &name.to_string(), &bytes)?;
        backend.sync(kind)?;
        Ok(*name)
    }
}
