//! The command tree: what can be typed. What it means is in one file a verb.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{ArgAction, Args, CommandFactory, Parser, Subcommand};

use super::failure::Exit;
use super::{
    app, backup, bench, check, demo, diff, dump, explain, export, find, forget, help, history,
    import, init, key, ls, plan, prune, recover, repair, restore, rollback, show, snapshots, stats,
    tag, upgrade, version,
};

/// Point-in-time backups of web applications, and upgrades that undo themselves.
#[derive(Debug, Parser)]
#[command(
    name = "snap",
    version,
    disable_help_subcommand = true,
    override_help = help::FRONT,
    max_term_width = 80
)]
pub(super) struct Cli {
    /// What applies to every command.
    #[command(flatten)]
    pub(super) global: Global,
    /// The command; without one the first page of help is shown.
    #[command(subcommand)]
    pub(super) verb: Option<Verb>,
}

/// What applies to every command.
#[derive(Debug, Default, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch that a person types")]
#[command(next_help_heading = "Everywhere")]
pub(super) struct Global {
    /// The repository
    #[arg(short = 'r', long, value_name = "DIR", global = true, hide_short_help = true)]
    pub(super) repo: Option<PathBuf>,
    /// The app; may be given again
    #[arg(short = 'a', long, value_name = "NAME", global = true)]
    pub(super) app: Vec<String>,
    /// Only this configuration file
    #[arg(short = 'c', long, value_name = "FILE", global = true, hide_short_help = true)]
    pub(super) config: Option<PathBuf>,
    /// A file with the recovery passphrase
    #[arg(short = 'p', long, value_name = "FILE", global = true, hide_short_help = true)]
    pub(super) password_file: Option<PathBuf>,
    /// A command that prints the recovery passphrase
    #[arg(long, value_name = "CMD", global = true, hide_short_help = true)]
    pub(super) password_command: Option<String>,
    /// The machine key file
    #[arg(long, value_name = "FILE", global = true, hide_short_help = true)]
    pub(super) key_file: Option<PathBuf>,
    /// Show what would be done, and do nothing
    #[arg(short = 'n', long, global = true)]
    pub(super) dry_run: bool,
    /// Yes to moderate questions; severe ones need --confirm too
    #[arg(short = 'y', long, global = true)]
    pub(super) yes: bool,
    /// The name that a severe question asks to type
    #[arg(long, value_name = "NAME", global = true, hide_short_help = true)]
    pub(super) confirm: Option<String>,
    /// Refuse instead of asking
    #[arg(long, global = true, hide_short_help = true)]
    pub(super) no_input: bool,
    /// One ordered JSON stream on stdout, errors too
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Only warnings, errors and the verdict
    #[arg(short = 'q', long, global = true, conflicts_with = "verbose", hide_short_help = true)]
    pub(super) quiet: bool,
    /// A line for each file
    #[arg(short = 'v', long, global = true, action = ArgAction::Count, hide_short_help = true)]
    pub(super) verbose: u8,
    /// When to colour
    #[arg(long, value_name = "WHEN", value_parser = ["auto", "always", "never"], global = true, hide_short_help = true)]
    pub(super) color: Option<String>,
    /// No colour
    #[arg(long, global = true, hide_short_help = true)]
    pub(super) no_color: bool,
    /// Only ASCII glyphs; automatic when the locale is not UTF-8
    #[arg(long, global = true, hide_short_help = true)]
    pub(super) ascii: bool,
    /// How many threads work; as many as cores if not given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024), global = true, hide_short_help = true)]
    pub(super) threads: Option<u16>,
}

/// Every command there is.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// A new repository, always encrypted
    Init(init::Args),
    /// An application, or paths and databases, as one snapshot
    Backup(backup::Args),
    /// What there is to go back to
    #[command(alias = "list")]
    Snapshots(snapshots::Args),
    /// What a snapshot holds
    Ls(ls::Args),
    /// Which snapshots hold a file, and in which versions
    Find(find::Args),
    /// One file of a snapshot, to stdout
    #[command(alias = "cat")]
    Dump(dump::Args),
    /// Which applications there are, and what is known of each
    App {
        /// What to do with applications.
        #[command(subcommand)]
        verb: app::Verb,
    },
    /// A snapshot as a tar archive that needs no snap
    Export(export::Args),
    /// A tar archive as a snapshot
    Import(import::Args),
    /// What differs between two snapshots, or between one and the disk
    Diff(diff::Args),
    /// A snapshot, or a part of it, back onto disk
    Restore(restore::Args),
    /// Words, notes and pins of snapshots
    Tag {
        /// What to say of a snapshot.
        #[command(subcommand)]
        verb: tag::Verb,
    },
    /// Which snapshots stay; the others can be pruned
    Forget(forget::Args),
    /// Make room: what no snapshot needs any more goes
    Prune(prune::Args),
    /// Look for damage
    #[command(alias = "verify")]
    Check(check::Args),
    /// What snapshots hold, what that costs, and what nobody needs
    Stats(stats::Args),
    /// Make something whole again from what is there; only said, without --yes
    Repair {
        /// What to mend.
        #[command(subcommand)]
        verb: repair::Verb,
    },
    /// Who can open the repository
    Key {
        /// What to do with the keys.
        #[command(subcommand)]
        verb: key::Verb,
    },
    /// What an upgrade would do; it changes nothing
    Plan(plan::Args),
    /// Bring an application to another release; undo it if anything fails
    Upgrade(upgrade::Args),
    /// Take a finished transaction back
    Rollback(rollback::Args),
    /// Settle transactions that were cut off
    Recover(recover::Args),
    /// What was done to the applications of this machine
    #[command(alias = "log")]
    History(history::Args),
    /// One transaction in full
    Show(show::Args),
    /// How fast this machine backs up and restores, and how fast it could
    Bench(bench::Args),
    /// The whole story on a throw-away application
    Demo(demo::Args),
    /// Help on a command or a topic
    Help(help::Args),
    /// What an error code means, and what to do
    Explain(explain::Args),
    /// The version, and what was built in
    Version(version::Args),
}

