//! Bytes that never change. They stand in FORMAT.md; each test here makes them anew.
//!
//! Golden keys: master 32 x 01, id key 32 x 02, chunker seed 32 x 03; repository id 32 x 44.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::repository::backend::Backend;
use crate::repository::chunker::Chunker;
use crate::repository::content::{Extent, List, Piece, Stored};
use crate::repository::format::{
    Config, FASTCDC_2020, FASTCDC_2020_AND_MEDIA, FASTCDC_2020_AND_NOISE, config_name,
};
use crate::repository::frame::{Codec, Coding};
use crate::repository::id::{ChunkId, ObjectId, RepositoryId};
use crate::repository::index::{Named, build};
use crate::repository::key::Secrets;
use crate::repository::media::Kind;
use crate::repository::object::{self, ObjectKind};
use crate::repository::pack::{Contents, FramePlace, PackClass};
use crate::repository::repository::Inner;
use crate::repository::run::Compression;
use crate::repository::tests::memory::Memory;

const FORMAT: &str = include_str!("../FORMAT.md");

pub(in crate::repository) fn golden_inner(backend: Box<dyn Backend>) -> Inner {
    let secrets = Secrets { master: [1; 32], id_key: [2; 32], chunker: [3; 32] };
    let config = Config::new(&RepositoryId::from_bytes([0x44; 32]), 0);
    Inner::new(backend, PathBuf::from("golden"), config, secrets, None)
}

fn inner() -> Inner {
    golden_inner(Box::new(Memory::new()))
}

pub(in crate::repository) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// The golden value `name` as FORMAT.md quotes it, in lines of any length after `golden NAME:`.
fn quoted(name: &str) -> String {
    let start = FORMAT.find(&format!("golden {name}:\n")).unwrap_or_else(|| {
        panic!("FORMAT.md quotes no golden {name}");
    });
    let block = FORMAT[start..].split_once('\n').unwrap().1;
    block.lines().take_while(|line| !line.starts_with("```")).map(str::trim).collect()
}

/// The bytes that the golden value `name` quotes.
pub(in crate::repository) fn bytes_of(name: &str) -> Vec<u8> {
    let quoted = quoted(name);
    let digits = (0..quoted.len() / 2).map(|n| &quoted[2 * n..2 * n + 2]);
    digits.map(|two| u8::from_str_radix(two, 16).unwrap()).collect()
}

pub(in crate::repository) fn assert_golden(name: &str, made: &str) {
    assert_eq!(made, quoted(name), "golden {name}");
}

#[test]
fn golden_ids_stay() {
    let inner = inner();
    assert_golden("chunk id", &inner.hash(b"abc").to_string());
    let repository = crate::repository::Repository { inner: std::sync::Arc::new(inner) };
    let digest = repository.hasher("snap-backup golden digest").update(b"abc").finalize();
    assert_golden("digest", &digest.to_string());
}

#[test]
fn golden_config_stays() {
    let inner = inner();
    let body = inner.config.encode();
    let name = config_name(1);
    let bytes = object::tagged(&inner.secrets.master, &inner.id, ObjectKind::Config, &name, &body);
    assert_golden("config", &hex(&bytes));
    assert_eq!(Config::decode(&body), Some(inner.config.clone()));
    let mut older = inner.config.clone();
    older.cutting.chunker = FASTCDC_2020;
    let (kind, id) = (ObjectKind::Config, &inner.id);
    let bytes = object::tagged(&inner.secrets.master, id, kind, &name, &older.encode());
    assert_golden("config of chunker 1", &hex(&bytes));
    assert_eq!(Config::decode(&older.encode()), Some(older.clone()));
    older.read.clear();
    older.sizes.frame_bytes = 512 << 10;
    let bytes = object::tagged(&inner.secrets.master, id, kind, &name, &older.encode());
    assert_golden("config without features", &hex(&bytes));
    assert_eq!(Config::decode(&older.encode()), Some(older));
}

#[test]
fn golden_record_stays() {
    let inner = inner();
    let name = ObjectId::from_bytes([0x66; 32]);
    let sealer = inner.sealer(ObjectKind::Snapshot, &name);
    let bytes = object::seal(&sealer, ObjectKind::Snapshot, b"the body of a record");
    assert_golden("record", &hex(&bytes));
    let opened = object::open(&sealer, ObjectKind::Snapshot, "66", &bytes).unwrap();
    assert_eq!(opened, b"the body of a record");
}

