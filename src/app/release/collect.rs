//! Gathers a release's entries, each checked for itself, then all of them together.

use std::collections::BTreeMap;
use std::io::Read;

use crate::app::AppError;
use crate::os::crash::{CrashPoint, reach};
use crate::repository::{Bundle, Extent, Repository, RepositoryError};
use crate::tree::edit::{Edit, edit, empty_directory, empty_root};
use crate::tree::{Content, Entry, Kind, Meta, Mtime, TreePath};

use super::links;
use super::{Figure, Limits, ReleaseError};

/// One entry of a release. Owners, other modes and attributes are the installation's business.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    File { content: Content, size: u64, executable: bool, mtime: Mtime },
    Directory { mtime: Mtime },
    Link { target: Box<[u8]>, mtime: Mtime },
}

/// A release being taken in.
pub(super) struct Collection<'a, 'w> {
    repository: &'a Repository,
    bundle: Bundle<'w>,
    limits: Limits,
    items: BTreeMap<TreePath, Item>,
    entries: u64,
    bytes: u64,
    /// Of the newest entry: the time of directories that nothing else dates.
    newest: Mtime,
    pub(super) warnings: Vec<String>,
}

/// A name as a terminal may show it.
pub(super) fn shown(raw: &[u8]) -> String {
    String::from_utf8_lossy(raw).chars().flat_map(char::escape_debug).collect()
}

pub(super) fn bad(raw: &[u8], what: &'static str) -> AppError {
    ReleaseError::BadEntry { entry: shown(raw), what }.into()
}

impl<'a, 'w> Collection<'a, 'w> {
    pub(super) fn new(repository: &'a Repository, bundle: Bundle<'w>, limits: Limits) -> Self {
        Self {
            repository,
            bundle,
            limits,
            items: BTreeMap::new(),
            entries: 0,
            bytes: 0,
            newest: Mtime::default(),
            warnings: Vec::new(),
        }
    }

