//! Questions before a change. Without a terminal nothing is asked, and nothing ever waits.

use std::io::BufRead;

use super::context::Context;
use super::failure::{Code, Failure};

/// How much a wrong yes would cost.
#[derive(Clone, Copy, Debug)]
pub(super) enum Risk<'a> {
    /// `--yes` answers it.
    Moderate,
    /// The name must be typed, or given by `--confirm`.
    Severe {
        /// The app's name, or the last part of the repository's path.
        name: &'a str,
    },
}

/// Returns if the answer is yes. `doing` completes "refusing to …"; the default answer is no.
pub(super) fn sure(
    cx: &Context<'_>,
    risk: Risk<'_>,
    doing: &str,
    question: &str,
) -> Result<(), Failure> {
    match risk {
        Risk::Moderate if cx.global.yes => return Ok(()),
        Risk::Severe { name } if cx.global.yes && cx.global.confirm.is_some() => {
            return confirmed(cx, name, doing);
        }
        Risk::Moderate | Risk::Severe { .. } => {}
    }
    if !cx.can_ask() {
        let add = match risk {
            Risk::Moderate => "--yes".to_owned(),
            Risk::Severe { name } => format!("--yes --confirm {name}"),
        };
        let message = format!("refusing to {doing} without a terminal to ask on; add {add}");
        return Err(Failure::new(Code::E0005, message));
    }
    match risk {
        Risk::Moderate => {
            let answer = ask(cx, &format!("{question} [y/N] "));
            if matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes") { Ok(()) } else { no() }
        }
        Risk::Severe { name } => {
            let answer = ask(cx, &format!("{question}\nType {name} to go on: "));
            if answer == name { Ok(()) } else { no() }
        }
    }
}

fn confirmed(cx: &Context<'_>, name: &str, doing: &str) -> Result<(), Failure> {
    match cx.global.confirm.as_deref() {
        Some(typed) if typed == name => Ok(()),
        typed => {
            let typed = typed.unwrap_or_default();
            let message = format!("refusing to {doing}: --confirm says '{typed}', not '{name}'");
            Err(Failure::new(Code::E0005, message))
        }
    }
}

fn no() -> Result<(), Failure> {
    Err(Failure::new(Code::E0006, "the answer was no"))
}

/// One line; Ctrl-D is an empty one, and so a no.
fn ask(cx: &Context<'_>, question: &str) -> String {
    cx.out.insist(question);
    let mut line = String::new();
    // What cannot be read is no answer, and no answer is a no.
    let _ = std::io::stdin().lock().read_line(&mut line);
    line.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::command::Global;
    use crate::cli::environment::Environment;

    #[test]
    fn nothing_is_asked_without_a_terminal() {
        let environment = Environment::of(&[]);
        let global = Global::default();
        let cx = Context::new(&environment, &global);
        let failure = sure(&cx, Risk::Moderate, "upgrade wiki", "Upgrade?").unwrap_err();
        assert_eq!(failure.exit.code(), 5);
        assert!(failure.message().ends_with("add --yes"));
    }

    #[test]
    fn a_severe_question_wants_the_name_also_from_a_script() {
        let environment = Environment::of(&[]);
        let severe = Risk::Severe { name: "wiki" };
        for (yes, confirm, fine) in [
            (true, Some("wiki"), true),
            (true, Some("wik"), false),
            (true, None, false),
            (false, Some("wiki"), false),
        ] {
            let global = Global { yes, confirm: confirm.map(Into::into), ..Global::default() };
            let cx = Context::new(&environment, &global);
            assert_eq!(sure(&cx, severe, "roll back wiki", "Back?").is_ok(), fine);
        }
    }
}
