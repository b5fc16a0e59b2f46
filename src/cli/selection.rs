//! Which snapshots a verb is about: of this app, of that machine, with those tags.

use crate::snapshot::Snapshot;

use super::context::Context;

/// What can be typed to choose among all snapshots, beside `--app`.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Selection {
    /// Only of this machine
    #[arg(long, value_name = "NAME", help_heading = "What")]
    host: Option<String>,
    /// Only with this tag; may be given again
    #[arg(long, value_name = "TEXT", help_heading = "What")]
    tag: Vec<String>,
}

impl Selection {
    /// Whether a snapshot is among them.
    pub(super) fn takes(&self, cx: &Context<'_>, snapshot: &Snapshot) -> bool {
        is_of_apps(cx, snapshot)
            && self.host.as_ref().is_none_or(|host| *host == snapshot.host)
            && self.tag.iter().all(|tag| snapshot.tags.contains(tag))
    }
}

/// Whether a snapshot is of an app that was named; of any, if none was.
pub(super) fn is_of_apps(cx: &Context<'_>, snapshot: &Snapshot) -> bool {
    let apps = cx.apps();
    let of_app = |name: &String| apps.contains(name);
    apps.is_empty() || snapshot.app.as_ref().is_some_and(|mark| of_app(&mark.name))
}
