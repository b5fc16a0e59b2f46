//! One directory, start to finish: opened, listed, every name looked at.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rayon::Scope;

use super::Scan;
use super::inode::{Found, meta_of};
use super::links::{Member, Next};
use super::node::{Node, Own, Slot};
use super::slots::{Place, Slots, Window, slices};
use super::tally::Same;
use crate::os::beneath::Dir;
use crate::os::meta::{FileKind, Stat};
use crate::os::names::Names;
use crate::snapshot::SnapshotError;
use crate::tree::statcache::Mark;
use crate::tree::{CACHEDIR_TAG, Entry, Kind, Meta, Mtime, Treatment, TreePath, Xattr, is_ours};

/// A file of so many bytes is a piece of work of its own.
const LARGE_FILE_BYTES: u64 = 4 << 20;

/// A listed directory that is being worked on.
struct Listed {
    node: Arc<Node>,
    dir: Dir,
    names: Names,
}

impl Scan<'_, '_> {
    /// Works on a directory; its count among the outstanding is taken by the caller.
    pub(super) fn directory<'s>(
        &'s self,
        scope: &Scope<'s>,
        node: &Arc<Node>,
        before: Option<&(Entry, Mark)>,
    ) {
        if !self.is_stopped() {
            self.try_directory(scope, node, before).unwrap_or_else(|error| self.fail(error));
        }
        self.one_done();
    }

    fn try_directory<'s>(
        &'s self,
        scope: &Scope<'s>,
        node: &Arc<Node>,
        before: Option<&(Entry, Mark)>,
    ) -> Result<(), SnapshotError> {
        let opened = match &node.path {
            None => self.root.again(),
            Some(path) => self.root.open_beneath(path.as_bytes()),
        };
        let listed = opened.and_then(|dir| {
            // Looked at before it is listed: what comes after that shows next time.
            let own = own_of(&dir, before)?;
            if let Some(known) = self.known(node, before) {
                node.before.get_or_init(|| known);
            }
            let names = match self.names_before(node, before, &own.stat) {
                Some(names) => names,
                None => self.task.walker.names(&dir)?,
            };
            Ok((names, dir, own))
        });
        let (names, dir, own) = match listed {
            Ok(listed) => listed,
            Err(error) => {
                // Gone, like a file that is gone; anything else is worth a word.
                if error.kind() != io::ErrorKind::NotFound || node.path.is_none() {
                    self.problem(node.path.as_ref(), &format!("cannot list it: {error}"));
                }
                return self.release(Arc::clone(node));
            }
        };
        let is_cache = self.task.exclusions.rules().exclude_caches && is_tagged(&dir, &names);
        {
            let mut inner = node.lock();
            inner.own = Some(Own { is_skipped: is_cache, ..own });
            inner.slots = if is_cache { Slots::default() } else { Slots::new(names.len()) };
        }
        if is_cache {
            self.annex(|annex| annex.caches.extend(node.path.clone()));
            return self.release(Arc::clone(node));
        }
        let listed = Arc::new(Listed { node: Arc::clone(node), dir, names });
        // Those nearest in path order are worked on first: a worker takes what it left last.
        let mut slices = slices(listed.names.len());
        let first = slices.next().unwrap_or_default();
        for range in slices.rev() {
            node.hold();
            let listed = Arc::clone(&listed);
            self.spawn(scope, move |scan, scope| scan.slice(scope, &listed, range));
        }
        self.slice(scope, &listed, first)
    }

    /// Works on some names of a directory.
    fn slice<'s>(
        &'s self,
        scope: &Scope<'s>,
        listed: &Arc<Listed>,
        range: Range<usize>,
    ) -> Result<(), SnapshotError> {
        self.saw(range.len());
        let mut below = Vec::new();
        let mut done: Vec<(usize, Place)> = Vec::with_capacity(range.len());
        let mut same = Same::default();
        let mut window = Window::default();
        for slot in range {
            match self.look_at(scope, listed, slot, &mut window)? {
                Look::Nothing => done.push((slot, Place::Nothing)),
                Look::Later => {}
                Look::Same { number, stat } => {
                    same.add(&stat);
                    done.push((slot, Place::Same(number)));
                }
                Look::Done(found) => done.push((slot, Self::place(&listed.node, found))),
                Look::Below(child, before) => below.push((child, before)),
            }
        }
        self.tally.add_same(&same);
        self.put(&listed.node, done);
        for (child, before) in below.into_iter().rev() {
            self.outstanding.fetch_add(1, Ordering::Relaxed);
            scope.spawn(move |scope| self.directory(scope, &child, before.as_ref()));
        }
        self.release(Arc::clone(&listed.node))
    }

    fn look_at<'s>(
        &'s self,
        scope: &Scope<'s>,
        listed: &Arc<Listed>,
        slot: usize,
        window: &mut Window,
    ) -> Result<Look, SnapshotError> {
        let (node, dir, name) = (&listed.node, &listed.dir, listed.names.get(slot));
        let Seen { stat, file } = match self.see(listed, slot) {
            Ok(seen) => seen,
            Err(gone) if gone.kind() == io::ErrorKind::NotFound => return Ok(Look::Nothing),
            Err(error) => {
                let path = Self::path_of(node, name);
                self.problem(Some(&path), &format!("cannot look at it: {error}"));
                return Ok(Look::Nothing);
            }
        };
        let is_dir = stat.kind == FileKind::Directory;
        match self.treat(node, name, &stat) {
            // What we leave ourselves comes and goes, and whoever makes it puts the time back.
            Treatment::LeftOut if is_ours(name) => return Ok(Look::Nothing),
            Treatment::LeftOut => {
                node.holds_left_out.store(true, Ordering::Relaxed);
                self.note_guarded(node, dir, name);
                return Ok(Look::Nothing);
            }
            _ if self.is_mount_point(node, name, &stat) => {
                return Ok(self.mount_point(node, name, &stat));
            }
            Treatment::SkipContent => return Ok(self.skipped(node, dir, name, &stat)),
            Treatment::Covered => {}
        }
        if is_dir {
            let before = self.before(node, name, window);
            let before = before.map(|before| (before.entry.clone(), before.mark));
            let path = Self::path_of(node, name);
            if let Some(before) =
                before.as_ref().filter(|before| self.is_settled(&path, before, &stat))
            {
                self.settled.lock().expect("no holder of this lock panics").insert(path);
                return Ok(Look::Done(Some(before.clone())));
            }
            node.hold();
            let child = Node::new(Some(path), Some((Arc::clone(node), slot)));
            return Ok(Look::Below(child, before));
        }
        if self.task.want.is_some_and(|want| !want(&Self::path_of(node, name))) {
            return Ok(Look::Nothing);
        }
        if stat.links > 1 {
            return self.linked(scope, listed, slot, &stat, window);
        }
        if let Some(number) = self.same_at_once(node, name, &stat, window) {
            return Ok(Look::Same { number, stat });
        }
        let before = self.read_before(node, name, &stat, window);
        let found = Found { dir, name, stat: &stat, file: file.as_ref(), before };
        if let Some(number) = found.same(self.began) {
            return Ok(Look::Same { number, stat });
        }
        if is_large(&stat) && found.unchanged().is_none() {
            let listed = Arc::clone(listed);
            node.hold();
            self.spawn(scope, move |scan, _| scan.large_file(&listed, slot, &stat));
            return Ok(Look::Later);
        }
        self.take_inode(found, &|| Some(Self::path_of(node, name))).map(Look::Done)
    }

    /// Looks at a name. What is listed as a file and will be read for certain is opened at once:
    /// its name is then looked up once instead of twice.
    fn see(&self, listed: &Listed, slot: usize) -> io::Result<Seen> {
        let (dir, name) = (&listed.dir, listed.names.get(slot));
        let is_new = listed.node.before.get().is_none();
        let is_wanted = self.task.want.is_none() && self.task.exclusions.is_trivial();
        if is_new && is_wanted && listed.names.is_file(slot) {
            // If it cannot be opened, or is no file any more, that is told where it is read.
            if let Ok(file) = dir.open_file(name) {
                let stat = Stat::of(&file)?;
                if stat.kind == FileKind::File {
                    return Ok(Seen { stat, file: Some(file) });
                }
            }
        }
        Ok(Seen { stat: dir.stat(name)?, file: None })
    }

    /// A large file, as a piece of work of its own.
    fn large_file(
        &self,
        listed: &Arc<Listed>,
        slot: usize,
        stat: &Stat,
    ) -> Result<(), SnapshotError> {
        let found = self.take_listed(listed, slot, stat, &mut Window::default())?;
        self.put(&listed.node, [(slot, Self::place(&listed.node, found))]);
        self.release(Arc::clone(&listed.node))
    }

    fn take_listed(
        &self,
        listed: &Arc<Listed>,
        slot: usize,
        stat: &Stat,
        window: &mut Window,
    ) -> Result<Slot, SnapshotError> {
        let (node, name) = (&listed.node, listed.names.get(slot));
        let before = self.read_before(node, name, stat, window);
        let found = Found { dir: &listed.dir, name, stat, file: None, before };
        self.take_inode(found, &|| Some(Self::path_of(node, name)))
    }

    /// One name of an inode with several: the first one found reads it for all.
    fn linked<'s>(
        &'s self,
        scope: &Scope<'s>,
        listed: &Arc<Listed>,
        slot: usize,
        stat: &Stat,
        window: &mut Window,
    ) -> Result<Look, SnapshotError> {
        let node = &listed.node;
        node.hold();
        self.has_links.store(true, Ordering::Relaxed);
        let path = Self::path_of(node, listed.names.get(slot));
        let member = Member { node: Arc::clone(node), slot, path };
        match self.links.register(stat.inode, stat.links, member) {
            Next::Wait => {}
            Next::Settle(group) => self.settle(*group)?,
            Next::Read if is_large(stat) => {
                let (listed, stat) = (Arc::clone(listed), *stat);
                self.spawn(scope, move |scan, _| {
                    scan.read_linked(&listed, slot, &stat, &mut Window::default())
                });
            }
            Next::Read => self.read_linked(listed, slot, stat, window)?,
        }
        Ok(Look::Later)
    }

    fn read_linked(
        &self,
        listed: &Arc<Listed>,
        slot: usize,
        stat: &Stat,
        window: &mut Window,
    ) -> Result<(), SnapshotError> {
        let found = self.take_listed(listed, slot, stat, window)?;
        match self.links.found(stat.inode, stat.links, found) {
            Some(group) => self.settle(group),
            None => Ok(()),
        }
    }

    fn treat(&self, node: &Arc<Node>, name: &[u8], stat: &Stat) -> Treatment {
        let exclusions = self.task.exclusions;
        let is_file = stat.kind == FileKind::File;
        if is_ours(name) || is_file && exclusions.is_too_large(stat.size) {
            return Treatment::LeftOut;
        }
        if exclusions.is_trivial() {
            return Treatment::Covered;
        }
        exclusions.treat(&Self::path_of(node, name), stat.kind == FileKind::Directory)
    }

    fn is_mount_point(&self, node: &Arc<Node>, name: &[u8], stat: &Stat) -> bool {
        self.is_elsewhere(stat)
            || !self.task.exclusions.is_trivial()
                && self.task.exclusions.was_mount_point(&Self::path_of(node, name))
    }

    /// A mount point is listed and nothing of it is recorded: what is mounted is not ours.
    fn mount_point(&self, node: &Arc<Node>, name: &[u8], stat: &Stat) -> Look {
        self.tally.others.add(1);
        let path = Self::path_of(node, name);
        self.annex(|annex| {
            annex.mount_points.insert(path);
        });
        let entry = Entry {
            name: name.into(),
            meta: Meta::default(),
            kind: Kind::MountPoint,
            link_group: None,
        };
        Look::Done(Some((entry, Mark::new(stat, self.began))))
    }

    /// A directory whose inside is not covered: its time belongs to the inside.
    fn skipped(&self, node: &Arc<Node>, dir: &Dir, name: &[u8], stat: &Stat) -> Look {
        let path = Self::path_of(node, name);
        let handle = dir.handle(name).and_then(|handle| {
            let xattrs = crate::os::meta::At::Handle(&handle).xattrs()?;
            Ok(meta_of(stat, xattrs))
        });
        let meta = match handle {
            Ok(meta) => meta,
            Err(error) => {
                self.problem(Some(&path), &format!("cannot look at it: {error}"));
                return Look::Nothing;
            }
        };
        self.tally.directories.add(1);
        self.annex(|annex| {
            annex.directory_mtimes.insert(Some(path), meta.mtime);
        });
        let meta = Meta { mtime: Mtime::default(), ..meta };
        let kind = Kind::SkippedDirectory;
        let entry = Entry { name: name.into(), meta, kind, link_group: None };
        Look::Done(Some((entry, Mark::new(stat, self.began))))
    }
}

