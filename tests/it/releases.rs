//! Releases read from git repositories, as their owner and without running anything of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use snap_backup::app::files::{Files, Stored};
use snap_backup::app::profile::Profile;
use snap_backup::app::release::{
    GitSource, Import, Imported, Limits, ReleaseError, ReleaseSource, import,
};
use snap_backup::app::{AppError, builtin};
use snap_backup::monitor::Recorder;
use snap_backup::os::process::Trampoline;
use snap_backup::repository::{InitOptions, Repository};
use snap_backup::tree::TreePath;

use crate::is_root;
use crate::stage::{give, write};

struct Place {
    dir: tempfile::TempDir,
    repository: Repository,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        // The owner of a repository must be able to reach it.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(dir.path(), open).expect("it is ours");
        let key = dir.path().join("key");
        let options = InitOptions { machine_key_file: Some(&key), ..InitOptions::default() };
        let at = dir.path().join("repository");
        let repository = Repository::init(&at, &options).expect("a repository");
        Self { dir, repository }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn import(&self, source: GitSource) -> Result<Imported, AppError> {
        let text = builtin::text("sql-files").expect("it is built in");
        let profile = Profile::parse(text, "builtin:sql-files").expect("it is valid");
        let trampoline = Trampoline::of(Path::new(env!("CARGO_BIN_EXE_snap")));
        let import_it = Import {
            source: &ReleaseSource::Git(source),
            profile: &profile,
            checksum: None,
            limits: Limits::default(),
            trampoline: &trampoline,
            cache_dir: &self.path("cache"),
        };
        import(&self.repository, &import_it, &Recorder::default())
    }

    fn files(&self, imported: &Imported) -> Vec<String> {
        let files = Stored::new(&self.repository, &imported.root, "it");
        let files: &dyn Files = &files;
        let found = files.matching("**").expect("it can be listed");
        found.iter().map(ToString::to_string).collect()
    }
}

