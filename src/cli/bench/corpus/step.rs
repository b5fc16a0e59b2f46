//! From one release to the next: some files edited, some gone, some new.

use std::io::{self, Write};
use std::path::Path;

use crate::os::file;

use super::{Package, Random};

/// What a step has done to a tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Files whose bytes are others now.
    pub edited: u64,
    /// Files that are new.
    pub added: u64,
    /// Files that are gone.
    pub deleted: u64,
    /// Bytes in the edited and new files.
    pub bytes: u64,
}

/// Changes about `share` of the files below `root`: of ten, eight are edited, one goes, one comes.
///
/// A file is replaced as an upgrade does it, under its name; small edits, as releases have them.
pub fn step(root: &Path, share: f64, seed: u64) -> io::Result<Step> {
    let mut random = Random::new(seed);
    let package = Package::new(random.next());
    let mut done = Step::default();
    let mut text = Vec::new();
    // Listed whole beforehand: what the step adds is not to be met by its own walk.
    let files: Vec<_> = walkdir::WalkDir::new(root)
        .sort_by_file_name()
        .into_iter()
        .filter(|entry| entry.as_ref().is_ok_and(|entry| entry.file_type().is_file()))
        .collect::<Result<_, _>>()?;
    for entry in files {
        if random.unit() >= share {
            continue;
        }
        let path = entry.path();
        match random.below(10) {
            0 => {
                file::remove(path)?;
                done.deleted += 1;
            }
            1 => {
                let bytes = super::source_bytes(&mut random);
                text.clear();
                package.source(&mut random, bytes, &mut text);
                let name =
                    format!("{}{:08x}.php", package.word(&mut random), random.below(1 << 32));
                file::create_new(&path.with_file_name(name), 0o644)?.write_all(&text)?;
                done.added += 1;
                done.bytes += text.len() as u64;
            }
            _ => {
                let edited = edited(std::fs::read(path)?, &package, &mut random);
                file::remove(path)?;
                file::create_new(path, 0o644)?.write_all(&edited)?;
                done.edited += 1;
                done.bytes += edited.len() as u64;
            }
        }
    }
    Ok(done)
}

/// One to three places rewritten; never the same bytes again.
fn edited(before: Vec<u8>, package: &Package, random: &mut Random) -> Vec<u8> {
    let mut text = before;
    for _ in 0..=random.below(3) {
        let mut words = format!(" // {:016x} ", random.next()).into_bytes();
        package.source(random, 60, &mut words);
        let at = usize::try_from(random.below(text.len() as u64 + 1)).unwrap_or_default();
        let until = (at + 40).min(text.len());
        text.splice(at..until, words);
    }
    text
}
