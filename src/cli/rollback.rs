//! `snap rollback`: takes back a finished transaction. It is itself one, and can be taken back.

use crate::upgrade::event::Ending;
use crate::upgrade::{self, RestoreRequest, RunOptions, Told, Wish};

use super::command::About;
use super::confirm::Risk;
use super::consent::{Proposal, Question, Shown};
use super::context::Context;
use super::failure::{Code, Exit, Failure};
use super::render;
use super::screens::told;
use super::text::Ink;
use super::transaction::{Place, neighbours};
use super::{app as apps, show, unlock};
use crate::os::clock::Moment;

pub(super) const ABOUT: About = About {
    name: "rollback",
    examples: "snap rollback --app passbolt\nsnap rollback T17 --dry-run\nsnap rollback T17 --files-only",
    exits: &[
        Exit::Partial,
        Exit::Cancelled,
        Exit::NoRepo,
        Exit::Locked,
        Exit::Password,
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

/// Which, and how much of it.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// As the history shows it; the app's newest if none is given
    #[arg(value_name = "TXN")]
    txn: Option<String>,
    /// Only the files
    #[arg(long, conflicts_with = "db_only", help_heading = "What")]
    files_only: bool,
    /// Only the databases
    #[arg(long, help_heading = "What")]
    db_only: bool,
}

/// Shows what would be lost, asks for the app's name, goes back.
pub(super) fn run(cx: &Context<'_>, args: &Args) -> Result<Exit, Failure> {
    let told = meant(cx, args)?;
    let number = told.header.number;
    let txn = number.to_string();
    let refuse = |why: &str| {
        let message = format!("{txn} cannot be taken back: {why}");
        Failure::new(Code::E0408, message).with("txn", txn.as_str())
    };
    if told.ending() != Some(Ending::Committed) {
        return Err(refuse("it did not change anything that is still there"));
    }
    let armed = told.armed().ok_or_else(|| refuse("it has no safety snapshot"))?;
    let app = apps::named(cx, &told.header.app)?;
    let place = Place::new(cx)?;
    let opened = unlock::open(cx)?;
    let stand = place.stand(&opened)?;
    let neighbours = neighbours(cx, &app)?;
    let wish = Wish::Restore(RestoreRequest {
        app: &app,
        snapshot: armed.safety.object(),
        undoes: Some(number.0),
        delete: true,
        files: !args.db_only,
        databases: !args.files_only,
        neighbours: &neighbours,
    });
    let (place, stand) = (&place, &stand);
    let proposal = Proposal { verb: "rollback", place, stand, wish };
    let plan = proposal.plan()?;
    let when = render::when(Moment(told.latest()));
    cx.out.insist(&format!("{txn} {} finished {when}.\n", told::what(&told)));
    let name = &app.name;
    let question = Question {
        risk: Risk::Severe { name },
        doing: format!("roll back {txn}"),
        words: format!(
            "{} What {name} was given since {when} is LOST; it is saved first as a snapshot.",
            Ink::Warn.on('!')
        ),
    };
    proposal.settle(&plan, Shown::Always, &question, &RunOptions::default())
}

/// The transaction that was named, or the app's newest that committed.
fn meant(cx: &Context<'_>, args: &Args) -> Result<Told, Failure> {
    let state = cx.directories.state()?;
    if let Some(typed) = &args.txn {
        return Ok(upgrade::show(state, show::number(typed)?)?);
    }
    let app = apps::the_one(cx)?;
    let mut all = upgrade::history(state)?.into_iter();
    let newest =
        all.find(|told| told.header.app == app.name && told.ending() == Some(Ending::Committed));
    newest.ok_or_else(|| {
        Failure::new(Code::E0407, format!("{} has no finished transaction", app.name))
    })
}
