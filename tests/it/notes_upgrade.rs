//! Upgrades of an application on SQLite, seen from outside.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::oracle::same;
use crate::run::args;
use crate::site::Notes;
use crate::site::notes::release;
use crate::stage::{copy, edit, read, write};
use crate::world::World;

/// `snap upgrade` from 1.1.0 to `version`.
pub(crate) fn upgrade(version: &str) -> Vec<OsString> {
    upgrade_to(&release(version))
}

/// `snap upgrade` from 1.1.0 to the release in `dir`.
pub(crate) fn upgrade_to(dir: &Path) -> Vec<OsString> {
    let base = release("1.1.0");
    args!["upgrade", "--app", "notes", "--from-dir", dir, "--base", base, "--yes"]
}

/// `snap restore` of the newest snapshot, in the place of what is installed.
pub(crate) fn back_in_place() -> Vec<OsString> {
    let go = args!["restore", "latest", "--app", "notes", "--in-place", "--delete"];
    go.into_iter().chain(args!["--yes", "--confirm", "notes"]).collect()
}

/// `snap plan` for the same.
pub(crate) fn plan(version: &str) -> Vec<OsString> {
    args!["plan", "--app", "notes", "--from-dir", release(version), "--base", release("1.1.0")]
}

/// Fails unless the site is exactly as `before`.
#[track_caller]
pub(crate) fn unchanged(site: &Notes, before: &(crate::oracle::Tree, String), when: &str) {
    let now = site.fingerprint();
    same(&before.0.0, &now.0.0, &format!("{when}: files"));
    same(&before.1, &now.1, &format!("{when}: database"));
}

#[test]
fn a_good_upgrade_is_new_and_keeps_what_is_the_operators() {
    let (world, site) = World::with_notes();
    let uploads = read(site.root.join("data/uploads/deep/er/list.txt"));
    let config = read(site.root.join("config.php"));
    world.snap(upgrade("1.3.2")).ok();
    for (path, _) in files(&release("1.3.2")) {
        let (live, shipped) = (site.root.join(&path), release("1.3.2").join(&path));
        assert_eq!(fs::read(live).ok(), fs::read(shipped).ok(), "{path} is the release's");
    }
    let mode = fs::metadata(site.root.join("bin/notes")).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o755, "the release made it run");
    for stale in ["lib/old.php", "lib/legacy/one.php", "lib/legacy"] {
        assert!(!site.root.join(stale).exists(), "{stale} is of the old release");
    }
    assert_eq!(read(site.root.join("config.php")), config);
    assert_eq!(read(site.root.join("data/uploads/deep/er/list.txt")), uploads);
    assert_eq!(read(site.root.join("keys/secret.key")), "key-canary-77d3b0\n");
    let applied = site.ask("SELECT id FROM schema_migrations ORDER BY id");
    assert_eq!(applied, "0001_notes\n0002_tags\n0003_uri\n0004_statistics\n");
    assert_eq!(site.ask("SELECT value FROM settings WHERE name = 'statistics'"), "n\n");
    assert_eq!(leftovers(&site), [""; 0]);
}

/// The plain files of a tree, by relative path.
fn files(root: &std::path::Path) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    for entry in walkdir::WalkDir::new(root) {
        let entry = entry.expect("readable");
        if entry.file_type().is_file() {
            let path = entry.path().strip_prefix(root).expect("below").display().to_string();
            found.push((path, entry.metadata().expect("readable").len()));
        }
    }
    found
}

/// What `snap` made on the way and should have taken away again.
pub(crate) fn leftovers(site: &Notes) -> Vec<String> {
    let all = walkdir::WalkDir::new(&site.root).into_iter().map(|entry| entry.expect("readable"));
    let ours = all.filter(|entry| entry.file_name().to_string_lossy().starts_with(".snap-"));
    ours.map(|entry| entry.path().display().to_string()).collect()
}

