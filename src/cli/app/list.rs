//! `snap app list`: the applications that are known.

use serde_json::json;

use crate::app::catalog;
use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::Level;
use crate::cli::render::Table;
use crate::cli::text::{self, Ink};

/// Lists them; one that cannot be read is listed with what stands against it.
pub(super) fn run(cx: &Context<'_>) -> Result<Exit, Failure> {
    let profiles = catalog::added(&cx.directories.config()?.join("apps.d"))?;
    let mut table = Table::new(&["", "APP", "VERSION", "PATH", "PROFILE"]);
    let (mut documents, mut remarks) = (Vec::new(), Vec::new());
    for profile in profiles {
        let (name, id) = (profile.name.clone(), profile.app.clone());
        let root = profile.root.clone().map(|root| text::path(&root)).unwrap_or_default();
        let met = catalog::open(profile);
        let version = met.as_ref().map_or("-", |app| app.version.as_str()).to_owned();
        let mark = if met.is_ok() { Ink::Good.on('✓') } else { Ink::Warn.on('!') };
        let problem = met.err().map(|error| error.to_string());
        let fields = json!({
            "app": name, "version": version, "path": root, "kind": id, "problem": problem,
        });
        documents.push(fields);
        remarks.extend(problem.map(|problem| format!("{name}: {problem}")));
        table.row([mark, name, text::name(version.as_bytes()), root, id]);
    }
    if documents.is_empty() {
        cx.out.remark("No application is known yet: snap app detect\n");
    } else {
        cx.out.print(&table.render(cx.out.columns()));
    }
    for remark in remarks {
        cx.out.print(&format!("    {} {remark}\n", Ink::Warn.on('!')));
    }
    cx.out.message("apps", Level::Info, "the known applications", json!({ "apps": documents }));
    Ok(Exit::Ok)
}
