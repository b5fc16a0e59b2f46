//! A backup that dies anywhere leaves a repository that is sound, and no half snapshot.

use snap_backup::os::crash::CrashPoint;

use crate::nasty;
use crate::oracle::{Skip, same, tree};
use crate::run::args;
use crate::stage::{copy, write};
use crate::world::World;

#[test]
fn wherever_a_backup_dies_the_repository_is_sound_and_the_next_backup_works() {
    let world = World::new();
    let source = world.path("tree");
    for n in 0..30 {
        write(source.join(format!("dir{}/file{n}", n % 4)), nasty::noise(20_000, n));
    }
    world.snap(args!["backup", source]).ok();
    let pristine = world.path("pristine");
    copy(world.repository(), &pristine);
    write(source.join("dir0/new"), nasty::noise(300_000, 77));
    let before = tree(&source, Skip::default());
    let mut met = Vec::new();
    for point in CrashPoint::ALL {
        for hit in 1.. {
            std::fs::remove_dir_all(world.repository()).expect("ours");
            copy(&pristine, world.repository());
            let run =
                world.snap_dying_at(&format!("{}:{hit}", point.name()), args!["backup", source]);
            if run.code() != 137 {
                run.ok();
                break;
            }
            met.push(format!("{}:{hit}", point.name()));
            world.snap(["check", "--read-data"]).ok();
            let listed = world.snap(["snapshots", "--json"]).ok();
            assert!(listed.stdout.contains("\"snapshot"), "{listed}");
            world.snap(args!["backup", source]).ok();
            world.snap(["check", "--read-data"]).ok();
            let target = world.path(format!("restored-{}-{hit}", point.name()));
            world.snap(args!["restore", "latest", "--target", target]).ok();
            let restored = target.join(source.strip_prefix("/").expect("absolute"));
            same(
                &before.0,
                &tree(restored, Skip::default()).0,
                &format!("after a death at {met:?}"),
            );
        }
    }
    assert!(met.len() >= 4, "a backup meets crash points: {met:?}");
}