#[test]
fn a_failing_migration_is_put_back_and_proved() {
    let (world, site) = World::with_notes();
    let before = site.fingerprint();
    let run = world.snap(upgrade("1.4.0")).exits(20);
    unchanged(&site, &before, "put back");
    assert_eq!(leftovers(&site), [""; 0]);
    assert!(run.to_string().contains("identical"), "the proof is shown: {run}");
    world.snap(["recover"]).ok();
    unchanged(&site, &before, "recover has nothing to do");
    // The same upgrade again ends the same way; a good one still works.
    world.snap(upgrade("1.4.0")).exits(20);
    unchanged(&site, &before, "put back again");
    world.snap(upgrade("1.3.2")).ok();
}

#[test]
fn an_upload_between_plan_and_upgrade_survives() {
    for (version, code) in [("1.3.2", 0), ("1.4.0", 20)] {
        let (world, site) = World::with_notes();
        let plan = world.path("saved.plan");
        world
            .snap(args![
                "plan",
                "--app",
                "notes",
                "--from-dir",
                release(version),
                "--base",
                release("1.1.0"),
                "-o",
                plan
            ])
            .ok();
        write(site.root.join("data/uploads/late.txt"), "uploaded after the plan");
        write(site.root.join("public/upload-of-no-release.txt"), "also outside data/");
        site.ask("INSERT INTO notes (title, changed) VALUES ('written after the plan', '')");
        world.snap(args!["upgrade", "--app", "notes", "--plan", plan, "--yes"]).exits(code);
        assert_eq!(read(site.root.join("data/uploads/late.txt")), "uploaded after the plan");
        assert_eq!(read(site.root.join("public/upload-of-no-release.txt")), "also outside data/");
        let found = site.ask("SELECT COUNT(*) FROM notes WHERE title = 'written after the plan'");
        assert_eq!(found, "1\n", "{version}");
    }
}

#[test]
fn a_dry_run_of_a_saved_plan_shows_it_and_changes_nothing() {
    let (world, site) = World::with_notes();
    let plan = world.path("saved.plan");
    let planned = args!["plan", "--app", "notes", "--from-dir", release("1.3.2")];
    let saved = args!["--base", release("1.1.0"), "-o", plan];
    world.snap(planned.into_iter().chain(saved).collect::<Vec<_>>()).ok();
    let before = site.fingerprint();
    let dry = || world.snap(args!["upgrade", "--plan", plan, "--dry-run", "--yes"]);
    dry().ok().says("1.1.0 → 1.3.2");
    unchanged(&site, &before, "a dry run");
    write(site.root.join("lib/notes.php"), "<?php // edited");
    let before = site.fingerprint();
    dry().exits(23).says("lib/notes.php");
    unchanged(&site, &before, "a dry run of what no longer fits");
}

#[test]
fn a_plan_that_no_longer_fits_is_refused_and_names_why() {
    for changed in ["lib/notes.php", "config.php"] {
        let (world, site) = World::with_notes();
        let plan = world.path("saved.plan");
        world
            .snap(args![
                "plan",
                "--app",
                "notes",
                "--from-dir",
                release("1.3.2"),
                "--base",
                release("1.1.0"),
                "-o",
                plan
            ])
            .ok();
        write(
            site.root.join(changed),
            format!(
                "<?php // {changed}\nreturn ['database' => ['driver' => 'sqlite', 'name' => __DIR__ . '/data/notes.db']];\n"
            ),
        );
        let before = site.fingerprint();
        world
            .snap(args!["upgrade", "--app", "notes", "--plan", plan, "--yes"])
            .exits(23)
            .says(changed);
        unchanged(&site, &before, changed);
    }
}

#[test]
fn a_core_file_edited_by_hand_stops_the_upgrade_until_somebody_decides() {
    let (world, site) = World::with_notes();
    edit(site.root.join("lib/notes.php"), "return", "/* ours */ return");
    let before = site.fingerprint();
    world.snap(upgrade("1.3.2")).exits(22).says("lib/notes.php");
    unchanged(&site, &before, "refused");
    let with = |flag: &str| upgrade("1.3.2").into_iter().chain(args![flag, "lib/notes.php"]);
    world.snap(with("--keep").collect::<Vec<_>>()).ok();
    assert!(read(site.root.join("lib/notes.php")).contains("/* ours */"), "kept");

    let (world, site) = World::with_notes();
    edit(site.root.join("lib/notes.php"), "return", "/* ours */ return");
    world.snap(with("--take").collect::<Vec<_>>()).ok();
    let shipped = read(release("1.3.2").join("lib/notes.php"));
    assert_eq!(read(site.root.join("lib/notes.php")), shipped, "taken");
}

