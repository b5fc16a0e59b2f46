//! Trees changed in every way and put back, judged by an oracle that shares nothing with us but
//! the kernel: `walkdir`, `std::fs` and raw attributes.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::*;
use crate::monitor::Recorder;
use crate::os::beneath::Dir;
use crate::os::meta::{self, At, FileKind};
use crate::repository::Repository;
use crate::snapshot::tests::{World, age};
use crate::snapshot::{Annex, Snapshot, SnapshotError, Trust};
use crate::tree::ExclusionRules;

const TOKEN: &str = "0123abcd99";

/// All that is proved of a tree, one line for each entry.
pub(crate) fn portrait(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut names: BTreeMap<(u64, u64), PathBuf> = BTreeMap::new();
    let mut lines = BTreeMap::new();
    let walk = walkdir::WalkDir::new(root)
        .sort_by(|a, b| a.path().components().cmp(b.path().components()));
    for entry in walk {
        let entry = entry.unwrap();
        let path = entry.path();
        let inside = path.strip_prefix(root).unwrap().to_owned();
        let meta = fs::symlink_metadata(path).unwrap();
        let kind = meta.file_type();
        let what = if kind.is_file() {
            format!("file {}", blake3::hash(&fs::read(path).unwrap()))
        } else if kind.is_symlink() {
            format!("link {:?}", fs::read_link(path).unwrap())
        } else if kind.is_dir() {
            "dir".to_owned()
        } else if kind.is_fifo() {
            "fifo".to_owned()
        } else if kind.is_socket() {
            "socket".to_owned()
        } else {
            format!("device {} {}", kind.is_char_device(), meta.rdev())
        };
        let group = if meta.nlink() > 1 && !kind.is_dir() {
            let first = names.entry((meta.dev(), meta.ino())).or_insert_with(|| inside.clone());
            format!("{first:?}")
        } else {
            String::new()
        };
        let mut xattrs: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        let mut room = vec![0; 65_536];
        let length = rustix::fs::llistxattr(path, &mut room).unwrap();
        for name in room[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
            let mut value = vec![0; 65_536];
            let length = rustix::fs::lgetxattr(path, name, &mut value).unwrap();
            xattrs.push((name.to_vec(), value[..length].to_vec()));
        }
        xattrs.sort();
        let owner = (meta.mode() & 0o7777, meta.uid(), meta.gid());
        let time = (meta.mtime(), meta.mtime_nsec());
        lines.insert(inside, format!("{what} {owner:?} {time:?} {xattrs:?} {group}"));
    }
    lines
}

fn wanted<'a>(snapshot: &'a Snapshot, world: &'a World, live: &'a Path) -> Request<'a> {
    Request {
        wanted: &snapshot.roots[0],
        annex: None,
        path: live,
        exclusions: NONE.get_or_init(Exclusions::default),
        deletes: Deletes::All,
        keep_links_to_directories: false,
        include: None,
        memory: Memory { dir: Some(MEMORY.get_or_init(|| world.memory())), trust: Trust::Never },
    }
}

static NONE: std::sync::OnceLock<Exclusions> = std::sync::OnceLock::new();
static MEMORY: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();

/// Does it, and has the disk hold it.
fn act(
    repository: &Repository,
    plan: &ConvergePlan,
    token: &str,
    monitor: &Recorder,
) -> Result<ConvergeDone, SnapshotError> {
    super::act(repository, plan, token, monitor)?.sync().cloned()
}

fn converge(world: &World, request: &Request<'_>) -> (Counts, ConvergeDone) {
    let recorder = Recorder::default();
    let plan = plan(&world.repository, request, &recorder).unwrap();
    let done = act(&world.repository, &plan, TOKEN, &recorder).unwrap();
    assert_eq!(recorder.problems(), []);
    (plan.counts, done)
}

