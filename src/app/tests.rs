//! Profiles met with small installations.

#![expect(clippy::disallowed_methods, reason = "tests build the trees they look at")]

use std::fs;
use std::path::Path;

use secrecy::ExposeSecret;

use crate::database::Address;

use super::files::{Files, Live};
use super::profile::Profile;
use super::*;

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn passbolt() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    write(root, "app/Console/cake", "#!/bin/sh\n");
    write(root, "app/Config/bootstrap.php", "<?php\n");
    write(root, "lib/Cake/VERSION.txt", "2.9\n");
    write(
        root,
        "app/Config/version.php",
        "<?php\n$config = ['App.version' => ['number' => '1.1.0']];\n",
    );
    write(
        root,
        "app/Config/database.php",
        "<?php\nclass DATABASE_CONFIG {\n\tpublic $default = array(\n\t\t'datasource' => 'Database/Mysql',\n\
         \t\t'host' => '127.0.0.1',\n\t\t'port' => 3307,\n\t\t'login' => 'pb',\n\t\t'password' => 'p\\'w',\n\
         \t\t'database' => 'passbolt',\n\t\t'prefix' => 'x_',\n\t);\n}\n",
    );
    write(
        root,
        "app/Config/app.php",
        "<?php\n$config = ['GPG' => ['env' => ['home' => '/nowhere/.gnupg']]];\n",
    );
    dir
}

fn sql_files(config: &str) -> (tempfile::TempDir, Result<App, AppError>) {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "VERSION", "1.3.2\n");
    write(dir.path(), "migrations/0001.sql", "");
    write(dir.path(), "config.php", config);
    let app = meet("sql-files", dir.path());
    (dir, app)
}

fn meet(profile: &str, root: &Path) -> Result<App, AppError> {
    let text = builtin::text(profile).unwrap();
    let profile = Profile::parse(text, &format!("builtin:{profile}"))?;
    App::meet(profile, root, &Live::open(root)?)
}

#[test]
fn passbolt_is_met_with_its_version_and_database() {
    let dir = passbolt();
    let app = meet("passbolt-v1", dir.path()).unwrap();
    assert_eq!((app.name.as_str(), app.layout.as_str()), ("passbolt", "v1"));
    assert_eq!(app.version.to_string(), "1.1.0");
    let Address::MySql(address) = &app.databases[0].address else { panic!("no MySQL") };
    assert_eq!((address.host.as_str(), address.port), ("127.0.0.1", 3307));
    assert_eq!((address.user.as_str(), address.schema.as_str()), ("pb", "passbolt"));
    assert_eq!(address.password.expose_secret(), "p'w");
    assert_eq!(app.databases[0].prefix, "x_");
    let password = app.databases[0].origins.iter().find(|one| one.part == "password").unwrap();
    assert_eq!((password.file.as_str(), password.line), ("app/Config/database.php", 8));
    assert!(!format!("{app:?}").contains("p'w"), "a secret is shown");
    // The keyring does not exist here, so the root is all there is to cover.
    let areas = app.areas().unwrap();
    assert_eq!(areas.len(), 1);
    assert_eq!(areas[0].exclusions.skip_content, ["app/tmp/**"]);
}

#[test]
fn a_sqlite_file_below_the_root_belongs_to_its_database() {
    let (dir, app) = sql_files(
        "<?php return ['database' => ['driver' => 'sqlite', 'name' => __DIR__ . '/data/../data/app.db']];\n",
    );
    let app = app.unwrap();
    let Address::Sqlite(path) = &app.databases[0].address else { panic!("no SQLite") };
    assert_eq!(*path, dir.path().join("data/app.db"));
    let areas = app.areas().unwrap();
    let (file, name) = &areas[0].exclusions.databases[0];
    assert_eq!((file.to_string().as_str(), name.as_str()), ("data/app.db", "default"));
}

#[test]
fn what_is_not_literal_is_refused_by_name() {
    let (_dir, app) = sql_files(
        "<?php return ['database' => ['driver' => 'mysql', 'password' => secret(), 'name' => 'x']];\n",
    );
    let error = app.unwrap_err().to_string();
    assert_eq!(error, "config.php:1: database.password is not literal: a call of secret()");
}

#[test]
fn an_address_that_lacks_a_part_is_refused() {
    for (config, expected) in [
        (
            "['driver' => 'mysql', 'user' => 'a']",
            "the configuration says no usable name for the database default",
        ),
        (
            "['driver' => 'mysql', 'name' => 'a']",
            "the configuration says no usable user for the database default",
        ),
        (
            "['driver' => 'oracle', 'name' => 'a']",
            "the database default uses oracle, which is not supported by this version",
        ),
        ("['name' => 'a']", "the configuration says no usable driver for the database default"),
    ] {
        let (_dir, app) = sql_files(&format!("<?php return ['database' => {config}];\n"));
        assert_eq!(app.unwrap_err().to_string(), expected);
    }
}

#[test]
fn a_tree_of_another_kind_is_told_why() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "index.php", "");
    let error = meet("passbolt-v1", dir.path()).unwrap_err().to_string();
    assert!(
        error.ends_with("does not look like passbolt: v1: app/Console/cake is missing"),
        "{error}"
    );
    let dir = passbolt();
    write(dir.path(), "app/Config/version.php", "<?php\n$config = ['number' => '2.0.0'];\n");
    let error = meet("passbolt-v1", dir.path()).unwrap_err().to_string();
    assert!(error.ends_with("v1: version 2.0.0 is not in its range"), "{error}");
}

