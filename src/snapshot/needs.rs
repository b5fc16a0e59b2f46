//! What a snapshot needs and cannot have, by the paths that it hurts.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::PathBuf;

use super::{Snapshot, SnapshotError};
use crate::database::{DatabaseError, state};
use crate::repository::{ChunkId, Repository, RepositoryError, Stored};
use crate::tree::read::DirEntries;
use crate::tree::{Kind, TreeError, TreePath};

/// A part of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// A file, or a directory with all below it.
    Tree {
        /// The label of its root.
        root: String,
        /// Where in it; `None` is the root itself.
        path: Option<TreePath>,
        /// What is in it is not even known.
        is_directory: bool,
    },
    /// A database, by its name in the snapshot.
    Database(String),
    /// Other bytes, by their name.
    Attachment(String),
    /// What is carried and not proved: names of owners, holes, flags.
    Annex,
}

/// A part of a snapshot that cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Which.
    pub part: Part,
    /// The objects of the repository whose damage is the cause, as findings name them.
    pub objects: BTreeSet<String>,
}

/// Says of a chunk which objects keep it from being had; none if it can be had.
pub type Lack<'a> = dyn FnMut(&ChunkId) -> Result<Vec<String>, RepositoryError> + 'a;

/// Asks for what several snapshots need. What is whole, or hurt, in one is so in every other: a
/// directory is looked at once.
#[derive(Debug, Default)]
pub struct Needs {
    /// Directories and chunk lists that lack nothing.
    whole: HashSet<ChunkId>,
    hurt: HashMap<ChunkId, Vec<Below>>,
    /// Damage that was met while reading: object, and what was found.
    pub(super) met: Vec<(String, String)>,
}

/// What a directory lacks.
#[derive(Clone, Debug)]
struct Below {
    /// From the directory; empty for itself.
    path: Vec<u8>,
    is_directory: bool,
    objects: BTreeSet<String>,
}

impl Below {
    fn all(objects: impl IntoIterator<Item = String>) -> Vec<Self> {
        let objects = objects.into_iter().collect();
        vec![Self { path: Vec::new(), is_directory: true, objects }]
    }
}

/// A directory that is being looked at.
struct Open<'a> {
    object: ChunkId,
    name: Box<[u8]>,
    entries: DirEntries<'a>,
    lost: Vec<Below>,
}

/// The object that an error calls damaged or missing, and what is said of it; none if the error
/// speaks of something else.
pub(super) fn damage_in(error: &RepositoryError) -> Option<(String, String)> {
    match error {
        RepositoryError::Damaged { object, what } => Some((object.clone(), what.clone())),
        RepositoryError::TooNew { object, version } => {
            Some((object.clone(), format!("it says it has format {version}")))
        }
        RepositoryError::MissingChunk { id } => {
            Some((format!("chunk {id}"), "it is in no index".to_owned()))
        }
        _ => None,
    }
}

impl Needs {
    /// What of `snapshot` cannot be had, in the order of its parts.
    pub fn lost_of(
        &mut self,
        repository: &Repository,
        snapshot: &Snapshot,
        lack: &mut Lack<'_>,
    ) -> Result<Vec<Lost>, SnapshotError> {
        let mut lost = Vec::new();
        for root in &snapshot.roots {
            for below in self.root(repository, &root.entry.kind, lack)? {
                let path = (!below.path.is_empty()).then_some(below.path);
                let path = path.map(|path| {
                    TreePath::parse(&path).expect("names of stored entries make a path")
                });
                let (root, is_directory) = (root.label.clone(), below.is_directory);
                let part = Part::Tree { root, path, is_directory };
                lost.push(Lost { part, objects: below.objects });
            }
        }
        for database in &snapshot.databases {
            let objects = self.database(repository, &database.state, lack)?;
            lost.push(Lost { part: Part::Database(database.name.clone()), objects });
        }
        for (name, content) in &snapshot.attachments {
            let objects = self.content(repository, content, lack)?;
            lost.push(Lost { part: Part::Attachment(name.clone()), objects });
        }
        let objects = self.content(repository, &snapshot.annex, lack)?;
        lost.push(Lost { part: Part::Annex, objects });
        lost.retain(|lost| !lost.objects.is_empty());
        Ok(lost)
    }

    fn root(
        &mut self,
        repository: &Repository,
        kind: &Kind,
        lack: &mut Lack<'_>,
    ) -> Result<Vec<Below>, SnapshotError> {
        match kind {
            Kind::Directory { object } => self.directory(repository, object, lack),
            Kind::File { content, .. } => {
                let objects = self.content(repository, content, lack)?;
                Ok(vec![Below { path: Vec::new(), is_directory: false, objects }])
            }
            _ => Ok(Vec::new()),
        }
    }

