//! A tree with everything in it that a file system can hold and a backup tends to lose.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use crate::is_root;
use crate::run::tool;
use crate::stage::{set_time, write};

/// Makes the tree at `root`. As root it has devices, foreign owners and capabilities too; without,
/// it says what it lacks.
pub(crate) fn plant(root: &Path) {
    fs::create_dir_all(root).expect("ours");
    contents(root);
    names(root);
    deep(root);
    links(root);
    specials(root);
    attributes(root);
    if is_root() {
        owners(root);
    } else {
        eprintln!("not root: no devices, owners, capabilities and trusted attributes in the tree");
    }
    modes(root);
    times(root);
}

fn contents(root: &Path) {
    write(root.join("empty"), "");
    write(root.join("one byte"), "x");
    write(root.join("no newline at the end"), "text");
    for size in [4095, 4096, 4097, 65_535, 65_536, 131_073] {
        write(root.join(format!("sizes/{size}")), noise(size, size as u64));
    }
    // Larger than any chunk may be, once as it comes and once full of repetition.
    write(root.join("sizes/large"), noise(9_000_001, 1));
    write(root.join("sizes/repeated"), b"the same line again\n".repeat(400_000));
    write(root.join("sizes/zeroes"), vec![0; 3_000_000]);
    write(root.join("twins/a"), noise(50_000, 2));
    write(root.join("twins/b"), noise(50_000, 2));
    let mut sparse = File::create(root.join("sparse")).expect("ours");
    sparse.write_all(b"start").expect("ours");
    sparse.seek(SeekFrom::Start(40_000_000)).expect("ours");
    sparse.write_all(b"middle").expect("ours");
    sparse.set_len(60_000_000).expect("ours");
    for n in 0..300 {
        write(root.join(format!("many/dir{}/file{n}", n % 17)), format!("number {n}\n").repeat(n));
    }
}

fn names(root: &Path) {
    let dir = root.join("names");
    let mut odd: Vec<Vec<u8>> = vec![
        b"with space".to_vec(),
        b"-rf".to_vec(),
        b"--".to_vec(),
        b"new\nline".to_vec(),
        b"tab\tand\rreturn".to_vec(),
        b"\x1b[31mred\x1b[0m".to_vec(),
        b"not utf-8 \xff\xfe\x80".to_vec(),
        b"back\\slash".to_vec(),
        b"quote'\"`$(true)".to_vec(),
        b"*?[a]{b,c}".to_vec(),
        b"#hash".to_vec(),
        b"...".to_vec(),
        b".hidden".to_vec(),
        "é composed".as_bytes().to_vec(),
        "e\u{301} decomposed".as_bytes().to_vec(),
        "\u{202e}right to left".as_bytes().to_vec(),
        b"Case".to_vec(),
        b"case".to_vec(),
        vec![b'l'; 255],
    ];
    // Sorted by bytes, `a.b` stands between `a` and `a/b`: a classic for a wrong order.
    odd.extend([b"a".to_vec(), b"a.b".to_vec(), b"a-b".to_vec(), b"a b".to_vec()]);
    for (n, name) in odd.iter().enumerate() {
        let file = dir.join(OsStr::from_bytes(name));
        write(file, format!("file {n}"));
        let mut inside = name.clone();
        inside.truncate(250);
        inside.extend(b".d");
        write(
            dir.join(OsStr::from_bytes(&inside)).join(OsStr::from_bytes(name)),
            format!("in {n}"),
        );
    }
}

/// 400 levels. Paths stay below 4,096 bytes, or the oracle's own tools give up.
fn deep(root: &Path) {
    let mut dir = root.join("deep");
    for n in 0..400 {
        dir.push(format!("d{n}"));
    }
    write(dir.join("bottom"), "here");
}

fn links(root: &Path) {
    let dir = root.join("links");
    write(dir.join("target"), "pointed at");
    let link = |to: &str, name: &str| symlink(to, dir.join(name)).expect("ours");
    link("target", "relative");
    link("/etc/hostname", "absolute");
    link("nowhere", "dangling");
    link("loop-b", "loop-a");
    link("loop-a", "loop-b");
    link("..", "upward");
    link(&"x/".repeat(1000), "long");
    symlink(OsStr::from_bytes(b"not utf-8 \xff"), dir.join("odd target")).expect("ours");
    fs::create_dir_all(dir.join("hard/elsewhere")).expect("ours");
    write(dir.join("hard/first"), noise(10_000, 3));
    for other in ["hard/second", "hard/elsewhere/third", "aaa before the first"] {
        fs::hard_link(dir.join("hard/first"), dir.join(other)).expect("ours");
    }
    fs::hard_link(dir.join("relative"), dir.join("relative again")).expect("links to links work");
}

