//! What every command is given: where things lie, what was typed for all, and a mouth.

use std::cell::OnceCell;
use std::path::PathBuf;

use super::command::Global;
use super::config::Config;
use super::directories::Directories;
use super::environment::Environment;
use super::failure::Failure;
use super::output::{Loudness, Output, Wish};

/// Built once in `run`, handed to every command. There is no global state.
#[derive(Debug)]
pub(super) struct Context<'a> {
    /// What the environment says.
    pub(super) environment: &'a Environment,
    /// Where configuration, state and caches lie.
    pub(super) directories: Directories,
    /// What was typed for every command.
    pub(super) global: &'a Global,
    /// Says everything that is said.
    ///
    /// It lives as long as the process: the listener for signals speaks through it too.
    pub(super) out: &'static Output,
    config: OnceCell<Config>,
}

impl<'a> Context<'a> {
    /// Opens nothing and reads nothing: help must work on a machine where nothing does.
    pub(super) fn new(environment: &'a Environment, global: &'a Global) -> Self {
        let json = global.json || environment.text("SNAP_OUTPUT") == Some("json");
        let color = match global.color.as_deref() {
            _ if global.no_color => Some(false),
            Some("always") => Some(true),
            Some("never") => Some(false),
            _ => None,
        };
        let loudness = match global.verbose {
            _ if global.quiet => Loudness::Quiet,
            0 => Loudness::Normal,
            _ => Loudness::Verbose,
        };
        let wish = Wish { json, loudness, color, ascii: global.ascii };
        Self {
            environment,
            directories: Directories::of(environment),
            global,
            out: Box::leak(Box::new(Output::new(environment, wish))),
            config: OnceCell::new(),
        }
    }

    /// The configuration file, read when first needed.
    pub(super) fn config(&self) -> Result<&Config, Failure> {
        if let Some(config) = self.config.get() {
            return Ok(config);
        }
        let given = self.global.config.clone().or_else(|| self.environment.path("SNAP_CONFIG"));
        let config = match (given, self.directories.config()) {
            (Some(file), _) => Config::read(&self.environment.directory.join(file), true)?,
            (None, Ok(dir)) => Config::read(&dir.join("config.toml"), false)?,
            // Nothing is configured where there is no place for a configuration.
            (None, Err(_)) => Config::default(),
        };
        Ok(self.config.get_or_init(|| config))
    }

    /// The apps that were named, by flag or by the environment.
    pub(super) fn apps(&self) -> Vec<String> {
        match self.environment.text("SNAP_APP") {
            Some(app) if self.global.app.is_empty() => vec![app.to_owned()],
            _ => self.global.app.clone(),
        }
    }

    /// Whether a question can be asked and answered.
    pub(super) fn can_ask(&self) -> bool {
        let refused = self.global.no_input || self.environment.is_on("SNAP_NO_INPUT");
        self.environment.can_ask && !refused && !self.out.is_json()
    }

    /// A credential that systemd hands over (`LoadCredential=`).
    pub(super) fn credential(&self, name: &str) -> Option<PathBuf> {
        let file = self.environment.path("CREDENTIALS_DIRECTORY")?.join(name);
        file.is_file().then_some(file)
    }
}