    /// Checks a path as it was written: below the release, of bearable length and depth. `None` is
    /// the release's own root.
    pub(super) fn path(&self, raw: &[u8]) -> Result<Option<TreePath>, AppError> {
        if raw.starts_with(b"/") {
            return Err(bad(raw, "its path is absolute"));
        }
        let parts: Vec<&[u8]> =
            raw.split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b".")).collect();
        if parts.contains(&&b".."[..]) {
            return Err(bad(raw, "its path climbs"));
        }
        if parts.iter().any(|part| part.len() > 255) {
            return Err(bad(raw, "a name in it is longer than 255 bytes"));
        }
        if parts.len() as u64 > self.limits.depth {
            return Err(self.too_much(Figure::Depth, self.limits.depth));
        }
        if parts.is_empty() {
            return Ok(None);
        }
        TreePath::parse(&parts.join(&b'/')).map(Some).map_err(|_| bad(raw, "it is no path"))
    }

    /// Stores a file's bytes, exactly `size` of them.
    pub(super) fn file(
        &mut self,
        path: TreePath,
        reader: &mut dyn Read,
        size: u64,
        executable: bool,
        mtime: Mtime,
    ) -> Result<(), AppError> {
        self.claim(size)?;
        let stored = self.bundle.put_content(reader, Extent::Bytes(size));
        let (content, got) = stored.map_err(AppError::Repository)?;
        if got != size {
            let ended = std::io::ErrorKind::UnexpectedEof.into();
            return Err(AppError::Repository(RepositoryError::Source(ended)));
        }
        self.add(path, Item::File { content, size, executable, mtime })
    }

    pub(super) fn directory(&mut self, path: TreePath, mtime: Mtime) -> Result<(), AppError> {
        self.add(path, Item::Directory { mtime })
    }

    /// The target is checked at the end, when everything it may lead through is known.
    pub(super) fn link(
        &mut self,
        path: TreePath,
        target: &[u8],
        mtime: Mtime,
    ) -> Result<(), AppError> {
        if target.is_empty() || target.contains(&0) || target.len() > 4095 {
            return Err(bad(path.as_bytes(), "its target is no path"));
        }
        self.add(path, Item::Link { target: target.into(), mtime })
    }

    /// Another name of a file that came before.
    pub(super) fn hard_link(&mut self, path: TreePath, target: &TreePath) -> Result<(), AppError> {
        match self.items.get(target) {
            Some(file @ Item::File { .. }) => {
                let file = file.clone();
                self.add(path, file)
            }
            _ => Err(bad(path.as_bytes(), "it is a hard link to no earlier file")),
        }
    }

    fn add(&mut self, path: TreePath, item: Item) -> Result<(), AppError> {
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(self.too_much(Figure::Entries, self.limits.entries));
        }
        self.newest = self.newest.max(item.mtime());
        match self.items.get(&path) {
            // A directory may be named twice; its first time counts.
            Some(Item::Directory { .. }) if matches!(item, Item::Directory { .. }) => {}
            Some(old) if !old.is_same(&item) => {
                return Err(bad(path.as_bytes(), "it is there twice, and differs"));
            }
            Some(_) => {}
            None => drop(self.items.insert(path, item)),
        }
        reach(CrashPoint::ReleaseEntry);
        Ok(())
    }

    fn claim(&mut self, size: u64) -> Result<(), AppError> {
        if size > self.limits.file_bytes {
            return Err(self.too_much(Figure::FileBytes, self.limits.file_bytes));
        }
        self.bytes += size;
        if self.bytes > self.limits.total_bytes {
            return Err(self.too_much(Figure::TotalBytes, self.limits.total_bytes));
        }
        Ok(())
    }

    #[expect(clippy::unused_self, reason = "reads as a check of this collection")]
    pub(super) fn too_much(&self, figure: Figure, limit: u64) -> AppError {
        ReleaseError::TooMuch { figure, limit }.into()
    }

    /// Whether `path` (or, ending in `/`, a directory) is there once `prefix` is taken away.
    pub(super) fn has(&self, prefix: Option<&TreePath>, path: &str) -> bool {
        let bare = path.trim_end_matches('/');
        let whole = match prefix {
            None => TreePath::parse(bare.as_bytes()),
            Some(prefix) => prefix.join(bare.as_bytes()),
        };
        let Ok(whole) = whole else { return false };
        match self.items.get(&whole) {
            Some(Item::Directory { .. }) => true,
            Some(_) => bare.len() == path.len(),
            // A directory that only its content names.
            None => self
                .items
                .range(whole.clone()..)
                .next()
                .is_some_and(|(path, _)| path.is_within(&whole)),
        }
    }

    /// The one top directory, if there is nothing else at the top.
    pub(super) fn only_top_directory(&self) -> Option<TreePath> {
        let mut tops = self.items.keys().filter_map(|path| path.parts().next());
        let first = TreePath::parse(tops.next()?).ok()?;
        let others = self.items.keys().any(|path| !path.is_within(&first));
        let is_directory =
            !matches!(self.items.get(&first), Some(Item::File { .. } | Item::Link { .. }));
        (!others && is_directory).then_some(first)
    }

    /// The paths that could be stripped: each directory's, shallowest first.
    pub(super) fn directories(&self, depth_max: usize) -> Vec<TreePath> {
        let mut found = std::collections::BTreeSet::new();
        for path in self.items.keys() {
            let mut above = path.parent();
            while let Some(directory) = above {
                above = directory.parent();
                if directory.parts().count() <= depth_max {
                    found.insert((directory.parts().count(), directory));
                }
            }
        }
        found.into_iter().map(|(_, directory)| directory).collect()
    }

    /// Makes the tree below `prefix`, and stores it. The root's entry and how many files it has.
    pub(super) fn finish(
        mut self,
        prefix: Option<&TreePath>,
    ) -> Result<(Entry, Totals, Vec<String>), AppError> {
        let mut items = self.below(prefix)?;
        complete(&mut items, self.newest)?;
        links::check(&items)?;
        let root_meta = Meta { mode: 0o755, mtime: self.newest, ..Meta::default() };
        let root = empty_root(self.repository, root_meta);
        let empty = empty_directory(self.repository);
        let mut totals = Totals::default();
        let mut edits = BTreeMap::new();
        for (path, item) in items {
            totals.count(&item);
            edits.insert(path.clone(), Edit::Put(item.into_entry(&path, empty)));
        }
        let object = edit(self.repository, &mut self.bundle, &root, edits)?;
        self.bundle.finish().map_err(AppError::Repository)?;
        Ok((Entry { kind: Kind::Directory { object }, ..root }, totals, self.warnings))
    }

    /// What lies below `prefix`, by its path from there. Whatever lies beside it is left out.
    fn below(&mut self, prefix: Option<&TreePath>) -> Result<BTreeMap<TreePath, Item>, AppError> {
        let mut items = BTreeMap::new();
        let mut git = false;
        for (path, item) in std::mem::take(&mut self.items) {
            let path = match prefix {
                None => path,
                Some(prefix) if path.is_within(prefix) && path != *prefix => {
                    let rest = &path.as_bytes()[prefix.as_bytes().len() + 1..];
                    TreePath::parse(rest).map_err(|_| bad(path.as_bytes(), "it is no path"))?
                }
                Some(_) => continue,
            };
            // A release's own repository must never lie over the installation's.
            if path.parts().next() == Some(b".git") {
                git = true;
                continue;
            }
            items.insert(path, item);
        }
        if git {
            self.warnings.push(".git is left out of the release".to_owned());
        }
        Ok(items)
    }
}