    /// What a directory lacks. A tree may be deeper than the stack.
    fn directory(
        &mut self,
        repository: &Repository,
        object: &ChunkId,
        lack: &mut Lack<'_>,
    ) -> Result<Vec<Below>, SnapshotError> {
        let mut open = Vec::new();
        if let Err(known) = self.enter(repository, object, Box::default(), &mut open, lack)? {
            return Ok(known);
        }
        loop {
            let Some(dir) = open.last_mut() else { return Ok(Vec::new()) };
            let next = dir.entries.next().transpose();
            let Ok(Some(entry)) = next else {
                let mut done = open.pop().expect("it is the last");
                if let Err(error) = next {
                    done.lost = Below::all([self.met_in(error)?]);
                }
                self.remember(&done);
                match open.last_mut() {
                    None => return Ok(done.lost),
                    Some(above) => above.lost.extend(within(&done.name, &done.lost)),
                }
                continue;
            };
            let known = match &entry.kind {
                Kind::File { content, .. } => {
                    let objects = self.content(repository, content, lack)?;
                    vec![Below { path: Vec::new(), is_directory: false, objects }]
                }
                Kind::Directory { object } => {
                    let name = entry.name.clone();
                    self.enter(repository, object, name, &mut open, lack)?.err().unwrap_or_default()
                }
                _ => Vec::new(),
            };
            let hurt = known.iter().any(|below| !below.objects.is_empty());
            // A directory that was entered lies above the one that `entry` is in.
            if hurt && let Some(dir) = open.last_mut() {
                dir.lost.extend(within(&entry.name, &known));
            }
        }
    }

    /// Opens a directory for looking at, or says at once what is known of it.
    fn enter<'a>(
        &mut self,
        repository: &'a Repository,
        object: &ChunkId,
        name: Box<[u8]>,
        open: &mut Vec<Open<'a>>,
        lack: &mut Lack<'_>,
    ) -> Result<Result<(), Vec<Below>>, SnapshotError> {
        if self.whole.contains(object) {
            return Ok(Err(Vec::new()));
        }
        if let Some(known) = self.hurt.get(object) {
            return Ok(Err(known.clone()));
        }
        let mut objects = lack(object)?;
        if objects.is_empty() {
            match DirEntries::of(repository, object) {
                Ok(entries) => {
                    open.push(Open { object: *object, name, entries, lost: Vec::new() });
                    return Ok(Ok(()));
                }
                Err(error) => objects.push(self.met_in(error)?),
            }
        }
        let lost = Below::all(objects);
        self.hurt.insert(*object, lost.clone());
        Ok(Err(lost))
    }

    fn remember(&mut self, dir: &Open<'_>) {
        if dir.lost.is_empty() {
            self.whole.insert(dir.object);
        } else {
            self.hurt.insert(dir.object, dir.lost.clone());
        }
    }

    fn content(
        &mut self,
        repository: &Repository,
        content: &Stored,
        lack: &mut Lack<'_>,
    ) -> Result<BTreeSet<String>, SnapshotError> {
        let list = match content {
            Stored::Empty => return Ok(BTreeSet::new()),
            Stored::Chunk(id) => return Ok(lack(id)?.into_iter().collect()),
            Stored::List(list) => list,
        };
        if self.whole.contains(list) {
            return Ok(BTreeSet::new());
        }
        let mut objects: BTreeSet<String> = lack(list)?.into_iter().collect();
        if objects.is_empty() {
            for piece in repository.pieces(content) {
                match piece {
                    Ok(piece) => objects.extend(lack(&piece.id)?),
                    Err(error) => drop(objects.insert(self.met_in(error.into())?)),
                }
            }
        }
        if objects.is_empty() {
            self.whole.insert(*list);
        }
        Ok(objects)
    }

    fn database(
        &mut self,
        repository: &Repository,
        root: &ChunkId,
        lack: &mut Lack<'_>,
    ) -> Result<BTreeSet<String>, SnapshotError> {
        if self.whole.contains(root) {
            return Ok(BTreeSet::new());
        }
        let mut objects = BTreeSet::new();
        let asked = state::needs(repository, root, &mut |id| {
            let lacking = lack(id)?;
            let is_there = lacking.is_empty();
            objects.extend(lacking);
            Ok(is_there)
        });
        match asked {
            Ok(()) => {}
            Err(DatabaseError::Repository(error)) => {
                objects.insert(self.met_in(error.into())?);
            }
            Err(error) => return Err(error.into()),
        }
        if objects.is_empty() {
            self.whole.insert(*root);
        }
        Ok(objects)
    }

    /// The object that `error` calls damaged; any other error is the check's own.
    fn met_in(&mut self, error: TreeError) -> Result<String, SnapshotError> {
        let (object, what) = match &error {
            TreeError::Repository(of) => match damage_in(of) {
                Some(damage) => damage,
                None => return Err(error.into()),
            },
            TreeError::BadDirectory { object, what } => {
                (format!("chunk {object}"), format!("it is no directory object: {what}"))
            }
            _ => return Err(error.into()),
        };
        self.met.push((object.clone(), what));
        Ok(object)
    }
}

/// What lies below `name`, seen from the directory that holds it.
fn within(name: &[u8], below: &[Below]) -> Vec<Below> {
    let join = |below: &Below| {
        let mut path = name.to_vec();
        if !below.path.is_empty() {
            path.push(b'/');
            path.extend_from_slice(&below.path);
        }
        Below { path, ..below.clone() }
    };
    below.iter().filter(|below| !below.objects.is_empty()).map(join).collect()
}

impl Snapshot {
    /// Where a part of one of its trees was on the machine.
    pub fn absolute(&self, part: &Part) -> Option<PathBuf> {
        use std::os::unix::ffi::OsStrExt;
        let Part::Tree { root, path, .. } = part else { return None };
        let root = self.root(root)?;
        Some(match path {
            None => root.path.clone(),
            Some(path) => root.path.join(std::ffi::OsStr::from_bytes(path.as_bytes())),
        })
    }
}
