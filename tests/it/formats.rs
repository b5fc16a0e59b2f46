//! Repositories of earlier versions, and what a new one does otherwise: media are cut at fixed places.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use crate::nasty::noise;
use crate::oracle::{Skip, same, tree};
use crate::run::{Run, args};
use crate::stage::{copy, fixture, read, write};
use crate::world::World;

/// A world whose repository was made, and given a snapshot of `/srv/uploads`, before there was a second
/// chunker.
fn of_old() -> World {
    let world = World::bare();
    copy(fixture("repositories/chunker-1/repository"), world.repository());
    let key = fixture("repositories/chunker-1/key");
    let text = read(&key);
    let id =
        text.lines().find_map(|line| line.strip_prefix("repository ")).expect("a key names it");
    let place = world.path(format!("config/keys/{id}.key"));
    write(&place, &text);
    fs::set_permissions(place, fs::Permissions::from_mode(0o600)).expect("ours");
    world
}

/// The picture that the snapshot holds: in two chunks, for chunker 1 knows nothing of pictures.
fn picture() -> Vec<u8> {
    let mut bytes = vec![0; 330_000];
    blake3::Hasher::new_derive_key("snap-backup golden bytes").finalize_xof().fill(&mut bytes);
    bytes[..3].copy_from_slice(b"\xff\xd8\xff");
    bytes
}

fn added(run: &Run) -> u64 {
    run.message("summary")["data_added_packed"].as_u64().expect("a number")
}

#[test]
fn a_repository_of_before_opens_and_is_cut_as_before() {
    let world = of_old();
    world.snap(["check", "--read-data"]).ok();
    let target = world.path("restored");
    world.snap(args!["restore", "latest", "--target", target]).ok();
    assert!(fs::read(target.join("srv/uploads/picture.jpg")).expect("restored") == picture());
    // The same picture elsewhere is stored already, one with a byte more at its head but for that.
    let source = world.path("uploads");
    write(source.join("the-same.jpg"), picture());
    let same = world.snap(args!["backup", source, "--json"]).ok();
    assert!(added(&same) < 4_000, "{same}");
    let mut longer = picture();
    longer.insert(3, b'x');
    write(source.join("longer.jpg"), &longer);
    let changed = world.snap(args!["backup", source, "--json"]).ok();
    assert!((4_000..300_000).contains(&added(&changed)), "{changed}");
    // A repository made like it cuts so too: the digests of all content are equal.
    let like = world.path("like");
    let init = args!["-r", like, "init", "--no-recovery", "--copy-params-from", world.repository()];
    world.snap(init).ok();
    let there = world.snap(args!["-r", like, "backup", source, "--json"]).ok();
    assert_eq!(there.message("summary")["digest"], changed.message("summary")["digest"]);
    world.snap(["check", "--read-data"]).ok();
}

#[test]
fn media_come_back_and_a_byte_changed_in_one_stores_one_part_of_it_again() {
    let world = World::new();
    let source = world.path("uploads");
    let mut film = noise(5_300_000, 1);
    film[4..12].copy_from_slice(b"ftypisom");
    // An archive that begins with what does not compress, and goes on with what nobody compressed.
    let mut archive = noise(400_000, 2);
    archive[..4].copy_from_slice(b"PK\x03\x04");
    archive
        .extend_from_slice(&b"INSERT INTO orders VALUES (1, 'somebody', 2.50);\n".repeat(60_000));
    write(source.join("film.mp4"), &film);
    write(source.join("archive.zip"), &archive);
    write(source.join("readme.txt"), "short");
    for number in 0..6 {
        let mut picture = noise(300_000, 10 + number);
        picture[..3].copy_from_slice(b"\xff\xd8\xff");
        write(source.join(format!("picture{number}.jpg")), picture);
    }
    let before = tree(&source, Skip::default());
    let first = world.snap(args!["backup", source, "--json"]).ok();
    let incompressible = 5_300_000 + 400_000 + 6 * 300_000;
    assert!((incompressible..incompressible + 1_200_000).contains(&added(&first)), "{first}");
    world.snap(["check", "--read-data"]).ok();
    let target = world.path("restored");
    world.snap(args!["restore", "latest", "--target", target]).ok();
    let inside = target.join(source.strip_prefix("/").expect("absolute"));
    same(&before.0, &tree(&inside, Skip::default()).0, "restored");

    film[2_500_000] ^= 1;
    write(source.join("film.mp4"), &film);
    let again = world.snap(args!["backup", source, "--json"]).ok();
    assert!((1 << 20..(1 << 20) + 10_000).contains(&added(&again)), "{again}");
    // What lies there is cut as what was stored is: all that is as it was stays untouched.
    fs::write(inside.join("film.mp4"), &film).expect("ours");
    let untouched = fs::metadata(inside.join("archive.zip")).expect("there").ino();
    let back = args!["restore", first.snapshot_id(), "--target", target, "--overwrite", "--rehash"];
    world.snap(back).ok();
    same(&before.0, &tree(&inside, Skip::default()).0, "put back");
    assert_eq!(fs::metadata(inside.join("archive.zip")).expect("there").ino(), untouched);
}
