//! The passbolt v1 guide, done by `snap`, against a real MariaDB and a console that asks and lies.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::oracle::{Tree, same};
use crate::run::{Run, args, tool, until};
use crate::site::Passbolt;
use crate::stage::{copy, edit, fixture, read, write};
use crate::world::World;

pub(crate) fn release(version: &str) -> PathBuf {
    fixture("apps/passbolt-v1").join(version)
}

/// 1.3.2 with one migration that misbehaves.
pub(crate) fn misbehaving(world: &World, overlay: &str) -> PathBuf {
    let dir = world.path(format!("release-{overlay}"));
    copy(release("1.3.2"), &dir);
    copy(fixture("apps/passbolt-v1/overlays").join(overlay), &dir);
    dir
}

pub(crate) fn upgrade(from: impl AsRef<Path>) -> Vec<OsString> {
    args![
        "upgrade",
        "--app",
        "passbolt",
        "--from-dir",
        from.as_ref(),
        "--base",
        release("1.1.0"),
        "--yes"
    ]
}

#[track_caller]
pub(crate) fn unchanged(site: &Passbolt, before: &(Tree, String), when: &str) {
    let now = site.fingerprint();
    same(&before.0.0, &now.0.0, &format!("{when}: files"));
    same(&before.1, &now.1, &format!("{when}: database"));
}

/// An upgrade to a misbehaving release, which must end put back.
#[track_caller]
fn put_back(overlay: &str, more: &str) -> (World, Passbolt, Run) {
    let (world, site) = World::with_passbolt_and(more);
    let before = site.fingerprint();
    let run = world.snap(upgrade(misbehaving(&world, overlay))).exits(20);
    unchanged(&site, &before, overlay);
    (world, site, run)
}

#[test]
#[ignore = "needs MariaDB and PHP; bash tests/all.sh runs it"]
fn the_upgrade_of_the_guide_asks_nobody_and_keeps_what_is_the_operators() {
    let (world, site) = World::with_passbolt();
    let config = site.root.join("app/Config");
    let own = ["app.php", "core.php", "database.php", "email.php", "gpg/serverkey_private.asc"];
    let kept: Vec<String> = own.iter().map(|name| read(config.join(name))).collect();
    let plan = args![
        "plan",
        "--app",
        "passbolt",
        "--from-dir",
        release("1.3.2"),
        "--base",
        release("1.1.0"),
        "--files"
    ];
    let plan = world.snap(plan).ok();
    for said in [
        "app.php.default",
        "core.php.default",
        "1.1.0",
        "1.3.2",
        "MINOR",
        "Migration_1_2_0",
        "Migration_1_3_0",
        "app/Vendor/old",
    ] {
        assert!(plan.stdout.contains(said), "the plan does not say {said:?}: {plan}");
    }
    let run = world.snap(upgrade(release("1.3.2"))).ok();
    assert!(run.to_string().contains("verified"), "the label: {run}");
    let now: Vec<String> = own.iter().map(|name| read(config.join(name))).collect();
    assert_eq!(kept, now, "configuration and keys are the operator's");
    assert!(!site.root.join("app/Vendor/old").exists(), "stale files of the old release are gone");
    assert!(read(config.join("version.php")).contains("1.3.2"));
    assert!(read(config.join("anonymous_statistics.php")).contains("'send' => false"));
    assert!(!site.root.join("app/tmp/logs/statistics_sent").exists(), "nothing was sent");
    let applied =
        site.schema.ask("SELECT class FROM schema_migrations WHERE type = 'app' ORDER BY id");
    assert_eq!(applied, "Migration_1_1_0\nMigration_1_2_0\nMigration_1_3_0\n");
    let transcript = read(world.path("state/T1/step-8.log"));
    for line in [
        "Running migrations:",
        "[1474629203] 1474629203_Migration_1.2.0 (2016-09-23 16:43:23)",
        "> Changing field \"uri\" from table \"resources\".",
        "anonymous usage statistics",
        "All migrations have completed.",
    ] {
        assert!(transcript.contains(line), "the transcript lacks {line:?}: {transcript}");
    }
}

#[test]
#[ignore = "needs MariaDB and PHP; bash tests/all.sh runs it"]
fn a_site_that_reaches_its_server_by_tcp_is_upgraded_and_put_back_too() {
    let world = World::new();
    let site = Passbolt::install_over_tcp(&world.path(""));
    world.register("passbolt", "passbolt-v1", &site.root, "");
    let before = site.fingerprint();
    world.snap(upgrade(misbehaving(&world, "fails-asking"))).exits(20);
    unchanged(&site, &before, "put back");
    world.snap(upgrade(release("1.3.2"))).ok();
}

