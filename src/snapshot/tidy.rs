//! Removes what is remembered of roots and repositories that nobody looks at any more: each restore
//! into a new target, say, leaves a file behind, and each repository its opened index. Whatever goes
//! by mistake only costs reading a tree or an index once more, so nothing here is an error.

use std::io;
use std::path::Path;

use super::converge::remove_if_any;
use super::source::PLACE_PREFIX;
use crate::os::beneath::Dir;
use crate::os::clock;
use crate::os::meta::{FileKind, Stat};
use crate::repository::is_own_place;
use crate::tree::statcache;

const DAY_SECS: i64 = 24 * 60 * 60;
/// Longer than a month: who backs up every month still finds what was remembered.
const UNUSED_DAYS_MAX: i64 = 45;
/// Longer than a week: a drive that is there once a week is not gone.
const GONE_DAYS_MAX: i64 = 8;
/// Longer than a quarter of a year: a repository may be on a drive that lies in a safe for so long.
const REPOSITORY_DAYS_MAX: i64 = 95;
/// While all together take less, a root that is gone may come back.
const GONE_BYTES_MAX: u64 = 256 << 20;
/// What nobody can read was written by another version, which may be at work.
const UNREADABLE_DAYS_MAX: i64 = 1;
/// So many files are looked into by one run, those first that were not used for longest.
const LOOKS_MAX: usize = 1024;

/// Removes from `dir` what was not used for long, and what is of roots that are gone. What another
/// process has open stays.
pub fn tidy(dir: &Path) {
    // A directory that is not there has nothing that must go.
    let _ = Dir::open_root(dir).and_then(|dir| remove_unused(&dir, clock::now().0 / 1_000_000_000));
    tidy_directories(dir, is_own_place);
}

/// Removes the directories in `dir` that are called as ours are and were not used for long; their
/// time says when they were. What another process has locked stays.
pub fn tidy_directories(dir: &Path, is_ours: fn(&[u8]) -> bool) {
    let now_secs = clock::now().0 / 1_000_000_000;
    let tidied = Dir::open_root(dir).and_then(|dir| {
        let ours = dir.names()?.into_iter().filter(|name| is_ours(name));
        ours.take(LOOKS_MAX).try_for_each(|name| remove_directory_if_unused(&dir, &name, now_secs))
    });
    // What cannot be removed lies there.
    let _ = tidied;
}

fn remove_directory_if_unused(dir: &Dir, name: &[u8], now_secs: i64) -> io::Result<()> {
    let is_unused = |stat: &Stat| {
        let days = now_secs.saturating_sub(stat.mtime.secs) / DAY_SECS;
        stat.kind == FileKind::Directory && days >= REPOSITORY_DAYS_MAX
    };
    if !is_unused(&dir.stat(name)?) {
        return Ok(());
    }
    let opened = dir.open_dir(name)?;
    // Whoever uses it has it locked, and set its time before that.
    if opened.try_lock()? && is_unused(&opened.stat_self()?) {
        remove_if_any(dir, name)?;
    }
    Ok(())
}

fn remove_unused(dir: &Dir, now_secs: i64) -> io::Result<()> {
    let mut caches: Vec<(Stat, Box<[u8]>)> = dir
        .names()?
        .into_iter()
        .filter(|name| name.starts_with(PLACE_PREFIX.as_bytes()) && !name.contains(&b'.'))
        .filter_map(|name| Some((dir.stat(&name).ok()?, name)))
        .filter(|(stat, _)| stat.kind == FileKind::File)
        .collect();
    caches.sort_by_key(|(stat, _)| stat.mtime);
    let mut bytes: u64 = caches.iter().map(|(stat, _)| stat.size).sum();
    for (stat, name) in caches.iter().take(LOOKS_MAX) {
        let days = now_secs.saturating_sub(stat.mtime.secs) / DAY_SECS;
        let is_crowded = bytes > GONE_BYTES_MAX;
        if remove_if_unused(dir, name, stat, days, is_crowded).is_ok_and(|is_removed| is_removed) {
            bytes = bytes.saturating_sub(stat.size);
        }
    }
    Ok(())
}

fn remove_if_unused(
    dir: &Dir,
    name: &[u8],
    stat: &Stat,
    days: i64,
    is_crowded: bool,
) -> io::Result<bool> {
    // Where hundreds of roots are saved every day, none of them is looked into.
    if days < UNREADABLE_DAYS_MAX && !is_crowded {
        return Ok(false);
    }
    let file = dir.open_file(name)?;
    let is_unused = days >= UNUSED_DAYS_MAX
        || match statcache::root_of(&file) {
            Err(_) => days >= UNREADABLE_DAYS_MAX,
            Ok(root) => is_gone(&root) && (is_crowded || days >= GONE_DAYS_MAX),
        };
    if !is_unused || Stat::of(&file)? != *stat || file.try_lock().is_err() {
        return Ok(false);
    }
    dir.remove(name, stat.inode).map(|()| true)
}

/// Only what is known not to be there is gone; who may not look does not know.
fn is_gone(root: &Path) -> bool {
    root.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}
