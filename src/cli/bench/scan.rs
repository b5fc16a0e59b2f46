//! What a tree holds: counted, warmed, and a sample of it kept.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// So much of a tree is enough to measure with.
const SAMPLE_FILES: usize = 4_000;
const SAMPLE_BYTES: usize = 64 << 20;
/// Of one file.
const FILE_BYTES: usize = 4 << 20;
/// Neighbours stay together: bundles are made of them.
const RUN: usize = 64;

/// A tree as it was met.
#[derive(Debug, Default)]
pub(super) struct Scan {
    directories: Vec<PathBuf>,
    files: Vec<(PathBuf, u64)>,
    /// Everything that is neither.
    pub(super) others: u64,
    /// In all files.
    pub(super) bytes: u64,
    /// In files whose content no other file has.
    pub(super) unique_bytes: u64,
    /// Names, kinds, modes, owners, times, link targets and bytes of everything: an oracle that
    /// shares nothing with the digests of snapshots.
    pub(super) digest: Option<blake3::Hash>,
}

/// A part of a tree, read.
#[derive(Debug, Default)]
pub(super) struct Sample {
    pub(super) directories: Vec<PathBuf>,
    pub(super) files: Vec<SampleFile>,
}

/// One file of the sample, whole or its beginning.
#[derive(Debug)]
pub(super) struct SampleFile {
    path: PathBuf,
    pub(super) text: Vec<u8>,
}

impl SampleFile {
    /// Its directory and its name there.
    pub(super) fn place(&self) -> (&Path, &[u8]) {
        let name = self.path.file_name().unwrap_or_default();
        (self.path.parent().unwrap_or(Path::new("/")), name.as_bytes())
    }
}

impl Scan {
    /// Walks `root` in order of names, on its file system only, and reads every file once: what is
    /// measured afterwards is warm.
    pub(super) fn of(root: &Path) -> io::Result<Self> {
        let mut scan = Self::default();
        let mut known = HashSet::new();
        let mut whole = blake3::Hasher::new();
        let mut room = vec![0; 1 << 20];
        let walk = walkdir::WalkDir::new(root).same_file_system(true).sort_by_file_name();
        for entry in walk {
            let entry = entry?;
            note(&mut whole, root, &entry)?;
            if entry.file_type().is_dir() {
                scan.directories.push(entry.into_path());
            } else if entry.file_type().is_file() {
                let (hash, bytes) = hash(entry.path(), &mut room)?;
                whole.update(hash.as_bytes());
                scan.bytes += bytes;
                if known.insert(hash) {
                    scan.unique_bytes += bytes;
                }
                scan.files.push((entry.into_path(), bytes));
            } else {
                scan.others += 1;
            }
        }
        scan.digest = Some(whole.finalize());
        Ok(scan)
    }

    /// How many regular files.
    pub(super) fn file_count(&self) -> u64 {
        self.files.len() as u64
    }

    /// How many directories.
    pub(super) fn directory_count(&self) -> u64 {
        self.directories.len() as u64
    }

    /// Everything with a name.
    pub(super) fn entries(&self) -> u64 {
        self.file_count() + self.directory_count() + self.others
    }

    /// Runs of neighbours from all over the tree.
    pub(super) fn sample(&self) -> io::Result<Sample> {
        let mean = usize::try_from(self.bytes).unwrap_or(usize::MAX) / self.files.len().max(1);
        let wanted = SAMPLE_FILES.min(SAMPLE_BYTES / mean.clamp(1, FILE_BYTES));
        let runs = self.files.len().div_ceil(RUN);
        let stride = runs.div_ceil(wanted.div_ceil(RUN).max(1)).max(1);
        let mut sample = Sample::default();
        for (path, _) in self.files.chunks(RUN).step_by(stride).flatten() {
            let mut text = Vec::new();
            File::open(path)?.take(FILE_BYTES as u64).read_to_end(&mut text)?;
            sample.files.push(SampleFile { path: path.clone(), text });
        }
        let stride = self.directories.len().div_ceil(SAMPLE_FILES).max(1);
        sample.directories = self.directories.iter().step_by(stride).cloned().collect();
        Ok(sample)
    }
}

/// All of an entry but its bytes.
fn note(whole: &mut blake3::Hasher, root: &Path, entry: &walkdir::DirEntry) -> io::Result<()> {
    let path = entry.path().strip_prefix(root).unwrap_or(entry.path());
    let meta = entry.metadata()?;
    whole.update(path.as_os_str().as_bytes());
    let (mode, uid, gid) = (meta.mode(), meta.uid(), meta.gid());
    let (secs, nanos) = (meta.mtime(), meta.mtime_nsec());
    whole.update(format!("\0{mode:o} {uid} {gid} {secs}.{nanos}\0").as_bytes());
    if entry.path_is_symlink() {
        whole.update(std::fs::read_link(entry.path())?.as_os_str().as_bytes());
    }
    Ok(())
}

/// A content's name among the others, and its length.
fn hash(path: &Path, room: &mut [u8]) -> io::Result<(blake3::Hash, u64)> {
    let mut opened = File::open(path)?;
    let mut hasher = blake3::Hasher::new();
    loop {
        match opened.read(room)? {
            0 => return Ok((hasher.finalize(), hasher.count())),
            read => hasher.update(&room[..read]),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::file;

    #[test]
    fn equal_contents_count_once() {
        let place = tempfile::tempdir().unwrap();
        for (name, text) in [("a", "same"), ("b", "same"), ("c", "other"), ("d", "")] {
            file::replace(place.path(), name, text.as_bytes(), 0o644).unwrap();
        }
        let scan = Scan::of(place.path()).unwrap();
        assert_eq!((scan.file_count(), scan.directory_count(), scan.entries()), (4, 1, 5));
        assert_eq!((scan.bytes, scan.unique_bytes), (13, 9));
        let sample = scan.sample().unwrap();
        assert_eq!((sample.files.len(), sample.directories.len()), (4, 1));
    }
}
