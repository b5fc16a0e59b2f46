//! The guide's own example on the real trees of passbolt 1.1.0 and 1.3.2, for those who have them:
//! `SNAP_TEST_TREES=DIR` with `DIR/passbolt/1.1.0` and `DIR/passbolt/1.3.2`, as their tags hold them.
//!
//! No PHP of today runs CakePHP 2, so in both trees the console and the framework are the stand-in's;
//! the other thousands of files, and the two changed `*.php.default`, are the real ones.

use std::fs;
use std::path::{Path, PathBuf};

use crate::oracle::same;
use crate::run::{args, tool};
use crate::site::passbolt::SKIP;
use crate::site::{OWNER, Passbolt};
use crate::stage::{copy, fixture, give, read};
use crate::world::World;

/// The real tree of a version, its console replaced.
fn real(trees: &Path, world: &World, version: &str) -> PathBuf {
    let dir = world.path(format!("real-{version}"));
    copy(trees.join("passbolt").join(version), &dir);
    let stand_in = fixture("apps/passbolt-v1").join(version);
    for part in ["lib/Cake", "app/Console", "app/Plugin/Migrations", "app/Config/Migration"] {
        let place = dir.join(part);
        if place.exists() {
            fs::remove_dir_all(&place).expect("ours");
        }
        copy(stand_in.join(part), place);
    }
    for part in ["app/Config/bootstrap.php", "app/Config/default.php"] {
        fs::copy(stand_in.join(part), dir.join(part)).expect("ours");
    }
    dir
}

#[test]
#[ignore = "needs MariaDB, PHP and real trees; SNAP_TEST_TREES=DIR bash tests/all.sh runs it"]
fn the_guides_example_works_on_the_real_trees_from_git_tags() {
    let trees = std::env::var_os("SNAP_TEST_TREES").map(PathBuf::from);
    let trees = trees.expect("SNAP_TEST_TREES names the directory of the real trees");
    let world = World::new();
    let (old, new) = (real(&trees, &world, "1.1.0"), real(&trees, &world, "1.3.2"));
    let mut site = Passbolt::install(&world.path(""));
    // The stand-in's site gives its configuration and keys to the real tree.
    let root = world.path("site");
    copy(&old, &root);
    for own in [
        "app.php",
        "core.php",
        "database.php",
        "email.php",
        "gpg/serverkey.asc",
        "gpg/serverkey_private.asc",
    ] {
        let own = Path::new("app/Config").join(own);
        fs::copy(site.root.join(&own), root.join(&own)).expect("ours");
    }
    site.root.clone_from(&root);
    let git = world.path("clone.git");
    tool(
        "sh",
        &[
            &"-ec",
            &"
export HOME=/nonexistent GIT_CONFIG_NOSYSTEM=1
git -c init.defaultBranch=master init -q \"$1\"; cd \"$1\"
git config user.name t; git config user.email t@example.org
for v in \"$2\" \"$3\"; do
  find . -mindepth 1 -maxdepth 1 ! -name .git -exec rm -rf {} +
  cp -a \"$v/.\" .; git add -Af; git commit -qm \"$v\"; git tag \"v${v##*-}\"
done
",
            &"sh",
            &git,
            &old,
            &new,
        ],
    );
    if crate::is_root() {
        give(&root, OWNER);
        give(&git, OWNER);
    }
    world.register("passbolt", "passbolt-v1", &root, "");
    let tag = |version: &str| format!("{}#v{version}", git.display());
    let plan =
        args!["plan", "--app", "passbolt", "--from-git", tag("1.3.2"), "--base", tag("1.1.0")];
    let plan = world.snap(plan).ok();
    eprintln!("{}", plan.stdout);
    for review in ["app/Config/app.php.default", "app/Config/core.php.default"] {
        assert!(plan.stdout.contains(review), "{plan}");
    }
    let before = site.fingerprint();
    let failing = world.path("failing");
    copy(&new, &failing);
    copy(fixture("apps/passbolt-v1/overlays/fails-asking"), &failing);
    let run = world
        .snap(args![
            "upgrade",
            "--app",
            "passbolt",
            "--from-dir",
            failing,
            "--base",
            tag("1.1.0"),
            "--yes"
        ])
        .exits(20);
    eprintln!("{}failed and put back in {:.1?}", run.stdout, run.took);
    let now = site.fingerprint();
    same(&before.0.0, &now.0.0, "put back: files");
    same(&before.1, &now.1, "put back: database");
    let kept = read(root.join("app/Config/database.php"));
    let run = world
        .snap(args![
            "upgrade",
            "--app",
            "passbolt",
            "--from-git",
            tag("1.3.2"),
            "--base",
            tag("1.1.0"),
            "--yes"
        ])
        .ok();
    eprintln!("{}upgraded in {:.1?}", run.stdout, run.took);
    assert_eq!(read(root.join("app/Config/database.php")), kept);
    assert!(read(root.join("app/Config/version.php")).contains("1.3.2"));
    // But for what is the site's own, the tree is the release's.
    let differs = std::process::Command::new("diff")
        .args(["-rq", "--no-dereference"])
        .arg(&new)
        .arg(&root)
        .output();
    let differs = String::from_utf8_lossy(&differs.expect("diff runs").stdout).into_owned();
    for line in differs.lines() {
        let own = [
            "app.php",
            "core.php",
            "database.php",
            "email.php",
            "anonymous_statistics.php",
            "serverkey",
            "app/tmp",
        ];
        assert!(own.iter().any(|own| line.contains(own)), "{line}");
    }
    assert_eq!(SKIP.inside, ["app/tmp"]);
}