#[test]
#[ignore = "needs MariaDB and PHP; bash tests/all.sh runs it"]
fn the_question_is_answered_in_the_guides_wording_too() {
    let (world, site) = World::with_passbolt();
    world.snap(upgrade(misbehaving(&world, "guide-wording"))).ok();
    let answer = read(site.root.join("app/Config/anonymous_statistics.php"));
    assert!(answer.contains("'send' => false"), "{answer}");
}

#[test]
#[ignore = "needs MariaDB and PHP; bash tests/all.sh runs it"]
fn an_answer_given_by_hand_beats_the_profiles() {
    let (world, site) = World::with_passbolt();
    let go = upgrade(release("1.3.2")).into_iter().chain(args!["--answer", "usage statistics=y"]);
    world.snap(go.collect::<Vec<_>>()).ok();
    let answer = read(site.root.join("app/Config/anonymous_statistics.php"));
    assert!(answer.contains("'send' => true"), "{answer}");
}

#[test]
#[ignore = "needs MariaDB and PHP; bash tests/all.sh runs it"]
fn a_failed_migration_is_never_marked_as_successful() {
    let (_world, _site, run) = put_back("fails-asking", "");
    assert!(run.to_string().contains("favorite"), "the message names the SQL error: {run}");
}

#[test]
#[ignore = "needs MariaDB and PHP; bash tests/all.sh runs it"]
fn a_claim_of_success_beside_an_exception_is_not_believed() {
    put_back("fails-quietly", "");
}

#[test]
#[ignore = "needs MariaDB and PHP; bash tests/all.sh runs it"]
fn a_claim_of_success_while_something_is_pending_is_not_believed() {
    put_back("lies", "");
}

#[test]
#[ignore = "needs MariaDB and PHP; bash tests/all.sh runs it"]
fn an_unknown_question_is_put_back_and_never_hangs() {
    let (_world, _site, run) = put_back("unknown-question", "");
    assert!(
        run.to_string().contains("Shall the old secrets be thrown away?"),
        "it is shown: {run}"
    );
}

#[test]
#[ignore = "needs MariaDB and PHP; bash tests/all.sh runs it"]
fn a_daemon_left_behind_fails_the_step_and_is_killed() {
    put_back("leaves-daemon", "");
    let left = std::process::Command::new("pgrep").args(["-f", "^sleep 1000$"]).output();
    let left = left.map(|output| output.stdout).unwrap_or_default();
    assert_eq!(String::from_utf8_lossy(&left), "", "the daemon lives");
}

#[test]
#[ignore = "needs MariaDB and PHP; bash tests/all.sh runs it"]
fn a_migration_that_empties_the_configuration_is_undone_from_the_safety_snapshot() {
    put_back("empties-config", "");
}

#[test]
#[ignore = "needs MariaDB and PHP; bash tests/all.sh runs it"]
fn a_configuration_emptied_by_the_migration_does_not_hinder_recovery() {
    let (world, site) = World::with_passbolt();
    let before = site.fingerprint();
    // Dies as soon as the failure has been noticed: the configuration is empty by then.
    let go = upgrade(misbehaving(&world, "empties-config"));
    world.snap_dying_at("after-undo-started", go).killed();
    assert_eq!(read(site.root.join("app/Config/database.php")), "", "the stage is set");
    world.snap(["recover"]).ok();
    unchanged(&site, &before, "recovered");
}

#[test]
#[ignore = "needs MariaDB and PHP; bash tests/all.sh runs it"]
fn a_migration_that_hangs_is_killed_after_its_time() {
    put_back("hangs", &quick_migrate());
}

#[test]
#[ignore = "needs MariaDB and PHP; bash tests/all.sh runs it"]
fn endless_output_is_bounded() {
    let (world, _site, run) = put_back("endless-output", &quick_migrate());
    assert!(run.stdout.len() + run.stderr.len() < 2_000_000, "{} bytes", run.stdout.len());
    let state = tool("du", &[&"-sb", &world.path("state")]);
    let bytes: u64 = String::from_utf8_lossy(&state)
        .split_whitespace()
        .next()
        .and_then(|n| n.parse().ok())
        .expect("du says");
    assert!(bytes < 200_000_000, "the transcript is bounded: {bytes}");
}

