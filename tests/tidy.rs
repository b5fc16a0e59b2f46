//! Keeps the layers of ARCHITECTURE.md honest.

use std::fs;
use std::path::{Path, PathBuf};

/// Top first. A module may use only modules in rows below its own.
const LAYERS: &[&[&str]] = &[
    &["main"],
    &["cli"],
    &["upgrade"],
    &["app"],
    &["snapshot"],
    &["tree", "database"],
    &["repository"],
    &["os"],
    &["monitor"],
];

fn layer_of(module: &str) -> Option<usize> {
    LAYERS.iter().position(|row| row.contains(&module))
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("src is readable") {
        let path = entry.expect("src is readable").path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            found.push(path);
        }
    }
    found
}

/// What `text`, a file of `module`, uses although it may not.
fn upward<'a>(module: &str, text: &'a str) -> Vec<&'a str> {
    let own = layer_of(module).expect("every module has a layer");
    let body = text.split("#[cfg(test)]").next().expect("split yields one part");
    let used = body.split("crate::").skip(1).map(|rest| {
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        &rest[..end]
    });
    used.filter(|used| *used != module && layer_of(used).is_none_or(|row| row <= own)).collect()
}

#[test]
fn no_module_looks_up() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for file in rust_files(&src) {
        // `src/tree/walk.rs` and `src/tree.rs` both belong to `tree`.
        let first = file.strip_prefix(&src).unwrap().iter().next().unwrap();
        let module = Path::new(first).file_stem().unwrap().to_str().unwrap();
        if module != "lib" {
            let text = fs::read_to_string(&file).unwrap();
            assert_eq!(upward(module, &text), [""; 0], "{}", file.display());
        }
    }
}

#[test]
fn looking_up_is_caught() {
    let text = "use crate::os::x; use crate::upgrade::y; use crate::repository::z;";
    assert_eq!(upward("repository", text), ["upgrade"]);
}
