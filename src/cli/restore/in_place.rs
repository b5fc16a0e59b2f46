//! Makes an installed application what a snapshot of it is. A transaction: a cut-off one is settled
//! by `recover`, a finished one taken back by `rollback`.

use crate::cli::app as apps;
use crate::cli::confirm::Risk;
use crate::cli::consent::{Proposal, Question, Shown};
use crate::cli::context::Context;
use crate::cli::failure::{Code, Exit, Failure};
use crate::cli::render;
use crate::cli::transaction::{Place, neighbours};
use crate::cli::unlock::Opened;
use crate::snapshot::Snapshot;
use crate::upgrade::{RestoreRequest, RunOptions, Wish};

use super::Args;

/// Plans, asks, carries out.
pub(super) fn run(
    cx: &Context<'_>,
    args: &Args,
    opened: &Opened,
    snapshot: &Snapshot,
    path: Option<&str>,
) -> Result<Exit, Failure> {
    let refuse = |why: &str| Failure::new(Code::E0209, why);
    if path.is_some() || !args.include.is_empty() {
        return Err(refuse("in place an application is restored as a whole")
            .fix(format!("snap restore {} --target /tmp/back", args.address)));
    }
    let mark = snapshot.app.as_ref().ok_or_else(|| {
        refuse("only an application can be restored in place")
            .tip("give --target DIR; --target / --overwrite writes where it lay")
    })?;
    let app = apps::named(cx, &mark.name)?;
    let place = Place::new(cx)?;
    let stand = place.stand(opened)?;
    let neighbours = neighbours(cx, &app)?;
    let wish = Wish::Restore(RestoreRequest {
        app: &app,
        snapshot: snapshot.id,
        undoes: None,
        delete: args.delete,
        files: !args.db_only,
        databases: !args.files_only,
        neighbours: &neighbours,
    });
    let (place, stand) = (&place, &stand);
    let proposal = Proposal { verb: "restore", place, stand, wish };
    let plan = proposal.plan()?;
    let name = &app.name;
    let (short, when) = (snapshot.id.short(), render::when(snapshot.time));
    let question = Question {
        risk: if args.delete { Risk::Severe { name } } else { Risk::Moderate },
        doing: format!("restore {name} in place"),
        words: format!("Make {name} what it was {when} (snapshot {short})?"),
    };
    proposal.settle(&plan, Shown::UnlessAgreed, &question, &RunOptions::default())
}
