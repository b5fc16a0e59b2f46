//! `snap help`: the first page, a command's page, and topics that need nothing set up.

use std::fmt::Write as _;

use super::command::{self, About};
use super::context::Context;
use super::environment;
use super::failure::{Code, Exit, Failure};
use super::suggest;

/// What `snap`, `snap -h` and `snap help` show.
pub(super) const FRONT: &str = include_str!("help/front.txt");

pub(super) const ABOUT: About = About {
    name: "help",
    examples: "snap help upgrade\nsnap help exit-codes\nsnap help disaster",
    exits: &[],
};

/// What to show.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A command or a topic; without one the first page
    #[arg(value_name = "TOPIC")]
    topic: Vec<String>,
}

const TOPICS: &[(&str, &str)] = &[
    ("guarantees", include_str!("help/guarantees.txt")),
    ("disaster", include_str!("help/disaster.txt")),
    ("retention", include_str!("help/retention.txt")),
];

/// Shows the page. Needs no configuration, repository or home.
pub(super) fn run(cx: &Context<'_>, args: &Args) -> Result<Exit, Failure> {
    let page = page(&args.topic.join(" "))?;
    cx.out.print(&page);
    Ok(Exit::Ok)
}

fn page(topic: &str) -> Result<String, Failure> {
    match topic {
        "" => return Ok(FRONT.to_owned()),
        "exit-codes" => return Ok(exit_codes()),
        "environment" => return Ok(variables()),
        _ => {}
    }
    if let Some((_, text)) = TOPICS.iter().find(|(name, _)| *name == topic) {
        return Ok((*text).to_owned());
    }
    let mut tree = command::tree();
    tree.build();
    let mut found = &mut tree;
    for part in topic.split(' ') {
        match found.find_subcommand_mut(part) {
            Some(verb) if !verb.is_hide_set() => found = verb,
            _ => return Err(unknown(topic)),
        }
    }
    Ok(found.render_long_help().to_string())
}

fn unknown(topic: &str) -> Failure {
    let tree = command::tree();
    let verbs = tree.get_subcommands().filter(|verb| !verb.is_hide_set());
    let topics = TOPICS.iter().map(|(name, _)| *name).chain(["exit-codes", "environment"]);
    let known = verbs.map(clap::Command::get_name).chain(topics);
    let failure = Failure::new(Code::E0001, format!("no help on '{topic}'"));
    match suggest::nearest(topic, known) {
        Some(word) => failure.tip(format!("did you mean 'snap help {word}'?")),
        None => failure,
    }
}

fn exit_codes() -> String {
    let mut out = String::from(
        "The exit code says which state the site is in, not what went wrong.\n\
         An unknown code other than 0 is a failure.\n\n",
    );
    for exit in Exit::ALL {
        let head = format!("{:>4}  {:<12} ", exit.code(), exit.name());
        let lines = super::text::wrap(exit.meaning(), 80 - head.len());
        let gap = format!("\n{}", " ".repeat(head.len()));
        let _ = writeln!(out, "{head}{}", lines.join(&gap));
    }
    out.push_str(
        "\nAfter the first change to an app only its state counts: 0 or 3 (new), 20 or\n\
         128+N (as it was), 21, 24. A lost database or a full disk is then 20, with its\n\
         own error code. `snap recover` exits 0 once all is settled, either way.\n",
    );
    out
}

fn variables() -> String {
    let mut out = String::from("What is read from the environment; a flag beats it.\n\n");
    for (name, meaning) in environment::READ {
        let _ = writeln!(out, "  {name:<26} {meaning}");
    }
    out.push_str("\nNo secret is ever a flag's value, and none is passed to a child process.\n");
    out
}

/// Whether a line as a person would paste it is a command of this tree.
#[cfg(test)]
pub(super) fn parses(line: &str) -> bool {
    // A remark may follow after two blanks.
    let typed = line.split("  ").next().unwrap_or_default();
    let words = typed.trim_start_matches("sudo ").split_whitespace();
    let words: Vec<&str> = words.map(|word| word.trim_matches('\'')).collect();
    let parsed = command::tree().try_get_matches_from(&words);
    words.first() == Some(&"snap") && parsed.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_page_fits_a_terminal_and_names_only_what_exists() {
        let lines: Vec<&str> = FRONT.lines().collect();
        assert!(lines.len() <= 40 && lines.iter().all(|line| line.chars().count() <= 80));
        for line in lines.iter().filter(|line| line.starts_with("  snap ")) {
            assert!(parses(line.trim()), "{line}");
        }
        let tree = command::tree();
        for verb in tree.get_subcommands().filter(|verb| !verb.is_hide_set()) {
            let name = verb.get_name();
            assert!(FRONT.split_whitespace().any(|word| word == name), "{name} is not on it");
        }
        let listed = lines.iter().filter(|line| {
            ["backup ", "upgrade ", "care ", "apps ", "help "]
                .iter()
                .any(|head| line.starts_with(head))
        });
        for word in listed.flat_map(|line| line.split_whitespace().skip(1)) {
            let known = tree.find_subcommand(word).is_some() || word.starts_with('<');
            assert!(known, "the first page names '{word}', which does not exist");
        }
    }

    #[test]
    fn every_page_is_at_most_80_columns_wide() {
        let tree = command::tree();
        let verbs = tree.get_subcommands().filter(|verb| !verb.is_hide_set());
        let topics = TOPICS.iter().map(|(name, _)| *name).chain(["exit-codes", "environment"]);
        for topic in verbs.map(clap::Command::get_name).chain(topics) {
            for line in page(topic).unwrap().lines() {
                assert!(line.chars().count() <= 80, "help {topic}: {line}");
            }
        }
    }

    #[test]
    fn the_table_of_exit_codes_is_the_one_in_the_code() {
        let page = exit_codes();
        for exit in Exit::ALL {
            let row = page.lines().find(|line| {
                line.split_whitespace().next() == Some(exit.code().to_string().as_str())
            });
            assert!(row.is_some_and(|row| row.contains(exit.name())), "{exit:?}");
        }
    }

    #[test]
    fn an_unknown_topic_is_answered_with_the_nearest() {
        let failure = page("exit-code").unwrap_err();
        assert_eq!(failure.hint(), Some("did you mean 'snap help exit-codes'?"));
    }
}
