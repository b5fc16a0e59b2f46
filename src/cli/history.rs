//! `snap history`: what was done to the applications of this machine.

use serde_json::json;

use crate::upgrade;
use crate::upgrade::event::Ending;

use super::command::About;
use super::context::Context;
use super::failure::{Exit, Failure};
use super::output::Level;
use super::screens::told;

pub(super) const ABOUT: About = About {
    name: "history",
    examples: "snap history\nsnap history --app passbolt --failed\nsnap history --json",
    exits: &[Exit::NeedsHands],
};

/// Which transactions.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only those that did not commit
    #[arg(long)]
    failed: bool,
    /// At most so many, the newest
    #[arg(long, value_name = "N")]
    latest: Option<usize>,
}

/// Lists them, newest first.
pub(super) fn run(cx: &Context<'_>, args: &Args) -> Result<Exit, Failure> {
    let mut all = upgrade::history(cx.directories.state()?)?;
    let apps = cx.apps();
    all.retain(|told| apps.is_empty() || apps.contains(&told.header.app));
    all.retain(|told| !args.failed || told.ending() != Some(Ending::Committed));
    all.truncate(args.latest.unwrap_or(usize::MAX));
    let documents: Vec<_> = all.iter().map(told::json).collect();
    let sentence = format!("{} transactions", all.len());
    cx.out.message("history", Level::Info, &sentence, json!({ "transactions": documents }));
    if all.is_empty() {
        cx.out.remark("No transaction has been made on this machine.\n");
    } else {
        cx.out.print(&told::table(&all, cx.out.columns()));
        cx.out.remark(&format!("One in full: snap show {}\n", all[0].header.number));
    }
    Ok(Exit::Ok)
}
