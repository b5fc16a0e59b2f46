//! A tree's fingerprint: one line an entry, by find, stat, sha256sum and getfattr.
//!
//! Left out, as the product's own definition of *equal* leaves it out: inode numbers, ctime, holes,
//! directory sizes; and, where a test says so and it is printed, the inside of given directories,
//! given files, and the mtime of directories that hold any of these directly.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// What the fingerprint leaves out.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Skip<'a> {
    /// Directories whose inside is left out; they themselves count.
    pub(crate) inside: &'a [&'a str],
    /// Files that belong to a database, with their `-wal`, `-shm` and `-journal`.
    pub(crate) database: &'a [&'a str],
}

impl Skip<'_> {
    fn leaves_out(&self, path: &str) -> bool {
        let within = |dir: &&str| path.strip_prefix(*dir).is_some_and(|rest| rest.starts_with('/'));
        let of = |file: &&str| {
            let rest = path.strip_prefix(*file);
            rest.is_some_and(|rest| ["", "-wal", "-shm", "-journal"].contains(&rest))
        };
        self.inside.iter().any(within) || self.database.iter().any(of)
    }

    fn leaves_time_out(&self, path: &str) -> bool {
        let parent = |file: &&str| file.rsplit_once('/').map_or("", |(dir, _)| dir) == path;
        self.inside.contains(&path) || self.database.iter().any(parent)
    }
}

/// A tree as lines of text, comparable and readable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tree(pub(crate) String);

/// The fingerprint of the tree at `root`; what is skipped is printed.
pub(crate) fn tree(root: impl AsRef<Path>, skip: Skip<'_>) -> Tree {
    let root = root.as_ref();
    if !skip.inside.is_empty() || !skip.database.is_empty() {
        eprintln!(
            "the oracle skips {:?} and {:?} of {}",
            skip.inside,
            skip.database,
            root.display()
        );
    }
    let digests = digests(root);
    let attributes = attributes(root);
    let entries = entries(root);
    let mut inside = BTreeMap::<String, u64>::new();
    for entry in &entries {
        *inside.entry(entry.inode.clone()).or_default() += 1;
    }
    let mut groups = BTreeMap::<String, String>::new();
    let mut lines = String::new();
    for entry in entries {
        if skip.leaves_out(&entry.path) {
            continue;
        }
        let _ = write!(lines, "{:?} {} {} {}", entry.path, entry.kind, entry.mode, entry.owner);
        if !skip.leaves_time_out(&entry.path) {
            let _ = write!(lines, " {}", entry.mtime);
        }
        if let Some(digest) = digests.get(&entry.raw) {
            let _ = write!(lines, " {digest} {}", entry.size);
        }
        if entry.kind == "l" {
            let _ = write!(lines, " -> {:?}", entry.target);
        }
        if entry.kind == "b" || entry.kind == "c" {
            let _ = write!(lines, " device {}", entry.device);
        }
        if entry.kind != "d" && inside[&entry.inode] > 1 {
            // Entries come sorted, so a group is named by the first of its paths. A link from
            // outside the tree is nothing of the tree's.
            let group = groups.entry(entry.inode).or_insert_with(|| entry.path.clone());
            let _ = write!(lines, " linked with {group:?}");
        }
        for attribute in attributes.get(&entry.raw).into_iter().flatten() {
            let _ = write!(lines, " {attribute}");
        }
        lines.push('\n');
    }
    Tree(lines)
}

struct Found {
    raw: Vec<u8>,
    path: String,
    kind: String,
    mode: String,
    owner: String,
    mtime: String,
    size: String,
    inode: String,
    target: String,
    device: String,
}

/// A path as text in which every byte that is not plain shows, and no two paths look alike.
fn shown(raw: &[u8]) -> String {
    let mut text = String::new();
    for byte in raw {
        match byte {
            b'\\' => text.push_str("\\\\"),
            b' '..=b'~' => text.push(char::from(*byte)),
            _ => {
                let _ = write!(text, "\\x{byte:02x}");
            }
        }
    }
    text
}

