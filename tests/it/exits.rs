//! One test for each exit code that these verbs can end with; those that need a longer story are
//! in the file of that story, and named here.

use std::process::Command;

use crate::is_root;
use crate::notes_upgrade::{unchanged, upgrade, upgrade_to};
use crate::run::{args, tool, until};
use crate::site::Notes;
use crate::site::notes::release;
use crate::stage::{copy, edit, write};
use crate::world::World;

/// Where each code of the table is made to happen.
const TOLD: &[(u8, &str)] = &[
    (0, "notes_upgrade::a_good_upgrade_is_new_and_keeps_what_is_the_operators"),
    (1, "exits::exit_1_nothing_there_to_back_up"),
    (2, "exits::exit_2_a_wrong_flag_or_configuration"),
    (3, "files::an_unreadable_file_makes_the_snapshot_partial"),
    (5, "busy::no_question_blocks_without_a_terminal"),
    (10, "exits::exit_10_no_repository"),
    (11, "busy::of_two_upgrades_at_once_the_second_is_refused_and_told_by_whom"),
    (12, "keys::a_repository_opens_with_the_machine_key_and_with_the_passphrase_alone"),
    (13, "damage::a_pack_that_is_cut_emptied_or_gone_is_damage"),
    (14, "exits::exit_14_no_space_for_what_will_be_written"),
    (15, "exits::exit_15_the_repository_cannot_be_reached"),
    (20, "notes_upgrade::a_failing_migration_is_put_back_and_proved"),
    (21, "exits::exit_21_the_repository_is_missing_when_it_must_undo"),
    (22, "notes_upgrade::a_core_file_edited_by_hand_stops_the_upgrade_until_somebody_decides"),
    (23, "notes_upgrade::a_plan_that_no_longer_fits_is_refused_and_names_why"),
    (24, "busy::while_a_transaction_is_open_whatever_changes_the_application_is_refused"),
    (26, "exits::exit_26_a_release_that_is_not_there"),
    (27, "exits::exit_27_the_database_cannot_be_opened"),
    (28, "exits::exit_28_a_question_without_an_answer"),
    (30, "exits::exit_30_an_application_that_nobody_knows"),
    (70, "exits::exit_70_a_bug"),
    (129, "exits::exit_129_130_143_a_backup_stopped_by_a_signal"),
    (130, "busy::an_interrupted_upgrade_puts_everything_back_and_says_by_what_it_was_stopped"),
    (143, "busy::an_interrupted_upgrade_puts_everything_back_and_says_by_what_it_was_stopped"),
];

#[test]
fn every_code_of_the_issue_is_told_by_a_test_that_exists() {
    let wanted = [
        0, 1, 2, 3, 5, 10, 11, 12, 13, 14, 15, 20, 21, 22, 23, 24, 26, 27, 28, 30, 70, 129, 130,
        143,
    ];
    let codes: Vec<u8> = TOLD.iter().map(|(code, _)| *code).collect();
    assert_eq!(codes, wanted);
    for (code, test) in TOLD {
        assert!(crate::faults::exists(&format!("it::{test}")), "code {code}: no test {test}");
    }
}

#[test]
fn exit_1_nothing_there_to_back_up() {
    let world = World::new();
    world.snap(args!["backup", world.path("nowhere")]).exits(1).says("nowhere");
}

#[test]
fn exit_2_a_wrong_flag_or_configuration() {
    let world = World::new();
    world.snap(["backup", "--no-such-flag"]).exits(2);
    world.snap(["upgarde"]).exits(2).says("upgrade");
    world.register("notes", "sql-files", &world.path("x"), "[fiels]\npreserve = []\n");
    let run = world.snap(["app", "show", "notes"]).exits(2);
    assert!(run.to_string().contains("files") && run.to_string().contains("notes.toml"), "{run}");
}

#[test]
fn exit_10_no_repository() {
    let world = World::bare();
    world.snap(["snapshots"]).exits(10).says("snap");
}

