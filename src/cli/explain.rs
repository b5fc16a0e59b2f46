//! `snap explain CODE`: one error's page of the catalogue.

use super::command::About;
use super::context::Context;
use super::failure::{Code, Exit, Failure};
use super::text;

pub(super) const ABOUT: About =
    About { name: "explain", examples: "snap explain E0110", exits: &[] };

/// Which error.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// As printed in error[CODE]; all codes if none is given
    code: Option<String>,
}

/// Shows the page.
pub(super) fn run(cx: &Context<'_>, args: &Args) -> Result<Exit, Failure> {
    let Some(wanted) = &args.code else {
        for code in Code::ALL {
            let page = code.page();
            cx.out.print(&format!("{}  {:>3}  {}\n", page.name, page.exit.code(), page.title));
        }
        return Ok(Exit::Ok);
    };
    let unknown = || Failure::new(Code::E0001, format!("no error is called '{wanted}'"));
    let page = Code::find(wanted).ok_or_else(unknown)?.page();
    let exit = page.exit;
    cx.out.print(&format!("{}: {}\n\n", text::Ink::Strong.on(page.name), page.title));
    cx.out.print(&(text::wrap(page.explain, cx.out.columns()).join("\n") + "\n\n"));
    let ends = format!("exit {} ({}): {}", exit.code(), exit.name(), exit.meaning());
    cx.out.print(&(text::wrap(&ends, cx.out.columns()).join("\n") + "\n"));
    Ok(Exit::Ok)
}
