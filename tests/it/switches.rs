//! The switches that shut a site: turned, and put back to the last nanosecond.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use snap_backup::app::files::Live;
use snap_backup::app::maintenance::{
    Blobs, Extent, Hands, Recorded, Systemctl, look, put_back, shut,
};
use snap_backup::app::profile::Profile;
use snap_backup::app::{App, AppError};
use snap_backup::database::{self, Database, OpenOptions};
use snap_backup::os::process::Trampoline;

use crate::run::tool;
use crate::stage::write;

const TOKEN: &str = "0123456789abcdef";

/// A site with a database, and a `systemctl` of our own that keeps its state in files.
struct Site {
    dir: tempfile::TempDir,
    app: App,
}

impl Site {
    fn new(switches: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let root = dir.path().join("site");
        write(root.join("VERSION"), "1.1.0\n");
        write(root.join("migrations/1.sql"), "");
        write(root.join("var/keep"), "");
        let config =
            "<?php return ['database' => ['driver' => 'sqlite', 'name' => __DIR__ . '/app.db']];\n";
        write(root.join("config.php"), config);
        tool("sqlite3", &[&root.join("app.db"), &"CREATE TABLE settings (id INTEGER PRIMARY KEY, name, value);
            INSERT INTO settings VALUES (1, 'maintenance', '0'), (2, 'maintenance', NULL), (3, 'other', 'x');"]);
        let text =
            format!("extends = \"builtin:sql-files\"\nroot = \"{}\"\n{switches}", root.display());
        let profile = Profile::parse(&text, "site.toml").unwrap_or_else(|e| panic!("{e}"));
        let app = App::meet(profile, &root, &Live::open(&root).expect("it is there"));
        write(dir.path().join("units/web"), "active");
        write(dir.path().join("units/worker"), "inactive");
        let systemctl = dir.path().join("systemctl");
        let units = dir.path().join("units");
        write(&systemctl, format!("#!/bin/sh\ncd {}\n{SYSTEMCTL}", units.display()));
        fs::set_permissions(&systemctl, fs::Permissions::from_mode(0o755)).expect("it is ours");
        Self { dir, app: app.unwrap_or_else(|e| panic!("{e}")) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.app.root.join(name)
    }

    fn with<T>(&self, act: impl FnOnce(&mut Hands<'_>) -> T) -> T {
        let trampoline = Trampoline::of(Path::new(env!("CARGO_BIN_EXE_snap")));
        let options = OpenOptions::new(self.dir.path().to_owned());
        let one = &self.app.databases[0];
        let open = database::open(&one.name, &one.address, &options).expect("it is there");
        let mut databases: Vec<Box<dyn Database>> = vec![open];
        let systemctl =
            Systemctl { trampoline: &trampoline, program: &self.dir.path().join("systemctl") };
        let mut run = |_: &str, argv: &[std::ffi::OsString]| {
            let output = std::process::Command::new(&argv[0]).args(&argv[1..]).output()?;
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        };
        act(&mut Hands {
            root: &self.app.root,
            token: TOKEN,
            databases: &mut databases,
            systemctl: &systemctl,
            run: &mut run,
        })
    }

    fn look(&self) -> Result<(Recorded, Blobs), AppError> {
        self.with(|hands| look(&self.app, hands))
    }

    fn shut(&self, recorded: &Recorded) {
        self.with(|hands| shut(recorded, hands)).unwrap_or_else(|e| panic!("{e}: {e:?}"));
    }

    /// As whoever recovers does: from what the journal kept.
    fn put_back(&self, recorded: &Recorded, blobs: &Blobs, extent: Extent) {
        let kept = serde_json::to_string(recorded).expect("it can be kept");
        let recorded: Recorded = serde_json::from_str(&kept).expect("it can be read");
        let blob = |name: &str| {
            let found = blobs.iter().find(|(one, _)| one == name);
            Ok(found.expect("it was given out").1.clone())
        };
        let done = self.with(|hands| put_back(&recorded, extent, &blob, hands));
        done.unwrap_or_else(|e| panic!("{e}: {e:?}"));
    }

    fn rows(&self) -> String {
        let out =
            tool("sqlite3", &[&self.path("app.db"), &"SELECT id, quote(value) FROM settings"]);
        String::from_utf8_lossy(&out).into_owned()
    }

    fn unit(&self, name: &str) -> String {
        fs::read_to_string(self.dir.path().join("units").join(name)).expect("it is known")
    }
}

const SYSTEMCTL: &str = r#"
verb=$1; for unit; do :; done; unit=${unit%.service}
case $verb in
show) if [ -f "$unit" ]; then echo LoadState=loaded; else echo LoadState=not-found; fi
      echo "ActiveState=$(cat "$unit" 2>/dev/null || echo inactive)" ;;
start) [ "$unit" = broken ] || printf active > "$unit" ;;
stop) [ "$unit" = broken ] || printf inactive > "$unit" ;;
esac
"#;

fn meta(path: &Path) -> (u32, u32, u32, i64, i64, Vec<u8>) {
    let meta = fs::metadata(path).expect("it is there");
    let bytes = if meta.is_file() { fs::read(path).expect("it can be read") } else { Vec::new() };
    (meta.mode(), meta.uid(), meta.gid(), meta.mtime(), meta.mtime_nsec(), bytes)
}

#[test]
fn a_file_that_was_not_there_is_gone_again_and_its_directory_has_its_old_time() {
    let site = Site::new(
        "[[maintenance]]\nkind = \"file\"\nfile = \"var/shut\"\ncontent = \"<?php // {root}\"\n",
    );
    tool("touch", &[&"-d", &"2020-01-02 03:04:05.123456789", &site.path("var")]);
    let before = meta(&site.path("var"));
    let (recorded, blobs) = site.look().expect("it can be looked at");
    assert_eq!(meta(&site.path("var")), before, "looking changes nothing");
    for _ in 0..2 {
        site.shut(&recorded);
    }
    let shut = fs::read_to_string(site.path("var/shut")).expect("it is on");
    assert_eq!(shut, format!("<?php // {}", site.app.root.display()));
    for _ in 0..2 {
        site.put_back(&recorded, &blobs, Extent::Exactly);
        assert_eq!(meta(&site.path("var")), before);
    }
    let names = fs::read_dir(site.path("var")).expect("it is there").count();
    assert_eq!(names, 1, "nothing of ours is left");
}

#[test]
fn a_file_that_was_there_comes_back_with_all_that_it_had() {
    let site =
        Site::new("[[maintenance]]\nkind = \"file\"\nfile = \"var/mode\"\ncontent = \"shut\"\n");
    write(site.path("var/mode"), b"open\xff\n");
    tool("chmod", &[&"640", &site.path("var/mode")]);
    if crate::is_root() {
        tool("chown", &[&"33:34", &site.path("var/mode")]);
    }
    tool("setfattr", &[&"-n", &"user.why", &"-v", &"because", &site.path("var/mode")]);
    tool("touch", &[&"-d", &"2019-05-06 07:08:09.000000001", &site.path("var/mode")]);
    tool("touch", &[&"-d", &"2018-01-01", &site.path("var")]);
    let before = (meta(&site.path("var/mode")), meta(&site.path("var")));
    let (recorded, blobs) = site.look().expect("it can be looked at");
    let kept = serde_json::to_string(&recorded).expect("it can be kept");
    assert!(!kept.contains("open"), "its bytes are not in what the journal keeps");
    site.shut(&recorded);
    let on = meta(&site.path("var/mode"));
    assert_eq!((on.0, on.1, on.5.as_slice()), (before.0.0, before.0.1, &b"shut"[..]));
    site.put_back(&recorded, &blobs, Extent::Exactly);
    assert_eq!((meta(&site.path("var/mode")), meta(&site.path("var"))), before);
    let attribute =
        tool("getfattr", &[&"--only-values", &"-n", &"user.why", &site.path("var/mode")]);
    assert_eq!(attribute, b"because");
}

#[test]
fn after_a_commit_the_directory_keeps_the_time_that_the_release_gave_it() {
    let site =
        Site::new("[[maintenance]]\nkind = \"file\"\nfile = \"var/shut\"\ncontent = \"x\"\n");
    let (recorded, blobs) = site.look().expect("it can be looked at");
    site.shut(&recorded);
    tool("touch", &[&"-d", &"2031-01-01", &site.path("var")]);
    let new = meta(&site.path("var"));
    site.put_back(&recorded, &blobs, Extent::SwitchOnly);
    assert_eq!(meta(&site.path("var")), new);
    assert!(!site.path("var/shut").exists());
}

#[test]
fn a_link_in_the_way_is_not_followed() {
    let site =
        Site::new("[[maintenance]]\nkind = \"file\"\nfile = \"var/shut\"\ncontent = \"x\"\n");
    let outside = site.dir.path().join("outside");
    write(&outside, "untouched");
    std::os::unix::fs::symlink(&outside, site.path("var/shut")).expect("the name is free");
    assert!(matches!(site.look(), Err(AppError::SwitchFailed { .. })));
    assert_eq!(fs::read_to_string(outside).expect("it is there"), "untouched");
}

#[test]
fn rows_are_set_and_each_gets_its_own_value_back() {
    let row = "[[maintenance]]\nkind = \"row\"\ntable = \"settings\"\nwhere = { name = \"maintenance\" }\n\
        column = \"value\"\non = \"1\"\n";
    let site = Site::new(&format!("{row}key_columns = [\"id\"]\n"));
    let before = site.rows();
    let (recorded, blobs) = site.look().expect("it can be looked at");
    site.shut(&recorded);
    assert_eq!(site.rows(), "1|'1'\n2|'1'\n3|'x'\n");
    site.put_back(&recorded, &blobs, Extent::Exactly);
    assert_eq!(site.rows(), before);
    // Without a key nobody could tell which row had which value.
    let refused = Site::new(row).look().expect_err("they differ");
    assert!(refused.to_string().contains("key_columns"), "{refused}");
}

#[test]
fn a_row_that_is_not_there_shuts_nothing_and_is_refused() {
    for (table, name) in [("settings", "none"), ("absent", "maintenance")] {
        let site = Site::new(&format!(
            "[[maintenance]]\nkind = \"row\"\ntable = \"{table}\"\nwhere = {{ name = \"{name}\" }}\n\
             column = \"value\"\non = \"1\"\n"
        ));
        assert!(matches!(site.look(), Err(AppError::SwitchFailed { .. })), "{table} {name}");
    }
}

#[test]
fn units_that_ran_run_again_and_the_others_stay_stopped() {
    let site = Site::new(
        "[[maintenance]]\nkind = \"units\"\nunits = [\"web.service\"]\n[quiesce]\nunits = [\"worker\"]\n",
    );
    let (recorded, blobs) = site.look().expect("they can be looked at");
    site.shut(&recorded);
    assert_eq!((site.unit("web").as_str(), site.unit("worker").as_str()), ("inactive", "inactive"));
    for _ in 0..2 {
        site.put_back(&recorded, &blobs, Extent::Exactly);
        assert_eq!(
            (site.unit("web").as_str(), site.unit("worker").as_str()),
            ("active", "inactive")
        );
    }
}

#[test]
fn a_unit_that_is_unknown_or_does_not_stop_is_refused() {
    let unknown = Site::new("[[maintenance]]\nkind = \"units\"\nunits = [\"nothing.service\"]\n");
    let refused = unknown.look().expect_err("there is none").to_string();
    assert_eq!(refused, "cannot turn the unit nothing.service: there is no such unit");
    let broken = Site::new("[[maintenance]]\nkind = \"units\"\nunits = [\"broken\"]\n");
    write(broken.dir.path().join("units/broken"), "active");
    let (recorded, _) = broken.look().expect("it is there");
    let stuck = broken.with(|hands| shut(&recorded, hands)).expect_err("it goes on");
    assert!(matches!(stuck, AppError::SwitchFailed { .. }));
}

#[test]
fn a_command_is_believed_only_when_its_state_says_so() {
    let flag = |name: &str| format!("{{root}}/var/{name}");
    let switch = |on: &str| {
        format!(
            "[[maintenance]]\nkind = \"command\"\nget = [\"ls\", \"{{root}}/var\"]\nis_on = '(?m)^flag$'\n\
             on = [\"{on}\", \"{}\"]\noff = [\"rm\", \"{}\"]\n",
            flag("flag"),
            flag("flag")
        )
    };
    let site = Site::new(&switch("touch"));
    let (recorded, blobs) = site.look().expect("it can be asked");
    site.shut(&recorded);
    assert!(site.path("var/flag").exists());
    site.put_back(&recorded, &blobs, Extent::Exactly);
    assert!(!site.path("var/flag").exists());
    // On before: on afterwards.
    write(site.path("var/flag"), "");
    let (recorded, blobs) = site.look().expect("it can be asked");
    site.shut(&recorded);
    site.put_back(&recorded, &blobs, Extent::Exactly);
    assert!(site.path("var/flag").exists());
    let lying = Site::new(&switch("true"));
    let (recorded, _) = lying.look().expect("it can be asked");
    assert!(lying.with(|hands| shut(&recorded, hands)).is_err());
}

#[test]
fn with_no_switch_there_is_nothing_to_record() {
    let site = Site::new("");
    let (recorded, blobs) = site.look().expect("there is nothing to look at");
    assert_eq!((recorded, blobs.len()), (Recorded::default(), 0));
    assert!(site.app.profile.maintenance.is_empty());
}
