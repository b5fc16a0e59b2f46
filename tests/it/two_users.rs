//! Two people of one machine, each with a configuration, journal and repository of their own, and
//! one application: whoever comes second is told who works on it.

use std::ffi::OsString;
use std::fs;
use std::process::Command;

use crate::busy::endless;
use crate::is_root;
use crate::notes_upgrade::unchanged;
use crate::run::{Running, args, tool, until};
use crate::site::Notes;
use crate::world::{World, binary};

/// A person's own world, from which the site at `site` is known.
struct Person {
    world: World,
    account: Option<&'static str>,
}

impl Person {
    fn new(account: Option<&'static str>, site: &Notes) -> Self {
        let world = World::bare();
        world.register("notes", "sql-files", &site.root, "");
        // Wherever the tests were built, everybody can run this one.
        fs::copy(binary(), world.path("snap")).expect("ours");
        if let Some(account) = account {
            tool("chown", &[&"-R", &format!("{account}:"), &world.path("")]);
        }
        let person = Self { world, account };
        person.start(args!["init", "--no-recovery"]).end().ok();
        person
    }

    fn start(&self, args: Vec<OsString>) -> Running {
        let mut command = match self.account {
            Some(account) => {
                let mut command = Command::new("setpriv");
                command.args(["--reuid", account, "--regid", "nogroup", "--clear-groups"]);
                command.arg(self.world.path("snap"));
                command
            }
            None => Command::new(self.world.path("snap")),
        };
        command.args(args).env_clear().envs(self.world.environment());
        command.current_dir(self.world.path("")).stdin(std::process::Stdio::null());
        self.world.start_command(command)
    }

    /// An upgrade that is in its migration and stays there.
    fn works_on(&self, site: &Notes) -> Running {
        let mut running = self.start(endless(&self.world));
        until("the migration deletes rows", || {
            assert!(!running.ended(), "the upgrade ended: {}", running.said());
            site.ask_if_free("SELECT COUNT(*) FROM notes").is_some_and(|count| count != "400\n")
        });
        running
    }
}

#[test]
fn of_two_users_the_second_is_refused_and_told_who_holds_the_application() {
    if !is_root() {
        eprintln!("skipped: only root can be two users");
        return;
    }
    let stage = World::bare();
    let site = Notes::install(&stage.path(""));
    tool("chown", &[&"-R", &"nobody:nogroup", &site.root]);
    let people = [Person::new(None, &site), Person::new(Some("nobody"), &site)];
    for (first, second) in [(0, 1), (1, 0)] {
        let before = site.fingerprint();
        let running = people[first].works_on(&site);
        let refused = people[second].start(endless(&people[second].world)).end().exits(11);
        let holder = running.pid().to_string();
        assert!(refused.to_string().contains(&holder), "it names who holds it: {refused}");
        let backup = people[second].start(args!["backup", "--app", "notes"]).end().exits(11);
        assert!(backup.to_string().contains(&holder), "{backup}");
        running.signal(15);
        running.end().exits(143);
        unchanged(&site, &before, "put back by whoever began");
    }
    // Killed, it holds nothing any more: the other is not kept out for ever.
    let before = site.fingerprint();
    let running = people[1].works_on(&site);
    running.signal(9);
    running.end().killed();
    people[1].start(args!["recover"]).end().ok();
    unchanged(&site, &before, "recovered by whoever began");
    people[0].start(args!["backup", "--app", "notes"]).end().ok();
}