#[test]
fn exit_14_no_space_for_what_will_be_written() {
    if !is_root() {
        eprintln!("skipped: mounting a small file system needs root");
        return;
    }
    let world = World::new();
    let small = world.path("small");
    std::fs::create_dir(&small).expect("ours");
    tool("mount", &[&"-t", &"tmpfs", &"-o", &"size=4m,mode=755", &"none", &small]);
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let site = Notes::install(&small);
        world.register("notes", "sql-files", &site.root, "");
        let large = world.path("large");
        copy(release("1.3.2"), &large);
        write(large.join("public/large.bin"), crate::nasty::noise(8_000_000, 5));
        let before = site.fingerprint();
        world.snap(upgrade_to(&large)).exits(14);
        unchanged(&site, &before, "refused");
    }));
    tool("umount", &[&"-l", &small]);
    if let Err(panic) = ended {
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn exit_15_the_repository_cannot_be_reached() {
    let world = World::new();
    write(world.path("tree/file"), "1");
    world
        .snap(args!["-r", "sftp:backup@nowhere.invalid:/srv", "backup", world.path("tree")])
        .exits(15);
    if is_root() {
        // A read-only file system takes no backup.
        let mut command = Command::new("unshare");
        command.args([
            "-m",
            "sh",
            "-ec",
            "mount --bind \"$1\" \"$1\"; mount -o remount,bind,ro \"$1\"; shift; exec \"$@\"",
            "sh",
        ]);
        command.arg(world.repository()).arg(crate::world::binary());
        command.args(args!["backup", world.path("tree")]);
        command.env_clear().envs(world.environment());
        world.start_command(command).end().exits(15);
    }
}

#[test]
fn exit_21_the_repository_is_missing_when_it_must_undo() {
    let (world, site) = World::with_notes();
    let before = site.fingerprint();
    world.snap_dying_at("after-undo-started", upgrade("1.4.0")).killed();
    let away = world.path("repository-elsewhere");
    std::fs::rename(world.repository(), &away).expect("ours");
    let damaged = site.fingerprint();
    let run = world.snap(["recover", "--wait", "1"]).exits(21);
    assert!(
        run.to_string().contains(&world.repository().display().to_string()),
        "the place is named: {run}"
    );
    unchanged(&site, &damaged, "nothing was touched");
    std::fs::rename(&away, world.repository()).expect("ours");
    world.snap(["recover"]).ok();
    unchanged(&site, &before, "recovered");
}

#[test]
fn exit_26_a_release_that_is_not_there() {
    let (world, site) = World::with_notes();
    let before = site.fingerprint();
    for from in ["--from-dir", "--from-archive", "--from-git"] {
        world
            .snap(args!["upgrade", "--app", "notes", from, world.path("nowhere"), "--yes"])
            .exits(26);
    }
    // What holds no release of this application is none either.
    write(world.path("other/readme"), "hello");
    let run =
        world.snap(args!["upgrade", "--app", "notes", "--from-dir", world.path("other"), "--yes"]);
    assert!([22, 26].contains(&run.code()), "{run}");
    unchanged(&site, &before, "refused");
}

#[test]
fn exit_27_the_database_cannot_be_opened() {
    let (world, site) = World::with_notes();
    write(site.database(), crate::nasty::noise(10_000, 4));
    world.snap(upgrade("1.3.2")).exits(27);
    world.snap(["backup", "--app", "notes"]).exits(27);
}

#[test]
fn exit_28_a_question_without_an_answer() {
    let (world, site) = World::with_notes();
    let asking = world.path("asking");
    copy(release("1.3.2"), &asking);
    edit(
        asking.join("migrations/0004_statistics.sql"),
        "-- ask: We need you to help make notes better by sending anonymous usage statistics. Ok?",
        "-- ask: Shall all notes be thrown away?",
    );
    let before = site.fingerprint();
    let go = upgrade_to(&asking);
    let run = world.snap(&go);
    // Foretold where it can be, put back where it could not.
    assert!([20, 28].contains(&run.code()), "{run}");
    assert!(run.to_string().contains("Shall all notes be thrown away?"), "{run}");
    unchanged(&site, &before, "refused or put back");
    let answered = go.into_iter().chain(args!["--answer", "thrown away=n"]);
    world.snap(answered.collect::<Vec<_>>()).ok();
}

#[test]
fn exit_30_an_application_that_nobody_knows() {
    let (world, _site) = World::with_notes();
    for verb in [
        args!["backup", "--app", "nots"],
        args!["upgrade", "--app", "nots", "--from-dir", "/", "--yes"],
        args!["app", "show", "nots"],
    ] {
        world.snap(verb).exits(30).says("notes");
    }
}

#[test]
fn exit_70_a_bug() {
    let (world, site) = World::with_notes();
    let before = site.fingerprint();
    let run = world.snap_dying_at("panic@before-begun", upgrade("1.3.2")).exits(70);
    assert!(run.to_string().contains("bug"), "{run}");
    unchanged(&site, &before, "no application was changed");
    world.snap(["recover"]).ok();
    // After the first change a bug is a failure like any other: put back.
    let (world, site) = World::with_notes();
    let before = site.fingerprint();
    world.snap_dying_at("panic@after-child-started", upgrade("1.3.2")).exits(20);
    unchanged(&site, &before, "put back");
}

#[test]
fn exit_129_130_143_a_backup_stopped_by_a_signal() {
    for (signal, code) in [(1, 129), (2, 130), (15, 143)] {
        let world = World::new();
        let source = world.path("tree");
        for n in 0..40 {
            write(source.join(format!("file{n}")), crate::nasty::noise(20_000_000, n));
        }
        // Whoever runs the tests may have had them ignore the signal.
        let env = ["env", "--default-signal=HUP"];
        let mut running =
            world.start_command(through(&env, &world.command(args!["backup", source])));
        until("the backup has begun", || {
            assert!(!running.ended(), "the backup ended before it could be stopped");
            has_lease(&world)
        });
        // Held while it gets the signal, so that it cannot be done before.
        running.signal(19);
        running.signal(signal);
        running.signal(18);
        running.end().exits(code);
        world.snap(["check"]).ok();
        let listed = world.snap(["snapshots", "--json"]).ok();
        assert!(!listed.stdout.contains("tree"), "no snapshot exists: {listed}");
    }
}

/// The same command, started by another program: the process is the same.
fn through(starter: &[&str], command: &Command) -> Command {
    let mut started = Command::new(starter[0]);
    started.args(&starter[1..]).arg(command.get_program()).args(command.get_args()).env_clear();
    started.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    started
}

/// Who has a lease is at work.
fn has_lease(world: &World) -> bool {
    let leases = std::fs::read_dir(world.repository().join("leases"));
    leases.is_ok_and(|mut leases| leases.next().is_some())
}

#[test]
fn what_nohup_started_outlives_its_terminal() {
    let world = World::new();
    let source = world.path("tree");
    for n in 0..20 {
        write(source.join(format!("file{n}")), crate::nasty::noise(20_000_000, n));
    }
    let mut running =
        world.start_command(through(&["nohup"], &world.command(args!["backup", source])));
    until("the backup has begun", || {
        assert!(!running.ended(), "the backup ended before it lost its terminal");
        has_lease(&world)
    });
    running.signal(1);
    running.end().ok();
    world.snap(["snapshots"]).ok().says("tree");
}
