//! The closed table of errors: each with its exit code, its title, what to know and what to type.
//!
//! A code is never used again for something else, and never renumbered. Families: E00 usage and
//! configuration, E01 repository, E02 snapshots, E03 applications, E04 transactions, E05 releases,
//! E06 files and the operating system, E07 databases, E09 bugs.

use super::exit::Exit;

/// What the table says about one code.
#[derive(Debug)]
pub struct Page {
    /// As printed: `E0110`.
    pub name: &'static str,
    /// How a run that ends with it exits, unless the site's state says otherwise.
    pub exit: Exit,
    /// One line.
    pub title: &'static str,
    /// What `snap explain` adds: how it comes about, and what to do.
    pub explain: &'static str,
    /// Commands to paste, with `{app}` and the like filled in. A line whose blanks are not all
    /// known is left out.
    pub fixes: &'static [&'static str],
}

macro_rules! catalogue {
    ($($name:ident, $exit:ident, $title:literal, [$($fix:literal),*], $explain:literal;)+) => {
        /// Every error that can be printed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code { $(#[doc = $title] $name,)+ }

        impl Code {
            /// Every code, in order.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// What the table says about it.
            pub const fn page(self) -> &'static Page {
                match self {
                    $(Self::$name => &Page {
                        name: stringify!($name),
                        exit: Exit::$exit,
                        title: $title,
                        explain: $explain,
                        fixes: &[$($fix),*],
                    },)+
                }
            }
        }
    };
}

