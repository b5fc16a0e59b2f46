//! What is said when something fails: code, cause, state, fix; and how the run then exits.
//!
//! The library's errors say what happened and where; only this module knows what they mean for
//! the site and what a person should type next.

mod catalogue;
mod exit;
mod known;

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::io;
use std::path::Path;

pub use catalogue::{Code, Page};
pub use exit::Exit;
pub(crate) use known::{Known, io_code, refusal_code};

use super::text;

/// A failed run, ready to be shown.
#[derive(Debug)]
pub struct Failure {
    /// What it is called.
    pub code: Code,
    /// How the run ends: the state of the site, which may outrank the code's own exit.
    pub exit: Exit,
    told: Box<Told>,
}

/// The words; apart, so that a result stays small.
#[derive(Debug)]
struct Told {
    message: String,
    causes: Vec<String>,
    tip: Option<String>,
    state: Option<String>,
    blanks: BTreeMap<&'static str, String>,
    more_fixes: Vec<String>,
}

impl Failure {
    /// A failure that this module's callers found themselves.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        let told = Told {
            message: message.into(),
            causes: Vec::new(),
            tip: None,
            state: None,
            blanks: BTreeMap::new(),
            more_fixes: Vec::new(),
        };
        Self { code, exit: code.page().exit, told: Box::new(told) }
    }

    /// What failed, in one line.
    pub fn message(&self) -> &str {
        &self.told.message
    }

    /// Why, outermost first; each link is said once.
    pub fn causes(&self) -> &[String] {
        &self.told.causes
    }

    /// A word that may have been meant, or what is known.
    pub fn hint(&self) -> Option<&str> {
        self.told.tip.as_deref()
    }

    /// What could not be done to a file or a directory; `doing` is said after "cannot".
    pub fn cannot(doing: &str, path: &Path) -> impl Fn(io::Error) -> Self + Copy {
        move |error| {
            let message = format!("cannot {doing} {}", text::path(path));
            Self::new(io_code(&error), message).because(error.to_string())
        }
    }

    /// A failure of the library: its own words, and its sources as causes.
    pub fn of(code: Code, error: &dyn Error) -> Self {
        let mut failure = Self::new(code, error.to_string());
        let mut source = error.source();
        let mut said = failure.told.message.clone();
        while let Some(link) = source {
            let words = link.to_string();
            // Some foreign errors repeat their source in their own text.
            if !said.contains(&words) {
                failure.told.causes.push(words.clone());
            }
            said = words;
            source = link.source();
        }
        failure
    }

    /// Adds a cause below those known.
    #[must_use]
    pub fn because(mut self, cause: impl Into<String>) -> Self {
        self.told.causes.push(cause.into());
        self
    }

    /// Ends the run with the state of the site rather than with the code's own exit.
    #[must_use]
    pub fn ending(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    /// Says how things stand, where the exit's own words are too general.
    #[must_use]
    pub fn state(mut self, state: impl Into<String>) -> Self {
        self.told.state = Some(state.into());
        self
    }

    /// Fills a blank of the fixes.
    #[must_use]
    pub fn with(mut self, blank: &'static str, value: impl Into<String>) -> Self {
        self.told.blanks.entry(blank).or_insert(value.into());
        self
    }

    /// Adds a line to type, before those of the table.
    #[must_use]
    pub fn fix(mut self, line: impl Into<String>) -> Self {
        self.told.more_fixes.push(line.into());
        self
    }

    /// Adds a guess at what was meant.
    #[must_use]
    pub fn tip(mut self, tip: impl Into<String>) -> Self {
        self.told.tip = Some(tip.into());
        self
    }

    /// How things stand now.
    pub fn state_line(&self) -> &str {
        self.told.state.as_deref().unwrap_or(self.exit.state())
    }

    /// At most three lines to paste; those whose blanks are not all known are left out.
    pub fn fixes(&self) -> Vec<String> {
        let table = self.code.page().fixes.iter().filter_map(|fix| fill(fix, &self.told.blanks));
        self.told.more_fixes.iter().cloned().chain(table).take(3).collect()
    }

    /// The lines for a person, at most `columns` wide where words allow it.
    pub fn render(&self, columns: usize) -> String {
        let head = format!("error[{}]: {}", self.code.page().name, self.told.message);
        let mut out = text::Ink::Bad.on(text::wrap(&head, columns).join("\n  ")) + "\n";
        for cause in &self.told.causes {
            push_part(&mut out, "cause:", cause, columns);
        }
        if let Some(tip) = &self.told.tip {
            push_part(&mut out, "tip:", tip, columns);
        }
        push_part(&mut out, "state:", self.state_line(), columns);
        for (index, fix) in self.fixes().iter().enumerate() {
            let label = if index == 0 { "fix:" } else { "" };
            let _ = writeln!(out, "  {label:>6} {fix}");
        }
        push_part(&mut out, "more:", &format!("snap explain {}", self.code.page().name), columns);
        out
    }
}

fn push_part(out: &mut String, label: &str, words: &str, columns: usize) {
    for (index, line) in text::wrap(words, columns.saturating_sub(9)).iter().enumerate() {
        let label = if index == 0 { label } else { "" };
        let _ = writeln!(out, "  {label:>6} {line}");
    }
}

/// `None` if a blank of `template` has no value.
fn fill(template: &str, blanks: &BTreeMap<&'static str, String>) -> Option<String> {
    let mut filled = template.to_owned();
    for (blank, value) in blanks {
        filled = filled.replace(&format!("{{{blank}}}"), value);
    }
    // The repository needs no flag if it is the configured one.
    filled = filled.replace("{repo}", "");
    (!filled.contains('{')).then_some(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read the record")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn a_cause_is_said_once() {
        let failure = Failure::of(Code::E0601, &Outer(std::io::Error::other("disk on fire")));
        assert_eq!(failure.told.message, "cannot read the record");
        assert_eq!(failure.told.causes, ["disk on fire"]);
    }

    #[test]
    fn a_failure_shows_code_cause_state_and_fix() {
        let failure = Failure::new(Code::E0110, "no repository at /srv/backup")
            .because("/srv/backup/config does not exist")
            .with("repo", "-r /srv/backup ");
        let shown = text::Style { color: false, ascii: true }.render(&failure.render(80));
        assert_eq!(
            shown,
            "error[E0110]: no repository at /srv/backup\n\
             \x20 cause: /srv/backup/config does not exist\n\
             \x20 state: nothing was changed\n\
             \x20   fix: snap -r /srv/backup init\n\
             \x20  more: snap explain E0110\n"
        );
    }

    #[test]
    fn a_fix_with_an_unknown_blank_is_not_shown() {
        assert_eq!(Failure::new(Code::E0403, "no").fixes(), [""; 0]);
        assert_eq!(
            Failure::new(Code::E0403, "no").with("app", "wiki").fixes(),
            ["snap plan --app wiki"]
        );
    }
}
