//! A snapshot record with something in every field, for tests.

use std::path::PathBuf;

use super::record::{AppMark, Class, Counts, DatabaseMark, Root, Snapshot};
use crate::database::DatabaseKind;
use crate::monitor::Problem;
use crate::os::clock::Moment;
use crate::repository::{ChunkId, ObjectId};
use crate::tree::{Content, Entry, ExclusionRules, Kind, Meta, Mtime, TreePath};

pub(crate) fn snapshot() -> Snapshot {
    let id = |byte| ChunkId::from_bytes([byte; 32]);
    let rules = ExclusionRules {
        skip_content: vec!["tmp/**".to_owned()],
        databases: vec![(TreePath::parse(b"data/app.db").unwrap(), "main".to_owned())],
        larger_than: Some(1 << 30),
        ..ExclusionRules::default()
    };
    let meta = Meta {
        mode: 0o755,
        uid: 33,
        gid: 33,
        mtime: Mtime { secs: 1_700_000_000, nanos: 1 },
        xattrs: Vec::new(),
    };
    let entry = Entry {
        name: b"root".as_slice().into(),
        meta,
        kind: Kind::Directory { object: id(1) },
        link_group: None,
    };
    let path = PathBuf::from("/srv/shop");
    Snapshot {
        id: ObjectId::from_bytes([9; 32]),
        time: Moment(1_763_000_000_000_000_000),
        host: "box".to_owned(),
        class: Class::Safety,
        source: "app:shop".to_owned(),
        sequence: 7,
        parent: Some(ObjectId::from_bytes([8; 32])),
        app: Some(AppMark {
            name: "shop".to_owned(),
            version: "1.1.0".to_owned(),
            profile: "builtin:sql-files".to_owned(),
        }),
        roots: vec![Root { label: "root".to_owned(), path, entry, rules }],
        files_digest: [2; 32],
        annex: Content::Chunk(id(3)),
        databases: vec![DatabaseMark {
            name: "main".to_owned(),
            kind: DatabaseKind::Sqlite,
            state: id(4),
            fingerprint: [5; 32],
            identity: "sqlite".to_owned(),
            address: "sqlite:///srv/shop/data/app.db".to_owned(),
            rows: 12,
            bytes: 3456,
        }],
        attachments: vec![("switch".to_owned(), Content::List(id(6)))],
        counts: Counts { files: 10, directories: 3, bytes: 1000, problems: 1, ..Counts::default() },
        problems: vec![Problem { path: PathBuf::from("/srv/shop/x"), what: "gone".to_owned() }],
        tags: vec!["nightly".to_owned()],
        note: Some("before the party".to_owned()),
        program: "0.1.0".to_owned(),
    }
}