/// A tree with one of everything that Linux has.
fn nasty(world: &World) {
    let tree = world.tree();
    let root = Dir::open_root(&tree).unwrap();
    let long = [b'n'; 255];
    for name in [&b"new\nline"[..], b"\xff\xfe", b"-rf", b" ", &long, b"a-b", b"a"] {
        if name == b"a" {
            root.create_dir(name).unwrap();
        } else {
            root.create_file(name).unwrap();
        }
    }
    world.write("a/inside", "inside a");
    world.write("shop/index.php", "<?php echo 1;".repeat(50));
    world.write("shop/deep/er/file", "x");
    world.write("empty", "");
    world.write("setuid", "#!");
    fs::create_dir(tree.join("void")).unwrap();
    let big: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();
    world.write("big", &big);
    let sparse = fs::File::create(tree.join("sparse")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&sparse, b"end", 40_000_000).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&sparse, b"start", 4096).unwrap();
    sparse.set_len(50_000_000).unwrap();
    symlink("loop", tree.join("loop")).unwrap();
    symlink("/etc/passwd", tree.join("absolute")).unwrap();
    symlink("shop", tree.join("to-directory")).unwrap();
    fs::hard_link(tree.join("shop/index.php"), tree.join("a/linked")).unwrap();
    fs::hard_link(tree.join("shop/index.php"), tree.join("zz")).unwrap();
    root.create_special(b"fifo", FileKind::Fifo, 0).unwrap();
    root.create_special(b"socket", FileKind::Socket, 0).unwrap();
    xattr(&root, b"empty", b"user.note", b"a\0\xff");
    xattr(&root, b"void", b"user.empty", b"");
    if meta::is_root() {
        root.create_special(b"null", FileKind::CharDevice, rustix::fs::makedev(1, 3)).unwrap();
        root.create_special(b"disk", FileKind::BlockDevice, rustix::fs::makedev(7, 99)).unwrap();
        std::os::unix::fs::lchown(tree.join("empty"), Some(1234), Some(4321)).unwrap();
        std::os::unix::fs::lchown(tree.join("loop"), Some(1234), Some(4321)).unwrap();
        std::os::unix::fs::lchown(tree.join("setuid"), Some(1234), Some(33)).unwrap();
        std::os::unix::fs::lchown(tree.join("shop"), Some(33), Some(33)).unwrap();
        // cap_net_bind_service=ep, as `setcap` writes it.
        let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        xattr(&root, b"big", b"security.capability", &capability);
        // u::rw-,u:33:r--,g::r--,m::r--,o::---, as `setfacl` writes it.
        let acl: Vec<u8> = [
            &[2, 0, 0, 0][..],
            &[1, 0, 6, 0, 255, 255, 255, 255],
            &[2, 0, 4, 0, 33, 0, 0, 0],
            &[4, 0, 4, 0, 255, 255, 255, 255],
            &[16, 0, 4, 0, 255, 255, 255, 255],
            &[32, 0, 0, 0, 255, 255, 255, 255],
        ]
        .concat();
        xattr(&root, b"shop", b"system.posix_acl_default", &acl);
        xattr(&root, b"-rf", b"system.posix_acl_access", &acl);
        mode(&tree.join("a/inside"), 0o000);
    }
    mode(&tree.join("setuid"), 0o6755);
    mode(&tree.join("void"), 0o1777);
    times(&tree);
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn xattr(root: &Dir, name: &[u8], key: &[u8], value: &[u8]) {
    let handle = root.handle(name).unwrap();
    At::Handle(&handle).set_xattr(key, value).unwrap();
}

/// Gives everything a time of its own, to the nanosecond, the deepest first.
fn times(tree: &Path) {
    let walk = walkdir::WalkDir::new(tree).contents_first(true).sort_by_file_name();
    for (n, entry) in walk.into_iter().map(Result::unwrap).enumerate() {
        let parent = Dir::open_root(entry.path().parent().unwrap()).unwrap();
        let handle = parent.handle(entry.file_name().as_bytes()).unwrap();
        let secs = 1_000_000_000 + i64::try_from(n).unwrap() * 1000;
        let nanos = u32::try_from(n).unwrap() * 7919 + 1;
        At::Handle(&handle).set_mtime(Stamp { secs, nanos }).unwrap();
    }
}

#[test]
fn a_nasty_tree_comes_back_whole_where_nothing_was() {
    let world = World::new();
    nasty(&world);
    let before = portrait(&world.tree());
    let snapshot = world.take(&Recorder::default());
    assert_eq!(portrait(&world.tree()), before, "taking changes nothing");
    let annex = Annex::read(&world.repository, &snapshot.annex).unwrap();
    for path in ["new/place", "tree-empty"] {
        let target = world.place.path().join(path);
        if path == "tree-empty" {
            fs::create_dir(&target).unwrap();
        }
        let request =
            Request { annex: Some(&annex.roots["root"]), ..wanted(&snapshot, &world, &target) };
        let (counts, done) = converge(&world, &request);
        assert_eq!(portrait(&target), before);
        assert_eq!(done.losses.counts.count(), 0);
        assert_eq!(counts.link, 2);
        assert_eq!(counts.write + counts.link, snapshot.counts.files);
        let sparse = fs::metadata(target.join("sparse")).unwrap();
        assert!(sparse.blocks() * 512 < 1_000_000, "holes stay holes: {}", sparse.blocks());
        let (again, _) = converge(&world, &request);
        assert!(again.is_nothing_to_do(), "{again:?}");
    }
}

