//! A snapshot as an archive that needs no `snap`: GNU tar and the databases' own clients restore
//! it, and the archive becomes a snapshot again.

use std::fs;
use std::path::{Path, PathBuf};

use crate::nasty;
use crate::oracle::{Skip, same, sqlite, tree};
use crate::run::{args, tool};
use crate::server::Server;
use crate::stage::write;
use crate::world::World;
use tar::EntryType as T;

/// Restores an archive with GNU tar alone.
fn untar(world: &World, archive: &Path, to: &str) -> PathBuf {
    let target = world.path(to);
    fs::create_dir(&target).expect("ours");
    let args: [&dyn AsRef<std::ffi::OsStr>; 7] =
        [&"--xattrs", &"--xattrs-include=*", &"--numeric-owner", &"-xpf", &archive, &"-C", &target];
    tool("tar", &args);
    target
}

/// Where something of the machine lies below a directory.
fn below(dir: &Path, path: &Path) -> PathBuf {
    dir.join(path.strip_prefix("/").expect("absolute"))
}

/// A tree with everything that an archive can hold.
fn nasty_tree(world: &World) -> PathBuf {
    let source = world.path("tree");
    nasty::plant(&source);
    // No archive holds a socket.
    fs::remove_file(source.join("specials/s")).expect("planted");
    source
}

#[test]
fn gnu_tar_restores_an_export_to_the_last_attribute() {
    let world = World::new();
    let source = nasty_tree(&world);
    let before = tree(&source, Skip::default());
    world.snap(args!["backup", source]).ok();
    let archive = world.path("site.tar.zst");
    world.snap(args!["export", "latest", "-o", archive]).ok();
    let target = untar(&world, &archive, "untarred");
    same(&before.0, &tree(below(&target, &source), Skip::default()).0, "by GNU tar");
    world.snap(args!["export", "latest", "-o", archive]).exits(1).says("there already");
    world.snap(args!["export", "latest", "-o", world.path("site.zip")]).exits(2);
}

#[test]
fn an_export_is_the_same_bytes_every_time_and_a_snapshot_again_when_it_is_imported() {
    let world = World::new();
    let source = nasty_tree(&world);
    let before = tree(&source, Skip::default());
    world.snap(args!["backup", source]).ok();
    let (first, second) = (world.path("1.tar"), world.path("2.tar"));
    world.snap(args!["export", "latest", "-o", first]).ok();
    world.snap(args!["export", "latest", "-o", second]).ok();
    tool("cmp", &[&first, &second]);
    let packed = world.path("3.tar.zst");
    world.snap(args!["export", "latest", "-o", packed]).ok();
    tool("zstd", &[&"-q", &"-d", &packed, &"-o", &world.path("3.tar")]);
    tool("cmp", &[&first, &world.path("3.tar")]);

    world.snap(args!["import", packed, "--tag", "moved"]).ok();
    world.snap(["check", "--read-data"]).ok();
    let target = world.path("restored");
    world.snap(args!["restore", "latest", "--target", target]).ok();
    same(&before.0, &tree(below(&target, &source), Skip::default()).0, "imported and restored");
}

#[test]
fn an_archive_of_gnu_tar_becomes_a_snapshot() {
    let world = World::new();
    let source = nasty_tree(&world);
    let before = tree(&source, Skip::default());
    for (format, file) in [("posix", "posix.tar"), ("posix", "posix.tar.gz")] {
        let archive = world.path(file);
        let args: [&dyn AsRef<std::ffi::OsStr>; 8] = [
            &format!("--format={format}"),
            &"--xattrs",
            &"--xattrs-include=*",
            &"-caf",
            &archive,
            &"-C",
            &source,
            &".",
        ];
        tool("tar", &args);
        world.snap(args!["import", archive, "--at", "/srv/site"]).ok();
        let target = world.path(format!("from-{file}"));
        world.snap(args!["restore", "latest:/srv/site", "--target", target]).ok();
        same(&before.0, &tree(target.join("srv/site"), Skip::default()).0, file);
    }
}

#[test]
fn an_archive_that_climbs_or_lies_is_refused_and_leaves_no_snapshot() {
    let world = World::new();
    let entry = |name: &[u8], kind: T, link: &[u8], bytes: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name);
        header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link);
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_size(bytes.len() as u64);
        header.set_mtime(1);
        header.set_uid(0);
        header.set_gid(0);
        header.set_cksum();
        let mut archive = header.as_bytes().to_vec();
        archive.extend_from_slice(bytes);
        archive.resize(archive.len().next_multiple_of(512), 0);
        archive
    };
    let hostile = [
        entry(b"../escaped", T::Regular, b"", b"x"),
        entry(b"a/../../escaped", T::Regular, b"", b"x"),
        entry(b"link", T::Link, b"not-there", b""),
        entry(b"link", T::Link, b"../../etc/passwd", b""),
        entry(b"odd", T::new(b'Q'), b"", b""),
        [entry(b"file", T::Regular, b"", b"x"), entry(b"file/in", T::Regular, b"", b"x")].concat(),
        entry(b"cut", T::Regular, b"", &[7; 5000])[..2000].to_vec(),
        vec![0x55; 2048],
    ];
    for (number, mut archive) in hostile.into_iter().enumerate() {
        if number != 6 {
            archive.extend_from_slice(&[0; 1024]);
        }
        let file = world.path(format!("hostile{number}.tar"));
        write(&file, archive);
        let run = world.snap(args!["import", file]);
        assert_eq!(run.code(), 26, "{number}: {run}");
    }
    let listed = world.snap(["snapshots", "--json"]).ok().message("snapshots");
    assert_eq!(listed["snapshots"].as_array().map(Vec::len), Some(0), "{listed}");
    assert!(!world.path("escaped").exists());
}

#[test]
fn a_sqlite_database_lies_where_it_lay_in_the_application() {
    let (world, site) = World::with_notes();
    world.snap(["backup", "--app", "notes"]).ok();
    let archive = world.path("notes.tar");
    world.snap(args!["export", "latest", "-o", archive]).ok().says("1 database");
    let target = untar(&world, &archive, "untarred");
    let copy = below(&target, &site.database());
    same(&sqlite(site.database()), &sqlite(&copy), "the database");
    let skip = Skip { inside: &["tmp", "logs"], database: &["data/notes.db"] };
    let (was, is) = (tree(&site.root, skip), tree(below(&target, &site.root), skip));
    same(&was.0, &is.0, "the application around it");
}

#[test]
#[ignore = "needs MariaDB; bash tests/all.sh runs it"]
fn the_client_of_the_server_loads_an_exported_schema() {
    let world = World::new();
    let server = Server::of_this_run();
    let schema = server.schema();
    let everything = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mariadb/everything.sql");
    server.load(&schema.name, &everything);
    let before = server.dump(&schema.name);
    let url = schema.url();
    world.snap_as(&schema, args!["backup", "--db", url]).ok();
    let archive = world.path("db.tar");
    world.snap(args!["export", "latest", "-o", archive]).ok();
    let target = untar(&world, &archive, "untarred");
    let script = target.join(".snap-export/main.sql");
    let script = if script.exists() {
        script
    } else {
        let found = fs::read_dir(target.join(".snap-export")).expect("it is there").next();
        found.expect("one script").expect("readable").path()
    };
    schema.reload(&script);
    same(&before, &server.dump(&schema.name), "loaded by the client");
}
