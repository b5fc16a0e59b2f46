//! What is refused, and what is left alone, each for a reason that somebody paid for.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::process::Command;

use crate::notes_upgrade::{unchanged, upgrade, upgrade_to};
use crate::oracle::{Skip, same, tree};
use crate::run::{args, tool};
use crate::site::notes::release;
use crate::site::{Notes, OWNER, Passbolt};
use crate::stage::{copy, fixture, read, write};
use crate::world::{World, binary};
use crate::{is_root, nasty};

#[test]
fn a_repository_inside_the_application_is_refused() {
    for inside in ["repository", "state", "cache"] {
        let world = World::new();
        let site = Notes::install(&world.path(""));
        world.register("notes", "sql-files", &site.root, "");
        let place = site.root.join("data").join(inside);
        let mut command = world.command(upgrade("1.3.2"));
        match inside {
            "repository" => {
                copy(world.repository(), &place);
                command.env("SNAP_REPOSITORY", &place);
            }
            "state" => {
                command.env("SNAP_STATE_DIR", &place);
            }
            _ => {
                command.env("SNAP_CACHE_DIR", &place);
            }
        }
        let run = world.start_command(command).end();
        assert_eq!(run.code(), 22, "{inside}: {run}");
        assert!(read(site.root.join("VERSION")).starts_with("1.1.0"), "{inside}");
    }
}

#[test]
fn a_second_repository_is_not_made_over_the_first() {
    let world = World::new();
    let before = tree(world.repository(), Skip::default());
    let again = world.snap(["init", "--no-recovery"]);
    assert_ne!(again.code(), 0, "{again}");
    world.snap(["init", "--no-recovery", "--if-missing"]).ok();
    same(&before.0, &tree(world.repository(), Skip::default()).0, "untouched");
}

#[test]
fn an_ordinary_user_upgrades_what_is_wholly_theirs() {
    let world = World::bare();
    let site = Notes::install(&world.path(""));
    world.register("notes", "sql-files", &site.root, "");
    let snap = world.path("snap");
    fs::copy(binary(), &snap).expect("ours");
    if is_root() {
        tool("chown", &[&"-R", &"nobody:nogroup", &world.path("")]);
    }
    let run = |args: Vec<std::ffi::OsString>| {
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]).arg(&snap);
            command
        } else {
            Command::new(&snap)
        };
        command.args(args).env_clear().envs(world.environment()).current_dir(world.path(""));
        world.start_command(command).end()
    };
    run(args!["init", "--no-recovery"]).ok();
    let before = site.fingerprint();
    run(upgrade("1.4.0")).exits(20);
    unchanged(&site, &before, "put back");
    run(crate::notes_upgrade::plan("1.3.2")).ok().says("not recovered at boot");
    run(upgrade("1.3.2")).ok();
    if is_root() {
        // One file of somebody else, and it could not be put back: refused.
        fs::write(site.root.join("data/foreign"), "root's").expect("ours");
        let next = args!["upgrade", "--app", "notes", "--from-dir", release("1.4.0"), "--yes"];
        run(next).exits(22).says("foreign");
    }
}

#[test]
fn a_migration_runs_as_the_owner_of_the_application() {
    if !is_root() {
        eprintln!("skipped: only root can run a migration as somebody else");
        return;
    }
    let (world, site) = World::with_notes();
    world.snap(upgrade("1.3.2")).ok();
    let owner = fs::metadata(site.root.join("config.php")).expect("ours").uid();
    assert_ne!(owner, 0, "the stage is set");
    for entry in walkdir::WalkDir::new(&site.root) {
        let entry = entry.expect("readable");
        let uid = entry.metadata().expect("readable").uid();
        assert_eq!(uid, owner, "{} belongs to somebody else", entry.path().display());
    }
}

