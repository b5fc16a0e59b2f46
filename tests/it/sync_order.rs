//! What is on the disk when, judged by the system calls of the real binary: content before its
//! name, packs before the index, the index before the pin, the pin before the record, and the
//! record before a word of it. Only the order is judged, and that the number of syncs does not
//! follow the number of files; not how many there are.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::notes_upgrade::upgrade;
use crate::run::args;
use crate::stage::{read, write};
use crate::syscalls::{Call, Named, Run, TRACED, parse};
use crate::world::{World, binary};

/// Runs `snap ARGS` under strace; every call that touches the disk.
fn traced(world: &World, args: Vec<OsString>, code: i32) -> Vec<Call> {
    let log = world.path("trace");
    let _ = std::fs::remove_file(&log);
    let mut command = Command::new("strace");
    command.args(["-f", "-y", "-qq", "-s", "256", "-e", "signal=none", "-o"]).arg(&log);
    command.args(["-e", &format!("trace={TRACED}")]).arg(binary()).args(args);
    command.env_clear().envs(world.environment()).current_dir(world.path(""));
    world.start_command(command).end().exits(code);
    parse(&read(log))
}

/// Objects that speak of what lies in others: all that was named before must be durable.
const SPEAK_OF_OTHERS: [&str; 3] = ["index", "pins", "snapshots"];

/// A lease speaks of a living process, and none outlives a power cut.
const PASSING: &str = "leases";

/// What is wrong with the order of a run on the repository at `root`.
fn repository_broken(run: &Run<'_>, root: &Path) -> Vec<String> {
    let lasting = || run.named(root).filter(|named| named.kind(root) != PASSING);
    let mut broken = run.content_before_name(&root.join("packs"));
    for kind in SPEAK_OF_OTHERS.iter().chain(&["forgotten"]) {
        broken.extend(run.content_before_name(&root.join(kind)));
    }
    for speaks in lasting().filter(|named| SPEAK_OF_OTHERS.contains(&&*named.kind(root))) {
        for earlier in lasting().filter(|named| named.is_before(speaks.call)) {
            if !run.durable_before(&earlier, speaks.call) {
                broken.push(format!(
                    "{} got its name before that of {} was durable",
                    speaks.to.display(),
                    earlier.to.display()
                ));
            }
        }
    }
    broken.extend(run.hidden().iter().map(|call| format!("{call} hides what is done")));
    broken
}

/// The kinds of what was named, in order, repeated ones once.
fn kinds(run: &Run<'_>, root: &Path) -> Vec<String> {
    let mut kinds: Vec<String> = run.named(root).map(|named| named.kind(root)).collect();
    kinds.retain(|kind| kind != PASSING);
    kinds.dedup();
    kinds
}

fn plant(world: &World, files: u32) -> PathBuf {
    let source = world.path("tree");
    for n in 0..files {
        write(source.join(format!("dir{}/file{n}", n % 7)), format!("file {n} of the tree"));
    }
    source
}

#[test]
fn a_backup_makes_everything_durable_before_it_speaks_of_it() {
    let world = World::new();
    let source = plant(&world, 40);
    write(source.join("large"), crate::nasty::noise(30_000_000, 3));
    let repository = world.repository().canonicalize().expect("it is there");
    let calls = traced(&world, args!["backup", source], 0);
    let run = Run::of(&calls);
    assert_eq!(repository_broken(&run, &repository), [""; 0]);
    assert_eq!(kinds(&run, &repository), ["packs", "index", "snapshots"]);
    let record = last_record(&run, &repository);
    let said = run.said("snapshot ", &repository).expect("it says what it has saved");
    assert!(run.durable_before(&record, said), "it was said before the record was durable");
}

fn last_record<'a>(run: &Run<'a>, repository: &'a Path) -> Named<'a> {
    let all = run.named(repository).filter(|named| named.kind(repository) == "snapshots");
    all.last().expect("a snapshot was recorded")
}

