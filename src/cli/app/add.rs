//! `snap app add`: writes `apps.d/NAME.toml`, which makes an application known.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::app::builtin;
use crate::app::catalog::{self, Sighting};
use crate::cli::context::Context;
use crate::cli::failure::{Code, Exit, Failure};
use crate::cli::output::Level;
use crate::cli::text::{self, Ink};
use crate::os::file;

/// Which, and where they are.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// As `app detect` shows them; with --root any name
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
    /// Where it is installed
    #[arg(long, value_name = "DIR", help_heading = "What")]
    root: Option<PathBuf>,
    /// The built-in profile that describes it
    #[arg(long, value_name = "PROFILE", help_heading = "What")]
    profile: Option<String>,
    /// Look below DIR instead of the usual places
    #[arg(long, value_name = "DIR", help_heading = "Where")]
    within: Vec<PathBuf>,
}

/// Adds each of them.
pub(super) fn run(cx: &Context<'_>, args: &Args) -> Result<Exit, Failure> {
    if args.root.is_some() && args.names.len() > 1 {
        return Err(Failure::new(Code::E0001, "--root goes with one name"));
    }
    let known = super::known(cx)?;
    for name in &args.names {
        if name.is_empty()
            || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        {
            return Err(Failure::new(Code::E0001, format!("'{name}' cannot be a name"))
                .tip("letters, digits, '-', '_' and '.'"));
        }
        if known.contains(name) {
            let message = format!("{name} is known already");
            return Err(Failure::new(Code::E0306, message).with("app", name.as_str()));
        }
        let (profile, root) = meant(cx, args, name)?;
        write(cx, name, &profile, &root)?;
    }
    Ok(Exit::Ok)
}

/// The profile and the place that are meant, looked for where they are not given.
fn meant(cx: &Context<'_>, args: &Args, name: &str) -> Result<(String, PathBuf), Failure> {
    if let Some(profile) = &args.profile {
        super::show::profile(profile)?;
    }
    if let Some(root) = &args.root {
        let root = cx.environment.directory.join(root);
        if let Some(profile) = &args.profile {
            return Ok((profile.clone(), root));
        }
        let sighted = catalog::sight(&root, &builtin::all()?)?;
        if let Some(Sighting { profile, .. }) = sighted {
            return Ok((profile, root));
        }
        let message = format!("no built-in profile knows what is at {}", text::path(&root));
        return Err(Failure::new(Code::E0301, message).fix("snap app detect"));
    }
    let search = catalog::search(&super::detect::places(cx, &args.within))?;
    let fits: Vec<&Sighting> = search
        .found
        .iter()
        .filter(|one| one.app.as_ref().is_ok_and(|app| app.name == name))
        .filter(|one| args.profile.as_ref().is_none_or(|profile| *profile == one.profile))
        .collect();
    match *fits {
        [one] => Ok((one.profile.clone(), one.root.clone())),
        [] => Err(Failure::new(Code::E0301, format!("no {name} was found"))
            .fix(format!("snap app add {name} --root DIR"))),
        _ => {
            let places: Vec<String> = fits.iter().map(|one| text::path(&one.root)).collect();
            Err(Failure::new(Code::E0302, format!("{name} is installed more than once"))
                .because(places.join(", "))
                .fix(format!("snap app add {name} --root DIR")))
        }
    }
}

fn write(cx: &Context<'_>, name: &str, profile: &str, root: &Path) -> Result<(), Failure> {
    let apps_d = cx.directories.config()?.join("apps.d");
    let place = apps_d.join(format!("{name}.toml"));
    let shown = text::path(&place);
    if cx.global.dry_run {
        cx.out.print(&format!("would write {shown}\n"));
        return Ok(());
    }
    let body = catalog::entry(profile, root);
    let written = file::create_dirs(&apps_d, 0o700)
        .and_then(|()| file::replace(&apps_d, &format!("{name}.toml"), body.as_bytes(), 0o600));
    written.map_err(Failure::cannot("write", &place))?;
    let app = super::named(cx, name)?;
    cx.out.print(&format!(
        "{} {name} {} at {}   {shown}\n",
        Ink::Good.on('✓'),
        text::name(app.version.as_str().as_bytes()),
        text::path(&app.root),
    ));
    let fields =
        json!({ "app": name, "profile": profile, "path": text::path(root), "file": shown });
    cx.out.message("app_added", Level::Info, &format!("{name} is known now"), fields);
    Ok(())
}