fn specials(root: &Path) {
    let dir = root.join("specials");
    fs::create_dir(&dir).expect("ours");
    tool("mkfifo", &[&"-m", &"0620", &dir.join("fifo")]);
    drop(UnixListener::bind(short(&dir).join("s")).expect("a socket"));
    fs::create_dir(dir.join("empty directory")).expect("ours");
}

/// A socket's path may have 107 bytes: through /proc any directory has a short one.
fn short(dir: &Path) -> PathBuf {
    let opened = Box::leak(Box::new(File::open(dir).expect("ours")));
    PathBuf::from(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(opened)))
}

fn attributes(root: &Path) {
    let file = root.join("attributes/file");
    write(&file, "with attributes");
    tool("setfattr", &[&"-n", &"user.plain", &"-v", &"value", &file]);
    tool("setfattr", &[&"-n", &"user.binary", &"-v", &"0x00ff0a00", &file]);
    tool("setfattr", &[&"-n", &"user.empty", &file]);
    tool("setfattr", &[&"-n", &"user.large", &"-v", &"v".repeat(3000), &file]);
    let dir = root.join("attributes");
    tool("setfattr", &[&"-n", &"user.dir", &"-v", &"on a directory", &dir]);
    tool("setfacl", &[&"-m", &"u:daemon:rw,g:games:r,m:rw", &file]);
    tool("setfacl", &[&"-m", &"u:daemon:rwx,d:u:daemon:rx,d:g:games:r", &dir]);
}

fn owners(root: &Path) {
    let dir = root.join("owners");
    for (name, owner) in
        [("www", "33:33"), ("nobody", "65534:65534"), ("large", "4000000000:3999999999")]
    {
        write(dir.join(name), name);
        tool("chown", &[&owner, &dir.join(name)]);
    }
    symlink("www", dir.join("link")).expect("ours");
    tool("chown", &[&"-h", &"12345:54321", &dir.join("link")]);
    tool("chown", &[&"33:33", &dir]);
    write(dir.join("capable"), "#!/bin/true");
    tool("setcap", &[&"cap_net_bind_service,cap_net_raw=+ep", &dir.join("capable")]);
    write(dir.join("trusted"), "t");
    tool("setfattr", &[&"-n", &"trusted.overlay", &"-v", &"secret", &dir.join("trusted")]);
    tool("mknod", &[&root.join("specials/char"), &"c", &"1", &"3"]);
    tool("mknod", &[&root.join("specials/block"), &"b", &"259", &"70000"]);
}

fn modes(root: &Path) {
    let dir = root.join("modes");
    for mode in [0o000, 0o400, 0o444, 0o600, 0o777, 0o1644, 0o2755, 0o4755, 0o6777] {
        let file = dir.join(format!("{mode:o}"));
        write(&file, format!("{mode:o}"));
        if mode & 0o400 == 0 && !is_root() {
            fs::remove_file(file).expect("ours");
            continue;
        }
        fs::set_permissions(file, fs::Permissions::from_mode(mode)).expect("ours");
    }
    for mode in [0o500, 0o1777, 0o2775] {
        let made = dir.join(format!("dir {mode:o}"));
        write(made.join("inside"), "x");
        fs::set_permissions(made, fs::Permissions::from_mode(mode)).expect("ours");
    }
}

/// Times to the nanosecond, before 1970 and after 2038, also of links and directories.
fn times(root: &Path) {
    let dir = root.join("times");
    let moments =
        [(0, 0), (0, 1), (1_466_000_000, 123_456_789), (-86_400, 5), (4_102_444_800, 999_999_999)];
    for (n, (seconds, nanoseconds)) in moments.into_iter().enumerate() {
        let file = dir.join(format!("file{n}"));
        write(&file, "t");
        symlink("file0", dir.join(format!("link{n}"))).expect("ours");
        let inner = dir.join(format!("dir{n}"));
        write(inner.join("x"), "t");
        for path in [file, dir.join(format!("link{n}")), inner] {
            set_time(&path, seconds, nanoseconds);
        }
    }
    for path in [
        "links/relative",
        "links/hard/first",
        "specials/fifo",
        "names/-rf",
        "empty",
        "many",
        "times",
    ] {
        set_time(&root.join(path), 1_500_000_000, 987_654_321);
    }
    set_time(root, 1_400_000_000, 7);
}

/// Bytes that do not compress, the same for the same seed.
pub(crate) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut out = Vec::with_capacity(length + 8);
    while out.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend_from_slice(&state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
    }
    out.truncate(length);
    out
}
