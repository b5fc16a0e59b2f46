//! Memory is bounded by configuration, not by what a directory or a repository holds: measured on
//! the real binary, which tells its own peak as it does for `snap bench`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

use crate::arena::is_full;
use crate::run::args;
use crate::stage::write;
use crate::world::World;

const MIB: u64 = 1 << 20;

/// Files of their own content, so many in each of some directories.
fn plant(root: &Path, directories: usize, files: usize) {
    let mut text = String::new();
    for dir in 0..directories {
        for file in 0..files {
            text.clear();
            let _ = write!(text, "file {file} of directory {dir}");
            write(root.join(format!("dir-{dir}/a-name-as-they-are-{file:07}.txt")), &text);
        }
    }
}

/// The peak of memory of one command.
fn peak(world: &World, words: Vec<OsString>) -> u64 {
    let figures = world.path("figures");
    let mut all = args!["__metered", figures];
    all.extend(words);
    world.snap(all).ok();
    let told = std::fs::read(&figures).expect("it was written");
    let told: Value = serde_json::from_slice(&told).expect("it is JSON");
    told["peak_bytes"].as_u64().expect("a figure")
}

/// The peak of memory of each kind of work on such a tree.
fn peaks(directories: usize, files: usize) -> BTreeMap<&'static str, u64> {
    let world = World::bare();
    let source = world.path("tree");
    plant(&source, directories, files);
    world.snap(args!["init", "--no-recovery"]).ok();
    let peak = |words| peak(&world, words);
    let target = world.path("target");
    let mut peaks = BTreeMap::from([
        ("first", peak(args!["backup", source])),
        ("unchanged", peak(args!["backup", source])),
        ("restore", peak(args!["restore", "latest", "--target", target])),
        ("check", peak(args!["check"])),
        ("stats", peak(args!["stats"])),
    ]);
    for root in [&target.join(source.strip_prefix("/").expect("absolute")), &source] {
        for file in (0..files).step_by(files.div_ceil(100)) {
            write(root.join(format!("dir-0/a-name-as-they-are-{file:07}.txt")), "edited");
        }
    }
    let overwrite = args!["restore", "latest", "--target", target, "--overwrite"];
    peaks.insert("overwrite", peak(overwrite));
    peaks.insert("edited", peak(args!["backup", source]));
    peaks.insert("diff", peak(args!["diff", "latest~1", "latest"]));
    peaks.insert("live", peak(args!["diff", "latest~1", "--live"]));
    peaks
}

#[test]
fn a_wide_directory_takes_little_more_memory_than_a_narrow_one() {
    let (narrow, wide) = (peaks(1, 100), peaks(1, 60_000));
    // While all entries of a directory were held each took 600 to 720 bytes: 34 to 41 MiB. What is
    // left is bounded: tables of the index, leaves, a batch of files to be written.
    // Both sides of a comparison took 450 more: all four were above 30 MiB.
    for (work, most) in [
        ("first", 30),
        ("unchanged", 10),
        ("restore", 22),
        ("check", 14),
        ("stats", 10),
        ("overwrite", 20),
        ("edited", 18),
        ("diff", 16),
        ("live", 14),
    ] {
        let (narrow, wide) = (narrow[work], wide[work]);
        assert!(wide < narrow + most * MIB, "{work}: {narrow} bytes of few, {wide} of many");
    }
}

#[test]
fn a_million_files_take_a_hundred_mebibytes() {
    let trees = if is_full() { [(1_000, 1_000), (1, 1_000_000)] } else { [(20, 500), (1, 10_000)] };
    let most = if is_full() { 100 } else { 70 };
    for (directories, files) in trees {
        for (work, peak) in peaks(directories, files) {
            let mib = peak / MIB;
            assert!(mib < most, "{work}, {files} files in each of {directories}: {mib} MiB");
        }
    }
}

#[test]
fn of_each_entry_that_a_restore_in_place_changes_little_is_held() {
    const FILES: usize = 40_000;
    let world = World::bare();
    let source = world.path("tree");
    plant(&source, 1, FILES);
    world.snap(args!["init", "--no-recovery"]).ok();
    world.snap(args!["backup", source]).ok();
    let back = || peak(&world, crate::run::put_back(Path::new("/"), "/"));
    let each = |change: &dyn Fn(&Path)| {
        for entry in std::fs::read_dir(source.join("dir-0")).expect("ours") {
            change(&entry.expect("ours").path());
        }
        back()
    };
    back();
    let nothing = back();
    let modes = each(&|path| {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(path, mode).expect("ours");
    });
    let bytes = each(&|path| write(path, "edited"));
    // While an entry was held with its name, and its path in two sets, it took 600 bytes. What is
    // written takes some for itself.
    for (what, peak, most) in [("modes", modes, 400), ("bytes", bytes, 560)] {
        let each = peak.saturating_sub(nothing) / FILES as u64;
        assert!(each < most, "{what}: {each} bytes an entry above {nothing}");
    }
}

/// An archive of so many entries, in ten directories by turns and backwards by name.
fn archive(path: &Path, entries: usize) {
    let mut tar = tar::Builder::new(std::fs::File::create(path).expect("ours"));
    let name = |n: usize| format!("dir-{}/a-name-as-they-are-{n:07}.txt", n % 10);
    for n in (0..entries).rev() {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(n as u64);
        if n % 1_000 == 0 && n + 1 < entries {
            header.set_entry_type(tar::EntryType::Link);
            header.set_size(0);
            tar.append_link(&mut header, name(n), name(n + 1)).expect("it fits");
        } else {
            header.set_size(5);
            tar.append_data(&mut header, name(n), &b"bytes"[..]).expect("it fits");
        }
    }
    tar.finish().expect("it fits");
}

#[test]
fn an_archive_of_many_entries_takes_little_more_memory_than_one_of_few() {
    // While all were held each took some 630 bytes: 36 MiB here.
    let [few, many] = [100, 60_000].map(|entries| {
        let world = World::bare();
        world.snap(args!["init", "--no-recovery"]).ok();
        archive(&world.path("site.tar"), entries);
        let peak = peak(&world, args!["import", world.path("site.tar")]);
        world.snap(["ls", "latest", "--json"]).ok();
        peak
    });
    assert!(many < few + 20 * MIB, "{few} bytes of few, {many} of many");
}
