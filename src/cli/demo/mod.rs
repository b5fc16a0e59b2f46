//! `snap demo`: the whole story on a throw-away application.
//!
//! Every scene is played by children of this very binary, in one temporary directory, as a person
//! would type it. What they say of themselves is not believed: an oracle that shares no code with
//! the product looks at the application before and after.

mod house;
mod kills;
mod oracle;
mod scenes;
mod site;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::os::clock;

use super::command::About;
use super::context::Context;
use super::failure::{Code, Exit, Failure};
use super::output::Level;
use super::render;
use super::text::{self, Ink};

use house::House;
use site::Owner;

pub(super) const ABOUT: About =
    About { name: "demo", examples: "snap demo\nsnap demo --keep", exits: &[] };

/// How to play it.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Leave the directory behind, to look around in
    #[arg(long)]
    keep: bool,
}

/// Plays it. Exits 0 only if every identity holds.
pub(super) fn run(cx: &Context<'_>, args: &Args) -> Result<Exit, Failure> {
    let started = clock::stopwatch();
    let owner = nobody(cx);
    let mut house = House::build(&temporary(owner)?, owner)?;
    let removal = if args.keep { "stays (--keep)" } else { "removed at the end; --keep" };
    cx.out.print(&format!("snap demo: everything in {} ({removal})\n", text::path(&house.root)));
    let played = house.furnish().and_then(|()| scenes::play(cx, &house));
    if !args.keep {
        house.remove()?;
    }
    played?;
    let took = render::took(started.elapsed());
    cx.out.print(&format!(
        "{} 8 of 8 in {took}. Nothing on your machine was changed.   Next: snap app detect\n",
        Ink::Good.on('✓')
    ));
    let fields = json!({ "scenes": 8, "passed": 8, "kept": args.keep });
    cx.out.message("summary", Level::Info, "every identity holds", fields);
    Ok(Exit::Ok)
}

/// Root gives the application to another account, and its migration runs as that.
fn nobody(cx: &Context<'_>) -> Option<Owner> {
    let nobody = || nix::unistd::User::from_name("nobody").ok().flatten();
    let account = cx.environment.is_root.then(nobody).flatten()?;
    Some(Owner { uid: account.uid.as_raw(), gid: account.gid.as_raw() })
}

/// A temporary directory; one through which another account can pass, if that is needed.
fn temporary(owner: Option<Owner>) -> Result<PathBuf, Failure> {
    let passable = |dir: &Path| {
        let mode = |dir: &Path| dir.metadata().map_or(0, |meta| meta.permissions().mode());
        dir.is_dir() && (owner.is_none() || dir.ancestors().all(|above| mode(above) & 0o001 != 0))
    };
    let places = [std::env::temp_dir(), "/tmp".into(), "/var/tmp".into()];
    places.into_iter().find(|dir| passable(dir)).ok_or_else(|| {
        Failure::new(Code::E0602, "no temporary directory can be used").tip("TMPDIR names another")
    })
}
