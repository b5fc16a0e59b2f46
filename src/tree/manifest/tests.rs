use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Write as _;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::*;
use crate::tree::{Content, Meta, Mtime, TreePath, Xattr};

fn id(byte: u8) -> ChunkId {
    ChunkId::from_bytes([byte; 32])
}

fn entry(name: &str, kind: Kind) -> Entry {
    let meta = Meta {
        mode: 0o644,
        uid: 1000,
        gid: 33,
        mtime: Mtime { secs: 1_700_000_000, nanos: 5 },
        xattrs: Vec::new(),
    };
    Entry { name: name.as_bytes().into(), meta, kind, link_group: None }
}

fn one_of_each() -> Vec<Entry> {
    let group = TreePath::parse(b"a/first").unwrap();
    let mut list = vec![
        entry("block", Kind::BlockDevice { rdev: 0x801 }),
        entry("char", Kind::CharDevice { rdev: 0x103 }),
        entry("chunk", Kind::File { size: 300, content: Content::Chunk(id(1)) }),
        entry("chunks", Kind::File { size: 70_000_000, content: Content::List(id(2)) }),
        entry("database", Kind::Database { name: "main".to_owned() }),
        entry("directory", Kind::Directory { object: id(3) }),
        entry("empty", Kind::File { size: 0, content: Content::Empty }),
        entry("fifo", Kind::Fifo),
        entry("link", Kind::Symlink { target: b"../x".as_slice().into() }),
        entry("mount", Kind::MountPoint),
        entry("skipped", Kind::SkippedDirectory),
        entry("socket", Kind::Socket),
    ];
    for index in [4, 9] {
        list[index].meta = Meta::default();
    }
    list[2].link_group = Some(group);
    let value = b"\x01".as_slice();
    let xattr = Xattr { name: b"user.a".as_slice().into(), value: value.into() };
    list[3].meta.xattrs = vec![xattr.clone()];
    list[5].meta.xattrs = vec![xattr];
    list[5].meta.mode = 0o2755;
    list[6].meta.mtime = Mtime { secs: -1, nanos: 999_999_999 };
    list
}

#[test]
fn layout_1_stays_these_bytes_for_ever() {
    let mut hex = String::new();
    for byte in encode_leaf(&one_of_each()) {
        write!(hex, "{byte:02x}").unwrap();
    }
    let text = include_str!("../MANIFEST.md");
    let golden: String = text.split("```text").nth(1).unwrap().split("```").next().unwrap().into();
    let golden: String = golden.split_whitespace().collect();
    assert_eq!(hex, golden);
    assert_eq!(decode_leaf(&encode_leaf(&one_of_each())), Ok(one_of_each()));
}

#[test]
fn a_large_directory_is_cut_by_its_names_alone() {
    let many = |count: u32| -> Vec<Entry> {
        let kind = Kind::File { size: 0, content: Content::Empty };
        (0..count).map(|n| entry(&format!("{n:08}"), kind.clone())).collect()
    };
    let store = |entries: &[Entry]| {
        let mut kept = BTreeMap::new();
        let root = put_directory(entries, |raw| {
            let id = ChunkId::from_bytes(*blake3::hash(raw).as_bytes());
            kept.insert(id, raw.to_vec());
            Ok::<_, Infallible>(id)
        });
        (root.unwrap(), kept)
    };
    // The same, entry by entry.
    let streamed = |entries: &[Entry]| {
        let put =
            |raw: &[u8]| Ok::<_, Infallible>(ChunkId::from_bytes(*blake3::hash(raw).as_bytes()));
        let mut writer = DirectoryWriter::default();
        for entry in entries {
            writer.push(entry.clone(), put).unwrap();
        }
        writer.finish(put).unwrap()
    };
    for count in [0, 1, 4095, 4096, 5000, 9000, 30_000] {
        assert_eq!(streamed(&many(count)), store(&many(count)).0, "{count}");
    }
    let before = many(30_000);
    let mut after = before.clone();
    after.remove(10);
    let (root, kept) = store(&before);
    let DirectoryObject::Branch(parts) = decode(&kept[&root]).unwrap() else {
        panic!("30,000 entries fit no leaf");
    };
    let read: Vec<Entry> =
        parts.iter().flat_map(|part| decode_leaf(&kept[&part.object]).unwrap()).collect();
    assert_eq!(read, before);
    assert!(parts.iter().all(|part| part.entries >= 1 && kept[&part.object].len() < 1 << 20));
    let (_, again) = store(&after);
    let new = again.keys().filter(|id| !kept.contains_key(id)).count();
    assert_eq!(new, 2, "one leaf and the branch");
}

#[test]
fn a_branch_is_no_leaf() {
    let part = |byte, name: &[u8]| Part { object: id(byte), entries: 1, first_name: name.into() };
    let parts = vec![part(1, b"a"), part(2, b"b")];
    let raw = encode_branch(&parts);
    assert_eq!(decode(&raw), Ok(DirectoryObject::Branch(parts)));
    assert_eq!(decode_leaf(&raw), Err(BadObject::Nested));
}

