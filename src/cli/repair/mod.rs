//! `snap repair`: makes something whole again from what is there. Without `--yes` it only says
//! what it would do; nothing damaged is deleted, it goes into quarantine.

mod index;
mod packs;
mod snapshots;

use super::command::About;
use super::context::Context;
use super::failure::{Exit, Failure};
use super::unlock;

const EXITS: &[Exit] = &[Exit::NoRepo, Exit::Locked, Exit::Password, Exit::Damaged, Exit::Backend];

pub(super) const INDEX: About = About {
    name: "repair index",
    examples: "snap repair index\nsnap repair index --yes",
    exits: EXITS,
};
pub(super) const PACKS: About = About {
    name: "repair packs",
    examples: "snap repair packs\nsnap repair packs --yes",
    exits: EXITS,
};
pub(super) const SNAPSHOTS: About = About {
    name: "repair snapshots",
    examples: "snap repair snapshots\nsnap repair snapshots --yes",
    exits: EXITS,
};

/// What to mend.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// The index, from the packs, and what an interrupted prune left
    Index,
    /// Damaged packs, from their sound parts and from files that are still the same
    Packs,
    /// Snapshots that lack something: without it, and marked partial
    Snapshots,
}

/// Mends it; what is damaged beyond that is listed.
pub(super) fn run(cx: &Context<'_>, verb: &Verb) -> Result<Exit, Failure> {
    let repository = unlock::open(cx)?.repository;
    match verb {
        Verb::Index => index::run(cx, &repository),
        Verb::Packs => packs::run(cx, &repository),
        Verb::Snapshots => snapshots::run(cx, &repository),
    }
}

/// Whether only to say what would be done.
const fn is_dry(cx: &Context<'_>) -> bool {
    cx.global.dry_run || !cx.global.yes
}

/// Says how to have it done.
fn invite(cx: &Context<'_>, verb: &str) -> Result<(), Failure> {
    let flag = unlock::repo_flag(cx, &unlock::location(cx)?);
    cx.out.print(&format!("Nothing was changed.  To do it:  snap {flag}repair {verb} --yes\n"));
    Ok(())
}
