//! What every transaction verb stands on, and what it says of those that are open.

use std::time::Duration;

use crate::app::App;
use crate::os::process::Trampoline;
use crate::os::{file, host};
use crate::repository::Repository;
use crate::upgrade::{self, Context as Stand, Ground};

use super::context::Context;
use super::failure::Failure;
use super::output::Level;
use super::progress::Progress;
use super::screens::told::state_word;
use super::text::Ink;
use super::unlock::Opened;
use super::{SIGNALS, app};

/// What a transaction is told about who began it and where.
pub(super) struct Place<'a> {
    pub(super) cx: &'a Context<'a>,
    pub(super) progress: Progress<'a>,
    machine_id: String,
    user: String,
    argv: Vec<String>,
    trampoline: Trampoline,
    cache_dir: std::path::PathBuf,
}

impl<'a> Place<'a> {
    /// Makes the state directory if it is missing; nothing else is touched.
    pub(super) fn new(cx: &'a Context<'a>) -> Result<Self, Failure> {
        let state = cx.directories.state()?;
        file::create_dirs(state, 0o700).map_err(Failure::cannot("create", state))?;
        let cache_dir = cx.directories.cache().cloned().unwrap_or_else(|| state.join("cache"));
        Ok(Self {
            cx,
            progress: Progress::new(cx.out),
            machine_id: host::machine_id(),
            user: cx.environment.user(),
            argv: cx.environment.argv(),
            trampoline: Trampoline::own(),
            cache_dir,
        })
    }

    /// What needs no repository.
    pub(super) fn ground(&self) -> Result<Ground<'_>, Failure> {
        Ok(Ground {
            state_dir: self.cx.directories.state()?,
            cache_dir: &self.cache_dir,
            machine_id: &self.machine_id,
            user: &self.user,
            argv: &self.argv,
            monitor: &self.progress,
            signals: &SIGNALS,
            trampoline: &self.trampoline,
            wait: Duration::from_mins(2),
        })
    }

    /// The same with an open repository.
    pub(super) fn stand<'s>(&'s self, opened: &'s Opened) -> Result<Stand<'s>, Failure> {
        let repository: &Repository = &opened.repository;
        let key_file = opened.key_file.as_deref();
        Ok(Stand { repository, key_file, ground: self.ground()? })
    }

    /// How children are started.
    pub(super) fn trampoline(&self) -> &Trampoline {
        &self.trampoline
    }

    /// Caches of ours.
    pub(super) fn cache_dir(&self) -> &std::path::Path {
        &self.cache_dir
    }
}

/// The other applications of this machine: two must not share a root or a schema.
pub(super) fn neighbours(cx: &Context<'_>, of: &App) -> Result<Vec<App>, Failure> {
    let names = app::known(cx)?;
    let others = names.iter().filter(|name| **name != of.name);
    // One that cannot be read now cannot be compared either; it has its own verbs to say so.
    Ok(others.filter_map(|name| app::named(cx, name).ok()).collect())
}

/// Says in a line that a transaction is open; whoever only looks is not kept from it.
pub(super) fn remind(cx: &Context<'_>) {
    let Ok(state) = cx.directories.state() else { return };
    // A journal that cannot be read is the matter of the verbs that need it.
    for told in upgrade::unfinished(state).unwrap_or_default() {
        let (number, app) = (told.header.number, &told.header.app);
        let line =
            format!("{number} of {app} is not finished ({}): snap recover", state_word(told.state));
        cx.out.insist(&format!("{} {line}\n", Ink::Warn.on('!')));
        let fields = serde_json::json!({ "app": app, "open": number.to_string() });
        cx.out.message("warning", Level::Warning, &line, fields);
    }
}