/// The profile's migration step with limits a test can wait for.
fn quick_migrate() -> String {
    "[[migrate]]
kind = \"command\"
argv = [\"{root}/app/Console/cake\", \"Migrations.migration\", \"run\", \"all\"]
expect = { exit = [0], must = \"All migrations have completed\" }
idle_timeout = \"2s\"
timeout = \"6s\"
"
    .to_owned()
}

#[test]
#[ignore = "needs MariaDB and PHP; bash tests/all.sh runs it"]
fn a_child_that_outlives_snap_and_goes_on_inserting_is_stopped_before_anything_is_undone() {
    let (world, site) = World::with_passbolt();
    let before = site.fingerprint();
    let mut running = world.start(upgrade(misbehaving(&world, "outlives")));
    let pid_file = site.root.join("app/tmp/logs/background.pid");
    let inserted = || -> u64 {
        let count =
            site.schema.ask("SELECT COUNT(*) FROM controller_logs WHERE scope = 'background'");
        count.trim().parse().expect("a number")
    };
    until("the child inserts rows", || {
        assert!(!running.ended(), "the upgrade ended: {}", running.said());
        pid_file.exists() && inserted() > 20
    });
    let pid = read(&pid_file);
    running.signal(9);
    running.end().killed();
    let seen = inserted();
    until("the child goes on after its parent's death", || inserted() > seen + 20);
    world.snap(["recover"]).ok();
    // One that nobody has waited for yet is listed, and does nothing any more.
    let state = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    assert!(state.is_empty() || state.contains("State:\tZ"), "the child lives: {state}");
    unchanged(&site, &before, "recovered");
}

#[test]
#[ignore = "needs MariaDB and PHP; bash tests/all.sh runs it"]
fn a_patch_release_with_a_migration_is_migrated() {
    let (world, site) = World::with_passbolt();
    world.snap(upgrade(release("1.6.0"))).ok();
    assert!(site.root.join("app/Config/email.php").exists(), "preserved though no longer shipped");
    let next = args!["upgrade", "--app", "passbolt", "--from-dir", release("1.6.4"), "--yes"];
    let plan = args!["plan", "--app", "passbolt", "--from-dir", release("1.6.4")];
    world.snap(plan).ok().says("PATCH");
    world.snap(next).ok();
    let applied =
        site.schema.ask("SELECT COUNT(*) FROM schema_migrations WHERE class = 'Migration_1_6_1'");
    assert_eq!(applied, "1\n");
    let before = site.fingerprint();
    let broken = args!["upgrade", "--app", "passbolt", "--from-dir", release("1.6.11"), "--yes"];
    world.snap(broken).exits(20).says("expiry_date");
    unchanged(&site, &before, "put back");
    let patch = args!["upgrade", "--app", "passbolt", "--from-dir", release("1.6.10"), "--yes"];
    world.snap(patch).ok();
}

#[test]
#[ignore = "needs MariaDB and PHP; bash tests/all.sh runs it"]
fn a_release_comes_from_an_archive_of_every_kind_and_its_checksum_counts() {
    for ending in ["tar", "tar.gz", "tar.zst"] {
        let (world, site) = World::with_passbolt();
        let dir = world.path("passbolt_api-1.3.2");
        copy(release("1.3.2"), &dir);
        let archive = archive(&world, ending);
        let sum = String::from_utf8(tool("sha256sum", &[&archive])).expect("text");
        let sum = sum.split(' ').next().expect("a sum").to_owned();
        let go = |sum: &str| {
            args![
                "upgrade",
                "--app",
                "passbolt",
                "--from-archive",
                archive,
                "--checksum",
                format!("sha256:{sum}"),
                "--base",
                release("1.1.0"),
                "--yes"
            ]
        };
        let before = site.fingerprint();
        world.snap(go(&"0".repeat(64))).exits(26);
        unchanged(&site, &before, "refused");
        world.snap(go(&sum)).ok();
        assert!(read(site.root.join("app/Config/version.php")).contains("1.3.2"), "{ending}");
    }
}

/// `passbolt_api-1.3.2/` as an archive.
fn archive(world: &World, ending: &str) -> PathBuf {
    let plain = world.path("release.tar");
    tool("tar", &[&"-C", &world.path(""), &"-cf", &plain, &"passbolt_api-1.3.2"]);
    let archive = world.path(format!("release.{ending}"));
    match ending {
        "tar.gz" => {
            tool("gzip", &[&"-kf", &plain]);
        }
        "tar.zst" => {
            let bytes = fs::read(&plain).expect("ours");
            write(&archive, zstd::bulk::compress(&bytes, 3).expect("compresses"));
        }
        _ => {}
    }
    archive
}

#[test]
#[ignore = "needs MariaDB and PHP; bash tests/all.sh runs it"]
fn a_release_comes_from_a_git_tag_and_the_live_clone_is_untouched_by_hooks() {
    let (world, site) = World::with_passbolt();
    let clone = world.path("clone");
    let canary = world.path("hook-ran");
    tool(
        "sh",
        &[
            &"-ec",
            &"
export HOME=/nonexistent GIT_CONFIG_NOSYSTEM=1
git -c init.defaultBranch=master init -q \"$1\"; cd \"$1\"
git config user.name t; git config user.email t@example.org
cp -a \"$2/.\" .; git add -Af; git commit -qm 1.1.0; git tag v1.1.0
git rm -qr .; cp -a \"$3/.\" .; git add -Af; git commit -qm 1.3.2; git tag v1.3.2
for hook in post-checkout reference-transaction post-merge pre-auto-gc; do
  printf '#!/bin/sh\\ntouch %s\\n' \"$4\" > .git/hooks/$hook; chmod +x .git/hooks/$hook
done
",
            &"sh",
            &clone,
            &release("1.1.0"),
            &release("1.3.2"),
            &canary,
        ],
    );
    if crate::is_root() {
        crate::stage::give(&clone, crate::site::OWNER);
    }
    let _ = fs::remove_file(&canary);
    let git = format!("{}#v1.3.2", clone.display());
    let base = format!("{}#v1.1.0", clone.display());
    world
        .snap(args!["upgrade", "--app", "passbolt", "--from-git", git, "--base", base, "--yes"])
        .ok();
    assert!(read(site.root.join("app/Config/version.php")).contains("1.3.2"));
    assert!(!canary.exists(), "a hook of the clone ran");
}

#[test]
#[ignore = "needs MariaDB and PHP; bash tests/all.sh runs it"]
fn a_site_that_is_written_to_is_not_upgraded() {
    let (world, site) = World::with_passbolt();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let busy = "UPDATE users SET modified = NOW(6) WHERE username = 'user1@example.org'; \
                        INSERT INTO tags (name) VALUES ('busy'); DO SLEEP(0.01);"
                .repeat(100);
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                site.schema.ask(&busy);
            }
        });
        let run = world.snap(upgrade(release("1.3.2")));
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(run.code(), 22, "{run}");
    });
    assert!(read(site.root.join("app/Config/version.php")).contains("1.1.0"));
    world.snap(["recover"]).ok();
}

