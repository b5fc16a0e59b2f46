//! Services: stopped, and started again if they ran.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::app::AppError;
use crate::os::process::{self, CaptureLimits, Captured, Launch, Trampoline, Wiring};

/// How services are spoken to.
#[derive(Clone, Copy, Debug)]
pub struct Systemctl<'a> {
    /// How children are started.
    pub trampoline: &'a Trampoline,
    /// `systemctl`, or a path to it.
    pub program: &'a Path,
}

/// Services, and whether each ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitFound {
    units: Vec<(String, bool)>,
}

/// Stopping a database server that flushes, or a worker that finishes its job, takes its time.
const LIMITS: CaptureLimits = CaptureLimits { timeout: Duration::from_mins(5), bytes_max: 1 << 20 };

pub(super) fn look(units: &[String], systemctl: &Systemctl<'_>) -> Result<UnitFound, AppError> {
    let look = |unit: &String| Ok((unit.clone(), systemctl.is_running(unit)?));
    Ok(UnitFound { units: units.iter().map(look).collect::<Result<_, AppError>>()? })
}

impl UnitFound {
    /// Stops what runs; what stood still stays so.
    pub(super) fn stop(&self, systemctl: &Systemctl<'_>) -> Result<(), AppError> {
        for (unit, _) in &self.units {
            systemctl.turn("stop", unit, false)?;
        }
        Ok(())
    }

    /// Starts what ran, the last stopped first.
    pub(super) fn start(&self, systemctl: &Systemctl<'_>) -> Result<(), AppError> {
        for (unit, ran) in self.units.iter().rev() {
            if *ran {
                systemctl.turn("start", unit, true)?;
            }
        }
        Ok(())
    }
}

impl Systemctl<'_> {
    /// Whether a unit runs or is about to. One that does not exist is an error: it would shut
    /// nothing.
    fn is_running(&self, unit: &str) -> Result<bool, AppError> {
        let asked = ["show", "--no-pager", "--property=LoadState,ActiveState", "--", unit];
        let captured = self.ask(&asked, unit)?;
        let text = String::from_utf8_lossy(&captured.out);
        let property =
            |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        match (property("LoadState"), property("ActiveState")) {
            (Some("loaded"), Some("active" | "activating" | "reloading" | "refreshing")) => {
                Ok(true)
            }
            (Some("loaded" | "masked"), Some(_)) => Ok(false),
            _ => Err(failed(unit, "there is no such unit")),
        }
    }

    /// Never believed: the state is asked again.
    fn turn(&self, verb: &str, unit: &str, on: bool) -> Result<(), AppError> {
        if self.is_running(unit)? == on {
            return Ok(());
        }
        let captured = self.ask(&[verb, "--no-ask-password", "--", unit], unit)?;
        if captured.code() == Some(0) && self.is_running(unit)? == on {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&captured.err);
        Err(failed(unit, said.lines().last().unwrap_or("it did not happen").trim()))
    }

    fn ask(&self, arguments: &[&str], unit: &str) -> Result<Captured, AppError> {
        let mut argv = vec![self.program.as_os_str().to_owned()];
        argv.extend(process::argv(arguments));
        process::capture(
            &Launch {
                trampoline: self.trampoline,
                argv: &argv,
                dir: Path::new("/"),
                env: &[("LC_ALL".into(), "C".into())],
                identity: None,
                wiring: Wiring::Pipes,
                token: &process::fresh_token(),
            },
            LIMITS,
        )
        .map_err(|error| AppError::SwitchFailed {
            what: format!("the unit {unit}"),
            source: Some(error.into()),
        })
    }
}

fn failed(unit: &str, why: &str) -> AppError {
    AppError::SwitchFailed { what: format!("the unit {unit}: {why}"), source: None }
}
