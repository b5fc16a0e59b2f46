//! `snap key`: who can open the repository.

use std::path::PathBuf;

use serde_json::json;

use crate::repository::{Argon, ObjectId, Repository, SlotInfo, SlotKind};

use super::command::About;
use super::confirm::{self, Risk};
use super::context::Context;
use super::failure::{Code, Exit, Failure};
use super::output::Level;
use super::render::{self, Table};
use super::secret::{self, Which};
use super::text::{self, Ink};
use super::{init, unlock};

const EXITS: &[Exit] = &[Exit::NoRepo, Exit::Password];

pub(super) const LIST: About = About { name: "key list", examples: "snap key list", exits: EXITS };
pub(super) const ADD: About = About {
    name: "key add",
    examples: "snap key add\nsnap key add --new-key-file /root/second.key",
    exits: EXITS,
};
pub(super) const REMOVE: About = About {
    name: "key remove",
    examples: "snap key remove 4f1c09",
    exits: &[Exit::Cancelled, Exit::NoRepo, Exit::Password],
};
pub(super) const EXPORT: About =
    About { name: "key export", examples: "snap key export /media/usb/snap.key", exits: EXITS };

/// What to do with the keys.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// The key slots, the oldest first
    List,
    /// One more passphrase, or one more machine key
    Add {
        /// Make a machine key instead, and write it to FILE
        #[arg(long, value_name = "FILE")]
        new_key_file: Option<PathBuf>,
        /// What to call the slot
        #[arg(long, value_name = "TEXT", default_value = "added")]
        label: String,
    },
    /// A slot that shall open nothing any more
    Remove {
        /// The slot's first digits, as `key list` shows them
        #[arg(value_name = "ID")]
        id: String,
    },
    /// A key to be kept away from this machine
    Export {
        /// Where to write it; nothing may be there
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

/// Does it.
pub(super) fn run(cx: &Context<'_>, verb: &Verb) -> Result<Exit, Failure> {
    let repository = unlock::open(cx)?.repository;
    let repository = &repository;
    match verb {
        Verb::List => list(cx, repository)?,
        _ if cx.global.dry_run => cx.out.print("nothing is changed (--dry-run)\n"),
        Verb::Add { new_key_file: Some(file), label } => {
            let file = cx.environment.directory.join(file);
            added(cx, repository.add_key_file(&file, label)?, Some(&text::path(&file)));
        }
        Verb::Add { new_key_file: None, label } => {
            let passphrase = match secret::named(cx, Which::New)? {
                Some(passphrase) => passphrase,
                None => secret::asked(cx, Which::New, "new recovery passphrase")?,
            };
            added(cx, repository.add_passphrase(&passphrase, label, Argon::default())?, None);
        }
        Verb::Remove { id } => remove(cx, repository, id)?,
        Verb::Export { file } => {
            let file = cx.environment.directory.join(file);
            added(cx, init::export(repository, &file)?, Some(&text::path(&file)));
        }
    }
    Ok(Exit::Ok)
}

fn list(cx: &Context<'_>, repository: &Repository) -> Result<(), Failure> {
    let slots = repository.list_keys()?;
    let mut table = Table::new(&["ID", "KIND", "MADE", "LABEL"]);
    for slot in &slots {
        table.row([
            Ink::Name.on(slot.id.short()),
            kind(slot.kind).to_owned(),
            render::when(slot.created),
            text::name(slot.label.as_bytes()),
        ]);
    }
    cx.out.print(&table.render(cx.out.columns()));
    let documents: Vec<_> = slots.iter().map(document).collect();
    cx.out.message("keys", Level::Info, "the key slots", json!({ "keys": documents }));
    Ok(())
}

fn document(slot: &SlotInfo) -> serde_json::Value {
    json!({
        "id": slot.id.to_string(),
        "kind": kind(slot.kind),
        "created": render::timestamp(slot.created),
        "label": slot.label,
    })
}

const fn kind(kind: SlotKind) -> &'static str {
    match kind {
        SlotKind::Passphrase => "passphrase",
        SlotKind::Machine => "machine",
        SlotKind::Exported => "exported",
    }
}

fn added(cx: &Context<'_>, id: ObjectId, file: Option<&str>) {
    let place = file.map_or_else(String::new, |file| format!(", its key is in {file}"));
    cx.out.print(&format!("{} slot {}{place}\n", Ink::Good.on('✓'), Ink::Name.on(id.short())));
    let fields = json!({ "id": id.to_string(), "file": file });
    cx.out.message("key_added", Level::Info, "a key slot was added", fields);
}

fn remove(cx: &Context<'_>, repository: &Repository, typed: &str) -> Result<(), Failure> {
    let slots = repository.list_keys()?;
    let fits: Vec<&SlotInfo> =
        slots.iter().filter(|slot| slot.id.to_string().starts_with(typed)).collect();
    let slot = match *fits {
        [slot] if typed.len() >= 4 => slot,
        [] => return Err(Failure::new(Code::E0124, format!("no key slot begins with {typed}"))),
        _ => return Err(Failure::new(Code::E0124, format!("{typed} is not enough of an id"))),
    };
    let survives = |other: &&SlotInfo| other.kind != SlotKind::Machine && other.id != slot.id;
    if slot.kind != SlotKind::Machine && !slots.iter().any(|other| survives(&other)) {
        let place = repository.location();
        let name = place.file_name().map_or_else(|| "/".to_owned(), |n| n.to_string_lossy().into());
        let question =
            format!("After this nothing opens {} if this machine is lost.", text::path(place));
        let doing = "remove the last key that survives this machine";
        confirm::sure(cx, Risk::Severe { name: &name }, doing, &question)?;
    }
    repository.remove_key(&slot.id)?;
    let short = slot.id.short();
    cx.out.print(&format!("{} slot {} is gone\n", Ink::Good.on('✓'), Ink::Name.on(short)));
    let fields = json!({ "id": slot.id.to_string() });
    cx.out.message("key_removed", Level::Info, "a key slot was removed", fields);
    Ok(())
}