/// Changes of every kind.
fn havoc(tree: &Path) {
    mode(&tree.join("a/inside"), 0o644);
    fs::write(tree.join("a/inside"), "other bytes").unwrap();
    fs::remove_file(tree.join("-rf")).unwrap();
    fs::remove_file(tree.join("zz")).unwrap();
    fs::write(tree.join("zz"), "no link any more").unwrap();
    fs::write(tree.join("added"), "new").unwrap();
    fs::create_dir_all(tree.join("added-dir/deeper")).unwrap();
    fs::write(tree.join("added-dir/deeper/file"), "new").unwrap();
    symlink("/etc", tree.join("added-dir/link")).unwrap();
    // A directory where a file was, and the reverse.
    fs::remove_file(tree.join("empty")).unwrap();
    fs::create_dir(tree.join("empty")).unwrap();
    fs::write(tree.join("empty/x"), "x").unwrap();
    fs::remove_dir(tree.join("void")).unwrap();
    fs::write(tree.join("void"), "a file now").unwrap();
    // A link where a directory was, and the reverse.
    fs::rename(tree.join("shop/deep"), tree.join("shop/moved")).unwrap();
    symlink("moved", tree.join("shop/deep")).unwrap();
    fs::remove_file(tree.join("loop")).unwrap();
    fs::create_dir(tree.join("loop")).unwrap();
    fs::remove_file(tree.join("fifo")).unwrap();
    fs::write(tree.join("fifo"), "").unwrap();
    mode(&tree.join("setuid"), 0o700);
    mode(&tree.join("shop"), 0o700);
    let root = Dir::open_root(tree).unwrap();
    let big = root.handle(b"big").unwrap();
    At::Handle(&big).set_mtime(Stamp { secs: 5, nanos: 5 }).unwrap();
    fs::hard_link(tree.join("new\nline"), tree.join("new-name")).unwrap();
    root.at().set_mtime(Stamp { secs: 9, nanos: 9 }).unwrap();
}

#[test]
fn edits_of_every_kind_are_put_back() {
    let world = World::new();
    nasty(&world);
    let before = portrait(&world.tree());
    let snapshot = world.take(&Recorder::default());
    havoc(&world.tree());
    assert_ne!(portrait(&world.tree()), before);
    let tree = world.tree();
    let (counts, done) = converge(&world, &wanted(&snapshot, &world, &tree));
    assert_eq!(portrait(&tree), before);
    assert_eq!(done.counts, counts);
    assert_eq!(world.digest(Trust::Never).digest, snapshot.files_digest);
    let (again, _) = converge(&world, &wanted(&snapshot, &world, &tree));
    assert!(again.is_nothing_to_do(), "{again:?}");
}

#[test]
fn a_name_outside_is_never_changed_through_its_inode() {
    let world = World::new();
    world.write("f", "wanted");
    world.write("m", "same");
    let snapshot = world.take(&Recorder::default());
    let outside = world.place.path().join("outside");
    fs::create_dir(&outside).unwrap();
    let tree = world.tree();
    // The same inode inside and outside: once with other bytes, once with another mode.
    fs::write(tree.join("f"), "edited").unwrap();
    fs::hard_link(tree.join("f"), outside.join("f")).unwrap();
    mode(&tree.join("m"), 0o777);
    fs::hard_link(tree.join("m"), outside.join("m")).unwrap();
    let twin = portrait(&outside);
    converge(&world, &wanted(&snapshot, &world, &tree));
    let untouched = portrait(&outside);
    assert_eq!(fs::read(outside.join("f")).unwrap(), b"edited");
    assert_eq!(fs::read(tree.join("f")).unwrap(), b"wanted");
    let lines = |twin: &BTreeMap<PathBuf, String>| -> Vec<String> {
        ["f", "m"].map(|name| twin[Path::new(name)].rsplit_once(' ').unwrap().0.to_owned()).into()
    };
    assert_eq!(lines(&untouched), lines(&twin));
    assert_eq!(world.digest(Trust::Never).digest, snapshot.files_digest);
}

#[test]
fn link_groups_are_made_and_broken() {
    let world = World::new();
    let tree = world.tree();
    for name in ["a", "c", "e"] {
        world.write(name, name);
    }
    fs::hard_link(tree.join("a"), tree.join("b")).unwrap();
    fs::hard_link(tree.join("c"), tree.join("d")).unwrap();
    age(&tree);
    let before = portrait(&tree);
    let snapshot = world.take(&Recorder::default());
    let remake = |from: &str, to: &str| {
        fs::remove_file(tree.join(to)).unwrap();
        fs::hard_link(tree.join(from), tree.join(to)).unwrap();
    };
    // One group for two, a stranger in a group, a group that lost its first name.
    remake("a", "d");
    let (_, done) = converge(&world, &wanted(&snapshot, &world, &tree));
    assert_eq!(portrait(&tree), before);
    assert_eq!((done.counts.write, done.counts.link), (0, 1));
    remake("a", "e");
    converge(&world, &wanted(&snapshot, &world, &tree));
    assert_eq!(portrait(&tree), before);
    fs::remove_file(tree.join("a")).unwrap();
    converge(&world, &wanted(&snapshot, &world, &tree));
    assert_eq!(portrait(&tree), before);
    // All in one.
    for name in ["b", "c", "d", "e"] {
        remake("a", name);
    }
    converge(&world, &wanted(&snapshot, &world, &tree));
    assert_eq!(portrait(&tree), before);
}

