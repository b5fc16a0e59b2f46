//! What the kernel asks for a directory, a stat, a file read and a file made.

use std::hint::black_box;
use std::io::{self, Read, Write};
use std::path::Path;

use crate::cli::bench::scan::Sample;
use crate::os::beneath::Dir;
use crate::os::clock;
use crate::os::file;
use crate::os::meta::Stat;
use crate::tree::walk::Walker;

/// Listing and looking, for one entry each.
pub(super) fn walk(sample: &Sample) -> io::Result<(f64, f64)> {
    let mut entries = 0;
    let list = super::best(1, || {
        entries = 0;
        for directory in &sample.directories {
            let dir = Dir::open_root(directory)?;
            entries += black_box(Walker::Fast.names(&dir)?).len();
        }
        Ok(())
    })?;
    let mut listed = Vec::new();
    for directory in &sample.directories {
        // A handful at a time stays open: the rest is opened again outside of the measured loop.
        let names = Walker::Fast.names(&Dir::open_root(directory)?)?;
        listed.push((directory, names));
    }
    let mut least = f64::INFINITY;
    for _ in 0..3 {
        let mut spent = 0.0;
        for (directory, names) in &listed {
            let dir = Dir::open_root(directory)?;
            let before = clock::thread_cpu();
            for name in names.iter() {
                black_box(dir.stat(name)?);
            }
            spent += clock::thread_cpu().saturating_sub(before).as_secs_f64();
        }
        least = least.min(spent);
    }
    Ok((super::each(list / 1e9, entries), super::each(least, entries)))
}

/// Opening, looking, reading whole and closing one file.
pub(super) fn read(sample: &Sample) -> io::Result<f64> {
    let most = sample.files.iter().map(|file| file.text.len()).max().unwrap_or_default();
    let mut room = vec![0; most];
    super::best(sample.files.len(), || {
        let mut open: Option<(&Path, Dir)> = None;
        for file in &sample.files {
            let (parent, name) = file.place();
            if open.as_ref().is_none_or(|(at, _)| *at != parent) {
                open = Some((parent, Dir::open_root(parent)?));
            }
            let Some((_, dir)) = &open else { continue };
            let mut opened = dir.open_file(name)?;
            black_box(Stat::of(&opened)?);
            opened.read_exact(&mut room[..file.text.len()])?;
        }
        Ok(())
    })
}

/// Creating one file, and renaming one over another.
///
/// As a restore does it: many directories, one write, no sync a file.
pub(super) fn create(sample: &Sample, scratch: &Path) -> io::Result<(f64, f64)> {
    const IN_ONE: usize = 64;
    let root = scratch.join("create");
    file::create_dir(&root, 0o700)?;
    let mut spent = 0.0;
    let mut renamed = 0.0;
    for (number, files) in sample.files.chunks(IN_ONE).enumerate() {
        let path = root.join(number.to_string());
        file::create_dir(&path, 0o700)?;
        let dir = Dir::open_root(&path)?;
        let names: Vec<_> = (0..files.len()).map(|name| format!("file-{name}")).collect();
        let before = clock::thread_cpu();
        for (file, name) in files.iter().zip(&names) {
            let mut made = dir.create_file(name.as_bytes())?;
            made.write_all(&file.text)?;
            let at = crate::os::meta::At::Open(std::os::fd::AsFd::as_fd(&made));
            at.set_mode(0o644)?;
            at.set_mtime(crate::os::meta::Stamp { secs: 1_700_000_000, nanos: 0 })?;
        }
        let between = clock::thread_cpu();
        for pair in names.chunks_exact(2) {
            dir.rename_over(pair[0].as_bytes(), &dir, pair[1].as_bytes())?;
        }
        spent += between.saturating_sub(before).as_secs_f64();
        renamed += clock::thread_cpu().saturating_sub(between).as_secs_f64();
    }
    Dir::open_root(&root)?.sync_file_system()?;
    file::remove_dir_all(&root)?;
    let files = sample.files.len();
    Ok((super::each(spent, files), super::each(renamed, files / 2)))
}