fn git(dir: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.arg("-C").arg(dir).args(arguments);
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    command
        .env("GIT_COMMITTER_DATE", "1500000000 +0200")
        .env("GIT_AUTHOR_DATE", "1400000000 +0000");
    for (name, value) in [("NAME", "A U Thor"), ("EMAIL", "author@example.org")] {
        command.env(format!("GIT_AUTHOR_{name}"), value);
        command.env(format!("GIT_COMMITTER_{name}"), value);
    }
    let output = command.output().expect("git runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A repository with a tag, an export-ignored file, a link and odd names.
fn repository(dir: &Path) {
    fs::create_dir_all(dir).expect("the place is free");
    git(dir, &["init", "--quiet", "--initial-branch=master"]);
    write(dir.join("VERSION"), "1.3.2\n");
    write(dir.join("migrations/0001.sql"), "CREATE TABLE a (b);\n");
    write(dir.join("docs/secret.md"), "not exported\n");
    write(dir.join(".gitattributes"), "docs export-ignore\nVERSION export-subst\n");
    write(dir.join("name with \"quotes\" and é\nnewline"), "odd\n");
    write(dir.join("empty"), "");
    write(dir.join("bin/run"), "#!/bin/sh\n");
    std::os::unix::fs::symlink("bin/run", dir.join("link")).expect("the name is free");
    git(dir, &["add", "."]);
    git(dir, &["update-index", "--chmod=+x", "bin/run"]);
    git(dir, &["commit", "--quiet", "--message", "release"]);
    git(dir, &["tag", "--annotate", "--message", "it", "v1.3.2"]);
}

fn tag(repository: &Path, reference: &str) -> GitSource {
    GitSource {
        repository: repository.to_owned(),
        reference: reference.to_owned(),
        remote: None,
        fetch: false,
    }
}

#[test]
fn a_tag_is_read_whole_and_dated_by_its_commit() {
    let place = Place::new();
    let site = place.path("site");
    repository(&site);
    write(site.join("VERSION"), "edited, not committed\n");
    let imported = place.import(tag(&site, "v1.3.2")).expect("it is a release");
    assert_eq!(imported.version.to_string(), "1.3.2");
    let odd = "name with \"quotes\" and é\\nnewline";
    let all = [
        ".gitattributes",
        "VERSION",
        "bin/run",
        "docs/secret.md",
        "empty",
        "migrations/0001.sql",
        odd,
    ];
    assert_eq!(place.files(&imported), all);
    let find = |path: &str| {
        let path = TreePath::parse(path.as_bytes()).expect("a path");
        let found = snap_backup::tree::read::find(&place.repository, &imported.root, &path);
        found.expect("it can be read").expect("it is there")
    };
    assert_eq!((find("bin/run").meta.mode, find("VERSION").meta.mode), (0o755, 0o644));
    assert_eq!(find("VERSION").meta.mtime.secs, 1_500_000_000);
    // The same commit by other names is the same release.
    let id = git(&site, &["rev-parse", "HEAD"]);
    for name in ["tags/v1.3.2", "master", &id] {
        let again = place.import(tag(&site, name)).expect("it is a release");
        assert_eq!(again.snapshot, imported.snapshot, "{name}");
    }
}

#[test]
fn a_reference_that_is_none_is_refused() {
    let place = Place::new();
    let site = place.path("site");
    repository(&site);
    for name in ["v9", "--upload-pack=touch x", "HEAD:VERSION", "v1.3.2^{tree}", ""] {
        match place.import(tag(&site, name)) {
            Err(AppError::Release(ReleaseError::NoReference { reference, .. })) => {
                assert_eq!(reference, name);
            }
            other => panic!("{name:?}: {other:?}"),
        }
    }
    let none = place.import(tag(&place.path("nowhere"), "v1"));
    assert!(matches!(none, Err(AppError::Release(ReleaseError::NotFound { .. }))), "{none:?}");
}

#[test]
fn what_the_clone_lacks_is_fetched_into_a_copy_of_ours() {
    let place = Place::new();
    let (origin, site) = (place.path("origin"), place.path("site"));
    repository(&origin);
    git(place.dir.path(), &["clone", "--quiet", "origin", "site"]);
    write(origin.join("VERSION"), "1.4.0\n");
    git(&origin, &["commit", "--quiet", "--all", "--message", "next"]);
    git(&origin, &["tag", "v1.4.0"]);
    let before = crate::oracle::tree(&site, crate::oracle::Skip::default());
    let lacking = tag(&site, "v1.4.0");
    let refused = place.import(lacking.clone());
    assert!(matches!(refused, Err(AppError::Release(ReleaseError::NoReference { .. }))));
    let imported = place.import(GitSource { fetch: true, ..lacking }).expect("it is fetched");
    assert_eq!(imported.version.to_string(), "1.4.0");
    let after = crate::oracle::tree(&site, crate::oracle::Skip::default());
    crate::oracle::same(&before.0, &after.0, "the live repository");
}

#[test]
fn nothing_of_a_hostile_repository_is_run() {
    let place = Place::new();
    let site = place.path("site");
    repository(&site);
    let mark = place.path("mark");
    let hook = format!("#!/bin/sh\ntouch {}\n", mark.display());
    for name in
        ["post-checkout", "reference-transaction", "fsmonitor-watchman", "post-index-change"]
    {
        let path = site.join(".git/hooks").join(name);
        write(&path, &hook);
        let run = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&path, run).expect("it is ours");
    }
    let command = format!("touch {}", mark.display());
    for (key, value) in [
        ("core.fsmonitor", command.as_str()),
        ("core.pager", &command),
        ("core.sshCommand", &command),
        ("core.alternateRefsCommand", &command),
        ("filter.x.smudge", &command),
        ("gpg.program", &command),
        ("log.showSignature", "true"),
        ("uploadpack.packObjectsHook", &command),
        ("remote.origin.url", &format!("ext::sh -c 'touch {}'", mark.display())),
        ("remote.origin.uploadpack", &command),
    ] {
        git(&site, &["config", key, value]);
    }
    write(site.join(".git/info/attributes"), "* filter=x\n");
    place.import(tag(&site, "v1.3.2")).expect("it is a release");
    let refused = place.import(GitSource { fetch: true, ..tag(&site, "v9") });
    assert!(matches!(refused, Err(AppError::Release(_))), "{refused:?}");
    assert!(!mark.exists(), "something of the repository was run");
}

#[test]
fn git_runs_as_the_owner_of_the_repository() {
    if !is_root() {
        eprintln!("skipped: only root can read as another account");
        return;
    }
    let place = Place::new();
    let site = place.path("site");
    repository(&site);
    give(&site, "nobody");
    let imported = place.import(tag(&site, "v1.3.2")).expect("it is a release");
    assert_eq!(imported.version.to_string(), "1.3.2");
}