#[test]
fn golden_index_segment_stays() {
    let mut contents = Contents {
        frames: vec![
            FramePlace { offset: 48, sealed_bytes: 100, chunks: 2 },
            FramePlace { offset: 164, sealed_bytes: 50, chunks: 1 },
        ],
        ids: [0x70, 0x10, 0xf0].map(|n| ChunkId::from_bytes([n; 32])).to_vec(),
        lengths: vec![10, 20, 30],
        bases: BTreeMap::new(),
    };
    let id = ObjectId::from_bytes([0x55; 32]);
    let named = Named { id, class: PackClass::Data, contents: &contents };
    assert_golden("index segment", &hex(&build(&[named])));
    assert_golden("pack footer", &hex(&contents.encode()));
    let bases = [0xb1, 0xb2].map(|n| ChunkId::from_bytes([n; 32]));
    contents.bases.insert(0, bases.to_vec());
    assert_golden("pack footer with bases", &hex(&contents.encode()));
}

#[test]
fn golden_chunk_list_stays() {
    let piece = |n: u8, bytes| Piece { id: ChunkId::from_bytes([n; 32]), bytes };
    let list = List { level: 0, pieces: vec![piece(0xaa, 300_000), piece(0xbb, 70_000)] };
    assert_golden("chunk list", &hex(&list.encode()));
    assert_eq!(List::decode(&list.encode()), Some(list));
}

#[test]
fn golden_cuts_stay() {
    let mut bytes = vec![0; 6 << 20];
    blake3::Hasher::new_derive_key("snap-backup golden bytes").finalize_xof().fill(&mut bytes);
    let config = Config::new(&RepositoryId::from_bytes([0; 32]), 0);
    for (name, seed) in
        [("cuts, seed 0", 0), ("cuts, seed 0x0303030303030303", 0x0303_0303_0303_0303)]
    {
        let chunker = Chunker::new(&config.cutting, seed);
        let mut rest = &bytes[..];
        let mut cuts = Vec::new();
        while !rest.is_empty() {
            let length = chunker.first_cut(Kind::Ordinary, rest, 0, true).unwrap();
            cuts.push(length.to_string());
            rest = &rest[length..];
        }
        assert_golden(name, &cuts.join(" "));
    }
    assert_eq!(
        Secrets { master: [1; 32], id_key: [2; 32], chunker: [3; 32] }.chunker_seed(),
        0x0303_0303_0303_0303
    );
}

#[test]
fn golden_cuts_of_a_picture_stay() {
    let mut picture = vec![0; 2_500_000];
    blake3::Hasher::new_derive_key("snap-backup golden bytes").finalize_xof().fill(&mut picture);
    picture.splice(..0, *b"\xff\xd8\xff");
    for (name, chunker) in [
        ("picture", FASTCDC_2020_AND_NOISE),
        ("picture", FASTCDC_2020_AND_MEDIA),
        ("picture of chunker 1", FASTCDC_2020),
    ] {
        let mut inner = inner();
        inner.config.cutting.chunker = chunker;
        inner.chunker = Chunker::new(&inner.config.cutting, inner.secrets.chunker_seed());
        let repository = crate::repository::Repository { inner: std::sync::Arc::new(inner) };
        let mut hasher = repository.content_hasher();
        let (stored, bytes) = hasher.hash(&mut &picture[..], Extent::ToEnd).unwrap();
        assert_eq!(bytes, picture.len() as u64);
        let Stored::List(id) = stored else { panic!("{stored:?}") };
        assert_golden(name, &id.to_string());
    }
}

/// What an encoder writes may change with its version; what it wrote must stay readable.
#[test]
fn a_golden_zstd_stream_stays_readable() {
    let bytes = bytes_of("zstd stream");
    let mut payload = Vec::new();
    Codec::new(Compression::Off).decode(Coding::Zstd, &bytes, &mut payload).unwrap();
    assert_eq!(payload, "all work and no play ".repeat(40).as_bytes());
}

#[test]
fn a_feature_this_version_does_not_know_is_refused_by_its_name() {
    use crate::repository::error::RepositoryError;
    use crate::repository::format::{Feature, FeatureClass};
    let mut config = Config::new(&RepositoryId::from_bytes([0x44; 32]), 0);
    let feature = |name: &str| vec![Feature { name: name.to_owned(), since: "0.3.0".to_owned() }];
    config.read = feature("frames of tomorrow");
    config.write = feature("padding");
    let config = Config::decode(&config.encode()).unwrap();
    for (class, name) in
        [(FeatureClass::Read, "frames of tomorrow"), (FeatureClass::Write, "padding")]
    {
        match config.demand(class) {
            Err(RepositoryError::UnknownFeature { class: of, feature, version }) => {
                assert_eq!((of, &feature[..], &version[..]), (class, name, "0.3.0"));
            }
            other => panic!("{other:?}"),
        }
    }
    config.demand(FeatureClass::Prune).unwrap();
}
