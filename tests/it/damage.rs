//! Damage to a repository is found, named, and never restored silently.

use std::fs;
use std::path::PathBuf;

use crate::nasty;
use crate::oracle::{Skip, same, tree};
use crate::run::args;
use crate::stage::write;
use crate::world::World;

/// Every plain file of the repository, sorted.
fn parts(world: &World) -> Vec<PathBuf> {
    let all = walkdir::WalkDir::new(world.repository()).sort_by_file_name();
    let files = all.into_iter().map(|entry| entry.expect("readable"));
    files.filter(|entry| entry.file_type().is_file()).map(walkdir::DirEntry::into_path).collect()
}

fn stored(world: &World) -> PathBuf {
    let source = world.path("tree");
    for n in 0..20 {
        write(source.join(format!("dir{}/file{n}", n % 3)), nasty::noise(3000, n));
    }
    world.snap(args!["backup", source]).ok();
    source
}

#[test]
fn every_flipped_bit_is_found_by_a_check_that_reads_all_data() {
    let world = World::new();
    let source = stored(&world);
    let before = tree(&source, Skip::default());
    world.snap(["check", "--read-data"]).ok();
    let mut tried = 0;
    for part in parts(&world) {
        let bytes = fs::read(&part).expect("ours");
        let length = bytes.len();
        // Every part of every file: its head, its middle, its tail, and some between.
        let at = [
            0,
            1,
            7,
            16,
            length / 3,
            length / 2,
            length.saturating_sub(9),
            length.saturating_sub(1),
        ];
        for at in at.into_iter().filter(|at| *at < length) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            write_over(&part, &damaged);
            let run = world.snap(["check", "--read-data"]);
            let found = [10, 12, 13].contains(&run.code());
            assert!(found, "byte {at} of {} was flipped unseen: {run}", part.display());
            let target = world.path(format!("restored{tried}"));
            let restored = world.snap(args!["restore", "latest", "--target", target]);
            if restored.code() == 0 {
                let path = target.join(source.strip_prefix("/").expect("absolute"));
                same(
                    &before.0,
                    &tree(path, Skip::default()).0,
                    "what a restore calls good is good",
                );
            }
            write_over(&part, &bytes);
            tried += 1;
        }
    }
    assert!(tried > 20, "only {tried} places were tried");
    world.snap(["check", "--read-data"]).ok();
}

fn write_over(path: &std::path::Path, bytes: &[u8]) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("ours");
    fs::write(path, bytes).expect("ours");
}

#[test]
fn a_pack_that_is_cut_emptied_or_gone_is_damage() {
    let world = World::new();
    stored(&world);
    let packs: Vec<PathBuf> = parts(&world)
        .into_iter()
        .filter(|part| part.display().to_string().contains("pack"))
        .collect();
    assert!(!packs.is_empty(), "the repository has packs: {:?}", parts(&world));
    for pack in packs {
        let bytes = fs::read(&pack).expect("ours");
        for cut in [bytes.len() - 1, bytes.len() / 2, 0] {
            write_over(&pack, &bytes[..cut]);
            world.snap(["check"]).exits(13).says("pack");
        }
        fs::remove_file(&pack).expect("ours");
        world.snap(["check"]).exits(13);
        fs::write(&pack, &bytes).expect("ours");
    }
    world.snap(["check", "--read-data"]).ok();
}

#[test]
fn a_deleted_index_is_rebuilt_from_the_packs() {
    let world = World::new();
    let source = stored(&world);
    let before = tree(&source, Skip::default());
    let index: Vec<PathBuf> = parts(&world)
        .into_iter()
        .filter(|part| part.display().to_string().contains("index"))
        .collect();
    assert!(!index.is_empty(), "the repository has an index: {:?}", parts(&world));
    for part in index {
        fs::remove_file(part).expect("ours");
    }
    fs::remove_dir_all(world.path("cache")).expect("ours");
    fs::create_dir(world.path("cache")).expect("ours");
    world.snap(["repair", "index", "--yes"]).ok();
    world.snap(["check", "--read-data"]).ok();
    let target = world.path("restored");
    world.snap(args!["restore", "latest", "--target", target]).ok();
    let restored = target.join(source.strip_prefix("/").expect("absolute"));
    same(&before.0, &tree(restored, Skip::default()).0, "restored");
}
