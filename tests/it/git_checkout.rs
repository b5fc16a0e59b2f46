//! A site installed by `git clone` stays a checkout: HEAD and index follow an upgrade from git, come
//! back with a rollback, and git itself finds nothing to complain about. By the real git.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::crash_upgrade::CHECKOUT;
use crate::notes_upgrade::unchanged;
use crate::run::{args, tool};
use crate::site::notes::release;
use crate::site::{Notes, OWNER};
use crate::stage::{copy, give, read, write};
use crate::world::World;

/// What git says in `dir`; whatever it is asked must succeed.
#[track_caller]
fn git(dir: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.args(["-c", "safe.directory=*", "-c", "user.name=t", "-c", "user.email=t@example.org"]);
    command.args(["-c", "protocol.file.allow=always", "-c", "init.defaultBranch=master"]);
    command
        .args(arguments)
        .current_dir(dir)
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("HOME", "/nowhere");
    let output = command.output().expect("git runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {arguments:?}: {said}");
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

/// What a site is cloned from.
struct Origin(PathBuf);

impl Origin {
    fn with(world: &World, version: &str) -> Self {
        let origin = Self(world.path("origin"));
        std::fs::create_dir(&origin.0).expect("a fresh directory");
        git(&origin.0, &["init", "-q"]);
        origin.publish(version);
        origin
    }

    /// One more release, as a commit and a tag.
    fn publish(&self, version: &str) {
        for entry in std::fs::read_dir(&self.0).expect("ours").flatten() {
            if entry.file_name() != ".git" {
                let path = entry.path();
                let gone = std::fs::remove_dir_all(&path).or_else(|_| std::fs::remove_file(&path));
                gone.expect("ours");
            }
        }
        copy(release(version), &self.0);
        // Fixtures of one size and time could pass for unchanged.
        git(&self.0, &["read-tree", "--empty"]);
        git(&self.0, &["add", "-Af"]);
        git(&self.0, &["commit", "-qm", version]);
        git(&self.0, &["tag", "-a", "-m", version, &format!("v{version}")]);
    }
}

/// A site of notes 1.1.0 that was cloned from `origin`.
fn cloned(world: &World, origin: &Origin, how: &[&str]) -> Notes {
    let site = Notes::install(&world.path(""));
    let from = format!("file://{}", origin.0.display());
    let mut clone = vec!["clone", "-q", "--no-checkout"];
    clone.extend(how);
    clone.extend([from.as_str(), "clone"]);
    git(&world.path(""), &clone);
    std::fs::rename(world.path("clone/.git"), site.root.join(".git")).expect("ours");
    git(&site.root, &["checkout", "-q", "-f", "tags/v1.1.0"]);
    if crate::is_root() {
        give(site.root.join(".git"), OWNER);
    }
    let switch =
        "[[maintenance]]\nkind = \"file\"\nfile = \"maintenance.flag\"\ncontent = \"shut\"\n";
    world.register("notes", "sql-files", &site.root, switch);
    site
}

fn upgrade(version: &str) -> Vec<OsString> {
    let tag = format!("v{version}");
    args!["upgrade", "--app", "notes", "--from-git", tag, "--base", "v1.1.0", "--yes"]
}

/// Everything that git can say of the state of a checkout.
fn state(site: &Notes) -> [String; 4] {
    let ask = |arguments: &[&str]| git(&site.root, arguments);
    [
        ask(&["rev-parse", "HEAD"]),
        ask(&["status", "--porcelain", "--branch"]),
        ask(&["ls-files", "--stage"]),
        ask(&["for-each-ref"]),
    ]
}

#[track_caller]
fn is_at(site: &Notes, version: &str, commit: &str) {
    assert_eq!(git(&site.root, &["rev-parse", "HEAD"]), commit);
    let status = git(&site.root, &["status", "--porcelain"]);
    let strange: Vec<&str> = status.lines().filter(|line| !line.starts_with("?? ")).collect();
    assert_eq!(strange, [""; 0], "only what is of no release is listed: {status}");
    git(&site.root, &["fsck", "--connectivity-only", "--no-dangling"]);
    // The guide's next step of a person works, and loses nothing.
    let copied = site.root.with_extension("copy");
    copy(&site.root, &copied);
    git(&copied, &["checkout", "-q", "tags/v1.1.0"]);
    assert_eq!(read(copied.join("VERSION")), "1.1.0\n");
    assert_eq!(read(site.root.join("VERSION")), format!("{version}\n"));
    std::fs::remove_dir_all(copied).expect("ours");
}

/// Programs that a repository's owner may plant, and that must not run.
fn plant(site: &Notes, canary: &Path) {
    let script = format!("#!/bin/sh\ntouch {}\n", canary.display());
    let hooks = ["post-index-change", "reference-transaction", "post-checkout"];
    let monitor = site.root.join(".git/monitor");
    let planted = hooks.map(|name| site.root.join(".git/hooks").join(name));
    for path in planted.iter().chain([&monitor]) {
        write(path, &script);
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(path, mode).expect("ours");
    }
    git(&site.root, &["config", "core.fsmonitor", &monitor.display().to_string()]);
    if crate::is_root() {
        give(site.root.join(".git"), OWNER);
    }
}

#[test]
fn head_and_index_follow_an_upgrade_whether_the_clone_has_the_release_or_not() {
    for (how, has_it) in [(&[][..], true), (&[], false), (&["--depth=1"], false)] {
        let world = World::new();
        let origin = Origin::with(&world, "1.1.0");
        if has_it {
            origin.publish("1.3.2");
        }
        let site = cloned(&world, &origin, how);
        if !has_it {
            origin.publish("1.3.2");
        }
        let commit = git(&origin.0, &["rev-parse", "v1.3.2^{commit}"]);
        let canary = world.path("a-hook-ran");
        plant(&site, &canary);
        world.snap(upgrade("1.3.2")).ok();
        assert!(!canary.exists(), "something planted in .git ran");
        git(&site.root, &["config", "--unset", "core.fsmonitor"]);
        std::fs::remove_dir_all(site.root.join(".git/hooks")).expect("ours");
        is_at(&site, "1.3.2", &commit);
        if crate::is_root() {
            let objects = site.root.join(".git/objects");
            let foreign = tool("find", &[&objects, &"-not", &"-user", &OWNER]);
            assert_eq!(String::from_utf8_lossy(&foreign), "", "the owner can go on using it");
        }
    }
}

#[test]
fn a_rollback_and_a_recovery_bring_the_repository_back_too() {
    let world = World::new();
    let origin = Origin::with(&world, "1.1.0");
    let site = cloned(&world, &origin, &[]);
    origin.publish("1.4.0");
    let (before, stood) = (site.fingerprint(), state(&site));
    world.snap(upgrade("1.4.0")).exits(20);
    unchanged(&site, &before, "put back");
    assert_eq!(state(&site), stood);
    // Died between the index and HEAD.
    let before = site.fingerprint();
    world.snap_dying_at(CHECKOUT, upgrade("1.4.0")).killed();
    assert_ne!(state(&site)[2], stood[2], "the index was written");
    world.snap(["recover"]).ok();
    unchanged(&site, &before, "recovered");
    assert_eq!(state(&site), stood);
}

#[test]
fn what_git_cannot_do_is_told_and_nothing_of_it_is_half_done() {
    let world = World::new();
    let origin = Origin::with(&world, "1.1.0");
    origin.publish("1.3.2");
    let site = cloned(&world, &origin, &[]);
    let stood = state(&site);
    // Somebody's git died here.
    write(site.root.join(".git/index.lock"), "");
    world.snap(upgrade("1.3.2")).ok().says("HEAD and index");
    std::fs::remove_file(site.root.join(".git/index.lock")).expect("ours");
    let now = state(&site);
    assert_eq!((&now[0], &now[2]), (&stood[0], &stood[2]));
}

#[test]
fn a_plan_tells_when_the_release_does_not_come_from_git() {
    let world = World::new();
    let origin = Origin::with(&world, "1.1.0");
    let _site = cloned(&world, &origin, &[]);
    let (from, base) = (release("1.3.2"), release("1.1.0"));
    let plan = args!["plan", "--app", "notes", "--from-dir", from, "--base", base];
    world.snap(plan).ok().says("git checkout");
}