#[test]
fn a_core_file_edited_by_hand_that_the_release_leaves_alone_is_kept_and_reported() {
    let (world, site) = World::with_notes();
    edit(site.root.join("lib/same.php"), "true", "'ours'");
    world.snap(plan("1.3.2")).ok().says("lib/same.php   yours stays");
    world.snap(upgrade("1.3.2")).ok();
    assert!(read(site.root.join("lib/same.php")).contains("'ours'"));
}

#[test]
fn without_a_base_every_core_file_that_differs_stops_the_upgrade() {
    let (world, site) = World::with_notes();
    let before = site.fingerprint();
    let run =
        world.snap(args!["upgrade", "--app", "notes", "--from-dir", release("1.3.2"), "--yes"]);
    run.exits(22).says("--base");
    unchanged(&site, &before, "refused");
}

#[test]
fn the_release_upgraded_to_is_the_base_of_the_next_upgrade() {
    let (world, site) = World::with_notes();
    world.snap(upgrade("1.3.2")).ok();
    let before = site.fingerprint();
    world
        .snap(args!["upgrade", "--app", "notes", "--from-dir", release("1.4.0"), "--yes"])
        .exits(20);
    unchanged(&site, &before, "put back");
}

#[test]
fn a_major_release_wants_to_be_allowed() {
    let (world, site) = World::with_notes();
    let major = world.path("major");
    copy(release("1.3.2"), &major);
    write(major.join("VERSION"), "2.0.0\n");
    let before = site.fingerprint();
    let go = upgrade_to(&major);
    let allowed = || {
        go.iter().cloned().chain(args!["--allow-major", "--confirm", "notes"]).collect::<Vec<_>>()
    };
    // The vendor knows no way across majors: a flag alone does not make one.
    world.snap(&go).exits(22);
    world.snap(allowed()).exits(22);
    unchanged(&site, &before, "refused");
    let profile = world.path("config/apps.d/notes.toml");
    edit(&profile, "[[maintenance]]", "[path]\nrule = \"any\"\n[[maintenance]]");
    world.snap(&go).exits(22).says("--allow-major");
    unchanged(&site, &before, "refused");
    world.snap(allowed()).ok();
    assert_eq!(read(site.root.join("VERSION")), "2.0.0\n");
}

#[test]
fn a_downgrade_is_refused() {
    let (world, site) = World::with_notes();
    world.snap(upgrade("1.3.2")).ok();
    let before = site.fingerprint();
    world
        .snap(args!["upgrade", "--app", "notes", "--from-dir", release("1.1.0"), "--yes"])
        .exits(22);
    unchanged(&site, &before, "refused");
}

#[test]
fn a_finished_upgrade_can_be_rolled_back() {
    let (world, site) = World::with_notes();
    let before = site.fingerprint();
    world.snap(upgrade("1.3.2")).ok();
    world.snap(["rollback", "--app", "notes", "--yes", "--confirm", "notes"]).ok();
    unchanged(&site, &before, "rolled back");
    let history = world.snap(["history"]).ok();
    assert!(history.stdout.contains("T1") && history.stdout.contains("T2"), "{history}");
    world.snap(["show", "T1"]).ok().says("1.3.2");
}

#[test]
fn an_in_place_restore_of_an_application_is_a_transaction() {
    let (world, site) = World::with_notes();
    let before = site.fingerprint();
    world.snap(["backup", "--app", "notes"]).ok();
    site.ask("DELETE FROM notes; DROP TABLE tags; CREATE TABLE intruder (x)");
    fs::remove_dir_all(site.root.join("lib")).expect("ours");
    write(site.root.join("public/intruder.php"), "<?php");
    world.snap(back_in_place()).ok();
    unchanged(&site, &before, "restored");
    assert!(world.snap(["history"]).ok().stdout.contains("T1"), "it has a number");
}