#[test]
fn two_layouts_that_fit_decide_nothing() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "VERSION", "1.0.0");
    let text = "schema = 1\napp = \"a\"\nversions = \"semver\"\n[version]\nfile = \"VERSION\"\nregex = '(.+)'\n\
        [[layout]]\nid = \"one\"\nrequire = [\"VERSION\"]\n[[layout]]\nid = \"two\"\nrequire = [\"VERSION\"]\n";
    let profile = Profile::parse(text, "a.toml").unwrap();
    let live = Live::open(dir.path()).unwrap();
    let error = App::meet(profile, dir.path(), &live).unwrap_err();
    assert!(error.to_string().ends_with("fits several layouts: one, two"), "{error}");
}

#[test]
fn variables_find_each_other_in_any_order_but_not_in_circles() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "VERSION", "1.0.0");
    write(dir.path(), "backend/config.php", "<?php\n");
    write(dir.path(), "backend/controller/x", "");
    let text = |vars: &str| {
        format!(
            "schema = 1\napp = \"a\"\nversions = \"semver\"\n[version]\nfile = \"VERSION\"\nregex = '(.+)'\n\
            [[layout]]\nid = \"one\"\nrequire = [\"VERSION\"]\n[vars]\n{vars}"
        )
    };
    let meet = |vars: &str| {
        let profile = Profile::parse(&text(vars), "a.toml").unwrap();
        App::meet(profile, dir.path(), &Live::open(dir.path()).unwrap())
    };
    let app = meet(
        "config = \"{admin}/config.php\"\n\
         admin = { find_dir = \".\", containing = [\"config.php\", \"controller/\"], default = \"admin\" }\n",
    );
    assert_eq!(app.unwrap().vars.get("config"), Some("backend/config.php"));
    let circle = meet("a = \"{b}\"\nb = \"{a}\"\n").unwrap_err();
    assert!(matches!(circle, AppError::CircularVariable { .. }), "{circle}");
}

#[test]
fn a_search_finds_installations_and_says_what_is_wrong_with_them() {
    let dir = tempfile::tempdir().unwrap();
    let (good, _) =
        sql_files("<?php return ['database' => ['driver' => 'sqlite', 'name' => '/x.db']];\n");
    let (bad, _) = sql_files("<?php return ['database' => ['driver' => f()]];\n");
    fs::create_dir(dir.path().join("www")).unwrap();
    fs::rename(good.path(), dir.path().join("www/good")).unwrap();
    fs::rename(bad.path(), dir.path().join("www/bad")).unwrap();
    let search = catalog::search(&[dir.path().to_owned()]).unwrap();
    let found: Vec<_> = search
        .found
        .iter()
        .map(|one| (one.root.strip_prefix(dir.path()).unwrap().to_str().unwrap(), one.app.is_ok()))
        .collect();
    assert_eq!(found, [("www/bad", false), ("www/good", true)]);
}

#[test]
fn a_profile_that_others_may_write_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shop.toml");
    fs::write(&path, catalog::entry("sql-files", Path::new("/srv/shop"))).unwrap();
    for (mode, fine) in [(0o644, true), (0o600, true), (0o664, false), (0o646, false)] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let loaded = catalog::added(dir.path());
        assert_eq!(loaded.is_ok(), fine, "{mode:o}");
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let profile = catalog::load(&path).unwrap();
    assert_eq!(
        (profile.name.as_str(), profile.root.as_deref()),
        ("shop", Some(Path::new("/srv/shop")))
    );
}

#[test]
fn commands_never_run_as_root() {
    let dir = passbolt();
    let app = meet("passbolt-v1", dir.path()).unwrap();
    let live = Live::open(dir.path()).unwrap();
    let account = app.account(&live as &dyn Files);
    if nix::unistd::Uid::effective().is_root() {
        assert!(matches!(account.unwrap_err(), AppError::WouldRunAsRoot { .. }));
    } else {
        assert_eq!(account.unwrap(), Account::caller());
    }
}

#[test]
fn caches_that_the_tree_does_not_cover_are_emptied() {
    let dir = passbolt();
    for name in ["models/cake_a", "persistent/b", "views/c", "models/sub/kept", "other/kept"] {
        write(dir.path(), &format!("app/tmp/cache/{name}"), "x");
    }
    write(dir.path(), "app/tmp/logs/error.log", "kept");
    std::os::unix::fs::symlink(
        "../../../Config/database.php",
        dir.path().join("app/tmp/cache/models/link"),
    )
    .unwrap();
    let app = meet("passbolt-v1", dir.path()).unwrap();
    let live = Live::open(dir.path()).unwrap();
    let rules = app.areas().unwrap().remove(0).exclusions;
    let exclusions = crate::tree::Exclusions::compile(rules).unwrap();
    assert_eq!(purge::purge(&app, &live, &exclusions).unwrap(), 3);
    for (name, kept) in [("models/cake_a", false), ("models/sub/kept", true), ("other/kept", true)]
    {
        assert_eq!(dir.path().join("app/tmp/cache").join(name).exists(), kept, "{name}");
    }
    assert!(dir.path().join("app/Config/database.php").exists());
    assert!(dir.path().join("app/tmp/logs/error.log").exists());
}

#[test]
fn what_children_print_is_shown_without_the_secrets_of_the_configuration() {
    let dir = passbolt();
    write(
        dir.path(),
        "app/Config/core.php",
        "<?php\nConfigure::write('Security.salt', 'salt-4711-salt');\n$config = f();\n",
    );
    let app = meet("passbolt-v1", dir.path()).unwrap();
    write(
        dir.path(),
        "app/Config/app.php",
        "<?php\n$config = ['serverKey' => ['passphrase' => 'phrase-0815']];\n",
    );
    let redactor = hook::Redactor::of(&app);
    let said = redactor.redact("salt-4711-salt phrase-0815 host=127.0.0.1");
    assert_eq!(said, "•••• •••• host=127.0.0.1");
}