fn any_name() -> impl Strategy<Value = Vec<u8>> {
    vec(prop_oneof![Just(b'a'), Just(b'b'), 1..=255_u8], 1..12)
        .prop_filter("a name", |name| !matches!(&**name, b"." | b"..") && !name.contains(&b'/'))
}

fn any_kind() -> impl Strategy<Value = Kind> {
    let some_id = any::<[u8; 32]>().prop_map(ChunkId::from_bytes);
    prop_oneof![
        Just(Kind::File { size: 0, content: Content::Empty }),
        (1..=u64::MAX, some_id.clone())
            .prop_map(|(size, id)| Kind::File { size, content: Content::Chunk(id) }),
        (1..=u64::MAX, some_id.clone())
            .prop_map(|(size, id)| Kind::File { size, content: Content::List(id) }),
        some_id.prop_map(|object| Kind::Directory { object }),
        Just(Kind::SkippedDirectory),
        Just(Kind::MountPoint),
        vec(1..=255_u8, 1..20).prop_map(|target| Kind::Symlink { target: target.into() }),
        Just(Kind::Fifo),
        Just(Kind::Socket),
        any::<u64>().prop_map(|rdev| Kind::CharDevice { rdev }),
        any::<u64>().prop_map(|rdev| Kind::BlockDevice { rdev }),
        "[a-z]{1,9}".prop_map(|name| Kind::Database { name }),
    ]
}

fn any_meta() -> impl Strategy<Value = Meta> {
    let xattrs = btree_map(vec(1..4_u8, 1..3), vec(any::<u8>(), 0..3), 0..3);
    let mtime = (any::<i64>(), 0..1_000_000_000_u32);
    (0..=0o7777_u32, 0..3_u32, any::<u32>(), mtime, xattrs).prop_map(
        |(mode, uid, gid, t, xattrs)| {
            let xattr = |(name, value): (Vec<u8>, Vec<u8>)| Xattr {
                name: name.into(),
                value: value.into(),
            };
            let xattrs = xattrs.into_iter().map(xattr).collect();
            Meta { mode, uid, gid, mtime: Mtime { secs: t.0, nanos: t.1 }, xattrs }
        },
    )
}

fn any_entries() -> impl Strategy<Value = Vec<Entry>> {
    let group = proptest::option::of(any_name().prop_map(|name| TreePath::parse(&name).unwrap()));
    btree_map(any_name(), (any_kind(), any_meta(), group), 0..12).prop_map(|entries| {
        let entry = |(name, (kind, meta, link_group)): (Vec<u8>, (Kind, Meta, _))| Entry {
            name: name.into(),
            meta,
            kind,
            link_group,
        };
        entries.into_iter().map(entry).collect()
    })
}

proptest! {
    #[test]
    fn entries_survive_being_stored(entries in any_entries()) {
        prop_assert_eq!(decode_leaf(&encode_leaf(&entries)), Ok(entries));
    }

    #[test]
    fn what_is_ordinary_is_the_same_packed(
        entries in any_entries(), at: prop::sample::Index, flip: u8, cut: bool,
    ) {
        let ordinary = |entry: &Entry| {
            entry.link_group.is_none()
                && entry.meta.xattrs.is_empty()
                && matches!(
                    entry.kind,
                    Kind::File { .. } | Kind::Directory { .. } | Kind::SkippedDirectory
                        | Kind::MountPoint | Kind::Fifo | Kind::Socket
                )
        };
        let some: Vec<Entry> = entries.iter().filter(|entry| ordinary(entry)).cloned().collect();
        let packed = Packed::take(&encode_leaf(&some)).unwrap().unwrap();
        prop_assert_eq!(packed.len(), some.len());
        for (number, entry) in some.iter().enumerate() {
            prop_assert_eq!(&packed.entry(number), entry);
            prop_assert_eq!(packed.name(number), &*entry.name);
            prop_assert_eq!(packed.owner(number), (entry.meta.uid, entry.meta.gid));
        }
        let mut raw = encode_leaf(&entries);
        prop_assert_eq!(Packed::take(&raw).unwrap().is_some(), some.len() == entries.len());
        // A checksum stands before it; without one it is wrong, and no more than that.
        let at = at.index(raw.len());
        if cut { raw.truncate(at) } else { raw[at] ^= flip }
        if let Ok(Some(packed)) = Packed::take(&raw) {
            (0..packed.len()).for_each(|number| drop(packed.entry(number)));
        }
    }

    #[test]
    fn a_damaged_leaf_is_refused_or_is_in_its_one_form(
        entries in any_entries(), at: prop::sample::Index, flip in 1..=255_u8, cut: bool,
    ) {
        let mut raw = encode_leaf(&entries);
        let at = at.index(raw.len());
        if cut { raw.truncate(at) } else { raw[at] ^= flip }
        if let Ok(read) = decode_leaf(&raw) {
            prop_assert_eq!(encode_leaf(&read), raw);
        }
    }

    #[test]
    fn noise_is_never_read_without_an_end(raw in vec(any::<u8>(), 0..200)) {
        let _ = decode(&raw);
    }
}