/// What a command's help says beside its flags.
#[derive(Clone, Copy, Debug)]
pub(super) struct About {
    /// As typed; a verb of a group as `key add`.
    pub(super) name: &'static str,
    /// Lines to paste.
    pub(super) examples: &'static str,
    /// How it may end, beside 0, 1, 2, 70 and signals.
    pub(super) exits: &'static [Exit],
}

/// What every command's help says beside its flags, in the order of the front page.
pub(super) const ABOUT: &[About] = &[
    init::ABOUT,
    backup::ABOUT,
    snapshots::ABOUT,
    ls::ABOUT,
    find::ABOUT,
    dump::ABOUT,
    app::DETECT,
    app::ADD,
    app::LIST,
    app::SHOW,
    diff::ABOUT,
    restore::ABOUT,
    export::ABOUT,
    import::ABOUT,
    tag::ADD,
    tag::REMOVE,
    tag::NOTE,
    tag::PIN,
    tag::UNPIN,
    forget::ABOUT,
    prune::ABOUT,
    check::ABOUT,
    stats::ABOUT,
    repair::INDEX,
    repair::PACKS,
    repair::SNAPSHOTS,
    key::LIST,
    key::ADD,
    key::REMOVE,
    key::EXPORT,
    plan::ABOUT,
    upgrade::ABOUT,
    rollback::ABOUT,
    recover::ABOUT,
    history::ABOUT,
    show::ABOUT,
    bench::ABOUT,
    demo::ABOUT,
    help::ABOUT,
    explain::ABOUT,
    version::ABOUT,
];

const TEMPLATE: &str =
    "{about-with-newline}\n{before-help}{usage-heading} {usage}\n\n{all-args}{after-help}";

/// The command tree, with each command's examples and exit codes in its help.
pub(super) fn tree() -> clap::Command {
    let mut tree = Cli::command();
    for about in ABOUT {
        let mut path = about.name.split(' ');
        let first = path.next().expect("a split has a first part");
        tree = tree.mut_subcommand(first, |verb| match path.next() {
            None => dressed(verb, about),
            Some(second) => {
                verb.help_template(TEMPLATE).mut_subcommand(second, |verb| dressed(verb, about))
            }
        });
    }
    tree
}

fn dressed(verb: clap::Command, about: &About) -> clap::Command {
    let mut examples = String::from("Examples:\n");
    for line in about.examples.lines() {
        let _ = writeln!(examples, "  {line}");
    }
    let common = [Exit::Ok, Exit::Error, Exit::Usage];
    let mut exits = String::from("Exit codes:\n");
    for exit in common.iter().chain(about.exits) {
        let _ = writeln!(exits, "  {:>3}  {}", exit.code(), exit.name());
    }
    exits.push_str("  (all of them: snap help exit-codes)");
    verb.help_template(TEMPLATE)
        .before_help(examples)
        .after_long_help(exits)
        .disable_help_subcommand(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every command that can be run, as typed.
    fn leaves(command: &clap::Command, prefix: &str, out: &mut Vec<String>) {
        for verb in command.get_subcommands() {
            let name = format!("{prefix}{}", verb.get_name());
            if verb.has_subcommands() {
                leaves(verb, &format!("{name} "), out);
            } else if !verb.is_hide_set() {
                out.push(name);
            }
        }
    }

    #[test]
    fn the_tree_is_well_formed() {
        tree().debug_assert();
    }

    #[test]
    fn every_verb_has_examples_that_parse() {
        let mut names = Vec::new();
        leaves(&tree(), "", &mut names);
        for name in names {
            let about = ABOUT.iter().find(|about| about.name == name);
            let about = about.unwrap_or_else(|| panic!("{name} has no examples"));
            for line in about.examples.lines() {
                assert!(help::parses(line), "example of {name} does not parse: {line}");
            }
        }
    }

    #[test]
    fn every_fix_parses() {
        for code in super::super::failure::Code::ALL {
            for fix in code.page().fixes {
                let mut line = (*fix).replace("{repo}", "-r /srv/backup ");
                for (blank, value) in
                    [("{app}", "wiki"), ("{snapshot}", "latest"), ("{txn}", "T17")]
                {
                    line = line.replace(blank, value);
                }
                assert!(help::parses(&line), "fix of {code:?} does not parse: {line}");
            }
        }
    }
}