#[test]
fn only_what_may_go_is_deleted() {
    let world = World::new();
    world.write("kept/old", "old");
    let snapshot = world.take(&Recorder::default());
    let tree = world.tree();
    world.write("upload", "since the plan");
    world.write("kept/stale", "of the old release");
    world.write("kept/stale-dir/stale", "of the old release");
    world.write("kept/stale-dir/upload", "since the plan");
    let names = || -> Vec<String> {
        portrait(&tree).into_keys().map(|path| path.to_string_lossy().into_owned()).collect()
    };
    let all = names();
    let nothing = Request { deletes: Deletes::None, ..wanted(&snapshot, &world, &tree) };
    converge(&world, &nothing);
    assert_eq!(names(), all);
    let path = |text: &str| TreePath::parse(text.as_bytes()).unwrap();
    let stale = ["kept/stale", "kept/stale-dir", "kept/stale-dir/stale", "kept/absent"];
    let stale: BTreeSet<_> = stale.map(path).into();
    let some = Request { deletes: Deletes::Only(&stale), ..wanted(&snapshot, &world, &tree) };
    let (counts, _) = converge(&world, &some);
    assert_eq!(counts.delete, 2);
    assert_eq!(
        names(),
        ["", "kept", "kept/old", "kept/stale-dir", "kept/stale-dir/upload", "upload"]
    );
    let (again, _) = converge(&world, &some);
    assert!(again.is_nothing_to_do());
}

#[test]
fn a_directory_in_the_way_stays_if_what_is_in_it_may_not_go() {
    let world = World::new();
    world.write("x", "a file");
    let snapshot = world.take(&Recorder::default());
    let tree = world.tree();
    fs::remove_file(tree.join("x")).unwrap();
    world.write("x/upload", "dear");
    let request = Request { deletes: Deletes::None, ..wanted(&snapshot, &world, &tree) };
    let plan = plan(&world.repository, &request, &Recorder::default()).unwrap();
    let path = TreePath::parse(b"x").unwrap();
    assert_eq!(plan.kept, [Kept { path, why: WhyKept::DirectoryInTheWay }]);
    act(&world.repository, &plan, TOKEN, &Recorder::default()).unwrap();
    assert_eq!(fs::read(tree.join("x/upload")).unwrap(), b"dear");
}

#[test]
fn a_live_link_where_a_directory_is_wanted_is_kept_by_an_overwrite() {
    let world = World::new();
    world.write("images/logo", "logo");
    let snapshot = world.take(&Recorder::default());
    let tree = world.tree();
    let outside = world.place.path().join("images");
    fs::rename(tree.join("images"), &outside).unwrap();
    fs::write(outside.join("logo"), "another").unwrap();
    symlink(&outside, tree.join("images")).unwrap();
    let request = Request {
        deletes: Deletes::None,
        keep_links_to_directories: true,
        ..wanted(&snapshot, &world, &tree)
    };
    let plan = plan(&world.repository, &request, &Recorder::default()).unwrap();
    assert_eq!(plan.kept[0].why, WhyKept::LinkToDirectory);
    act(&world.repository, &plan, TOKEN, &Recorder::default()).unwrap();
    assert_eq!(fs::read(outside.join("logo")).unwrap(), b"another");
    // A rollback makes the directory again, and does not follow the link either.
    converge(&world, &wanted(&snapshot, &world, &tree));
    assert_eq!(fs::read(tree.join("images/logo")).unwrap(), b"logo");
    assert_eq!(fs::read(outside.join("logo")).unwrap(), b"another");
}

#[test]
fn what_is_left_out_is_never_touched() {
    let world = World::new();
    let rules = ExclusionRules {
        skip_content: vec!["tmp/**".to_owned()],
        guarded: vec!["data".to_owned()],
        databases: vec![(TreePath::parse(b"db/app.db").unwrap(), "main".to_owned())],
        ..ExclusionRules::default()
    };
    world.write("tmp/cache", "cached");
    world.write("data/huge", "guarded");
    world.write("db/app.db", "database");
    world.write("db/note", "note");
    let snapshot = world.take_with(rules.clone(), None, &Recorder::default());
    let annex = Annex::read(&world.repository, &snapshot.annex).unwrap();
    let database_time = fs::metadata(world.tree().join("db")).unwrap().mtime_nsec();
    for (path, bytes) in [
        ("tmp/cache", "other"),
        ("tmp/more", "more"),
        ("data/huge", "other"),
        ("data/more", "more"),
        ("db/app.db", "written since"),
        ("db/app.db-wal", "wal"),
        ("db/note", "edited"),
    ] {
        world.write(path, bytes);
    }
    let tree = world.tree();
    let exclusions = Exclusions::compile(rules).unwrap();
    let request = Request {
        exclusions: &exclusions,
        annex: Some(&annex.roots["root"]),
        ..wanted(&snapshot, &world, &tree)
    };
    let (counts, _) = converge(&world, &request);
    assert_eq!((counts.write, counts.delete), (1, 0));
    let read = |path: &str| fs::read_to_string(tree.join(path)).unwrap();
    assert_eq!(read("tmp/cache") + &read("tmp/more") + &read("data/more"), "othermoremore");
    assert_eq!(
        read("db/app.db") + &read("db/app.db-wal") + &read("db/note"),
        "written sincewalnote"
    );
    let time = fs::metadata(tree.join("db")).unwrap().mtime_nsec();
    assert_eq!(time, database_time, "the time of the database's directory is put back");
    let (again, _) = converge(&world, &request);
    assert!(again.is_nothing_to_do(), "{again:?}");
}

