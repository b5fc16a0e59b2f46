//! `snap tag`: words, notes and pins of snapshots that exist.

use serde_json::json;

use crate::repository::Repository;
use crate::snapshot::{self, Class, Snapshot};

use super::address;
use super::command::About;
use super::context::Context;
use super::failure::{Code, Exit, Failure};
use super::needed::{self, needed_here};
use super::output::Level;
use super::text::Ink;
use super::unlock;

const EXITS: &[Exit] = &[Exit::NoRepo, Exit::Password];

pub(super) const ADD: About = About {
    name: "tag add",
    examples: "snap tag add latest before-1.3\nsnap tag add 4f1c09 keep year-end",
    exits: EXITS,
};
pub(super) const REMOVE: About =
    About { name: "tag remove", examples: "snap tag remove latest nightly", exits: EXITS };
pub(super) const NOTE: About = About {
    name: "tag note",
    examples: "snap tag note latest before-the-new-theme\nsnap tag note latest ''",
    exits: EXITS,
};
pub(super) const PIN: About =
    About { name: "tag pin", examples: "snap tag pin 4f1c09", exits: EXITS };
pub(super) const UNPIN: About = About {
    name: "tag unpin",
    examples: "snap tag unpin 4f1c09",
    exits: &[Exit::NoRepo, Exit::Password, Exit::OpenTxn],
};

/// What to say of a snapshot.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Words to find it by
    Add(Words),
    /// Words that it shall not have any more
    Remove(Words),
    /// A line to remember it by; an empty one takes it away
    Note {
        #[command(flatten)]
        which: Which,
        /// The line
        #[arg(value_name = "TEXT")]
        text: String,
    },
    /// Keep it, whatever a policy says
    Pin(Which),
    /// Let policies decide again
    Unpin(Which),
}

/// A snapshot.
#[derive(Debug, clap::Args)]
pub(super) struct Which {
    /// The snapshot
    #[arg(value_name = "SNAPSHOT")]
    snapshot: String,
}

/// A snapshot and words.
#[derive(Debug, clap::Args)]
pub(super) struct Words {
    #[command(flatten)]
    which: Which,
    /// The words
    #[arg(value_name = "TAG", required = true)]
    tags: Vec<String>,
}

/// Says it.
pub(super) fn run(cx: &Context<'_>, verb: &Verb) -> Result<Exit, Failure> {
    let repository = &unlock::open(cx)?.repository;
    let which = match verb {
        Verb::Add(Words { which, .. })
        | Verb::Remove(Words { which, .. })
        | Verb::Note { which, .. }
        | Verb::Pin(which)
        | Verb::Unpin(which) => which,
    };
    let (mut one, _) = address::snapshot(cx, repository, &which.snapshot)?;
    let done = match verb {
        Verb::Add(words) => {
            for tag in &words.tags {
                is_a_tag(tag)?;
                if !one.tags.contains(tag) {
                    one.tags.push(tag.clone());
                }
            }
            relabel(cx, repository, &one)?
        }
        Verb::Remove(words) => {
            if one.class != Class::User {
                let message = "the tags of a transaction's snapshot are how it is found again";
                return Err(Failure::new(Code::E0210, message).with("snapshot", one.id.short()));
            }
            one.tags.retain(|tag| !words.tags.contains(tag));
            relabel(cx, repository, &one)?
        }
        Verb::Note { text, .. } => {
            one.note = Some(text.clone()).filter(|text| !text.is_empty());
            relabel(cx, repository, &one)?
        }
        Verb::Pin(_) => pin(cx, repository, &one)?,
        Verb::Unpin(_) => unpin(cx, repository, &one)?,
    };
    tell(cx, &one, done);
    Ok(Exit::Ok)
}

fn is_a_tag(tag: &str) -> Result<(), Failure> {
    if tag.is_empty() || tag.contains(',') {
        return Err(Failure::new(Code::E0001, format!("'{tag}' is no tag")));
    }
    Ok(())
}

fn relabel(
    cx: &Context<'_>,
    repository: &Repository,
    one: &Snapshot,
) -> Result<&'static str, Failure> {
    if !cx.global.dry_run {
        snapshot::relabel(repository, &one.id, &one.tags, one.note.as_deref())?;
    }
    Ok("is labelled")
}

fn is_pinned(repository: &Repository, one: &Snapshot) -> Result<bool, Failure> {
    Ok(repository.pins()?.iter().any(|mark| mark.snapshot == one.id))
}

fn pin(cx: &Context<'_>, repository: &Repository, one: &Snapshot) -> Result<&'static str, Failure> {
    if is_pinned(repository, one)? {
        return Ok("is pinned already");
    }
    if !cx.global.dry_run {
        repository.pin(&one.id)?;
    }
    Ok("is pinned")
}

fn unpin(
    cx: &Context<'_>,
    repository: &Repository,
    one: &Snapshot,
) -> Result<&'static str, Failure> {
    let short = one.id.short();
    if let Some(by) = needed_here(cx)?.get(&one.id) {
        let message = format!("the pin of {short} must stay: {}", needed::why(by));
        return Err(Failure::new(Code::E0401, message).with("app", &by.app));
    }
    if !is_pinned(repository, one)? {
        return Ok("was not pinned");
    }
    if !cx.global.dry_run {
        repository.unpin(&one.id)?;
    }
    Ok("is not pinned any more")
}

fn tell(cx: &Context<'_>, one: &Snapshot, done: &str) {
    let dry = if cx.global.dry_run { " (--dry-run: nothing is changed)" } else { "" };
    let sentence = format!("snapshot {} {done}", one.id.short());
    cx.out.print(&format!("{} {sentence}{dry}\n", Ink::Good.on('✓')));
    let fields = json!({
        "snapshot_id": one.id.to_string(),
        "tags": one.tags,
        "note": one.note,
        "dry_run": cx.global.dry_run,
    });
    cx.out.message("tagged", Level::Info, &sentence, fields);
}
