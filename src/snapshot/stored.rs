//! The stored form of a snapshot record: CBOR maps with small integer keys in ascending order, kept
//! apart from the working type.

mod shape;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use minicbor::bytes::ByteVec;

use self::shape::{
    Id, StoredApp, StoredAttachment, StoredContent, StoredCounts, StoredDatabase,
    StoredDatabaseFile, StoredProblem, StoredRoot, StoredRules, StoredSnapshot,
};
use super::record::{AppMark, BadRecord, Class, Counts, DatabaseMark, Root, Snapshot};
use crate::database::DatabaseKind;
use crate::monitor::Problem;
use crate::os::clock::Moment;
use crate::repository::{ChunkId, ObjectId};
use crate::tree::manifest;
use crate::tree::{Content, ExclusionRules, TreePath};

const LAYOUT: u32 = 1;

pub(super) fn encode(snapshot: &Snapshot) -> Vec<u8> {
    let stored = StoredSnapshot {
        layout: LAYOUT,
        time_ns: snapshot.time.0,
        host: snapshot.host.clone(),
        class: class_code(snapshot.class),
        source: snapshot.source.clone(),
        sequence: snapshot.sequence,
        parent: snapshot.parent.map(|id| Id(*id.as_bytes())),
        app: snapshot.app.as_ref().map(|app| StoredApp {
            name: app.name.clone(),
            version: app.version.clone(),
            profile: app.profile.clone(),
        }),
        roots: snapshot.roots.iter().map(store_root).collect(),
        files_digest: Id(snapshot.files_digest),
        annex: store_content(snapshot.annex),
        databases: snapshot.databases.iter().map(store_database).collect(),
        attachments: snapshot
            .attachments
            .iter()
            .map(|(name, content)| StoredAttachment {
                name: name.clone(),
                content: store_content(*content),
            })
            .collect(),
        counts: store_counts(&snapshot.counts),
        problems: snapshot
            .problems
            .iter()
            .map(|problem| StoredProblem {
                path: path_bytes(&problem.path),
                what: problem.what.clone(),
            })
            .collect(),
        tags: snapshot.tags.clone(),
        note: snapshot.note.clone(),
        program: snapshot.program.clone(),
    };
    minicbor::to_vec(stored).expect("writing to memory cannot fail")
}

pub(super) fn decode(id: ObjectId, raw: &[u8]) -> Result<Snapshot, BadRecord> {
    let stored: StoredSnapshot = minicbor::decode(raw).map_err(BadRecord::Malformed)?;
    if stored.layout != LAYOUT {
        return Err(BadRecord::TooNew(stored.layout));
    }
    Ok(Snapshot {
        id,
        time: Moment(stored.time_ns),
        host: stored.host,
        class: class_of(stored.class)?,
        source: stored.source,
        sequence: stored.sequence,
        parent: stored.parent.map(|id| ObjectId::from_bytes(id.0)),
        app: stored.app.map(|app| AppMark {
            name: app.name,
            version: app.version,
            profile: app.profile,
        }),
        roots: stored.roots.into_iter().map(load_root).collect::<Result<_, _>>()?,
        files_digest: stored.files_digest.0,
        annex: load_content(stored.annex),
        databases: stored.databases.into_iter().map(load_database).collect::<Result<_, _>>()?,
        attachments: stored
            .attachments
            .into_iter()
            .map(|attached| (attached.name, load_content(attached.content)))
            .collect(),
        counts: load_counts(&stored.counts),
        problems: stored
            .problems
            .into_iter()
            .map(|problem| Problem { path: path_of(&problem.path), what: problem.what })
            .collect(),
        tags: stored.tags,
        note: stored.note,
        program: stored.program,
    })
}

const fn class_code(class: Class) -> u8 {
    match class {
        Class::User => 0,
        Class::Safety => 1,
        Class::Release => 2,
    }
}

fn class_of(code: u8) -> Result<Class, BadRecord> {
    let found = Class::ALL.into_iter().find(|class| class_code(*class) == code);
    found.ok_or(BadRecord::Field("class"))
}