catalogue! {
    E0001, Usage, "the command line is wrong", ["snap help"],
        "The flags, the arguments or the command are not known, or do not go together. \
         `snap help COMMAND` shows three examples first.";
    E0002, Usage, "a configuration file is wrong", [],
        "Every key in config.toml is known or refused: a misspelled key that was silently ignored \
         would be a backup that silently does not run. The message names file, line and column.";
    E0003, Usage, "a file with secrets or commands may be changed by others", [],
        "What is read from such a file is run, or opens the repository. It must belong to you or \
         to root, and nobody else may write it; a file with a secret may not be readable by others \
         either (chmod 600).";
    E0004, Usage, "no directory for configuration or state", [],
        "Neither HOME nor the account's home directory is known. SNAP_CONFIG_DIR, SNAP_STATE_DIR \
         and SNAP_CACHE_DIR say where to keep things instead.";
    E0005, Cancelled, "a question was needed and none could be asked", [],
        "Without a terminal nothing is asked, so that no unattended run ever waits. --yes answers \
         moderate questions; severe ones want --yes and --confirm NAME.";
    E0006, Cancelled, "the answer was no", [],
        "Nothing was started.";
    E0007, Usage, "this is a command of Ubuntu's snapd", ["snap help"],
        "Two programs are called snap. This one backs up and upgrades web applications; snapd \
         installs packages and lies at /usr/bin/snap. Ours never runs the other.";
    E0009, Usage, "an environment variable is wrong", ["snap help environment"],
        "`snap help environment` lists the variables that are read.";
    E0110, NoRepo, "no repository there", ["snap {repo}init"],
        "The directory holds no repository of ours. Check the path, or make one with `snap init`.";
    E0111, Error, "a repository is there already", ["snap {repo}snapshots"],
        "`snap init` never touches an existing repository; with --if-missing it is then done.";
    E0112, NoRepo, "no repository is named", ["snap help environment"],
        "Name it with -r DIR, with SNAP_REPOSITORY, or in config.toml as location in the section \
         [repository].";
    E0113, Error, "the repository cannot be made there", [],
        "The place for a new repository must be an empty directory, or not exist yet. What an init left \
         that was cut short is taken, while it holds no data.";
    E0120, Password, "passphrase or key does not open the repository", [],
        "Every key slot was tried. A machine key file fits only the repository that made it.";
    E0121, Password, "no passphrase and no key at hand", ["snap help environment"],
        "Unattended runs use the machine key file in the configuration directory, or --key-file; \
         by hand the recovery passphrase is asked for, or read from --password-file, \
         SNAP_PASSWORD_FILE, SNAP_PASSWORD_COMMAND or SNAP_PASSWORD_FD.";
    E0122, Password, "a key file cannot be used", [],
        "It is missing, not a key file of ours, or others may read it (chmod 600).";
    E0123, Error, "the last way back must stay", ["snap {repo}key list"],
        "A repository without any recovery passphrase or exported key dies with the machine. Add \
         another slot first, then remove this one.";
    E0124, Error, "no such key slot", ["snap {repo}key list"],
        "`snap key list` shows the slots by their id.";
    E0125, Usage, "no way back that survives this machine", [],
        "The machine key lies on this machine. `snap init` wants a recovery passphrase too, or \
         --export-key FILE, or a plain --no-recovery.";
    E0130, Damaged, "the repository is damaged", ["snap {repo}check --read-data"],
        "Something read from the repository is not what was written. Nothing wrong is ever \
         restored: every piece is proved by its hash. `snap check --read-data` lists what is \
         affected; `snap restore --partial` brings back the rest. `snap repair packs` refills what \
         still lies unchanged on this machine, `snap repair snapshots` lets go of what is lost.";
    E0131, Error, "the repository needs a newer snap", [],
        "It was written with features that this version does not know. Reading on would be a guess.";
    E0132, Damaged, "the index is damaged or incomplete", ["snap {repo}repair index"],
        "The index can be rebuilt from the packs, which hold all there is to know.";
    E0140, Locked, "the repository is locked", [],
        "Another process holds it; the message says which. A lock dies with its holder.";
    E0141, Error, "the run lost its lease", [],
        "It was stopped for so long that another run may have treated what it wrote as garbage. \
         Nothing was committed; run it again.";
    E0150, Backend, "the repository cannot be read or written", [],
        "The storage refused. Nothing is half written: a snapshot exists only once its record does.";
    E0151, Backend, "the repository is not on a local file system", [],
        "An upgrade's way back must not hang on a network. Keep the repository of upgrades on a \
         local disk.";
    E0152, Backend, "this kind of storage is not supported", [],
        "This version keeps repositories in directories: on a local disk, or on a mounted one for \
         backups.";
    E0160, Space, "not enough space", [],
        "Found before anything was changed. Make room and run it again.";
    E0201, Error, "no such snapshot", ["snap {repo}snapshots"],
        "A snapshot is named by latest, latest~2, latest@APP or the first hex digits of its id.";
    E0202, Error, "more than one snapshot begins like this", ["snap {repo}snapshots"],
        "Give more digits.";
    E0203, Error, "no such path in the snapshot", ["snap {repo}ls {snapshot}"],
        "A path is given after a colon: latest:/var/www/app/config.php.";
    E0204, Partial, "not everything could be read", [],
        "The snapshot exists and is marked partial; the unreadable files were named. No upgrade \
         builds on it.";
    E0205, Error, "the target is not empty", [],
        "A restore to a target never writes over what is there. Choose an empty directory, or \
         restore in place.";
    E0206, Damaged, "what was restored is not what was saved", [],
        "The result was read again and its digest differs. Something else writes there, or the \
         disk lies.";
    E0207, Error, "what is on disk changed meanwhile", [],
        "A file is not what it was when the work was planned. Nothing was written over it.";
    E0208, Damaged, "a stored record cannot be read", ["snap {repo}check"],
        "A snapshot's record or directory object does not decode.";
    E0209, Usage, "this cannot be restored so", [],
        "`snap help restore` shows what goes together.";
    E0210, Error, "this snapshot must stay as it is", ["snap {repo}snapshots --class all"],
        "It is pinned (`snap tag unpin` lets policies decide again), or a transaction stands on it.";
    E0211, Source, "the archive cannot be taken in", [],
        "It is no tar archive, ends early, or holds an entry that climbs out of its directory or is \
         of a kind that is not known. Nothing was stored under a snapshot.";
    E0301, NoApp, "no application of this name", ["snap app list"],
        "`snap app detect` finds applications, `snap app add` makes one known.";
    E0302, NoApp, "more than one application or layout fits", ["snap app list"],
        "Name one with --app.";
    E0303, Usage, "a profile is wrong", [],
        "A profile is a TOML file in apps.d. The message names file, line and column, and the \
         nearest valid key.";
    E0304, Preflight, "the application's configuration cannot be read for sure", [],
        "Only literal values are read. Anything computed would be a guess: give it in \
         apps.d/NAME.toml instead.";
    E0305, Preflight, "the installation is not what the profile describes", ["snap app show {app}"],
        "The files by which the application is known are missing or differ.";
    E0306, Error, "the application is known already", ["snap app show {app}"],
        "Its file lies in apps.d of the configuration directory.";
    E0307, Preflight, "the application cannot be shut or opened", [],
        "The maintenance kind of its profile did not work. Nothing was changed.";
    E0308, Preflight, "the application's version cannot be told", ["snap app show {app}"],
        "The profile's version rule finds nothing in the installed files.";
    E0309, Preflight, "the application's commands cannot run as they should", [],
        "They run as the account that owns the application, never as root; only root can become \
         another account. Run snap as root, or as that account.";
    E0401, OpenTxn, "an unfinished transaction exists", ["snap recover", "snap history"],
        "An upgrade was cut off. `snap recover` ends it: back before its commit, forward after.";
    E0402, Locked, "the application is being worked on", [],
        "Another run of snap, perhaps another user's, holds its lock; the message says which. The \
         lock dies with its holder.";
    E0403, Preflight, "refused before any change", ["snap plan --app {app}"],
        "All that stands against it is listed at once.";
    E0404, StalePlan, "the saved plan no longer fits", ["snap plan --app {app} -o FILE"],
        "A file that the release or your configuration owns, the release, the profile or the \
         database's definitions changed since. Make a new plan and look at it.";
    E0405, Preflight, "something still writes", [],
        "While the application should have been quiet, a file or a table changed. Stop what writes \
         (a queue worker, cron, a person), or give a maintenance kind in apps.d.";
    E0406, Preflight, "the files are not what the plan saw", ["snap plan --app {app}"],
        "A verdict on the safety snapshot differs from the plan's. Nothing was changed.";
    E0407, Error, "no such transaction", ["snap history"],
        "Transactions are written with their T: T17.";
    E0408, Preflight, "this transaction cannot be rolled back", ["snap show {txn}"],
        "Only a finished one whose safety snapshot is still kept can be.";
    E0409, Preflight, "the safety snapshot cannot be trusted", [],
        "It was taken but did not read back whole. Without a way back nothing is changed.";
    E0410, RolledBack, "the upgrade failed", ["snap show {txn}"],
        "A step failed and everything was put back; digests and fingerprints were compared.";
    E0411, Preflight, "a core file was edited by hand", ["snap plan --app {app}"],
        "The release changes or drops a file that was edited here, or whose origin is not known. \
         --keep PATH keeps yours, --take PATH takes the release's (yours stays in the safety \
         snapshot), --base gives the pristine old release to compare with.";
    E0412, RolledBack, "the migration failed", ["snap show {txn} --step 8"],
        "The application's own migration failed. `snap show` has its output.";
    E0413, RolledBack, "a probe that passed before fails now", ["snap show {txn}"],
        "Success is judged by probes, compared with what they said before the upgrade.";
    E0414, RolledBack, "the migration asked an unknown question", ["snap show {txn} --step 8"],
        "A question without a rule is never answered. --answer 'REGEX=REPLY' gives one.";
    E0415, RolledBack, "a step took too long", ["snap show {txn}"],
        "The profile limits how long a step may take, and how long it may be silent.";
    E0416, Question, "a migration will ask what nobody answers", [],
        "The release's migration asks a question that no rule of the profile answers. \
         --answer 'REGEX=REPLY' does.";
    E0417, Preflight, "this jump needs your word", ["snap plan --app {app}"],
        "A major release wants --allow-major, an older one --allow-downgrade; some jumps no vendor \
         supports at all.";
    E0418, Usage, "this is no plan", [],
        "A plan is a file that `snap plan -o FILE` wrote, with this version or an earlier one.";
    E0420, NeedsHands, "the way back did not finish", ["snap recover"],
        "Nothing was deleted and the application stays shut. Mend the cause, then `snap recover`.";
    E0421, NeedsHands, "the journal cannot be trusted", ["snap recover --dry-run"],
        "Its chain of hashes is broken, it was written by another machine or a newer version, or the \
         disk failed while something was written to it. Going on would be a guess: `snap recover` \
         looks at what is on the disk.";
    E0422, NeedsHands, "the application could not be reopened", ["snap recover"],
        "The transaction is decided, but its maintenance could not be lifted.";
    E0430, Interrupted, "stopped on request", [],
        "Before the commit, so the application is as it was.";
    E0431, OpenTxn, "stopped at once, in the middle", ["snap recover"],
        "A second signal stops without tidying. The journal knows all; `snap recover` goes on.";
    E0432, Error, "the journal cannot be read or written", [],
        "The journal lies in the state directory, which must be on a local file system.";
    E0433, Backend, "the state directory is not on a local file system", [],
        "The journal must survive a power cut. SNAP_STATE_DIR names another place, on a local disk.";
    E0501, Source, "the release was not found", [],
        "Give it with --from-dir, --from-archive or --from-git.";
    E0502, Source, "the release's checksum is wrong", [],
        "What was given is not what the checksum says. Do not use it.";
    E0503, Source, "the release archive was refused", [],
        "It tries to leave its directory, or is larger than any release of this application should \
         be. Do not use it.";
    E0504, Source, "the release does not declare its version", [],
        "The version is read from the release itself, never from a file name or a tag.";
    E0601, Error, "reading or writing failed", [],
        "The operating system refused; the message says what and where.";
    E0602, Error, "not allowed", [],
        "You lack the right to read or write this. The message names the file.";
    E0603, Space, "the disk is full", [],
        "Make room and run it again.";
    E0605, Error, "a program could not be run", [],
        "The message names it.";
    E0701, Db, "the database refuses the login", ["snap app show {app}"],
        "The credentials come from the application's own configuration, or from apps.d.";
    E0702, Db, "the database is not reachable", [],
        "The server does not answer where the application's configuration says it is.";
    E0703, Preflight, "the database holds something that is not carried yet", [],
        "Nothing is dropped silently: an object that this version cannot carry is refused by name.";
    E0704, Db, "this is another database server than before", [],
        "The server's identity differs from the recorded one. Nothing was written to it.";
    E0705, Damaged, "the database is not what was saved", [],
        "Its fingerprint after loading differs from the recorded one.";
    E0706, Db, "the database refused a statement", [],
        "The message holds the server's answer.";
    E0707, Usage, "the database's address is wrong", [],
        "sqlite:///path, or mysql://user@host:port/name. A password never stands in an address.";
    E0708, Locked, "the database is locked", [],
        "Another connection holds it. Nothing was changed.";
    E0709, Db, "the database file is not sound", [],
        "SQLite itself calls it damaged. Mend it before it is backed up, or the damage is kept.";
    E0710, Db, "the database account lacks a right", [],
        "The server's answer names it. Reading needs SELECT, SHOW VIEW, TRIGGER and LOCK TABLES; \
         restoring needs the rights to create and drop what is there.";
    E0901, Bug, "a bug in snap", [],
        "This should not happen. The report file holds no secrets; please send it in.";
    E0902, Error, "an identity of the demo does not hold", ["snap demo --keep"],
        "The demo compares an application before and after with a judge of its own. What it found \
         should not happen: please send in what it printed.";
    E0903, Partial, "slower or larger than before", [],
        "snap bench --compare holds a run against an earlier one. Time is judged by the fastest run \
         of now against the median of then; --fail-above says how much may be lost.";
}

impl Code {
    /// Finds a code as a person writes it: `E0110`, `e0110` or `110`.
    pub fn find(text: &str) -> Option<Self> {
        let digits = text.trim_start_matches(['E', 'e']);
        let wanted = digits.parse::<u16>().ok()?;
        Self::ALL.iter().copied().find(|code| code.page().name[1..].parse() == Ok(wanted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_is_in_order_and_names_are_unique() {
        let names: Vec<_> = Code::ALL.iter().map(|code| code.page().name).collect();
        let mut sorted = names.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(names, sorted);
    }

    #[test]
    fn every_page_explains_itself() {
        for code in Code::ALL {
            let page = code.page();
            assert!(!page.title.is_empty() && page.explain.ends_with('.'), "{}", page.name);
        }
    }

    #[test]
    fn a_code_is_found_as_people_write_it() {
        assert_eq!(Code::find("e0110"), Some(Code::E0110));
        assert_eq!(Code::find("110"), Some(Code::E0110));
        assert_eq!(Code::find("E9999"), None);
    }
}
