//! `snap plan`: what an upgrade would do. It changes nothing and runs nothing of the application.

use std::path::{Path, PathBuf};

use crate::app::App;
use crate::os::file;
use crate::upgrade::merge::Verdict;
use crate::upgrade::{self, Plan, PlanRequest};

use super::command::About;
use super::context::Context;
use super::failure::{Code, Exit, Failure};
use super::screens::plan as screen;
use super::text::{self, Ink};
use super::transaction::{Place, neighbours};
use super::{app as apps, release, unlock};

pub(super) const ABOUT: About = About {
    name: "plan",
    examples: "snap plan --app passbolt --to 1.3.2\n\
               snap plan --app wiki --from-archive wiki-2.1.tar.gz -o wiki.plan\n\
               snap plan --app passbolt --to 1.3.2 --files",
    exits: &[
        Exit::Pending,
        Exit::NoRepo,
        Exit::Locked,
        Exit::Password,
        Exit::Space,
        Exit::Backend,
        Exit::Preflight,
        Exit::OpenTxn,
        Exit::Source,
        Exit::Db,
        Exit::Question,
        Exit::NoApp,
    ],
};

/// Where to go, and how to show it.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    release: release::Args,
    /// Each file that changes
    #[arg(long, help_heading = "Output")]
    files: bool,
    /// Save the plan, for upgrade --plan
    #[arg(short = 'o', long, value_name = "FILE", help_heading = "Output")]
    output: Option<PathBuf>,
    /// Exit 4 if the upgrade would start and change something
    #[arg(long, help_heading = "Output")]
    detailed_exitcode: bool,
}

/// Shows it; exits 0 if the upgrade would start, else with the refusal's code.
pub(super) fn run(cx: &Context<'_>, args: &Args) -> Result<Exit, Failure> {
    let app = apps::the_one(cx)?;
    let place = Place::new(cx)?;
    let opened = unlock::open(cx)?;
    let stand = place.stand(&opened)?;
    let found = args.release.import(&place, &opened.repository, &app)?;
    let neighbours = neighbours(cx, &app)?;
    let request = request(cx, &args.release, &app, &found, &neighbours)?;
    let plan = place.progress.during(|| upgrade::plan(&stand, &request))?;
    screen::show(cx, &plan, args.files);
    if let Some(output) = &args.output {
        save(cx, &plan, &cx.environment.directory.join(output))?;
    }
    if let Some(failure) = screen::refused(&plan) {
        return Err(failure);
    }
    cx.out.remark("Apply it:  the same with snap upgrade\n");
    let pending = args.detailed_exitcode && changes(&plan);
    Ok(if pending { Exit::Pending } else { Exit::Ok })
}

/// The request that the flags make.
pub(super) fn request<'a>(
    cx: &Context<'_>,
    args: &release::Args,
    app: &'a App,
    found: &'a release::Found,
    neighbours: &'a [App],
) -> Result<PlanRequest<'a>, Failure> {
    Ok(PlanRequest {
        app,
        release: &found.staged,
        base: found.base,
        typed: args.typed(app)?,
        allowed: args.allowed(),
        answered: args.answers()?.iter().map(|(regex, _)| regex.as_str().to_owned()).collect(),
        no_input: !cx.can_ask() && !cx.global.yes,
        neighbours,
    })
}

fn changes(plan: &Plan) -> bool {
    let touched = |verdict| matches!(verdict, Verdict::Take | Verdict::Delete);
    plan.fates().values().any(|fate| touched(fate.verdict())) || !plan.pending.is_empty()
}

fn save(cx: &Context<'_>, plan: &Plan, output: &Path) -> Result<(), Failure> {
    let shown = text::path(output);
    let name = output.file_name().and_then(|name| name.to_str());
    let (Some(dir), Some(name)) = (output.parent(), name) else {
        return Err(Failure::new(Code::E0001, format!("'{shown}' cannot be a file")));
    };
    file::replace(dir, name, &plan.encode(), 0o600).map_err(Failure::cannot("write", output))?;
    cx.out.remark(&format!("{} saved: {shown}   snap upgrade --plan {shown}\n", Ink::Good.on('✓')));
    Ok(())
}