#[test]
#[ignore = "needs MariaDB and PHP; bash tests/all.sh runs it"]
fn a_wrong_password_is_a_refusal_and_says_which_account() {
    let (world, site) = World::with_passbolt();
    edit(site.root.join("app/Config/database.php"), &site.schema.password, "wrong-password-canary");
    let run = world.snap(upgrade(release("1.3.2"))).exits(27).says(&site.schema.user);
    assert!(!run.to_string().contains("wrong-password-canary"), "{run}");
}

#[test]
#[ignore = "needs MariaDB and PHP; bash tests/all.sh runs it"]
fn a_plan_needs_no_right_to_write() {
    let (world, site) = World::with_passbolt();
    let server = &site.schema.server;
    for host in ["localhost", "127.0.0.1"] {
        let (user, name) = (&site.schema.user, &site.schema.name);
        server.ask(&format!("REVOKE ALL ON `{name}`.* FROM '{user}'@'{host}'; GRANT SELECT, SHOW VIEW, TRIGGER ON `{name}`.* TO '{user}'@'{host}'"));
    }
    let before = site.fingerprint();
    let plan = args![
        "plan",
        "--app",
        "passbolt",
        "--from-dir",
        release("1.3.2"),
        "--base",
        release("1.1.0")
    ];
    let run = world.snap(plan);
    // The upgrade itself would be refused for want of rights, and the plan may say so.
    assert!([0, 22, 27].contains(&run.code()), "{run}");
    assert!(run.stdout.contains("1.3.2"), "{run}");
    unchanged(&site, &before, "planned");
}

#[test]
#[ignore = "needs MariaDB and PHP; bash tests/all.sh runs it"]
fn a_database_comes_back_under_another_name() {
    let (world, site) = World::with_passbolt();
    world.snap(["backup", "--app", "passbolt"]).ok();
    let other = site.schema.server.schema_of(&site.schema);
    let go = args![
        "restore",
        "latest",
        "--app",
        "passbolt",
        "--db",
        "default",
        "--into",
        other.url(),
        "--yes"
    ];
    world.snap_as(&other, go).ok();
    same(&site.schema.fingerprint(), &other.fingerprint(), "the copy");
}
