//! Trees into the repository and back.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::nasty;
use crate::notes_upgrade::{back_in_place, unchanged};
use crate::oracle::{Skip, same, tree};
use crate::run::{args, tool, until};
use crate::site::Notes;
use crate::stage::{read, set_time, write};
use crate::world::{World, binary};

/// Where a restore to `target` puts what was at `source`.
fn restored(target: &Path, source: &Path) -> PathBuf {
    target.join(source.strip_prefix("/").expect("absolute"))
}

#[test]
fn everything_a_tree_is_made_of_comes_back() {
    let world = World::new();
    let source = world.path("tree");
    nasty::plant(&source);
    let before = tree(&source, Skip::default());
    world.snap(args!["backup", source]).ok();
    same(&before.0, &tree(&source, Skip::default()).0, "a backup changes nothing");
    let target = world.path("restored");
    world.snap(args!["restore", "latest", "--target", target]).ok();
    same(&before.0, &tree(restored(&target, &source), Skip::default()).0, "restored");
    world.snap(["check", "--read-data"]).ok();
}

#[test]
fn a_path_longer_than_any_call_takes_comes_back() {
    let world = World::new();
    let source = world.path("tree");
    let script = "import os, sys
os.makedirs(sys.argv[1]); os.chdir(sys.argv[1])
for n in range(30):
    d = '%03d' % n + 'l' * 240
    os.mkdir(d); os.chdir(d)
    open('file', 'w').write('level %d' % n)
";
    tool("python3", &[&"-c", &script, &source]);
    world.snap(args!["backup", source]).ok();
    let target = world.path("restored");
    world.snap(args!["restore", "latest", "--target", target]).ok();
    // Walked by descriptor: no path of it fits into one call.
    let look = "import os, sys
for top, dirs, files, fd in os.fwalk(sys.argv[1]):
    dirs.sort()
    for f in sorted(files):
        h = os.open(f, os.O_RDONLY, dir_fd=fd); s = os.fstat(h)
        print(len(top) - len(sys.argv[1]), f, os.read(h, 100), s.st_mode, s.st_mtime_ns); os.close(h)
    print(os.fstat(fd).st_mtime_ns)
";
    let seen =
        |dir: &Path| String::from_utf8(tool("python3", &[&"-c", &look, &dir])).expect("text");
    same(&seen(&source), &seen(&restored(&target, &source)), "restored");
}

#[test]
fn unchanged_files_are_not_read_again() {
    let world = World::new();
    let source = world.path("tree");
    for n in 0..40 {
        write(source.join(format!("dir{}/file{n}", n % 5)), nasty::noise(5000, n));
    }
    world.snap(args!["backup", source]).ok();
    // A file changed in the same instant as the first look may be read once more, and only then.
    until("a backup of an unchanged tree reads nothing", || opened(&world, &source).is_empty());
    write(source.join("dir0/file0"), nasty::noise(5000, 99));
    let name = source.join("dir0/file0").display().to_string();
    assert_eq!(opened(&world, &source), [name], "only what changed is read");
}

/// The plain files below `source` that a backup opens, as the kernel saw it.
fn opened(world: &World, source: &Path) -> Vec<String> {
    let log = world.path("strace.log");
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-y", "-e", "trace=open,openat,openat2", "-o"]).arg(&log);
    command.arg(binary()).args(args!["backup", source]);
    command.env_clear().envs(world.environment()).current_dir(world.path(""));
    world.start_command(command).end().ok();
    let text = read(&log);
    let lines = text.lines().filter(|line| !line.contains("= -1"));
    // `-y` prints what was opened behind the descriptor: `= 7</tmp/…/file0>`.
    let targets =
        lines.filter_map(|line| line.rsplit_once("= ")?.1.split_once('<')?.1.split_once('>'));
    let mut found: Vec<String> = targets
        .map(|(path, _)| path.to_owned())
        .filter(|path| Path::new(path).starts_with(source) && Path::new(path).is_file())
        .collect();
    found.sort();
    found.dedup();
    found
}

#[test]
fn a_file_changed_back_to_its_old_size_and_time_is_still_seen() {
    let world = World::new();
    let source = world.path("tree");
    write(source.join("file"), "first!");
    set_time(&source.join("file"), 1_500_000_000, 0);
    world.snap(args!["backup", source]).ok();
    write(source.join("file"), "second");
    set_time(&source.join("file"), 1_500_000_000, 0);
    world.snap(args!["backup", source]).ok();
    let path = source.join("file");
    let dumped = world.snap(args!["dump", format!("latest:{}", path.display())]).ok();
    assert_eq!(dumped.stdout, "second");
}

