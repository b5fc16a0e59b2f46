//! Trees that look like installed web applications, the same on every machine.
//!
//! Sizes follow a measured law (median 2.8 KB, 95 % up to 16 KiB, a tail of libraries), words that
//! of PHP: files of one package share a licence and names, so that compressing them together pays
//! about as much as it does for real ones. Nothing depends on the clock or on the machine.

mod random;
mod step;
mod words;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::os::file;

pub use random::Random;
pub use step::{Step, step};
pub use words::Package;

/// What a generator has made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Made {
    /// Regular files.
    pub files: u64,
    /// Directories, the root among them.
    pub directories: u64,
    /// Bytes in the files.
    pub bytes: u64,
}

/// Makes a tree of `files` source files below `root`, which must not exist.
pub fn php_tree(root: &Path, files: u64, seed: u64) -> io::Result<Made> {
    let mut random = Random::new(seed);
    let mut made = Made { directories: 1, ..Made::default() };
    file::create_dirs(root, 0o755)?;
    let mut text = Vec::new();
    while made.files < files {
        let package = Package::new(random.next());
        let above = root.join(package.name());
        for directory in directories(&mut random, &above) {
            file::create_dirs(&directory, 0o755)?;
            made.directories += 1;
            for number in 0..=random.below(4) {
                let bytes = source_bytes(&mut random);
                text.clear();
                package.source(&mut random, bytes, &mut text);
                let path = directory.join(format!("{}{number}.php", package.word(&mut random)));
                file::create_new(&path, 0o644)?.write_all(&text)?;
                made.files += 1;
                made.bytes += text.len() as u64;
            }
            if made.files >= files {
                break;
            }
        }
    }
    Ok(made)
}

/// The directories of one package: some beside each other, some below.
fn directories(random: &mut Random, above: &Path) -> Vec<PathBuf> {
    let mut all = vec![above.to_owned()];
    for number in 0..4 + random.below(24) {
        let parent = &all[usize::try_from(random.below(all.len() as u64)).unwrap_or_default()];
        let parent = if parent.components().count() > above.components().count() + 5 {
            above
        } else {
            parent
        };
        all.push(parent.join(format!("part{number}")));
    }
    all
}

/// How long a source file is: log-normal, one in thirty a library in one file.
fn source_bytes(random: &mut Random) -> usize {
    let (median, spread): (f64, f64) =
        if random.below(30) == 0 { (60_000.0, 1.0) } else { (2_800.0, 1.06) };
    let bytes = (median.ln() + spread * random.normal()).exp().clamp(40.0, 4e6);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped above")]
    let bytes = bytes as usize;
    bytes
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;

    use super::*;

    fn read(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
        let files = walkdir::WalkDir::new(root).into_iter().map(Result::unwrap);
        let files = files.filter(|entry| entry.file_type().is_file());
        files
            .map(|entry| {
                let path = entry.path().strip_prefix(root).unwrap().to_owned();
                (path, fs::read(entry.path()).unwrap())
            })
            .collect()
    }

    #[test]
    fn a_seed_makes_the_same_tree_again() {
        let place = tempfile::tempdir().unwrap();
        let [a, b, c] = ["a", "b", "c"].map(|name| place.path().join(name));
        let made = php_tree(&a, 300, 7).unwrap();
        assert_eq!(made, php_tree(&b, 300, 7).unwrap());
        php_tree(&c, 300, 8).unwrap();
        assert_eq!(read(&a), read(&b));
        assert_ne!(read(&a), read(&c));
        assert_eq!(made.files, read(&a).len() as u64);
        assert_eq!(made.bytes, read(&a).values().map(|text| text.len() as u64).sum::<u64>());
    }

    #[test]
    fn sizes_follow_the_law() {
        let mut random = Random::new(1);
        let mut sizes: Vec<usize> = (0..20_000).map(|_| source_bytes(&mut random)).collect();
        sizes.sort_unstable();
        let (median, most) = (sizes[10_000], sizes[19_000]);
        assert!((2_600..3_300).contains(&median), "{median}");
        assert!((13_000..26_000).contains(&most), "{most}");
    }

    #[test]
    fn words_shared_in_a_package_make_bundles_pay() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("tree");
        php_tree(&root, 1_000, 3).unwrap();
        let files = read(&root);
        let squeezed = |bytes: &[u8]| zstd::bulk::compress(bytes, 1).unwrap().len();
        let alone: usize = files.values().map(|text| squeezed(text)).sum();
        let whole: Vec<u8> = files.values().flatten().copied().collect();
        let together: usize = whole.chunks(512 << 10).map(squeezed).sum();
        #[expect(clippy::cast_precision_loss, reason = "a ratio")]
        let (ratio, gain) = (whole.len() as f64 / alone as f64, alone as f64 / together as f64);
        assert!((2.2..4.5).contains(&ratio), "{ratio}");
        assert!((1.25..2.0).contains(&gain), "{gain}");
    }

    #[test]
    fn a_step_changes_its_share() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("tree");
        let made = php_tree(&root, 2_000, 3).unwrap();
        let before = read(&root);
        let done = step(&root, 0.10, 5).unwrap();
        let after = read(&root);
        let edited =
            before.iter().filter(|(path, text)| after.get(*path).is_some_and(|now| now != *text));
        assert_eq!(edited.count() as u64, done.edited);
        assert_eq!(
            before.keys().filter(|path| !after.contains_key(*path)).count() as u64,
            done.deleted
        );
        assert_eq!(
            after.keys().filter(|path| !before.contains_key(*path)).count() as u64,
            done.added
        );
        let touched = done.edited + done.deleted + done.added;
        assert!((made.files / 12..made.files / 8).contains(&touched), "{done:?}");
    }
}
