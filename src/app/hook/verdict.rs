//! Whether a step succeeded: its exit code never says it alone.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use crate::app::profile::Expect;
use crate::os::process::{LaunchError, Outlived};

use super::Redactor;

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The program could not be run.
    #[error("it did not start")]
    NotStarted(#[source] LaunchError),
    /// Its number could not be made durable, so it was never let through.
    #[error("its start could not be recorded")]
    NotRecorded(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It could not be heard or answered any more.
    #[error("it could not be heard")]
    Unheard(#[source] io::Error),
    /// It ended with a code that means failure.
    #[error("it ended with exit code {code}")]
    ExitCode {
        /// The code.
        code: i32,
    },
    /// A signal ended it that was not ours.
    #[error("signal {signal} ended it")]
    Signal {
        /// Its number.
        signal: i32,
    },
    /// Its output lacks what a success prints.
    #[error("it did not print {wanted:?}")]
    Lacks {
        /// The expression.
        wanted: String,
    },
    /// Its output holds what only a failure prints.
    #[error("it printed {found:?}")]
    Says {
        /// The text that was found.
        found: String,
    },
    /// It asked something that no rule knows.
    #[error("it asked an unknown question: {question:?}")]
    UnknownQuestion {
        /// What stood on its terminal.
        question: String,
    },
    /// It asked what it only asks after a failure.
    #[error("it asked: {question:?}")]
    Asked {
        /// What stood on its terminal.
        question: String,
    },
    /// It asked the same again and again.
    #[error("it asked too often: {question:?}")]
    AskedTooOften {
        /// What stood on its terminal.
        question: String,
    },
    /// It was silent for too long.
    #[error("it was silent for {} s", limit.as_secs())]
    Hung {
        /// The limit.
        limit: Duration,
    },
    /// It took too long.
    #[error("it took longer than {} s", limit.as_secs())]
    TooSlow {
        /// The limit.
        limit: Duration,
    },
    /// It left processes behind, which were ended.
    #[error("it left processes running: {}", left.join(", "))]
    Strays {
        /// What they are called.
        left: Vec<String>,
    },
    /// It left processes behind that could not be ended.
    #[error("processes of it cannot be ended")]
    Outlived(#[source] Outlived),
    /// Somebody wanted it to end.
    #[error("it was stopped")]
    Cancelled,
}

impl Failure {
    /// The same without secrets.
    pub(super) fn redacted(self, redactor: &Redactor) -> Self {
        match self {
            Self::Says { found } => Self::Says { found: redactor.redact(&found) },
            Self::UnknownQuestion { question } => {
                Self::UnknownQuestion { question: redactor.redact(&question) }
            }
            Self::Asked { question } => Self::Asked { question: redactor.redact(&question) },
            Self::AskedTooOften { question } => {
                Self::AskedTooOften { question: redactor.redact(&question) }
            }
            other => other,
        }
    }
}

/// How far back a text that spans lines is looked for.
const WINDOW_BYTES: usize = 16 * 1024;

/// Looks for required and forbidden texts while the output goes by.
pub(super) struct Watch<'a> {
    expect: &'a Expect,
    window: String,
    has_must: bool,
    forbidden: Option<String>,
}

impl<'a> Watch<'a> {
    pub(super) fn new(expect: &'a Expect) -> Self {
        let has_must = expect.must.is_none();
        Self { expect, window: String::new(), has_must, forbidden: None }
    }

    /// Takes lines that came together, and looks at them once.
    pub(super) fn lines(&mut self, lines: &[String]) {
        for line in lines {
            self.window.push_str(line);
            self.window.push('\n');
        }
        if let (Some(must), false) = (&self.expect.must, self.has_must) {
            self.has_must = must.is_match(&self.window);
        }
        if let (Some(must_not), None) = (&self.expect.must_not, &self.forbidden) {
            let found = must_not.find(&self.window);
            self.forbidden = found.map(|found| found.as_str().to_owned());
        }
        if self.window.len() > 2 * WINDOW_BYTES {
            let cut = self.window.ceil_char_boundary(self.window.len() - WINDOW_BYTES);
            // At a line's end, so that `^` keeps its meaning.
            let cut = self.window[cut..].find('\n').map_or(self.window.len(), |end| cut + end + 1);
            self.window.drain(..cut);
        }
    }

    /// A forbidden text outweighs the code: it says more.
    pub(super) fn judge(&mut self, status: ExitStatus) -> Result<i32, Failure> {
        if let Some(found) = self.forbidden.take() {
            return Err(Failure::Says { found });
        }
        let Some(code) = status.code() else {
            return Err(Failure::Signal { signal: status.signal().unwrap_or_default() });
        };
        if !self.expect.exit.contains(&code) {
            return Err(Failure::ExitCode { code });
        }
        match &self.expect.must {
            Some(must) if !self.has_must => Err(Failure::Lacks { wanted: must.to_string() }),
            _ => Ok(code),
        }
    }
}
