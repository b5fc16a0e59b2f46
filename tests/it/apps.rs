//! Finding applications, making them known, and saying what is wrong with a profile.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::run::args;
use crate::site::Notes;
use crate::stage::{edit, read, write};
use crate::world::World;

#[test]
fn an_application_is_found_added_listed_and_shown_in_four_commands() {
    let world = World::new();
    let site = Notes::install(&world.path("srv"));
    let found = world.snap(args!["app", "detect", world.path("srv")]).ok();
    assert!(
        found.stdout.contains("1.1.0") && found.stdout.contains(&site.root.display().to_string()),
        "{found}"
    );
    world.snap(args!["app", "add", "notes", "--root", site.root]).ok();
    let listed = world.snap(["app", "list"]).ok();
    assert!(listed.stdout.contains("notes") && listed.stdout.contains("1.1.0"), "{listed}");
    let shown = world.snap(["app", "show", "notes"]).ok();
    assert!(shown.stdout.contains("config.php:4"), "each value's source is named: {shown}");
    world.snap(["backup", "--app", "notes"]).ok();
    let snapshots = world.snap(["snapshots"]).ok();
    assert!(snapshots.stdout.contains("notes"), "{snapshots}");
}

#[test]
fn a_profile_that_is_wrong_names_file_line_and_the_nearest_key() {
    let (world, site) = World::with_notes();
    let file = world.path("config/apps.d/notes.toml");
    let good = read(&file);
    for (more, line, nearest) in [
        ("\n[files]\npreserv = [\"x\"]\n", 9, "preserve"),
        ("\n[snapshto]\nroots = [\".\"]\n", 8, "snapshot"),
        ("\n[[probe]]\nkind = \"htpp\"\n", 9, "http"),
    ] {
        fs::write(&file, format!("{good}{more}")).expect("ours");
        let run = world.snap(["app", "show", "notes"]).exits(2);
        let said = run.to_string();
        assert!(said.contains(&format!("notes.toml:{line}:")), "line {line}: {run}");
        assert!(said.contains(nearest), "nearest {nearest}: {run}");
    }
    fs::write(&file, &good).expect("ours");
    // Not a literal: refused, never guessed and never run.
    edit(site.root.join("config.php"), "'sqlite'", "strtolower('SQLITE')");
    let run = world.snap(["backup", "--app", "notes"]);
    assert_ne!(run.code(), 0, "{run}");
    assert!(run.to_string().contains("config.php"), "{run}");
}

#[test]
fn a_profile_that_others_may_write_is_refused() {
    let (world, _site) = World::with_notes();
    let file = world.path("config/apps.d/notes.toml");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o622)).expect("ours");
    let run = world.snap(["app", "show", "notes"]);
    assert_ne!(run.code(), 0, "{run}");
    assert!(run.to_string().contains("notes.toml"), "{run}");
}

#[test]
fn nothing_is_loaded_from_the_current_directory() {
    let world = World::new();
    write(world.path("config.toml"), "nonsense = true\n");
    write(world.path("apps.d/evil.toml"), "nonsense = true\n");
    let listed = world.snap(["app", "list"]).ok();
    assert!(!listed.stdout.contains("evil"), "{listed}");
}
