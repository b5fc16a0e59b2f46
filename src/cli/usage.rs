//! What was typed cannot be understood: say what is wrong in the words of every other failure.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::context::Context;
use super::failure::{Code, Exit, Failure};
use super::snapd;

/// Shows help and versions that were asked for; everything else is a failure of kind usage.
pub(super) fn refused(
    cx: &Context<'_>,
    error: &clap::Error,
    typed: &[OsString],
) -> Result<Exit, Failure> {
    match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            cx.out.print(&error.render().to_string());
            return Ok(Exit::Ok);
        }
        _ => {}
    }
    let word = match error.get(ContextKind::InvalidSubcommand) {
        Some(ContextValue::String(word)) => Some(word.as_str()),
        _ => None,
    };
    if let Some(failure) = word.and_then(snapd::command) {
        return Err(failure);
    }
    let (message, tips) = told(error);
    let failure = Failure::new(Code::E0001, message);
    let failure = if tips.is_empty() { failure } else { failure.tip(tips.join("; ")) };
    Err(match verb_of(typed) {
        Some(verb) if word.is_none() => failure.fix(format!("snap {verb} -h")),
        _ => failure,
    })
}

/// The first line of clap's message, and its tips.
fn told(error: &clap::Error) -> (String, Vec<String>) {
    let text = error.render().to_string();
    let mut message = Vec::new();
    let mut tips = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with("Usage:") || line.starts_with("For more information") {
            break;
        } else if let Some(tip) = line.strip_prefix("tip: ") {
            tips.push(tip.to_owned());
        } else if !line.is_empty() {
            message.push(line.trim_start_matches("error: "));
        }
    }
    (message.join(" "), tips)
}

fn verb_of(typed: &[OsString]) -> Option<String> {
    let tree = super::command::tree();
    let words = typed.iter().skip(1).filter_map(|word| word.to_str());
    let mut verbs = words.filter(|word| tree.find_subcommand(word).is_some());
    verbs.next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::command::{Global, tree};
    use crate::cli::environment::Environment;

    fn refusal(line: &str) -> Failure {
        let typed: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let environment = Environment::of(&[]);
        let global = Global::default();
        let cx = Context::new(&environment, &global);
        let error = tree().try_get_matches_from(&typed).unwrap_err();
        refused(&cx, &error, &typed).unwrap_err()
    }

    #[test]
    fn a_misspelled_command_is_answered_with_the_right_one() {
        let failure = refusal("snap explian");
        assert_eq!(failure.exit, Exit::Usage);
        assert!(failure.hint().unwrap().contains("'explain'"));
    }

    #[test]
    fn a_misspelled_flag_is_answered_with_the_right_one_and_the_commands_page() {
        let failure = refusal("snap version --aap x");
        assert!(failure.message().contains("--aap"), "{}", failure.message());
        assert!(failure.hint().is_some_and(|tip| tip.contains("--app")), "{failure:?}");
        assert_eq!(failure.fixes()[0], "snap version -h");
    }

    #[test]
    fn a_command_of_snapd_is_named_as_such_and_not_run() {
        let failure = refusal("snap install firefox");
        assert_eq!(failure.code, Code::E0007);
        assert!(failure.message().contains("'install'"));
    }
}