/// How much a release is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) files: u64,
    pub(super) directories: u64,
    pub(super) links: u64,
    pub(super) bytes: u64,
}

impl Totals {
    fn count(&mut self, item: &Item) {
        match item {
            Item::File { size, .. } => {
                self.files += 1;
                self.bytes += size;
            }
            Item::Directory { .. } => self.directories += 1,
            Item::Link { .. } => self.links += 1,
        }
    }
}

impl Item {
    const fn mtime(&self) -> Mtime {
        match self {
            Self::File { mtime, .. } | Self::Directory { mtime } | Self::Link { mtime, .. } => {
                *mtime
            }
        }
    }

    /// Whether it is the same but for its time.
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Directory { .. }, Self::Directory { .. }) => true,
            (Self::Link { target: a, .. }, Self::Link { target: b, .. }) => a == b,
            (
                Self::File { content: a, executable: x, .. },
                Self::File { content: b, executable: y, .. },
            ) => (a, x) == (b, y),
            _ => false,
        }
    }

    fn into_entry(self, path: &TreePath, empty: crate::repository::ChunkId) -> Entry {
        let mtime = self.mtime();
        let (mode, kind) = match self {
            Self::File { content, size, executable, .. } => {
                (if executable { 0o755 } else { 0o644 }, Kind::File { size, content })
            }
            Self::Directory { .. } => (0o755, Kind::Directory { object: empty }),
            Self::Link { target, .. } => (0o777, Kind::Symlink { target }),
        };
        let meta = Meta { mode, mtime, ..Meta::default() };
        Entry { name: path.name().into(), meta, kind, link_group: None }
    }
}

/// Adds directories that only their content names; nothing but a directory has content.
fn complete(items: &mut BTreeMap<TreePath, Item>, newest: Mtime) -> Result<(), AppError> {
    let mut missing = BTreeMap::new();
    for path in items.keys() {
        let mut above = path.parent();
        while let Some(directory) = above {
            match items.get(&directory) {
                Some(Item::Directory { .. }) => {}
                Some(_) => {
                    return Err(bad(path.as_bytes(), "what it lies in is no directory"));
                }
                None => drop(missing.insert(directory.clone(), Item::Directory { mtime: newest })),
            }
            above = directory.parent();
        }
    }
    items.append(&mut missing);
    Ok(())
}
