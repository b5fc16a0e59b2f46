//! A switch that is a whole file.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::app::AppError;
use crate::app::files::CONFIG_BYTES_MAX;
use crate::os::beneath::Dir;
use crate::os::meta::{self, At, FileKind, Stamp, Stat};
use crate::tree::{Mtime, TreePath};

use super::{Blobs, Extent};

/// A file, as it was before it became a switch that is on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileFound {
    /// From the root.
    path: String,
    /// What it holds while the site is shut.
    content: String,
    /// Of the directory that holds it.
    directory_mtime: (i64, u32),
    /// `None`: there was no file.
    before: Option<Before>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Before {
    mode: u32,
    uid: u32,
    gid: u32,
    mtime: (i64, u32),
    /// Names and values, each byte a number: they need not be text.
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Where its bytes are.
    blob: String,
}

pub(super) fn look(
    root: &Path,
    path: &str,
    content: String,
    blob: String,
    blobs: &mut Blobs,
) -> Result<FileFound, AppError> {
    let mut found =
        FileFound { path: path.to_owned(), content, directory_mtime: (0, 0), before: None };
    let (dir, name) = found.open(root)?;
    let looked = (|| -> io::Result<()> {
        found.directory_mtime = pair(dir.stat_self()?.mtime);
        let Some(stat) = dir.stat_if_any(&name)? else { return Ok(()) };
        if stat.kind != FileKind::File || stat.size > CONFIG_BYTES_MAX {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut bytes = Vec::new();
        dir.open_file(&name)?.read_to_end(&mut bytes)?;
        let handle = dir.handle(&name)?;
        let xattrs = At::Handle(&handle).xattrs()?;
        found.before = Some(Before {
            mode: stat.mode,
            uid: stat.uid,
            gid: stat.gid,
            mtime: pair(stat.mtime),
            xattrs: xattrs.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
            blob: blob.clone(),
        });
        blobs.push((blob, bytes));
        Ok(())
    })();
    looked.map_err(|source| found.failed(source))?;
    Ok(found)
}

impl FileFound {
    /// Where it is, and the time that its directory had before it was turned.
    pub(super) fn place(&self) -> Option<(TreePath, Mtime)> {
        let (secs, nanos) = self.directory_mtime;
        let path = TreePath::parse(self.path.as_bytes()).ok()?;
        Some((path, Mtime { secs, nanos }))
    }

    fn failed(&self, source: io::Error) -> AppError {
        AppError::SwitchFailed {
            what: format!("the file {}", self.path),
            source: Some(source.into()),
        }
    }

    fn open(&self, root: &Path) -> Result<(Dir, Box<[u8]>), AppError> {
        let path = TreePath::parse(self.path.as_bytes())
            .map_err(|_| self.failed(io::ErrorKind::InvalidInput.into()))?;
        let open = || {
            let root = Dir::open_root(root)?;
            path.parent().map_or_else(|| root.again(), |dir| root.open_beneath(dir.as_bytes()))
        };
        Ok((open().map_err(|source| self.failed(source))?, path.name().into()))
    }

    pub(super) fn shut(&self, root: &Path, token: &str) -> Result<(), AppError> {
        let (dir, name) = self.open(root)?;
        let shut = || -> io::Result<()> {
            let owner = dir.stat_self()?;
            let like = self.before.clone().unwrap_or(Before {
                mode: 0o644,
                uid: owner.uid,
                gid: owner.gid,
                mtime: (0, 0),
                xattrs: Vec::new(),
                blob: String::new(),
            });
            write(&dir, &name, self.content.as_bytes(), &like, None, token)?;
            dir.sync()
        };
        shut().map_err(|source| self.failed(source))
    }

    pub(super) fn put_back(
        &self,
        root: &Path,
        token: &str,
        extent: Extent,
        blob: &dyn Fn(&str) -> Result<Vec<u8>, AppError>,
    ) -> Result<(), AppError> {
        let (dir, name) = self.open(root)?;
        let bytes = self.before.as_ref().map(|before| blob(&before.blob)).transpose()?;
        let put_back = || -> io::Result<()> {
            let now = pair(dir.stat_self()?.mtime);
            match (&self.before, bytes) {
                (Some(before), Some(bytes)) => {
                    write(&dir, &name, &bytes, before, Some(before.mtime), token)?;
                }
                _ => {
                    if let Some(stat) = dir.stat_if_any(&name)? {
                        dir.remove(&name, stat.inode)?;
                    }
                }
            }
            // Only what the switch itself did to the directory's time is taken back.
            let (secs, nanos) = match extent {
                Extent::Exactly => self.directory_mtime,
                Extent::SwitchOnly => now,
            };
            dir.at().set_mtime(Stamp { secs, nanos })?;
            dir.sync()
        };
        put_back().map_err(|source| self.failed(source))
    }
}

const fn pair(stamp: Stamp) -> (i64, u32) {
    (stamp.secs, stamp.nanos)
}

/// Writes aside, then renames: a reader finds the old bytes or the new.
fn write(
    dir: &Dir,
    name: &[u8],
    bytes: &[u8],
    like: &Before,
    mtime: Option<(i64, u32)>,
    token: &str,
) -> io::Result<()> {
    // Ours by its name, so that a crash leaves nothing that anybody takes for a file of the site.
    let aside = format!(".snap-{}-switch", token.get(..8).unwrap_or("00000000"));
    let aside = aside.as_bytes();
    if let Some(left) = dir.stat_if_any(aside)? {
        dir.remove(aside, left.inode)?;
    }
    let mut file = dir.create_file(aside)?;
    file.write_all(bytes)?;
    let at = At::Open(file.as_fd());
    let made = Stat::of(&file)?;
    if (made.uid, made.gid) != (like.uid, like.gid) {
        at.set_owner(like.uid, like.gid)?;
    }
    at.set_mode(like.mode)?;
    for (name, value) in &like.xattrs {
        // Trusted ones can be written by root only, and were read by root only.
        if meta::is_root() || !name.starts_with(b"trusted.") {
            at.set_xattr(name, value)?;
        }
    }
    if let Some((secs, nanos)) = mtime {
        at.set_mtime(Stamp { secs, nanos })?;
    }
    file.sync_all()?;
    dir.rename_over(aside, dir, name)
}