#[test]
fn the_syncs_of_a_backup_do_not_follow_the_number_of_its_files() {
    let count = |files| {
        let world = World::new();
        let source = plant(&world, files);
        let calls = traced(&world, args!["backup", source], 0);
        Run::of(&calls).syncs()
    };
    let (few, many) = (count(30), count(3_000));
    assert!(many <= few + 6, "{few} syncs for 30 files, {many} for 3000");
}

/// The state of an upgrade that fails: everything that one does and undoes.
#[test]
fn an_upgrade_and_its_rollback_keep_the_order_in_the_repository_and_in_the_tree() {
    let (world, site) = World::with_notes();
    let repository = world.repository().canonicalize().expect("it is there");
    let calls = traced(&world, upgrade("1.4.0"), 20);
    let run = Run::of(&calls);
    assert_eq!(repository_broken(&run, &repository), [""; 0]);
    // The pin of the safety snapshot is durable before its record; the warm one has none.
    let order = kinds(&run, &repository).join(" ");
    assert!(order.contains("pins snapshots"), "{order}");
    // In the tree: content before names, and names before the journal says that they are there.
    assert_eq!(run.content_before_name(&site.root), [""; 0]);
    let placed: Vec<Named<'_>> = run.named(&site.root).collect();
    assert!(placed.len() >= 6, "files were placed and put back");
    let journal = world.path("state/journal.db");
    for named in placed {
        let Some(next) = run.writes(&journal).find(|one| named.is_before(one)) else {
            panic!("the journal says nothing after {named:?}");
        };
        assert!(run.durable_before(&named, next), "the journal went on before {named:?} lasted");
    }
}

/// A trace of four lines that keeps the rules, and what becomes of it when a line goes.
#[test]
fn the_rules_see_what_they_are_for() {
    let good = "\
7 pwrite64(5</r/tmp/a>, \"x\"..., 9, 0) = 9
7 fdatasync(5</r/tmp/a> <unfinished ...>
8 write(2</elsewhere>, \"busy\", 4) = 4
7 <... fdatasync resumed>) = 0
7 renameat2(AT_FDCWD</>, \"/r/tmp/a\", AT_FDCWD</>, \"/r/packs/00/a\", RENAME_NOREPLACE) = 0
7 fsync(6</r/packs/00>) = 0
7 write(5</r/tmp/i>, \"x\", 1) = 1
7 fdatasync(5</r/tmp/i>) = 0
7 rename(\"/r/tmp/i\", \"/r/index/i\") = 0
";
    let root = Path::new("/r");
    let broken = |text: &str| repository_broken(&Run::of(&parse(text)), root);
    assert_eq!(broken(good), [""; 0]);
    let without = |line: &str| {
        let lines: Vec<&str> = good.lines().filter(|one| !one.contains(line)).collect();
        assert!(lines.len() < good.lines().count());
        lines.join("\n")
    };
    assert!(broken(&without("fsync(6</r/packs/00>)"))[0].contains("durable"));
    assert!(broken(&without("fdatasync(5</r/tmp/i>)"))[0].contains("unsynced"));
    assert!(broken(&without("fdatasync"))[0].contains("unsynced"));
    let failed = good.replace("fsync(6</r/packs/00>) = 0", "fsync(6</r/packs/00>) = -1 EIO");
    assert_eq!(broken(&failed).len(), 1, "a sync that failed is none");
    let late = format!("{good}7 pwrite64(5</r/packs/00/a>, \"y\", 1, 9) = 1\n");
    assert!(broken(&late)[0].contains("was written to in line 10"));
    let overtaken = good.replace(
        "8 write(2</elsewhere>, \"busy\", 4) = 4",
        "8 pwrite64(5</r/tmp/a>, \"y\", 1, 9) = 1",
    );
    assert!(broken(&overtaken)[0].contains("unsynced"), "written while the sync ran");
    let all = good.replace("fsync(6</r/packs/00>)", "syncfs(6</r/packs/00>)");
    assert_eq!(broken(&all), [""; 0], "a whole file system synced is synced");
}