fn entries(root: &Path) -> Vec<Found> {
    let fields = "%P\\0%y\\0%m\\0%U:%G\\0%T@\\0%s\\0%i\\0%l\\0";
    let out = run(root, "find", &[".", "-printf", fields], None);
    let mut parts = out.split(|b| *b == 0).map(<[u8]>::to_vec).collect::<Vec<_>>();
    assert_eq!(parts.pop(), Some(Vec::new()), "every field of find ends in NUL");
    let mut found: Vec<Found> = parts
        .chunks(8)
        .map(|part| {
            let text = |n: usize| String::from_utf8_lossy(&part[n]).into_owned();
            Found {
                raw: part[0].clone(),
                path: shown(&part[0]),
                kind: text(1),
                mode: text(2),
                owner: text(3),
                mtime: text(4),
                size: text(5),
                inode: text(6),
                target: shown(&part[7]),
                device: String::new(),
            }
        })
        .collect();
    for special in found.iter_mut().filter(|entry| entry.kind == "b" || entry.kind == "c") {
        let path = root.join(OsStr::from_bytes(&special.raw));
        let numbers = crate::run::tool("stat", &[&"-c", &"%t:%T", &path]);
        String::from_utf8_lossy(&numbers).trim().clone_into(&mut special.device);
    }
    found.sort_by(|a, b| a.raw.cmp(&b.raw));
    found
}

/// The SHA-256 of every plain file, by path.
fn digests(root: &Path) -> BTreeMap<Vec<u8>, String> {
    let files = run(root, "find", &[".", "-type", "f", "-printf", "%P\\0"], None);
    if files.is_empty() {
        return BTreeMap::new();
    }
    let out = run(root, "xargs", &["-0", "sha256sum", "-z", "--"], Some(&files));
    let lines = out.split(|b| *b == 0).filter(|line| !line.is_empty());
    let entry = |line: &[u8]| {
        let digest = String::from_utf8_lossy(&line[..64]).into_owned();
        (line[66..].to_vec(), digest)
    };
    lines.map(entry).collect()
}

/// Extended attributes (ACLs and capabilities are among them) of every entry, by path.
fn attributes(root: &Path) -> BTreeMap<Vec<u8>, Vec<String>> {
    let paths = run(root, "find", &[".", "-printf", "./%P\\0"], None);
    let args = ["-0", "getfattr", "-h", "-d", "-m", "-", "-e", "hex", "--"];
    let out = run(root, "xargs", &args, Some(&paths));
    let mut found = BTreeMap::<Vec<u8>, Vec<String>>::new();
    let mut at = Vec::new();
    for line in out.split(|b| *b == b'\n') {
        if let Some(name) = line.strip_prefix(b"# file: ") {
            let name = unquoted(name);
            at = name.strip_prefix(b"./").unwrap_or(&name).to_vec();
        } else if !line.is_empty() {
            let attribute = String::from_utf8_lossy(line).into_owned();
            found.entry(at.clone()).or_default().push(attribute);
        }
    }
    for attributes in found.values_mut() {
        attributes.sort();
    }
    found
}

/// getfattr writes odd bytes of a name as a backslash and three octal digits.
fn unquoted(name: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = name;
    while let Some((first, tail)) = rest.split_first() {
        let octal = tail.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = octal.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        if let (b'\\', Some(byte)) = (first, byte) {
            out.push(byte);
            rest = &tail[3..];
        } else {
            out.push(*first);
            rest = tail;
        }
    }
    out
}

fn run(root: &Path, program: &str, args: &[&str], input: Option<&[u8]>) -> Vec<u8> {
    let mut command = Command::new(program);
    command.args(args).current_dir(root).env("LC_ALL", "C");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|e| panic!("cannot start {program}: {e}"));
    let mut stdin = child.stdin.take().expect("a pipe was asked for");
    let bytes = input.unwrap_or_default().to_vec();
    let writer = std::thread::spawn(move || {
        // A program that ends early closes the pipe; its exit code tells.
        let _ = std::io::Write::write_all(&mut stdin, &bytes);
    });
    let output = child.wait_with_output().expect("a child can be waited for");
    writer.join().expect("writing does not panic");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} in {}: {said}", root.display());
    output.stdout
}
