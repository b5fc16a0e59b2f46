//! `snap app detect`: finds installations by their files. Nothing of them is run.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::app::catalog::{self, Sighting};
use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::Level;
use crate::cli::render::{self, Table};
use crate::cli::text::{self, Ink};
use crate::database::{self, OpenOptions};
use crate::os::clock;

/// Where web applications lie, as distributions and guides put them.
const USUAL: [&str; 3] = ["/var/www", "/srv", "/usr/share/php"];

/// Where to look.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Directories to look below; /var/www, /srv and /usr/share/php if none is given
    #[arg(value_name = "DIR")]
    dirs: Vec<PathBuf>,
}

/// Looks, and tries each database's login.
pub(super) fn run(cx: &Context<'_>, args: &Args) -> Result<Exit, Failure> {
    let started = clock::stopwatch();
    let dirs = places(cx, &args.dirs);
    let search = catalog::search(&dirs)?;
    let shown: Vec<String> = dirs.iter().map(|dir| text::path(dir)).collect();
    cx.out.remark(&format!(
        "Looked in {} ({}, {})\n",
        shown.join(" "),
        render::counted(search.directories, "directory", "directories"),
        render::took(started.elapsed())
    ));
    let mut table = Table::new(&["", "APP", "VERSION", "PATH", "DATABASE", "PROFILE"]);
    let (mut remarks, mut documents, mut names) = (Vec::new(), Vec::new(), Vec::new());
    let (mut tried, mut let_in) = (0, 0);
    for sighting in &search.found {
        let logins = logins(cx, sighting);
        tried += logins.len() as u64;
        let_in += logins.iter().filter(|login| login.is_ok()).count() as u64;
        let well = sighting.app.is_ok() && logins.iter().all(Result::is_ok);
        table.row(row(sighting, well));
        if let Ok(app) = &sighting.app {
            names.push(app.name.clone());
        }
        let mut problems: Vec<String> = logins.into_iter().filter_map(Result::err).collect();
        problems.extend(sighting.app.as_ref().err().map(ToString::to_string));
        documents.push(document(sighting, &problems));
        remarks.extend(problems);
    }
    if search.found.is_empty() {
        cx.out.print("No application that a built-in profile knows.\n");
    } else {
        cx.out.print(&table.render(cx.out.columns()));
    }
    for remark in remarks {
        cx.out.print(&format!("    {} {remark}\n", Ink::Warn.on('!')));
    }
    if tried > 0 {
        cx.out.remark(&format!(
            "Credentials came from each app's own config and were tried: {let_in} of {tried} log in.\n"
        ));
    }
    if !names.is_empty() {
        cx.out.remark(&format!("Add them:  snap app add {}\n", names.join(" ")));
    }
    let sentence = render::counted(search.found.len() as u64, "application", "applications");
    cx.out.message("apps", Level::Info, &sentence, json!({ "apps": documents }));
    Ok(Exit::Ok)
}

/// The directories to search, those that are not there left out.
pub(super) fn places(cx: &Context<'_>, given: &[PathBuf]) -> Vec<PathBuf> {
    if given.is_empty() {
        return USUAL.iter().map(PathBuf::from).filter(|dir| dir.is_dir()).collect();
    }
    given.iter().map(|dir| cx.environment.directory.join(dir)).collect()
}

/// Tries to log in to each database; says why where it does not work.
fn logins(cx: &Context<'_>, sighting: &Sighting) -> Vec<Result<(), String>> {
    let Ok(app) = &sighting.app else { return Vec::new() };
    let scratch_dir = cx.directories.state().cloned().unwrap_or_default();
    let log_in = |one: &crate::app::credentials::AppDatabase| {
        let options = OpenOptions::new(scratch_dir.clone());
        let opened = database::open(&one.name, &one.address, &options);
        opened.and_then(|mut opened| opened.identity()).map(drop).map_err(|e| e.to_string())
    };
    app.databases.iter().map(log_in).collect()
}

fn row(sighting: &Sighting, well: bool) -> [String; 6] {
    let root = text::path(&sighting.root);
    let mark = if well { Ink::Good.on('✓') } else { Ink::Warn.on('!') };
    match &sighting.app {
        Ok(app) => {
            let addresses: Vec<String> = app
                .databases
                .iter()
                .map(|one| text::name(one.address.to_string().as_bytes()))
                .collect();
            let addresses = if addresses.is_empty() { "-".to_owned() } else { addresses.join(" ") };
            let version = text::name(app.version.as_str().as_bytes());
            [mark, app.name.clone(), version, root, addresses, sighting.profile.clone()]
        }
        Err(_) => [mark, "?".into(), "-".into(), root, "-".into(), sighting.profile.clone()],
    }
}

fn document(sighting: &Sighting, problems: &[String]) -> Value {
    let app = sighting.app.as_ref().ok();
    json!({
        "app": app.map(|app| &app.name),
        "version": app.map(|app| app.version.as_str()),
        "path": text::path(&sighting.root),
        "databases": app.map(|app| {
            app.databases.iter().map(|one| one.address.to_string()).collect::<Vec<_>>()
        }),
        "profile": sighting.profile,
        "problems": problems,
    })
}