#[test]
fn only_what_is_included_is_restored() {
    let world = World::new();
    for path in ["a/b/one", "a/b/two", "a/c", "d"] {
        world.write(path, path);
    }
    let snapshot = world.take(&Recorder::default());
    let target = world.place.path().join("target");
    let include = [TreePath::parse(b"a/b").unwrap()];
    let request = Request { include: Some(&include), ..wanted(&snapshot, &world, &target) };
    converge(&world, &request);
    let names: Vec<_> = portrait(&target).into_keys().collect();
    assert_eq!(names, ["", "a", "a/b", "a/b/one", "a/b/two"].map(PathBuf::from));
    // Into a tree with other things: those stay, also with all deletes.
    world.write("a/b/one", "edited");
    world.write("a/b/extra", "extra");
    world.write("d", "edited");
    let tree = world.tree();
    let (counts, _) = converge(&world, &Request { path: &tree, ..request });
    assert_eq!((counts.write, counts.delete), (1, 1));
    assert_eq!(fs::read_to_string(tree.join("d")).unwrap(), "edited");
    assert_eq!(fs::read_to_string(tree.join("a/b/one")).unwrap(), "a/b/one");
}

#[test]
fn a_root_that_is_a_file_is_put_back() {
    let world = World::new();
    world.write("conf", "wanted");
    let mut source = world.source(ExclusionRules::default());
    source.path = world.tree().join("conf");
    let memory = Memory::default();
    let monitor = Recorder::default();
    let snapshot = world.take(&monitor);
    let entries = crate::tree::read::Entries::below(&world.repository, &snapshot.roots[0].entry);
    let (_, mut entry) = entries.map(Result::unwrap).next().unwrap();
    entry.name = b"root".as_slice().into();
    let root = crate::snapshot::Root { entry, ..snapshot.roots[0].clone() };
    let path = source.path.clone();
    let request = Request { wanted: &root, memory, ..wanted(&snapshot, &world, &path) };
    let before = portrait(&world.tree());
    world.write("conf", "edited!");
    converge(&world, &request);
    assert_eq!(fs::read_to_string(&path).unwrap(), "wanted");
    fs::remove_file(&path).unwrap();
    converge(&world, &request);
    let after = portrait(&world.tree());
    assert_eq!(after[Path::new("conf")], before[Path::new("conf")]);
}

#[test]
fn leftovers_of_a_transaction_are_known_by_their_token() {
    let world = World::new();
    let tree = world.tree();
    for path in [".snap-0123abcd-aside/0/7", ".snap-0123abcd-3", ".snap-ffff0000-1", "f"] {
        world.write(path, "x");
    }
    let time = fs::metadata(&tree).unwrap().mtime_nsec();
    assert_eq!(sweep(&tree, TOKEN).unwrap(), 2);
    let names: Vec<_> = portrait(&tree).into_keys().collect();
    assert_eq!(names, ["", ".snap-ffff0000-1", "f"].map(PathBuf::from));
    assert_eq!(fs::metadata(&tree).unwrap().mtime_nsec(), time);
}

/// A small tree with something of every kind of work, and a place to be killed at.
fn small(world: &World) {
    let tree = world.tree();
    for n in 0..4 {
        world.write(&format!("d{n}/file"), format!("bytes {n}"));
    }
    world.write("was-dir/x", "x");
    world.write("was-file", "file");
    world.write("moved/away", "dear");
    symlink("target", tree.join("link")).unwrap();
    world.write("one", "shared");
    fs::hard_link(tree.join("one"), tree.join("two")).unwrap();
    times(&tree);
}

fn small_havoc(world: &World) {
    let tree = world.tree();
    world.write("d0/file", "edited");
    mode(&tree.join("d1"), 0o700);
    mode(&tree.join("d2/file"), 0o600);
    fs::remove_dir_all(tree.join("d3")).unwrap();
    fs::remove_dir_all(tree.join("was-dir")).unwrap();
    world.write("was-dir", "a file now");
    fs::remove_file(tree.join("was-file")).unwrap();
    world.write("was-file/deep/er", "a directory now");
    world.write("more/and/more", "extra");
    fs::remove_file(tree.join("link")).unwrap();
    symlink("elsewhere", tree.join("link")).unwrap();
    fs::remove_file(tree.join("two")).unwrap();
    world.write("two", "alone");
}

/// What a test that runs in a process of its own finds there: the repository and the tree.
struct Elsewhere {
    repository: crate::repository::Repository,
    snapshot: Snapshot,
    place: PathBuf,
}

impl Elsewhere {
    /// `None` if nobody told where.
    fn open() -> Option<Self> {
        let place = PathBuf::from(std::env::var_os("SNAP_TEST_PLACE")?);
        let key = place.join("key");
        let unlock = crate::repository::Unlock::KeyFile(&key);
        let location = place.join("repository");
        let repository = crate::repository::Repository::open(&location, &unlock, None).unwrap();
        let snapshot = crate::snapshot::list(&repository).unwrap().remove(0);
        Some(Self { repository, snapshot, place })
    }

    fn wanted<'a>(&'a self, path: &'a Path) -> Request<'a> {
        Request {
            wanted: &self.snapshot.roots[0],
            annex: None,
            path,
            exclusions: NONE.get_or_init(Exclusions::default),
            deletes: Deletes::All,
            keep_links_to_directories: false,
            include: None,
            memory: Memory::default(),
        }
    }
}

