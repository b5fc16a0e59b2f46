//! `snap app`: which applications there are, and what is known of each.

mod add;
mod detect;
mod list;
mod show;

use crate::app::{App, catalog};

use super::command::About;
use super::context::Context;
use super::failure::{Code, Exit, Failure};
use super::suggest;

pub(super) const DETECT: About = About {
    name: "app detect",
    examples: "snap app detect\nsnap app detect /srv/sites",
    exits: &[],
};
pub(super) const ADD: About = About {
    name: "app add",
    examples: "snap app add passbolt\nsnap app add wiki --root /srv/wiki --profile sql-files",
    exits: &[Exit::NoApp],
};
pub(super) const LIST: About = About { name: "app list", examples: "snap app list", exits: &[] };
pub(super) const SHOW: About = About {
    name: "app show",
    examples: "snap app show passbolt\nsnap app show passbolt-v1 --builtin",
    exits: &[Exit::Preflight, Exit::NoApp],
};

/// What to do with applications.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Find the applications on this machine; nothing of them is run
    Detect(detect::Args),
    /// Make an application known
    Add(add::Args),
    /// The applications that are known
    List,
    /// What is known of one, and which file each credential came from
    Show(show::Args),
}

/// Does it.
pub(super) fn run(cx: &Context<'_>, verb: &Verb) -> Result<Exit, Failure> {
    match verb {
        Verb::Detect(args) => detect::run(cx, args),
        Verb::Add(args) => add::run(cx, args),
        Verb::List => list::run(cx),
        Verb::Show(args) => show::run(cx, args),
    }
}

/// The one application that was named with `--app`, or the only one that is known.
pub(super) fn the_one(cx: &Context<'_>) -> Result<App, Failure> {
    match &*cx.apps() {
        [name] => named(cx, name),
        [] => {
            let known = known(cx)?;
            match &*known {
                [only] => named(cx, only),
                _ => Err(Failure::new(Code::E0302, "which application? name it with --app")
                    .tip(list_of(&known))),
            }
        }
        _ => Err(Failure::new(Code::E0302, "one application at a time")),
    }
}

/// The application called `name`.
pub(super) fn named(cx: &Context<'_>, name: &str) -> Result<App, Failure> {
    let apps_d = cx.directories.config()?.join("apps.d");
    let profiles = catalog::added(&apps_d)?;
    let known: Vec<String> = profiles.iter().map(|profile| profile.name.clone()).collect();
    match profiles.into_iter().find(|profile| profile.name == name) {
        Some(profile) => catalog::open(profile).map_err(|e| Failure::from(e).with("app", name)),
        None => Err(unknown(name, &known)),
    }
}

/// The names of the known applications.
pub(super) fn known(cx: &Context<'_>) -> Result<Vec<String>, Failure> {
    let profiles = catalog::added(&cx.directories.config()?.join("apps.d"))?;
    Ok(profiles.into_iter().map(|profile| profile.name).collect())
}

/// Where the known applications lie; those that cannot be read are left out.
pub(super) fn roots(cx: &Context<'_>) -> Vec<std::path::PathBuf> {
    let apps_d = cx.directories.config().map(|config| config.join("apps.d"));
    let profiles = apps_d.ok().and_then(|apps_d| catalog::added(&apps_d).ok()).unwrap_or_default();
    profiles.into_iter().filter_map(|profile| profile.root).collect()
}

fn unknown(name: &str, known: &[String]) -> Failure {
    let failure = Failure::new(Code::E0301, format!("no application named '{name}'"));
    match suggest::nearest(name, known.iter().map(String::as_str)) {
        Some(near) => failure.tip(format!("did you mean '{near}'?  {}", list_of(known))),
        None => failure.tip(list_of(known)),
    }
}

fn list_of(known: &[String]) -> String {
    match known {
        [] => "none is known yet: snap app detect".to_owned(),
        _ => format!("known: {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelled_app_is_answered_with_the_right_one() {
        let known = ["opencart", "owncloud", "passbolt"].map(str::to_owned);
        let failure = unknown("pasbolt", &known);
        assert_eq!(failure.exit.code(), 30);
        assert_eq!(
            failure.hint(),
            Some("did you mean 'passbolt'?  known: opencart, owncloud, passbolt")
        );
    }
}
