//! A prune is what makes room on a disk that is full.

use std::path::Path;

use crate::nasty::noise;
use crate::retention::{checks_clean, repository_bytes, restores};
use crate::run::args;
use crate::stage::{Small, write};
use crate::world::World;

#[test]
fn a_prune_of_a_repository_on_a_disk_without_a_byte_left_frees_what_it_can() {
    if !crate::is_root() {
        eprintln!("skipped: mounting a small file system needs root");
        return;
    }
    let world = World::bare();
    let disk = Small::mount(world.repository(), "size=48m,mode=700");
    world.snap(["init", "--no-recovery"]).ok();
    let (stays, goes) = (world.path("stays"), world.path("goes"));
    write(stays.join("file"), noise(1_000_000, 1));
    write(goes.join("file"), noise(2_000_000, 2));
    world.snap(args!["backup", stays]).ok();
    let run = world.snap(args!["backup", goes, "--json"]).ok();
    let id = run.snapshot_id();
    world.snap(args!["forget", id, "--yes"]).ok();
    disk.fill();
    assert_ne!(world.snap(args!["backup", stays]).code(), 0, "there is no room at all");
    let before = repository_bytes(&world);
    world.snap(["prune", "--yes"]).ok();
    let after = repository_bytes(&world);
    assert!(before > after + 1_000_000, "{before} -> {after}");
    checks_clean(&world);
    world.snap(args!["backup", stays]).ok();
    let latest = world.snap(["snapshots", "--json"]).ok().message("snapshots");
    let latest = latest["snapshots"].as_array().and_then(|all| all.last()).expect("one");
    restores(&world, latest["id"].as_str().expect("an id"), &stays);
    // With room again the reserve comes back, for the next time.
    disk.free();
    world.snap(args!["backup", stays]).ok();
    assert!(world.repository().join("reserve").exists());
}

#[test]
fn a_prune_of_a_repository_that_is_nearly_full_frees_what_it_can() {
    if !crate::is_root() {
        eprintln!("skipped: mounting a small file system needs root");
        return;
    }
    let world = World::bare();
    let _disk = Small::mount(world.repository(), "size=6m,mode=700");
    world.snap(["init", "--no-recovery"]).ok();
    let source = world.path("tree");
    let mut ids = Vec::new();
    let other = world.path("other");
    let mut backup = |source: &Path| {
        let run = world.snap(args!["backup", source, "--json"]).ok();
        ids.push(run.snapshot_id());
    };
    // One pack that is needed by half, then one that nobody needs.
    write(source.join("stays"), noise(1_000_000, 1));
    write(source.join("goes"), noise(1_000_000, 2));
    backup(&source);
    std::fs::remove_file(source.join("goes")).expect("ours");
    backup(&source);
    write(other.join("comes"), noise(600_000, 3));
    backup(&other);
    world.snap(args!["forget", ids[0], ids[2], "--yes"]).ok();
    let free = |path: &Path| {
        let said = rustix::fs::statvfs(path).expect("ours");
        usize::try_from(said.f_bavail * said.f_frsize).expect("small")
    };
    let filler = world.repository().join("filler");
    std::fs::write(&filler, vec![7; free(&world.repository()) - 300_000]).expect("it fits");
    let before = repository_bytes(&world);
    world.snap(["prune", "--yes"]).ok().says("no room to write packs anew");
    let after = repository_bytes(&world);
    assert!(before - after > 500_000, "{before} -> {after}");
    checks_clean(&world);
    restores(&world, &ids[1], &source);
    std::fs::remove_file(&filler).expect("ours");
    let before = repository_bytes(&world);
    world.snap(["prune", "--yes"]).ok();
    assert!(before - repository_bytes(&world) > 900_000, "now there is room to write anew");
    checks_clean(&world);
    restores(&world, &ids[1], &source);
}

#[test]
fn a_prune_frees_a_full_disk_though_its_index_is_longer_than_the_reserve_of_a_small_one() {
    if !crate::is_root() {
        eprintln!("skipped: mounting a small file system needs root");
        return;
    }
    let world = World::bare();
    let disk = Small::mount(world.repository(), "size=224m,mode=700");
    world.snap(["init", "--no-recovery"]).ok();
    // What goes fills packs of its own, and is named by the segment that names all that stays.
    let source = world.path("tree");
    write(source.join("goes"), noise(120 << 20, 1));
    for n in 0..30_000 {
        write(source.join(format!("{}/{n}", n / 1000)), format!("one of many, number {n}"));
    }
    let run = world.snap(args!["backup", source, "--json"]).ok();
    let id = run.snapshot_id();
    let segments = std::fs::read_dir(world.repository().join("index")).expect("ours");
    let longest = segments.map(|one| one.expect("ours").metadata().expect("ours").len()).max();
    assert!(longest > Some(1 << 20), "it names many chunks: {longest:?}");
    std::fs::remove_file(source.join("goes")).expect("ours");
    let run = world.snap(args!["backup", source, "--json"]).ok();
    let stays = run.snapshot_id();
    world.snap(args!["forget", id, "--yes"]).ok();
    disk.fill();
    let before = repository_bytes(&world);
    world.snap(["prune", "--yes"]).ok().says("no room to write packs anew");
    let after = repository_bytes(&world);
    assert!(before > after + (60 << 20), "{before} -> {after}");
    checks_clean(&world);
    restores(&world, &stays, &source);
}
