//! `snap upgrade`: carries a plan out, and undoes it if anything fails.

use std::path::{Path, PathBuf};

use crate::app::App;
use crate::app::version::AppVersion;
use crate::upgrade::plan::Aim;
use crate::upgrade::plan::judge::Allowed;
use crate::upgrade::{Plan, PlanRequest, RunOptions, Staged, Wish};

use super::command::About;
use super::confirm::{self, Risk};
use super::context::Context;
use super::failure::{Code, Exit, Failure};
use super::screens::plan as plan_screen;
use super::transaction::{Place, carry_out, neighbours};
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
    let wish = Wish::Upgrade(request);
    let plan = if let Some(plan) = saved {
        plan
    } else {
        let plan = place.progress.during(|| wish.plan(&stand))?;
        if cx.global.dry_run || (!cx.global.yes && cx.can_ask()) || !plan.is_ready() {
            plan_screen::show(cx, &plan, false);
        }
        if let Some(failure) = plan_screen::refused(&plan) {
            return Err(failure);
        }
        if cx.global.dry_run {
            return Ok(Exit::Ok);
        }
        ask(cx, &plan)?;
        plan
    };
    let options = RunOptions {
        no_auto_rollback: args.no_auto_rollback,
        keep_maintenance: args.keep_maintenance,
        skip_probes: args.skip_probe.clone(),
        answers: args.release.answers()?,
    };
    carry_out(&place, &stand, "upgrade", &wish, &plan, &options)
}

/// A saved plan was looked at when it was made; it is not asked about again.
fn ask(cx: &Context<'_>, plan: &Plan) -> Result<(), Failure> {
    let name = &plan.app.name;
    let is_major = matches!(&plan.aim, Aim::Upgrade(release) if release.jump == "MAJOR");
    let risk = if is_major { Risk::Severe { name } } else { Risk::Moderate };
    let question = format!("Upgrade {name} {}?", plan.what());
    confirm::sure(cx, risk, &format!("upgrade {name}"), &question)
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
