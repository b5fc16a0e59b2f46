//! `snap restore`: a snapshot, or a part of it, back onto disk.
//!
//! To a target it writes below an empty directory, as things lay on the machine; in place it is a
//! transaction of the application, which `recover` settles and `rollback` takes back.

mod aim;
mod in_place;
mod partial;
mod report;
mod target;

use std::path::PathBuf;

use crate::database::Address;
use crate::repository::Repository;
use crate::snapshot::Snapshot;

use super::command::About;
use super::confirm::{self, Risk};
use super::context::Context;
use super::failure::{Code, Exit, Failure};
use super::output::Level;
use super::progress::Progress;
use super::render;
use super::text::{self, Ink};
use super::{address, backup, secret, unlock};

pub(super) const ABOUT: About = About {
    name: "restore",
    examples: "snap restore latest --target /srv/back\n\
               snap restore latest@passbolt --in-place --delete\n\
               snap restore latest:/var/www/passbolt/app/Config --target /tmp/config\n\
               snap restore 4f1c09 --target /srv/back --partial\n\
               snap restore 4f1c09 --db main --into sqlite:///tmp/old.db",
    exits: &[
        Exit::Partial,
        Exit::Cancelled,
        Exit::NoRepo,
        Exit::Password,
        Exit::Locked,
        Exit::Damaged,
        Exit::Space,
        Exit::RolledBack,
        Exit::NeedsHands,
        Exit::Preflight,
        Exit::OpenTxn,
        Exit::Db,
        Exit::NoApp,
    ],
};

/// What, and where to.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch that a person types")]
pub(super) struct Args {
    /// A snapshot, or a path in one
    #[arg(value_name = "SNAP[:/PATH]")]
    address: String,
    /// Write below DIR, as it lay on the machine
    #[arg(short = 't', long, value_name = "DIR", help_heading = "Where")]
    target: Option<PathBuf>,
    /// Make the application what the snapshot is: a transaction
    #[arg(long, conflicts_with = "target", help_heading = "Where")]
    in_place: bool,
    /// Only this path, and what is below it; may be given again
    #[arg(short = 'i', long, value_name = "PATH", help_heading = "What")]
    include: Vec<String>,
    /// Only the files
    #[arg(long, help_heading = "What", conflicts_with = "db_only")]
    files_only: bool,
    /// Only the databases
    #[arg(long, help_heading = "What")]
    db_only: bool,
    /// Only this database
    #[arg(long, value_name = "NAME", help_heading = "What", requires = "into")]
    db: Option<String>,
    /// Load the database of --db into this one: sqlite:///PATH or mysql://USER@HOST/SCHEMA
    #[arg(long, value_name = "URL", help_heading = "Where", requires = "db")]
    into: Option<String>,
    /// The target may hold something; what differs is replaced
    #[arg(long, help_heading = "Safety")]
    overwrite: bool,
    /// What a damaged repository still has; what it has not is named
    #[arg(long, help_heading = "Safety", conflicts_with_all = ["in_place", "delete"])]
    partial: bool,
    /// Read every file of the target, whatever stat says of it; goes with --overwrite
    #[arg(long, help_heading = "Safety", requires = "overwrite")]
    rehash: bool,
    /// Delete what the snapshot does not have; goes with --overwrite or --in-place
    #[arg(long, help_heading = "Safety")]
    delete: bool,
}

/// Restores it, and says the exact place before and after.
pub(super) fn run(cx: &Context<'_>, args: &Args) -> Result<Exit, Failure> {
    let opened = unlock::open(cx)?;
    let repository = &opened.repository;
    let (snapshot, path) = address::snapshot(cx, repository, &args.address)?;
    if let (Some(name), Some(url)) = (&args.db, &args.into) {
        return into(cx, repository, &snapshot, name, url);
    }
    if args.in_place {
        return in_place::run(cx, args, &opened, &snapshot, path);
    }
    let Some(target) = &args.target else {
        return Err(Failure::new(Code::E0209, "restore to where? give --target DIR or --in-place")
            .fix(format!("snap restore {} --target /tmp/back", args.address)));
    };
    if args.delete && !args.overwrite {
        return Err(Failure::new(Code::E0001, "--delete goes with --overwrite or --in-place"));
    }
    let target = cx.environment.directory.join(target);
    target::run(cx, args, repository, &snapshot, path, &target).map_err(|failure| {
        match failure.exit {
            Exit::Damaged if !args.partial => {
                failure.fix(format!("snap restore {} --target DIR --partial", args.address))
            }
            _ => failure,
        }
    })
}

/// Loads one database of a snapshot into another place.
fn into(
    cx: &Context<'_>,
    repository: &Repository,
    snapshot: &Snapshot,
    name: &str,
    url: &str,
) -> Result<Exit, Failure> {
    let stored = snapshot.databases.iter().find(|one| one.name == name).ok_or_else(|| {
        let known: Vec<&str> = snapshot.databases.iter().map(|one| &*one.name).collect();
        let short = snapshot.id.short();
        Failure::new(Code::E0203, format!("snapshot {short} has no database {name}"))
            .with("snapshot", short)
            .tip(format!(
                "it has {}",
                if known.is_empty() { "none".into() } else { known.join(", ") }
            ))
    })?;
    let mut address = Address::parse(url)?;
    if let (Address::MySql(_), Some(password)) = (&address, secret::database(cx)?) {
        address = address.with_password(password);
    }
    let shown = text::name(address.to_string().as_bytes());
    let from = format!("database {name} of snapshot {}", snapshot.id.short());
    if cx.global.dry_run {
        cx.out.print(&format!("would load {from} into {shown}\n"));
        return Ok(Exit::Ok);
    }
    let exists = match &address {
        Address::Sqlite(path) => path.exists(),
        Address::MySql(_) => true,
    };
    if exists {
        let question = format!("Replace everything in {shown} by {from}?");
        confirm::sure(cx, Risk::Moderate, &format!("replace {shown}"), &question)?;
    }
    cx.out.remark(&format!("Loading {from} into {shown}\n"));
    let progress = Progress::new(cx.out);
    let mut database = backup::open(cx, name, &address, None)?;
    let fingerprint = progress.during(|| database.restore(repository, &stored.state, &progress))?;
    if fingerprint != stored.fingerprint {
        let message = format!("{shown} is not what was saved");
        return Err(Failure::new(Code::E0705, message).state("the target was written"));
    }
    let digest = render::digest(&fingerprint);
    cx.out.print(&format!(
        "{} {shown} is {from}, fingerprint {digest} = {digest}   {}\n",
        Ink::Good.on('✓'),
        render::took(progress.elapsed())
    ));
    let fields = serde_json::json!({
        "snapshot_id": snapshot.id.to_string(),
        "database": name,
        "target": shown,
        "fingerprint": render::digest_whole(&fingerprint),
        "verified": true,
    });
    cx.out.message("summary", Level::Info, "the database is restored", fields);
    Ok(Exit::Ok)
}