/// What stands under a name.
struct Seen {
    stat: Stat,
    /// The file, if it was opened to be looked at.
    file: Option<File>,
}

enum Look {
    /// It is not part of the tree.
    Nothing,
    /// Its slot is filled by whoever takes it.
    Later,
    /// What is remembered under this number.
    Same {
        number: u32,
        stat: Stat,
    },
    Done(Slot),
    /// A directory, and what it was when its parent was last read.
    Below(Arc<Node>, Option<(Entry, Mark)>),
}

const fn is_large(stat: &Stat) -> bool {
    matches!(stat.kind, FileKind::File) && stat.size >= LARGE_FILE_BYTES
}

pub(super) fn key_of(node: &Node) -> &[u8] {
    node.path.as_ref().map_or(b"", TreePath::as_bytes)
}

/// The directory's own metadata. Attributes are read again only if something about it changed.
fn own_of(dir: &Dir, before: Option<&(Entry, Mark)>) -> io::Result<Own> {
    let stat = dir.stat_self()?;
    let known = before.filter(|(entry, mark)| !mark.is_racy && mark.fits(entry, &stat));
    let xattrs = if let Some((entry, _)) = known {
        entry.meta.xattrs.clone()
    } else {
        let xattr = |(name, value)| Xattr { name, value };
        dir.at().xattrs()?.into_iter().map(xattr).collect()
    };
    Ok(Own { stat, xattrs, is_skipped: false })
}

/// Whether the directory carries the mark of a cache.
fn is_tagged(dir: &Dir, names: &Names) -> bool {
    use io::Read;
    let name = b"CACHEDIR.TAG".as_slice();
    let is_there = names.holds(name);
    let is_file = || dir.stat(name).is_ok_and(|stat| stat.kind == FileKind::File);
    if !is_there || !is_file() {
        return false;
    }
    let mut head = [0; CACHEDIR_TAG.len()];
    let read = dir.open_file(name).and_then(|mut file| file.read_exact(&mut head));
    read.is_ok() && head == CACHEDIR_TAG
}
