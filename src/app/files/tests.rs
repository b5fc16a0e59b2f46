use std::fs;
use std::os::unix::fs::symlink;

use super::*;

fn path(raw: &str) -> TreePath {
    TreePath::parse(raw.as_bytes()).unwrap()
}

fn tree() -> (tempfile::TempDir, Live) {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("root/app/Config")).unwrap();
    fs::create_dir_all(dir.path().join("root/shared")).unwrap();
    fs::write(dir.path().join("root/shared/database.php"), "inside").unwrap();
    fs::write(dir.path().join("secret"), "outside").unwrap();
    let live = Live::open(&dir.path().join("root")).unwrap();
    (dir, live)
}

#[test]
fn a_link_is_followed_while_it_stays_below_the_root() {
    let (dir, live) = tree();
    let config = dir.path().join("root/app/Config");
    symlink("../../shared/database.php", config.join("database.php")).unwrap();
    symlink("../shared", dir.path().join("root/app/also")).unwrap();
    let files: &dyn Files = &live;
    assert_eq!(files.read(&path("app/Config/database.php"), 99).unwrap().unwrap(), b"inside");
    assert_eq!(files.read(&path("app/also/database.php"), 99).unwrap().unwrap(), b"inside");
    assert!(files.has("app/also/").unwrap() && !files.has("app/Config/database.php/").unwrap());
}

#[test]
fn a_link_that_leads_out_is_refused() {
    let (dir, live) = tree();
    let root = dir.path().join("root");
    symlink("../secret", root.join("up")).unwrap();
    symlink(dir.path().join("secret"), root.join("absolute")).unwrap();
    symlink("loop", root.join("loop")).unwrap();
    let files: &dyn Files = &live;
    for name in ["up", "absolute", "loop"] {
        let refused = files.read(&path(name), 99).unwrap_err();
        assert!(matches!(refused, AppError::LeadsOut { .. }), "{name}: {refused}");
    }
}

#[test]
fn what_is_missing_too_large_or_no_file_is_told_apart() {
    let (_dir, live) = tree();
    let files: &dyn Files = &live;
    assert!(files.read(&path("nothing/here"), 99).unwrap().is_none());
    assert!(files.read(&path("shared/database.php/x"), 99).unwrap().is_none());
    let large = files.read(&path("shared/database.php"), 3).unwrap_err();
    assert!(matches!(large, AppError::TooLarge { max_bytes: 3, .. }));
    assert!(matches!(files.read(&path("app"), 99).unwrap_err(), AppError::NotAFile { .. }));
}

#[test]
fn a_pattern_names_files_in_path_order() {
    let (dir, live) = tree();
    let root = dir.path().join("root");
    for name in ["m/2.sql", "m/10.sql", "m/sub/3.sql", "m/x.txt", "other/1.sql"] {
        fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
        fs::write(root.join(name), "").unwrap();
    }
    symlink("2.sql", root.join("m/link.sql")).unwrap();
    let files: &dyn Files = &live;
    let found = |pattern: &str| -> Vec<String> {
        files.matching(pattern).unwrap().iter().map(ToString::to_string).collect()
    };
    assert_eq!(found("m/*.sql"), ["m/10.sql", "m/2.sql"]);
    assert_eq!(found("m/**/*.sql"), ["m/10.sql", "m/2.sql", "m/sub/3.sql"]);
    assert_eq!(found("shared/database.php"), ["shared/database.php"]);
    assert_eq!(found("absent/*.sql"), [""; 0]);
}
