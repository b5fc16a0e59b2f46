//! `snap show T17`: one transaction in full.

use std::path::Path;

use crate::upgrade;
use crate::upgrade::Number;

use super::command::About;
use super::context::Context;
use super::failure::{Code, Exit, Failure};
use super::output::Level;
use super::screens::{plan, told};
use super::text;

pub(super) const ABOUT: About = About {
    name: "show",
    examples: "snap show T17\nsnap show T17 --step 8\nsnap show T17 --plan\nsnap show T17 --json",
    exits: &[Exit::NeedsHands],
};

/// Which, and what of it.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// As the history shows it; the newest if none is given
    #[arg(value_name = "TXN")]
    txn: Option<String>,
    /// What the commands of step N printed
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=12))]
    step: Option<u8>,
    /// The plan that it carried out
    #[arg(long)]
    plan: bool,
    /// Each file that the plan changes
    #[arg(long)]
    files: bool,
}

/// Shows it.
pub(super) fn run(cx: &Context<'_>, args: &Args) -> Result<Exit, Failure> {
    let state = cx.directories.state()?;
    let number = match &args.txn {
        Some(typed) => number(typed)?,
        None => newest(cx)?,
    };
    let one = upgrade::show(state, number)?;
    if let Some(step) = args.step {
        return transcript(cx, &state.join(number.to_string()), number, step);
    }
    cx.out.message("transaction", Level::Info, &number.to_string(), told::json(&one));
    let shown = one.plan.as_ref().filter(|_| args.plan || args.files);
    if let Some(shown) = shown {
        cx.out.print(&plan::text(shown, args.files));
        cx.out.message("plan", Level::Info, &shown.what(), plan::json(shown));
        return Ok(Exit::Ok);
    }
    cx.out.print(&told::page(&one));
    Ok(Exit::Ok)
}

/// What was kept of the words of a step's children.
fn transcript(cx: &Context<'_>, dir: &Path, number: Number, step: u8) -> Result<Exit, Failure> {
    let file = dir.join(format!("step-{step}.log"));
    let text = std::fs::read(&file).map_err(|error| {
        let message = format!("step {step} of {number} has left no transcript");
        Failure::new(Code::E0407, message)
            .because(error.to_string())
            .fix(format!("snap show {number}"))
    })?;
    let text = String::from_utf8_lossy(&text);
    cx.out.print(&text);
    let fields = serde_json::json!({ "step": step, "file": text::path(&file), "text": text });
    cx.out.message("transcript", Level::Info, &format!("step {step} of {number}"), fields);
    Ok(Exit::Ok)
}

/// A transaction as people write it: `T17` or `t17`; a bare number is refused, for snapd's
/// commands take those.
pub(super) fn number(typed: &str) -> Result<Number, Failure> {
    Number::parse(&typed.to_ascii_uppercase()).ok_or_else(|| {
        let failure = Failure::new(Code::E0001, format!("'{typed}' is not a transaction"));
        match typed.parse::<u32>() {
            Ok(bare) => failure.tip(format!("did you mean T{bare}?")),
            Err(_) => failure.tip("transactions are written with their T: T17"),
        }
    })
}

fn newest(cx: &Context<'_>) -> Result<Number, Failure> {
    let all = upgrade::history(cx.directories.state()?)?;
    let apps = cx.apps();
    let mut fits = all.iter().filter(|told| apps.is_empty() || apps.contains(&told.header.app));
    let newest = fits.next().map(|told| told.header.number);
    newest.ok_or_else(|| Failure::new(Code::E0407, "no transaction has been made yet"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_is_written_with_its_letter() {
        assert_eq!(number("t17").unwrap(), Number(17));
        assert_eq!(number("17").unwrap_err().hint(), Some("did you mean T17?"));
    }
}