#[test]
fn a_full_repository_fails_the_backup_and_keeps_what_was_there() {
    if !is_root() {
        eprintln!("skipped: mounting a small file system needs root");
        return;
    }
    let world = World::bare();
    let place = world.repository();
    fs::create_dir(&place).expect("ours");
    tool("mount", &[&"-t", &"tmpfs", &"-o", &"size=3m,mode=700", &"none", &place]);
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        world.snap(["init", "--no-recovery"]).ok();
        let source = world.path("tree");
        write(source.join("small"), nasty::noise(100_000, 1));
        world.snap(args!["backup", source]).ok();
        write(source.join("large"), nasty::noise(6_000_000, 2));
        let run = world.snap(args!["backup", source]);
        assert!([1, 14, 15].contains(&run.code()), "{run}");
        assert!(run.to_string().contains("space"), "it says why: {run}");
        world.snap(["check", "--read-data"]).ok();
        let target = world.path("restored");
        world.snap(args!["restore", "latest", "--target", target]).ok();
        fs::remove_file(source.join("large")).expect("ours");
        write(source.join("other"), nasty::noise(100_000, 3));
        world.snap(args!["backup", source]).ok();
    }));
    tool("umount", &[&"-l", &place]);
    if let Err(panic) = ended {
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn a_mount_inside_a_tree_is_not_crossed() {
    if !is_root() {
        eprintln!("skipped: a mount needs root");
        return;
    }
    let world = World::new();
    let source = world.path("tree");
    write(source.join("mine"), "1");
    write(source.join("mounted/below"), "hidden by the mount");
    write(world.path("other/theirs"), "2");
    let within = |args: Vec<std::ffi::OsString>| {
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-ec", "mount --bind \"$1\" \"$2\"; shift 2; exec \"$@\"", "sh"]);
        command.arg(world.path("other")).arg(source.join("mounted")).arg(binary()).args(args);
        command.env_clear().envs(world.environment()).current_dir(world.path(""));
        world.start_command(command).end()
    };
    within(args!["backup", source]).ok();
    let listed = world.snap(["ls", "latest", "-R"]).ok();
    assert!(listed.stdout.contains("mine") && listed.stdout.contains("mounted"), "{listed}");
    assert!(!listed.stdout.contains("theirs") && !listed.stdout.contains("below"), "{listed}");
    // Nor does a restore over it reach into what is mounted.
    let top =
        args!["restore", format!("latest:{}", source.display()), "--target", world.path("back")];
    world.snap(&top).ok();
    copy(world.path("back"), world.path("again"));
    let place = world.path("again").join(source.strip_prefix("/").expect("absolute"));
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-ec", "mount --bind \"$1\" \"$2\"; shift 2; exec \"$@\"", "sh"]);
    command.arg(world.path("other")).arg(place.join("mounted")).arg(binary());
    command.args(args![
        "restore",
        "latest",
        "--target",
        world.path("again"),
        "--overwrite",
        "--delete",
        "--yes"
    ]);
    command.env_clear().envs(world.environment()).current_dir(world.path(""));
    world.start_command(command).end();
    assert_eq!(read(world.path("other/theirs")), "2");
}

#[test]
fn a_file_linked_outside_the_root_is_never_changed_in_place() {
    let (world, site) = World::with_notes();
    let twin = world.path("outside-twin.php");
    fs::hard_link(site.root.join("lib/notes.php"), &twin).expect("ours");
    let twin_before = tree(
        world.path(""),
        Skip {
            inside: &["config", "state", "cache", "run", "repository", "output", "notes", "tmp"],
            database: &[],
        },
    );
    let outside = |tree: &crate::oracle::Tree| {
        let line = tree.0.lines().find(|line| line.starts_with("\"outside-twin.php\""));
        let line = line.expect("it is there");
        // That it is linked at all is no matter of the link's.
        line.split(" linked with").next().unwrap_or(line).to_owned()
    };
    let before = site.fingerprint();
    for version in ["1.4.0", "1.3.2"] {
        world.snap(upgrade(version));
        let now = tree(
            world.path(""),
            Skip {
                inside: &[
                    "config",
                    "state",
                    "cache",
                    "run",
                    "repository",
                    "output",
                    "notes",
                    "tmp",
                ],
                database: &[],
            },
        );
        assert_eq!(outside(&twin_before), outside(&now), "after {version}");
        if version == "1.4.0" {
            unchanged(&site, &before, "put back");
        }
    }
    assert_eq!(read(site.root.join("lib/notes.php")), read(release("1.3.2").join("lib/notes.php")));
}

