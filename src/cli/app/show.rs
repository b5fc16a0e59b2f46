//! `snap app show`: what is known of one application, and where each credential came from.

use std::fmt::Write as _;

use serde_json::json;

use crate::app::{App, builtin};
use crate::cli::context::Context;
use crate::cli::failure::{Code, Exit, Failure};
use crate::cli::output::Level;
use crate::cli::render::counted;
use crate::cli::suggest;
use crate::cli::text::{self, Ink};

/// Which.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// A known application; with --builtin a built-in profile
    #[arg(value_name = "NAME")]
    name: String,
    /// Show the text of a built-in profile
    #[arg(long, help_heading = "What")]
    builtin: bool,
}

/// Shows it. Of a password only its place is shown.
pub(super) fn run(cx: &Context<'_>, args: &Args) -> Result<Exit, Failure> {
    if args.builtin {
        let profile = profile(&args.name)?;
        cx.out.print(profile);
        let fields = json!({ "name": args.name, "text": profile });
        cx.out.message("profile", Level::Info, &args.name, fields);
        return Ok(Exit::Ok);
    }
    let app = super::named(cx, &args.name)?;
    cx.out.print(&page(&app)?);
    cx.out.message("app", Level::Info, &app.name, document(&app));
    Ok(Exit::Ok)
}

/// The text of the built-in profile `name`.
pub(super) fn profile(name: &str) -> Result<&'static str, Failure> {
    builtin::text(name).ok_or_else(|| {
        let failure = Failure::new(Code::E0303, format!("no built-in profile '{name}'"));
        let known: Vec<&str> = builtin::names().collect();
        match suggest::nearest(name, known.iter().copied()) {
            Some(near) => failure.tip(format!("did you mean '{near}'?")),
            None => failure.tip(format!("known: {}", known.join(", "))),
        }
    })
}

fn page(app: &App) -> Result<String, Failure> {
    let mut out = String::new();
    let head = format!("{} {}", app.name, app.version.as_str());
    let _ = writeln!(out, "{}", Ink::Strong.on(text::name(head.as_bytes())));
    let _ = writeln!(out, " root      {}", text::path(&app.root));
    let _ = writeln!(out, " profile   {}, layout {}", app.profile.origin(), app.layout);
    for area in app.areas()?.iter().skip(1) {
        let _ = writeln!(out, " also      {}", text::path(&area.path));
    }
    for database in &app.databases {
        let address = text::name(database.address.to_string().as_bytes());
        let _ = writeln!(out, " database  {}: {address}", database.name);
        for origin in &database.origins {
            let place = match origin.line {
                0 => text::name(origin.file.as_bytes()),
                line => format!("{}:{line}", text::name(origin.file.as_bytes())),
            };
            let value = if origin.part == "password" { "••••  " } else { "" };
            let _ = writeln!(out, "           {:<9} {value}{place}", origin.part);
        }
    }
    let steps = counted(app.profile.migrate.len() as u64, "step", "steps");
    let _ = writeln!(out, " migrate   {steps}");
    let _ = writeln!(out, " probes    {}", app.profile.probes.len());
    if app.profile.maintenance.is_empty() {
        let _ = writeln!(out, " shut by   nothing: snap only checks that nobody writes");
    } else {
        let switches = counted(app.profile.maintenance.len() as u64, "switch", "switches");
        let _ = writeln!(out, " shut by   {switches}");
    }
    Ok(out)
}

fn document(app: &App) -> serde_json::Value {
    let databases: Vec<_> = app
        .databases
        .iter()
        .map(|one| {
            let origins: Vec<_> = one
                .origins
                .iter()
                .map(|o| json!({ "part": o.part, "file": o.file, "line": o.line }))
                .collect();
            json!({ "name": one.name, "address": one.address.to_string(), "origins": origins })
        })
        .collect();
    json!({
        "app": app.name,
        "version": app.version.as_str(),
        "path": text::path(&app.root),
        "profile": app.profile.origin(),
        "layout": app.layout,
        "databases": databases,
        "maintenance": app.profile.maintenance.len(),
        "probes": app.profile.probes.len(),
    })
}
