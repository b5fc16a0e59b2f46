//! Repositories of earlier versions, and what a new one does otherwise: media and ciphertext are cut at
//! fixed places.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use crate::nasty::noise;
use crate::oracle::{Skip, same, tree};
use crate::run::{Run, args};
use crate::stage::{copy, fixture, read, write};
use crate::world::World;

/// A world whose repository was made by an earlier version, and given a snapshot of `/srv/uploads`.
fn of_old(name: &str) -> World {
    let world = World::bare();
    let of_old = fixture("repositories").join(name);
    copy(of_old.join("repository"), world.repository());
    let text = read(of_old.join("key"));
    let id =
        text.lines().find_map(|line| line.strip_prefix("repository ")).expect("a key names it");
    let place = world.path(format!("config/keys/{id}.key"));
    write(&place, &text);
    fs::set_permissions(place, fs::Permissions::from_mode(0o600)).expect("ours");
    world
}

/// Noise from its first byte: chunker 2 knows nothing of it.
fn ciphertext() -> Vec<u8> {
    let mut bytes = vec![0; 330_000];
    blake3::Hasher::new_derive_key("snap-backup golden bytes").finalize_xof().fill(&mut bytes);
    bytes
}

/// Chunker 1 knows nothing of pictures.
fn picture() -> Vec<u8> {
    let mut bytes = ciphertext();
    bytes[..3].copy_from_slice(b"\xff\xd8\xff");
    bytes
}

fn added(run: &Run) -> u64 {
    run.message("summary")["data_added_packed"].as_u64().expect("a number")
}

/// `file` holds `content` in the only snapshot, in two chunks.
fn opens_and_cuts_as_before(world: &World, file: &str, content: &[u8]) {
    world.snap(["check", "--read-data"]).ok();
    let target = world.path("restored");
    world.snap(args!["restore", "latest", "--target", target]).ok();
    let restored = target.join("srv/uploads").join(file);
    assert!(fs::read(restored).expect("restored") == content);
    // The same elsewhere is stored already, with a byte more near its head but for that.
    let source = world.path("uploads");
    write(source.join("the-same"), content);
    let same = world.snap(args!["backup", source, "--json"]).ok();
    assert!(added(&same) < 4_000, "{same}");
    let mut longer = content.to_vec();
    longer.insert(3, b'x');
    write(source.join("longer"), &longer);
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

/// What a byte more near the head of `content` adds, once it is stored.
fn added_by_a_byte(world: &World, content: &[u8]) -> u64 {
    let source = world.path("a-byte-more");
    write(source.join("before"), content);
    world.snap(args!["backup", source]).ok();
    let mut longer = content.to_vec();
    longer.insert(3, b'x');
    write(source.join("longer"), &longer);
    added(&world.snap(args!["backup", source, "--json"]).ok())
}

#[test]
fn a_repository_from_before_media_were_known_opens_and_cuts_as_before() {
    opens_and_cuts_as_before(&of_old("chunker-1"), "picture.jpg", &picture());
}

#[test]
fn a_repository_from_before_ciphertext_was_known_opens_and_cuts_as_before() {
    let world = of_old("chunker-2");
    opens_and_cuts_as_before(&world, "letter.bin", &ciphertext());
    assert!(added_by_a_byte(&world, &picture()) > 330_000, "a picture is one chunk there");
    let new = World::new();
    assert!(added_by_a_byte(&new, &ciphertext()) > 330_000, "and a ciphertext, in a new one");
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