/// A process that runs one of the tests here, which are ignored otherwise.
fn elsewhere(world: &World, test: &str) -> std::process::Command {
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    let name = format!("snapshot::converge::tests::{test}");
    child.args([&name, "--exact", "--ignored"]).env("SNAP_TEST_PLACE", world.place.path());
    child
}

fn must_pass(mut child: std::process::Command) {
    let output = child.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// The process that is killed: it puts the tree back, and dies where it was told.
#[test]
#[ignore = "run by the test that kills it"]
fn die_while_converging() {
    use crate::os::crash::{self, Ordered};
    let Some(place) = Elsewhere::open() else { return };
    let at = std::env::var("SNAP_TEST_AT").unwrap();
    let (tree, monitor) = (place.place.join("tree"), Recorder::default());
    let plan = plan(&place.repository, &place.wanted(&tree), &monitor).unwrap();
    crash::arm(Ordered::parse(&at).unwrap());
    act(&place.repository, &plan, TOKEN, &monitor).unwrap();
}

#[test]
fn killed_at_every_point_and_called_again_it_ends_the_same() {
    use std::os::unix::process::ExitStatusExt;
    let points = [
        "converge-written",
        "converge-synced",
        "converge-renamed",
        "converge-deleted",
        "converge-metadata",
        "converge-done",
    ];
    let world = World::new();
    small(&world);
    let before = portrait(&world.tree());
    let snapshot = world.take(&Recorder::default());
    let tree = world.tree();
    let kill = |at: &str| {
        let mut child = elsewhere(&world, "die_while_converging");
        child.env("SNAP_TEST_AT", at).output().unwrap().status
    };
    let mut kills = 0;
    for point in points {
        for hit in 1.. {
            small_havoc(&world);
            let at = format!("{point}:{hit}");
            let status = kill(&at);
            if status.signal() == Some(9) {
                kills += 1;
                // The run that mends it may die as well; the one after needs only the repository.
                kill("converge-renamed:2");
                converge(&world, &wanted(&snapshot, &world, &tree));
            } else {
                assert!(status.success(), "{at}: {status}");
            }
            assert_eq!(portrait(&tree), before, "{at}");
            if status.success() {
                break;
            }
        }
    }
    assert!(kills >= 20, "only {kills} kills");
}

#[test]
fn only_what_was_lost_is_left_out_of_the_proof() {
    let world = World::new();
    world.write("lost", "1");
    world.write("other", "2");
    for name in ["lost", "other"] {
        let handle = Dir::open_root(&world.tree()).unwrap().handle(name.as_bytes()).unwrap();
        At::Handle(&handle).set_xattr(b"user.note", b"1").unwrap();
    }
    let snapshot = world.take(&Recorder::default());
    let target = world.place.path().join("target");
    let request = wanted(&snapshot, &world, &target);
    let recorder = Recorder::default();
    let plan = plan(&world.repository, &request, &recorder).unwrap();
    let mut done = act(&world.repository, &plan, TOKEN, &recorder).unwrap();
    let note = crate::tree::place::Loss::Attribute(b"user.note".as_slice().into());
    let told = crate::monitor::Problem { path: "lost".into(), what: note.to_string() };
    done.losses.add(Some(&TreePath::parse(b"lost").unwrap()), &note, told);
    done.losses = done.losses.settled();
    let unsynced = Unsynced::of(done, Dir::open_root(&target).unwrap(), target.clone());
    let proof = || {
        let work = (&plan, &unsynced);
        prove(&world.repository, &request, work, &[], snapshot.id, &recorder).unwrap()
    };
    let strip = |name: &str| {
        let handle = Dir::open_root(&target).unwrap().handle(name.as_bytes()).unwrap();
        At::Handle(&handle).remove_xattr(b"user.note").unwrap();
    };
    assert_eq!(proof(), Proof::AsWanted);
    strip("lost");
    assert_eq!(proof(), Proof::AsWanted);
    strip("other");
    assert_eq!(proof(), Proof::Differs("metadata other".into()));
    fs::write(target.join("lost"), "3").unwrap();
    assert_ne!(proof(), Proof::AsWanted);
}

/// In a process that is nobody: restores what is root's, and takes what it may not read.
#[test]
#[ignore = "run by the test that is root"]
fn nobody_restores_and_takes() {
    let Some(place) = Elsewhere::open() else { return };
    assert!(!meta::is_root());
    let target = place.place.join("writable/target");
    let recorder = Recorder::default();
    let request = place.wanted(&target);
    let plan = plan(&place.repository, &request, &recorder).unwrap();
    let done = act(&place.repository, &plan, TOKEN, &recorder).unwrap();
    let lost =
        |name: &str| done.losses.named().iter().filter(|loss| loss.path.ends_with(name)).count();
    assert_eq!((lost("setuid"), lost("null"), lost("capable")), (1, 1, 2), "{:?}", done.losses);
    assert_eq!(recorder.problems().len() as u64, done.losses.counts.count());
    assert_eq!(fs::read_to_string(target.join("setuid")).unwrap(), "#!");
    let bits = fs::metadata(target.join("setuid")).unwrap().mode() & 0o7777;
    assert_eq!(bits, 0o755, "no setuid for another owner");
    let source = crate::snapshot::Source {
        label: "root".to_owned(),
        path: place.place.join("tree"),
        exclusions: Exclusions::default(),
    };
    let memory = Memory::default();
    let live =
        crate::snapshot::live_digest(&place.repository, &[source], memory, &recorder).unwrap();
    let unread: Vec<_> = live.problems.iter().map(|problem| problem.path.clone()).collect();
    let tree = place.place.join("tree");
    assert_eq!(unread, [tree.join("closed"), tree.join("locked")]);
}

#[test]
fn without_root_what_is_lost_is_said() {
    use std::os::unix::process::CommandExt;
    if !meta::is_root() {
        return;
    }
    let world = World::new();
    let root = Dir::open_root(&world.tree()).unwrap();
    world.write("setuid", "#!");
    mode(&world.tree().join("setuid"), 0o4755);
    world.write("capable", "x");
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    xattr(&root, b"capable", b"security.capability", &capability);
    root.create_special(b"null", FileKind::CharDevice, rustix::fs::makedev(1, 3)).unwrap();
    world.write("locked", "secret");
    mode(&world.tree().join("locked"), 0o000);
    world.write("closed/inside", "secret");
    mode(&world.tree().join("closed"), 0o000);
    world.take(&Recorder::default());
    fs::create_dir(world.place.path().join("writable")).unwrap();
    let everything = walkdir::WalkDir::new(world.place.path().join("repository"));
    for entry in everything.into_iter().map(Result::unwrap) {
        std::os::unix::fs::lchown(entry.path(), Some(65_534), Some(65_534)).unwrap();
    }
    for name in ["", "key", "writable"] {
        let path = world.place.path().join(name);
        std::os::unix::fs::lchown(path, Some(65_534), Some(65_534)).unwrap();
    }
    // The tests may lie where nobody may go: nobody runs a copy.
    let copy = world.place.path().join("tests");
    // Copied by a child: a file that we ourselves had open for writing might still be so in a child
    // that another test starts at the same time, and then could not be run.
    let mut cp = std::process::Command::new("cp");
    assert!(cp.arg(std::env::current_exe().unwrap()).arg(&copy).status().unwrap().success());
    let mut child = std::process::Command::new(copy);
    child.args(elsewhere(&world, "nobody_restores_and_takes").get_args());
    child.env("SNAP_TEST_PLACE", world.place.path()).uid(65_534).gid(65_534).current_dir("/");
    must_pass(child);
}

/// In a mount namespace of its own: `tree/mounted` is another file system, `tree/bound` a bind
/// mount of the same.
#[test]
#[ignore = "run by the test that mounts"]
fn converge_beside_mounts() {
    let Some(place) = Elsewhere::open() else { return };
    let tree = place.place.join("tree");
    let outside = portrait(&place.place.join("outside"));
    let monitor = Recorder::default();
    let source = crate::snapshot::Source {
        label: "root".to_owned(),
        path: tree.clone(),
        exclusions: Exclusions::default(),
    };
    let memory = Memory::default();
    let live = crate::snapshot::live_digest(&place.repository, &[source], memory, &monitor);
    let entries = live.unwrap();
    assert_eq!(entries.roots.len(), 1);
    fs::write(tree.join("f"), "edited").unwrap();
    fs::write(tree.join("mounted/new"), "in the mount").unwrap();
    let request = place.wanted(&tree);
    let plan = plan(&place.repository, &request, &monitor).unwrap();
    let kept: Vec<_> = plan.kept.iter().map(|kept| kept.path.to_string()).collect();
    assert_eq!(kept, ["bound", "mounted"]);
    act(&place.repository, &plan, TOKEN, &monitor).unwrap();
    assert_eq!(fs::read_to_string(tree.join("f")).unwrap(), "wanted");
    assert_eq!(fs::read_to_string(tree.join("mounted/new")).unwrap(), "in the mount");
    assert_eq!(portrait(&place.place.join("outside")), outside);
}

#[test]
fn what_is_mounted_inside_is_listed_and_never_touched() {
    if !meta::is_root() {
        return;
    }
    let world = World::new();
    world.write("f", "wanted");
    world.write("mounted/below", "below");
    world.write("bound/below", "below");
    world.take(&Recorder::default());
    fs::create_dir(world.place.path().join("outside")).unwrap();
    fs::write(world.place.path().join("outside/dear"), "dear").unwrap();
    let child = elsewhere(&world, "converge_beside_mounts");
    let mut script = std::process::Command::new("unshare");
    script.args(["--mount", "--propagation", "private", "sh", "-ec"]);
    script.arg(
        "mount -t tmpfs none \"$SNAP_TEST_PLACE/tree/mounted\"; \
         mount --bind \"$SNAP_TEST_PLACE/outside\" \"$SNAP_TEST_PLACE/tree/bound\"; exec \"$@\"",
    );
    script.arg("sh").arg(child.get_program()).args(child.get_args());
    script.env("SNAP_TEST_PLACE", world.place.path());
    must_pass(script);
}

/// In a mount namespace of its own: the tree is an overlay over what was edited.
#[test]
#[ignore = "run by the test that mounts"]
fn converge_on_an_overlay() {
    let Some(place) = Elsewhere::open() else { return };
    let (tree, monitor) = (place.place.join("tree"), Recorder::default());
    let request = place.wanted(&tree);
    let first = plan(&place.repository, &request, &monitor).unwrap();
    assert!(first.counts.write > 0 && first.counts.make > 0 && first.counts.delete > 0);
    act(&place.repository, &first, TOKEN, &monitor).unwrap();
    let again = plan(&place.repository, &request, &monitor).unwrap();
    assert!(again.counts.is_nothing_to_do(), "{:?}", again.lines());
}

#[test]
fn an_overlay_is_put_back_like_any_tree() {
    if !meta::is_root() {
        return;
    }
    let world = World::new();
    small(&world);
    world.take(&Recorder::default());
    small_havoc(&world);
    // A directory of the lower layer where a file is wanted.
    fs::remove_file(world.tree().join("one")).unwrap();
    world.write("one/in/the/way", "x");
    fs::rename(world.tree(), world.place.path().join("lower")).unwrap();
    for name in ["tree", "layers", "layers/upper", "layers/work"] {
        fs::create_dir(world.place.path().join(name)).unwrap();
    }
    let child = elsewhere(&world, "converge_on_an_overlay");
    let mut script = std::process::Command::new("unshare");
    script.args(["--mount", "--propagation", "private", "sh", "-ec"]);
    script.arg(
        "cd \"$SNAP_TEST_PLACE\"; mount -t tmpfs none layers; mkdir layers/upper layers/work; \
         mount -t overlay o -o lowerdir=lower,upperdir=layers/upper,workdir=layers/work tree || \
         exit 0; exec \"$@\"",
    );
    script.arg("sh").arg(child.get_program()).args(child.get_args());
    script.env("SNAP_TEST_PLACE", world.place.path());
    must_pass(script);
}

#[test]
fn immutable_files_are_put_back_with_their_flags() {
    let world = World::new();
    world.write("fixed", "wanted");
    world.write("log", "lines");
    let set = |name: &str, flags| {
        meta::set_flags(fs::File::open(world.tree().join(name)).unwrap(), flags)
    };
    let immutable = meta::InodeFlags { immutable: true, append_only: false };
    let append = meta::InodeFlags { immutable: false, append_only: true };
    if set("fixed", immutable).is_err() || set("log", append).is_err() {
        return; // not root, or a file system without them
    }
    let snapshot = world.take(&Recorder::default());
    let annex = Annex::read(&world.repository, &snapshot.annex).unwrap();
    let flags_of = |path: &Path| {
        let dir = Dir::open_root(path.parent().unwrap()).unwrap();
        dir.stat(path.file_name().unwrap().as_bytes()).unwrap().flags
    };
    // Edited: other bytes under the same flag, which must not stand in the way.
    set("fixed", meta::InodeFlags::default()).unwrap();
    world.write("fixed", "edited");
    set("fixed", immutable).unwrap();
    set("log", meta::InodeFlags::default()).unwrap();
    let (tree, target) = (world.tree(), world.place.path().join("target"));
    for path in [&tree, &target] {
        let annex = Some(&annex.roots["root"]);
        converge(&world, &Request { annex, ..wanted(&snapshot, &world, path) });
        assert_eq!(fs::read_to_string(path.join("fixed")).unwrap(), "wanted");
        assert_eq!(flags_of(&path.join("fixed")), immutable);
    }
    assert_eq!(flags_of(&target.join("log")), append);
    for path in [tree.join("fixed"), target.join("fixed"), target.join("log")] {
        let file = fs::File::open(path).unwrap();
        meta::set_flags(file, meta::InodeFlags::default()).unwrap();
    }
}

#[test]
fn a_damaged_repository_changes_nothing() {
    let world = World::new();
    world.write("f", "wanted ".repeat(100));
    let snapshot = world.take(&Recorder::default());
    world.write("f", "edited");
    world.write("g", "new");
    let tree = world.tree();
    let before = portrait(&tree);
    for entry in walkdir::WalkDir::new(world.place.path().join("repository/packs")) {
        let entry = entry.unwrap();
        let mut bytes = if entry.file_type().is_file() {
            fs::read(entry.path()).unwrap()
        } else {
            continue;
        };
        // The first frame lies behind a header of some dozen bytes.
        bytes[80] ^= 1;
        mode(entry.path(), 0o600);
        fs::write(entry.path(), bytes).unwrap();
    }
    let monitor = Recorder::default();
    let key = world.place.path().join("key");
    let unlock = crate::repository::Unlock::KeyFile(&key);
    let location = world.place.path().join("repository");
    let repository = crate::repository::Repository::open(&location, &unlock, None).unwrap();
    let planned = plan(&repository, &wanted(&snapshot, &world, &tree), &monitor);
    let acted = planned.and_then(|plan| act(&repository, &plan, TOKEN, &monitor));
    assert!(acted.is_err());
    assert_eq!(portrait(&tree), before);
}
