//! Ways to open a repository, and that the last one is not thrown away.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::run::args;
use crate::stage::write;
use crate::world::World;

/// A world whose repository opens with a passphrase as well as with the machine's key file.
fn with_passphrase() -> (World, std::path::PathBuf) {
    let world = World::bare();
    let file = world.path("passphrase");
    write(&file, "correct horse battery staple\n");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("ours");
    let mut command = world.command(["init"]);
    command.env("SNAP_NEW_PASSWORD_FILE", &file);
    world.start_command(command).end().ok();
    (world, file)
}

#[test]
fn a_repository_opens_with_the_machine_key_and_with_the_passphrase_alone() {
    let (world, passphrase) = with_passphrase();
    write(world.path("tree/file"), "1");
    world.snap(args!["backup", world.path("tree")]).ok();
    // Another machine: no key file, only the passphrase.
    fs::rename(world.path("config/keys"), world.path("keys-elsewhere")).expect("ours");
    world.snap(["snapshots"]).exits(12);
    let wrong = world.path("wrong");
    write(&wrong, "correct horse battery stapler\n");
    fs::set_permissions(&wrong, fs::Permissions::from_mode(0o600)).expect("ours");
    world.snap(args!["snapshots", "--password-file", wrong]).exits(12);
    world.snap(args!["check", "--read-data", "--password-file", passphrase]).ok();
}

#[test]
fn keys_are_added_listed_exported_and_removed_but_never_the_last() {
    let (world, _) = with_passphrase();
    let second = world.path("second");
    write(&second, "another passphrase\n");
    fs::set_permissions(&second, fs::Permissions::from_mode(0o600)).expect("ours");
    let mut add = world.command(["key", "add"]);
    add.env("SNAP_NEW_PASSWORD_FILE", &second);
    world.start_command(add).end().ok();
    let listed = world.snap(["key", "list", "--json"]).ok();
    assert!(!listed.stdout.contains("another passphrase"), "{listed}");
    let exported = world.path("exported.key");
    world.snap(args!["key", "export", exported]).ok();
    let mode = fs::metadata(&exported).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "an exported key is its owner's alone");
    fs::rename(world.path("config/keys"), world.path("keys-elsewhere")).expect("ours");
    world.snap(args!["snapshots", "--password-file", second]).ok();
    world.snap(args!["snapshots", "--key-file", exported]).ok();
}

#[test]
fn every_file_of_ours_is_the_owners_alone_whatever_the_umask() {
    let world = World::bare();
    let mut command = std::process::Command::new("sh");
    let script = "umask 000; \"$0\" init --no-recovery && \"$0\" backup \"$1\"";
    write(world.path("tree/file"), "1");
    command.args(["-c", script]).arg(crate::world::binary()).arg(world.path("tree"));
    command.env_clear().envs(world.environment()).current_dir(world.path(""));
    world.start_command(command).end().ok();
    assert_eq!(readable_by_others(&world), [""; 0]);
}

/// Files of ours that a group or the world may read or write.
pub(crate) fn readable_by_others(world: &World) -> Vec<String> {
    let mut open = Vec::new();
    for dir in ["config", "state", "cache", "run", "repository"] {
        for entry in walkdir::WalkDir::new(world.path(dir)).min_depth(1) {
            let entry = entry.expect("readable");
            let meta = entry.metadata().expect("readable");
            if meta.is_file() && meta.permissions().mode() & 0o077 != 0 {
                open.push(format!("{} {:o}", entry.path().display(), meta.permissions().mode()));
            }
        }
    }
    open
}

#[test]
fn a_repository_made_like_another_gives_equal_digests_and_opens_nothing_of_it() {
    let world = World::new();
    let source = world.path("tree");
    write(source.join("small"), "1");
    write(source.join("large"), crate::nasty::noise(3_000_000, 8));
    let second = world.path("second");
    let third = world.path("third");
    let first = world.repository();
    let like = args!["-r", second, "init", "--no-recovery", "--copy-params-from", first];
    world.snap(like).ok();
    world.snap(args!["-r", third, "init", "--no-recovery"]).ok();
    let digest = |repository: &std::path::Path| {
        world.snap(args!["-r", repository, "backup", source]).ok();
        let listed = world.snap(args!["-r", repository, "snapshots", "--json"]).ok();
        listed.message("snapshots")["snapshots"][0]["digest"].to_string()
    };
    assert_eq!(digest(&first), digest(&second));
    assert_ne!(digest(&first), digest(&third));
    let nowhere = world.path("nowhere");
    let fourth = world.path("fourth");
    world
        .snap(args!["-r", fourth, "init", "--no-recovery", "--copy-params-from", nowhere])
        .exits(10);
    assert!(!fourth.exists(), "nothing was made");
}
