//! `snap upgrade`: carries a plan out, and undoes it if anything fails.

use std::path::{Path, PathBuf};

use crate::app::App;
use crate::app::version::AppVersion;
use crate::upgrade::plan::Aim;
use crate::upgrade::plan::judge::Allowed;
use crate::upgrade::{Plan, PlanRequest, RunOptions, Staged, Wish};

use super::command::About;
use super::confirm::Risk;
use super::consent::{Proposal, Question, Shown};
use super::context::Context;
use super::failure::{Code, Exit, Failure};
use super::transaction::{Place, neighbours};
use super::{app as apps, plan as plans, release, text, unlock};

pub(super) const ABOUT: About = About {
    name: "upgrade",
    examples: "snap upgrade --app passbolt --to 1.3.2\n\
               snap upgrade --app wiki --from-archive wiki-2.1.tar.gz --yes\n\
               snap upgrade --plan wiki.plan",
    exits: &[
        Exit::Partial,
        Exit::Cancelled,
        Exit::NoRepo,
        Exit::Locked,
        Exit::Password,
        Exit::Space,
        Exit::Backend,
        Exit::RolledBack,
        Exit::NeedsHands,
        Exit::Preflight,
        Exit::StalePlan,
        Exit::OpenTxn,
        Exit::Unhealthy,
        Exit::Source,
        Exit::Db,
        Exit::Question,
        Exit::NoApp,
    ],
};

/// Where to go, and how.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    release: release::Args,
    /// Carry out this saved plan, and no other
    #[arg(long, value_name = "FILE", conflicts_with_all = ["source", "keep", "take", "base"], help_heading = "What")]
    plan: Option<PathBuf>,
    /// Do not ask this probe
    #[arg(long, value_name = "NAME", help_heading = "Safety")]
    skip_probe: Vec<String>,
    /// Leave maintenance on after the commit
    #[arg(long, help_heading = "Safety")]
    keep_maintenance: bool,
    /// Leave a failed change as it is, shut; snap recover puts it back
    #[arg(long, help_heading = "Safety")]
    no_auto_rollback: bool,
}

/// Plans, asks, carries out.
pub(super) fn run(cx: &Context<'_>, args: &Args) -> Result<Exit, Failure> {
    let place = Place::new(cx)?;
    let saved = args.plan.as_deref().map(|file| load(cx, file)).transpose()?;
    let app = match &saved {
        Some(plan) => apps::named(cx, &plan.app.name)?,
        None => apps::the_one(cx)?,
    };
    let opened = unlock::open(cx)?;
    let stand = place.stand(&opened)?;
    let found = match &saved {
        Some(plan) => staged(plan, &app)?,
        None => args.release.import(&place, &opened.repository, &app)?,
    };
    let neighbours = neighbours(cx, &app)?;
    let mut request = plans::request(cx, &args.release, &app, &found, &neighbours)?;
    if let Some(plan) = &saved {
        agreed(&mut request, plan);
    }
    let options = RunOptions {
        no_auto_rollback: args.no_auto_rollback,
        keep_maintenance: args.keep_maintenance,
        skip_probes: args.skip_probe.clone(),
        answers: args.release.answers()?,
    };
    let (place, stand, wish) = (&place, &stand, Wish::Upgrade(request));
    let proposal = Proposal { verb: "upgrade", place, stand, wish };
    if let Some(plan) = &saved {
        return proposal.settle_saved(plan, &options);
    }
    let plan = proposal.plan()?;
    let question = question(&app.name, &plan);
    proposal.settle(&plan, Shown::UnlessAgreed, &question, &options)
}

fn question<'a>(name: &'a str, plan: &Plan) -> Question<'a> {
    let is_major = matches!(&plan.aim, Aim::Upgrade(release) if release.jump == "MAJOR");
    Question {
        risk: if is_major { Risk::Severe { name } } else { Risk::Moderate },
        doing: format!("upgrade {name}"),
        words: format!("Upgrade {name} {}?", plan.what()),
    }
}

fn load(cx: &Context<'_>, file: &Path) -> Result<Plan, Failure> {
    let file = cx.environment.directory.join(file);
    let shown = text::path(&file);
    let raw = std::fs::read(&file).map_err(|error| {
        Failure::new(Code::E0418, format!("cannot read the plan {shown}"))
            .because(error.to_string())
    })?;
    Plan::decode(&raw)
        .map_err(|error| Failure::of(Code::E0418, &error).because(format!("in {shown}")))
}

/// The release that a saved plan was made for: it is in the repository.
fn staged(plan: &Plan, app: &App) -> Result<release::Found, Failure> {
    let Aim::Upgrade(planned) = &plan.aim else {
        return Err(Failure::new(Code::E0418, "this plan is not an upgrade's"));
    };
    let version = AppVersion::parse(&planned.version, app.profile.scheme)
        .map_err(|error| Failure::of(Code::E0418, &error))?;
    let staged = Staged {
        snapshot: planned.snapshot.object(),
        version,
        layout: planned.layout.clone(),
        origin: planned.origin.clone(),
        commit: planned.commit.clone(),
        warnings: Vec::new(),
    };
    Ok(release::Found { staged, base: planned.base.map(|base| base.object()) })
}

/// What somebody decided when the plan was made holds; the plan could not have been ready else.
fn agreed(request: &mut PlanRequest<'_>, plan: &Plan) {
    request.typed = plan.decisions();
    request.allowed = Allowed { major: true, downgrade: true };
}