fn store_root(root: &Root) -> StoredRoot {
    let rules = &root.rules;
    StoredRoot {
        label: root.label.clone(),
        path: path_bytes(&root.path),
        entry: manifest::encode_leaf(std::slice::from_ref(&root.entry)).into(),
        rules: StoredRules {
            skip_content: rules.skip_content.clone(),
            guarded: rules.guarded.clone(),
            databases: rules
                .databases
                .iter()
                .map(|(path, name)| StoredDatabaseFile {
                    path: path.as_bytes().to_vec().into(),
                    name: name.clone(),
                })
                .collect(),
            exclude: rules.exclude.clone(),
            iexclude: rules.iexclude.clone(),
            exclude_caches: rules.exclude_caches,
            larger_than: rules.larger_than,
        },
    }
}

fn load_root(stored: StoredRoot) -> Result<Root, BadRecord> {
    let mut entries =
        manifest::decode_leaf(&stored.entry).map_err(|_| BadRecord::Field("root"))?.into_iter();
    let (Some(entry), None) = (entries.next(), entries.next()) else {
        return Err(BadRecord::Field("root"));
    };
    let database = |file: StoredDatabaseFile| {
        let path = TreePath::parse(&file.path).map_err(|_| BadRecord::Field("database file"))?;
        Ok((path, file.name))
    };
    let rules = stored.rules;
    Ok(Root {
        label: stored.label,
        path: path_of(&stored.path),
        entry,
        rules: ExclusionRules {
            skip_content: rules.skip_content,
            guarded: rules.guarded,
            databases: rules.databases.into_iter().map(database).collect::<Result<_, _>>()?,
            exclude: rules.exclude,
            iexclude: rules.iexclude,
            exclude_caches: rules.exclude_caches,
            larger_than: rules.larger_than,
        },
    })
}

fn store_content(content: Content) -> Option<StoredContent> {
    let (is_list, id) = match content {
        Content::Empty => return None,
        Content::Chunk(id) => (false, id),
        Content::List(id) => (true, id),
    };
    Some(StoredContent { is_list, id: Id(*id.as_bytes()) })
}

fn load_content(stored: Option<StoredContent>) -> Content {
    let Some(stored) = stored else { return Content::Empty };
    let id = ChunkId::from_bytes(stored.id.0);
    if stored.is_list { Content::List(id) } else { Content::Chunk(id) }
}

fn store_database(mark: &DatabaseMark) -> StoredDatabase {
    StoredDatabase {
        name: mark.name.clone(),
        kind: match mark.kind {
            DatabaseKind::MySql => 0,
            DatabaseKind::Sqlite => 1,
        },
        state: Id(*mark.state.as_bytes()),
        fingerprint: Id(mark.fingerprint),
        identity: mark.identity.clone(),
        address: mark.address.clone(),
        rows: mark.rows,
        bytes: mark.bytes,
    }
}

fn load_database(stored: StoredDatabase) -> Result<DatabaseMark, BadRecord> {
    Ok(DatabaseMark {
        name: stored.name,
        kind: match stored.kind {
            0 => DatabaseKind::MySql,
            1 => DatabaseKind::Sqlite,
            _ => return Err(BadRecord::Field("database kind")),
        },
        state: ChunkId::from_bytes(stored.state.0),
        fingerprint: stored.fingerprint.0,
        identity: stored.identity,
        address: stored.address,
        rows: stored.rows,
        bytes: stored.bytes,
    })
}

const fn store_counts(counts: &Counts) -> StoredCounts {
    StoredCounts {
        files: counts.files,
        directories: counts.directories,
        others: counts.others,
        bytes: counts.bytes,
        files_read: counts.files_read,
        bytes_read: counts.bytes_read,
        files_unchanged: counts.files_unchanged,
        problems: counts.problems,
        took_ms: counts.took_ms,
    }
}

const fn load_counts(stored: &StoredCounts) -> Counts {
    Counts {
        files: stored.files,
        directories: stored.directories,
        others: stored.others,
        bytes: stored.bytes,
        files_read: stored.files_read,
        bytes_read: stored.bytes_read,
        files_unchanged: stored.files_unchanged,
        problems: stored.problems,
        took_ms: stored.took_ms,
    }
}

fn path_bytes(path: &Path) -> ByteVec {
    path.as_os_str().as_bytes().to_vec().into()
}

fn path_of(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}
