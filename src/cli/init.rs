//! `snap init`: a new repository, always encrypted, with a way back that survives the machine.

use std::io::Write;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use crate::os::file;
use crate::repository::{InitOptions, Local, ObjectId, Repository};

use super::command::About;
use super::context::Context;
use super::failure::{Code, Exit, Failure};
use super::output::Level;
use super::secret::{self, Which};
use super::text::{self, Ink};
use super::unlock;

pub(super) const ABOUT: About = About {
    name: "init",
    examples: "snap init\n\
               snap -r /srv/backup/snap init\n\
               snap -r /srv/backup/snap init --export-key /media/usb/snap.key\n\
               snap -r /mnt/second init --copy-params-from /srv/backup/snap",
    exits: &[Exit::Cancelled, Exit::NoRepo, Exit::Password, Exit::Backend, Exit::Space],
};

/// How it can be opened later.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// It is fine if the repository is there already
    #[arg(long, help_heading = "Safety")]
    if_missing: bool,
    /// Write a second key to FILE, to be kept away from this machine
    #[arg(long, value_name = "FILE", help_heading = "Safety")]
    export_key: Option<PathBuf>,
    /// Ask for no passphrase: the key of this machine alone opens it, and is lost with it
    #[arg(long, help_heading = "Safety", conflicts_with = "export_key")]
    no_recovery: bool,
    /// Name and cut data as REPO does, so that what is in both is equal piece by piece
    #[arg(long, value_name = "REPO", help_heading = "What")]
    copy_params_from: Option<PathBuf>,
}

/// Makes it.
pub(super) fn run(cx: &Context<'_>, args: &Args) -> Result<Exit, Failure> {
    let location = match unlock::named(cx)? {
        Some(named) => unlock::supported(cx, &named)?,
        None => unlock::usual(cx)?,
    };
    let shown = text::path(&location);
    if args.if_missing && Local::open(&location).is_ok() {
        cx.out.remark(&format!("The repository at {shown} is there already.\n"));
        let fields = json!({ "repository": shown, "created": false });
        cx.out.message("initialized", Level::Info, "it is there already", fields);
        return Ok(Exit::Ok);
    }
    let named = args.copy_params_from.as_deref();
    let like = named.map(|named| unlock::open_other(cx, named)).transpose()?;
    let passphrase = passphrase(cx, args)?;
    if cx.global.dry_run {
        cx.out.print(&format!("would make a repository at {shown}\n"));
        return Ok(Exit::Ok);
    }
    let key = KeyPlace::choose(cx)?;
    if passphrase.is_none() && args.export_key.is_none() && key.is_none() {
        return Err(Failure::new(Code::E0121, "nothing would open the repository")
            .because("there is no place for a machine key, and no passphrase is given"));
    }
    let parent = location.parent().unwrap_or(Path::new("/"));
    file::create_dirs(parent, 0o755).map_err(Failure::cannot("create", parent))?;
    let options = InitOptions {
        passphrase: passphrase.as_ref(),
        machine_key_file: key.as_ref().map(|key| &*key.first),
        like: like.as_ref(),
        ..InitOptions::default()
    };
    let failed = |failure: Failure| failure.with("repo", unlock::repo_flag(cx, &location));
    let repository = Repository::init(&location, &options).map_err(|error| failed(error.into()))?;
    let key = key.map(|key| key.settle(&repository)).transpose()?;
    if let Some(file) = &args.export_key {
        export(&repository, file)?;
    }
    report(cx, args, &repository, key.as_deref(), passphrase.is_some());
    Ok(Exit::Ok)
}

/// The recovery passphrase: from where it is named, else typed twice. None only if there is
/// another way back, or none was plainly asked for.
fn passphrase(cx: &Context<'_>, args: &Args) -> Result<Option<SecretString>, Failure> {
    for which in [Which::New, Which::Existing] {
        if let Some(passphrase) = secret::named(cx, which)? {
            return Ok(Some(passphrase));
        }
    }
    if args.no_recovery || args.export_key.is_some() {
        return Ok(None);
    }
    if !cx.can_ask() {
        let message = "no recovery passphrase is given, and there is no terminal to ask on";
        return Err(Failure::new(Code::E0125, message)
            .fix("snap init --export-key FILE")
            .fix("snap init --no-recovery"));
    }
    secret::asked(cx, Which::New, "new recovery passphrase").map(Some)
}

/// Where the machine key is written: under a passing name, for the repository's id is not known
/// before it exists.
struct KeyPlace {
    first: PathBuf,
    keys: Option<PathBuf>,
}

impl KeyPlace {
    fn choose(cx: &Context<'_>) -> Result<Option<Self>, Failure> {
        let flag = cx.global.key_file.clone();
        if let Some(file) = flag.or_else(|| cx.environment.path("SNAP_KEY_FILE")) {
            return Ok(Some(Self { first: cx.environment.directory.join(file), keys: None }));
        }
        let Ok(config) = cx.directories.config() else { return Ok(None) };
        let keys = config.join("keys");
        file::create_dirs(&keys, 0o700).map_err(Failure::cannot("create", &keys))?;
        let first = keys.join(format!("new-{}.key", ObjectId::random().short()));
        Ok(Some(Self { first, keys: Some(keys) }))
    }

    fn settle(self, repository: &Repository) -> Result<PathBuf, Failure> {
        let Some(keys) = self.keys else { return Ok(self.first) };
        let named = keys.join(format!("{}.key", repository.id()));
        let done = file::rename_new(&self.first, &named).and_then(|()| file::sync_dir(&keys));
        done.map_err(Failure::cannot("name", &named))?;
        Ok(named)
    }
}

/// Writes a new exported key to `file`, where nothing may be.
pub(super) fn export(repository: &Repository, file: &Path) -> Result<ObjectId, Failure> {
    let failed = Failure::cannot("write the key to", file);
    // Made first: a slot whose key could not be written would open for nobody.
    let mut opened = file::create_new(file, 0o600).map_err(failed)?;
    let (id, key) = repository.export_key("exported")?;
    opened.write_all(key.expose_secret().as_bytes()).map_err(failed)?;
    opened.write_all(b"\n").and_then(|()| opened.sync_all()).map_err(failed)?;
    Ok(id)
}

fn report(
    cx: &Context<'_>,
    args: &Args,
    repository: &Repository,
    key: Option<&Path>,
    passphrase: bool,
) {
    let (id, place) = (repository.id(), text::path(repository.location()));
    let ok = Ink::Good.on('✓');
    cx.out.print(&format!("{ok} repository {} at {place}, encrypted\n", Ink::Name.on(id.short())));
    if let Some(key) = key {
        cx.out.print(&format!("  this machine's key: {}\n", text::path(key)));
    }
    let exported = args.export_key.as_deref().map(text::path);
    match (&exported, passphrase) {
        (Some(file), _) => cx.out.print(&format!("  keep {file} away from this machine\n")),
        (None, true) => cx.out.print("  without the recovery passphrase nobody can help you\n"),
        (None, false) => cx.out.insist(&format!(
            "  {} no way back if this machine is lost: snap key add, or snap key export FILE\n",
            Ink::Warn.on('!')
        )),
    }
    let fields = json!({
        "id": id.to_string(),
        "repository": place,
        "created": true,
        "key_file": key.map(text::path),
        "exported_key": exported,
        "recovery_passphrase": passphrase,
    });
    cx.out.message("initialized", Level::Info, &format!("repository at {place}"), fields);
}
