//! `snap version`.

use super::command::About;
use super::context::Context;
use super::failure::Exit;
use super::output::Level;

pub(super) const ABOUT: About = About { name: "version", examples: "snap version", exits: &[] };

/// Nothing to choose.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

/// Says what this is; in JSON the stream's first line already does.
pub(super) fn run(cx: &Context<'_>, _: &Args) -> Exit {
    let version = env!("CARGO_PKG_VERSION");
    cx.out.print(&format!("snap {version}, repository format 1\n"));
    cx.out.message("summary", Level::Info, &format!("snap {version}"), serde_json::json!({}));
    Exit::Ok
}