/// Every kind of damage a tree can take.
fn damage(root: &Path) {
    fs::remove_file(root.join("one byte")).expect("ours");
    fs::remove_dir_all(root.join("many")).expect("ours");
    write(root.join("new/file"), "not in the snapshot");
    write(root.join("sizes/4096"), "other bytes");
    fs::remove_file(root.join("links/relative")).expect("ours");
    fs::create_dir(root.join("links/relative")).expect("ours");
    fs::remove_dir(root.join("specials/empty directory")).expect("ours");
    write(root.join("specials/empty directory"), "a file now");
    fs::remove_file(root.join("links/hard/second")).expect("ours");
    write(root.join("links/hard/second"), nasty::noise(10_000, 3));
    fs::hard_link(root.join("twins/a"), root.join("twins/c")).expect("ours");
    tool("setfattr", &[&"-n", &"user.extra", &"-v", &"1", &root.join("attributes/file")]);
    tool("setfacl", &[&"-b", &root.join("attributes")]);
    tool("chmod", &[&"0777", &root.join("modes/400")]);
    set_time(&root.join("times/file2"), 1, 1);
    set_time(&root.join("times"), 1, 1);
}

#[test]
fn a_restore_over_a_tree_converges_and_a_dry_run_only_tells() {
    let world = World::new();
    let source = world.path("tree");
    nasty::plant(&source);
    let before = tree(&source, Skip::default());
    world.snap(args!["backup", source]).ok();
    let target = world.path("restored");
    world.snap(args!["restore", "latest", "--target", target]).ok();
    let restored = restored(&target, &source);
    damage(&restored);
    let damaged = tree(&restored, Skip::default());
    let again = args!["restore", "latest", "--target", target, "--overwrite", "--delete", "--yes"];
    let told = world.snap(again.iter().cloned().chain(args!["--dry-run"])).ok();
    same(&damaged.0, &tree(&restored, Skip::default()).0, "a dry run changes nothing");
    assert!(told.stdout.contains("new"), "the plan names what goes: {told}");
    world.snap(&again).exits(5);
    world.snap(again.into_iter().chain(args!["--confirm", "restored"])).ok();
    same(&before.0, &tree(&restored, Skip::default()).0, "converged");
}

#[test]
fn a_restore_in_place_puts_everything_below_an_application_back() {
    let world = World::new();
    let site = Notes::install(&world.path(""));
    let uploads = site.root.join("data/uploads/nasty");
    nasty::plant(&uploads);
    world.register("notes", "sql-files", &site.root, "");
    let before = site.fingerprint();
    world.snap(["backup", "--app", "notes"]).ok();
    damage(&uploads);
    write(site.root.join("lib/notes.php"), "<?php // intruder");
    let damaged = site.fingerprint();
    let restore = back_in_place();
    world.snap(restore.iter().cloned().chain(args!["--dry-run"])).ok();
    unchanged(&site, &damaged, "a dry run changes nothing");
    world.snap(restore).ok();
    unchanged(&site, &before, "restored");
    // The restore itself can be taken back.
    world.snap(["rollback", "--app", "notes", "--yes", "--confirm", "notes"]).ok();
    unchanged(&site, &damaged, "rolled back");
}

#[test]
fn a_restore_in_place_without_delete_keeps_what_is_new() {
    let (world, site) = World::with_notes();
    world.snap(["backup", "--app", "notes"]).ok();
    write(site.root.join("lib/same.php"), "2");
    write(site.root.join("data/uploads/new.txt"), "3");
    world.snap(["restore", "latest", "--app", "notes", "--in-place", "--yes"]).ok();
    assert!(read(site.root.join("lib/same.php")).contains("function same"));
    assert_eq!(read(site.root.join("data/uploads/new.txt")), "3");
}

#[test]
fn an_unreadable_file_makes_the_snapshot_partial() {
    if crate::is_root() {
        // Root reads everything; the run of an ordinary user is a run as nobody.
        let world = World::bare();
        tool("chown", &[&"-R", &"nobody:", &world.path("")]);
        let source = world.path("tree");
        write(source.join("secret"), "1");
        write(source.join("plain"), "2");
        tool("chmod", &[&"000", &source.join("secret")]);
        as_nobody(&world, args!["init", "--no-recovery"]).ok();
        let run = as_nobody(&world, args!["backup", source]).exits(3);
        assert!(format!("{run}").contains("secret"), "the file is named: {run}");
        return;
    }
    let world = World::new();
    let source = world.path("tree");
    write(source.join("secret"), "1");
    tool("chmod", &[&"000", &source.join("secret")]);
    world.snap(args!["backup", source]).exits(3).says("secret");
}

/// Runs `snap` as the user nobody, from a copy that nobody can reach.
pub(crate) fn as_nobody(world: &World, args: Vec<std::ffi::OsString>) -> crate::run::Run {
    let copy = world.path("snap");
    if !copy.exists() {
        fs::copy(binary(), &copy).expect("ours");
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]).arg(copy).args(args);
    command.env_clear().envs(world.environment()).current_dir(world.path(""));
    world.start_command(command).end()
}