#[test]
fn a_live_link_where_the_release_has_a_directory_is_kept_and_reported() {
    let (world, site) = World::with_notes();
    let elsewhere = world.path("elsewhere");
    fs::rename(site.root.join("public"), &elsewhere).expect("ours");
    std::os::unix::fs::symlink(&elsewhere, site.root.join("public")).expect("ours");
    let target = tree(&elsewhere, Skip::default());
    world
        .snap(crate::notes_upgrade::plan("1.3.2"))
        .ok()
        .says("Uncovered public (target not covered)");
    world.snap(upgrade("1.3.2")).ok();
    assert!(fs::symlink_metadata(site.root.join("public")).expect("ours").is_symlink());
    same(&target.0, &tree(&elsewhere, Skip::default()).0, "the link's target is not covered");
}

#[test]
fn names_are_shown_without_what_a_terminal_obeys() {
    let world = World::new();
    let source = world.path("tree");
    nasty::plant(&source);
    let run = world.snap(args!["backup", source, "-vv"]).ok();
    let listed = world.snap(["ls", "latest", "-R"]).ok();
    write(source.join("\u{1b}]0;owned\u{7}"), "2");
    let target = world.path("restored");
    world.snap(args!["restore", "latest", "--target", target]).ok();
    let again =
        args!["restore", "latest", "--target", target, "--overwrite", "--delete", "--dry-run"];
    let inside = target.join(source.strip_prefix("/").expect("absolute"));
    write(inside.join("\u{1b}]0;owned\u{7}"), "2");
    let told = world.snap(again).ok();
    for said in [run, listed, told] {
        let obeyed = |c: char| c != '\n' && c != '\t' && c.is_control();
        let all = said.stdout.clone() + &said.stderr;
        assert!(
            !all.contains(obeyed),
            "a control character reaches the terminal: {:?}",
            all.lines().find(|line| line.contains(obeyed))
        );
    }
}

#[test]
fn the_version_is_what_the_release_declares() {
    let (world, site) = World::with_notes();
    let staged = world.path("notes-1.3.2");
    copy(release("1.3.2"), &staged);
    write(staged.join("VERSION"), "1.3.1\n");
    world.snap(upgrade_to(&staged)).ok().says("1.3.1");
    assert_eq!(read(site.root.join("VERSION")), "1.3.1\n");
}

#[test]
#[ignore = "needs MariaDB and PHP; bash tests/all.sh runs it"]
fn two_applications_in_one_schema_are_refused() {
    let (world, site) = World::with_passbolt();
    let other = world.path("other");
    copy(&site.root, &other);
    if is_root() {
        crate::stage::give(&other, OWNER);
    }
    world.register("other", "passbolt-v1", &other, "");
    let before = site.fingerprint();
    let go = args![
        "upgrade",
        "--app",
        "passbolt",
        "--from-dir",
        fixture("apps/passbolt-v1/1.3.2"),
        "--base",
        fixture("apps/passbolt-v1/1.1.0"),
        "--yes"
    ];
    world.snap(go).exits(22).says("other");
    let now: (crate::oracle::Tree, String) = Passbolt::fingerprint(&site);
    same(&before.1, &now.1, "refused");
}

#[test]
#[ignore = "needs MariaDB and PHP; bash tests/all.sh runs it"]
fn what_cannot_be_carried_is_refused_by_name() {
    for (what, sql) in [
        ("tell_it", "CREATE PROCEDURE tell_it() SELECT 1"),
        ("count_it", "CREATE FUNCTION count_it() RETURNS INT DETERMINISTIC RETURN 1"),
        ("tick", "CREATE EVENT tick ON SCHEDULE EVERY 1 DAY DO SELECT 1"),
        ("numbers", "CREATE SEQUENCE numbers"),
        ("parted", "CREATE TABLE parted (a INT PRIMARY KEY) PARTITION BY HASH (a) PARTITIONS 4"),
        ("versioned", "CREATE TABLE versioned (a INT PRIMARY KEY) WITH SYSTEM VERSIONING"),
    ] {
        let (world, site) = World::with_passbolt();
        site.schema.ask(sql);
        let before = site.fingerprint();
        let go = args![
            "upgrade",
            "--app",
            "passbolt",
            "--from-dir",
            fixture("apps/passbolt-v1/1.3.2"),
            "--base",
            fixture("apps/passbolt-v1/1.1.0"),
            "--yes"
        ];
        let run = world.snap(go);
        assert!([22, 27].contains(&run.code()), "{what}: {run}");
        assert!(run.to_string().contains(what), "it is named: {run}");
        same(&before.1, &site.fingerprint().1, what);
    }
}
