//! A second reader, written from FORMAT.md alone: it uses nothing of the code it reads after.

use std::collections::BTreeMap;
use std::fs;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use super::*;

struct Reader {
    master: [u8; 32],
    id_key: [u8; 32],
    repository: [u8; 32],
}

impl Reader {
    fn open(
        &self,
        kind: u8,
        name: &[u8; 32],
        nonce: [u8; 12],
        clear: &[u8],
        sealed: &[u8],
    ) -> Vec<u8> {
        let material = [&self.master[..], &[kind], name].concat();
        let key =
            blake3::derive_key("snap-backup 2026 format 1: key of one sealed object", &material);
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key).unwrap());
        let bound = [&self.repository[..], &[kind], name, clear].concat();
        let mut plain = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(nonce);
        key.open_in_place(nonce, Aad::from(bound), &mut plain).unwrap().to_vec()
    }

    /// Chunks by their ids, from a pack, by way of its footer. What it builds on is among `known`.
    fn pack(
        &self,
        bytes: &[u8],
        known: &BTreeMap<[u8; 32], Vec<u8>>,
    ) -> BTreeMap<[u8; 32], Vec<u8>> {
        assert_eq!(&bytes[..8], b"snappak\n");
        let name: [u8; 32] = bytes[16..48].try_into().unwrap();
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        let trailer = bytes.len() - 16;
        assert_eq!(&bytes[trailer + 8..], b"snapend\n");
        let (footer_at, footer_bytes) = (word(trailer), word(trailer + 4));
        let clear = [&bytes[..48], &bytes[trailer..]].concat();
        let sealed = &bytes[footer_at..footer_at + footer_bytes];
        let footer = self.open(3, &name, [0xff; 12], &clear, sealed);
        let count = |at: usize| u32::from_le_bytes(footer[at..at + 4].try_into().unwrap()) as usize;
        let (frames, chunks) = (count(0), count(4));

        let mut found = BTreeMap::new();
        let mut at = 48;
        for frame in 0..frames {
            assert_eq!((&bytes[at..at + 4], word(at + 4)), (&b"frm\n"[..], frame));
            let sealed_bytes = word(at + 12);
            assert_eq!(sealed_bytes, count(8 + 4 * frame));
            let mut nonce = [0; 12];
            nonce[..4].copy_from_slice(&bytes[at + 4..at + 8]);
            let clear = [&bytes[..48], &bytes[at..at + 16]].concat();
            let sealed = &bytes[at + 16..at + 16 + sealed_bytes];
            let plain = self.open(3, &name, nonce, &clear, sealed);
            let payload = match bytes[at + 9] {
                0 => plain,
                1 => zstd::bulk::decompress(&plain, 64 << 20).unwrap(),
                2 => {
                    found.extend(self.delta(&plain, known));
                    at += 16 + sealed_bytes;
                    continue;
                }
                other => panic!("coding {other}"),
            };
            found.extend(self.payload(&payload));
            at += 16 + sealed_bytes;
        }
        assert_eq!(at, footer_at);
        let ids = &footer[8 + 6 * frames + 4 * chunks..][..32 * chunks];
        for id in ids.chunks(32) {
            assert!(found.contains_key(id));
        }
        found
    }

    fn delta(&self, plain: &[u8], known: &BTreeMap<[u8; 32], Vec<u8>>) -> Vec<([u8; 32], Vec<u8>)> {
        let count = usize::from(u16::from_le_bytes(plain[..2].try_into().unwrap()));
        let (ids, rest) = plain[2..].split_at(32 * count);
        let (bases, rest) = rest.split_at(32 * count);
        let (lengths, stream) = rest.split_at(4 * count);
        let mut prefix = Vec::new();
        let mut seen = Vec::new();
        for base in bases.chunks(32) {
            if !seen.contains(&base) {
                seen.push(base);
                prefix.extend_from_slice(&known[base]);
            }
        }
        let mut decoder = zstd::zstd_safe::DCtx::create();
        decoder.ref_prefix(&prefix).unwrap();
        let mut data = Vec::with_capacity(64 << 20);
        decoder.decompress(&mut data, stream).unwrap();
        let mut data = &data[..];
        let mut chunks = Vec::new();
        for (id, length) in ids.chunks(32).zip(lengths.chunks(4)) {
            let length = u32::from_le_bytes(length.try_into().unwrap()) as usize;
            let (chunk, after) = data.split_at(length);
            assert_eq!(blake3::keyed_hash(&self.id_key, chunk).as_bytes(), id);
            chunks.push((id.try_into().unwrap(), chunk.to_vec()));
            data = after;
        }
        assert!(data.is_empty());
        chunks
    }

    fn payload(&self, payload: &[u8]) -> Vec<([u8; 32], Vec<u8>)> {
        let end = payload.len() - 2;
        let count = usize::from(u16::from_le_bytes(payload[end..].try_into().unwrap()));
        let table = end - 4 * count;
        let mut start = 0;
        let mut chunks = Vec::new();
        for length in payload[table..end].chunks(4) {
            let length = u32::from_le_bytes(length.try_into().unwrap()) as usize;
            let chunk = payload[start..start + length].to_vec();
            chunks.push((*blake3::keyed_hash(&self.id_key, &chunk).as_bytes(), chunk));
            start += length;
        }
        assert_eq!(start, table);
        chunks
    }
}

#[test]
fn a_reader_written_from_the_format_alone_finds_every_chunk() {
    let world = World::new();
    let chunks = some_chunks(1500);
    let ids = world.commit(&chunks);
    let inner = &world.repository.inner;
    let reader = Reader {
        master: inner.secrets.master,
        id_key: inner.secrets.id_key,
        repository: *inner.id.as_bytes(),
    };
    let first = world.files(ObjectKind::Pack);
    let mut found = BTreeMap::new();
    for pack in &first {
        found.extend(reader.pack(&fs::read(pack).unwrap(), &BTreeMap::new()));
    }
    // What took the place of the longer ones is stored as what changed.
    let writer = world.repository.begin(&WriteOptions::default()).unwrap();
    let mut bundle = writer.bundle(PackClass::Data);
    let mut changed = Vec::new();
    for (chunk, id) in chunks.iter().zip(&ids).filter(|(chunk, _)| chunk.len() > 1000) {
        let chunk = [&chunk[..], b"and more"].concat();
        changed.push((bundle.put_after(&chunk, Some(id)).unwrap(), chunk));
    }
    bundle.finish().unwrap();
    writer.commit(b"record 2").unwrap();
    for pack in world.files(ObjectKind::Pack).iter().filter(|pack| !first.contains(pack)) {
        let bytes = fs::read(pack).unwrap();
        assert_eq!(bytes[48 + 9], 2, "a delta frame");
        let more = reader.pack(&bytes, &found);
        found.extend(more);
    }
    for (id, chunk) in &changed {
        assert_eq!(found.get(id.as_bytes()), Some(chunk));
    }
    for (chunk, id) in chunks.iter().zip(&ids) {
        assert_eq!(found.get(id.as_bytes()), Some(chunk));
    }

    let name = world.repository.record_ids(RecordKind::Snapshot).unwrap()[0];
    let record = fs::read(world.root().join("snapshots").join(name.to_string())).unwrap();
    let body = reader.open(5, name.as_bytes(), [0; 12], &record[..16], &record[16..]);
    assert!(body.starts_with(b"record"));
}

#[test]
fn a_repository_that_needs_an_unknown_feature_to_be_read_is_refused_by_its_name() {
    use crate::repository::format::{Config, Feature, config_name};
    let world = World::new();
    let inner = &world.repository.inner;
    let write = |number: u64, name: &str| {
        let feature = Feature { name: name.to_owned(), since: "0.9.0".to_owned() };
        let mut config: Config = inner.config.clone();
        config.read = vec![feature];
        let kind = ObjectKind::Config;
        let master = &inner.secrets.master;
        let name = config_name(number);
        let bytes =
            crate::repository::object::tagged(master, &inner.id, kind, &name, &config.encode());
        let path = world.root().join("config").join(number.to_string());
        fs::write(&path, &bytes).unwrap();
        (path, bytes)
    };
    let (path, bytes) = write(2, "frames of tomorrow");
    match world.reopen().err() {
        Some(RepositoryError::UnknownFeature { feature, version, .. }) => {
            assert_eq!((&feature[..], &version[..]), ("frames of tomorrow", "0.9.0"));
        }
        other => panic!("{other:?}"),
    }
    // The highest valid number wins: one that is not ours does not count.
    let mut forged = bytes;
    *forged.last_mut().unwrap() ^= 1;
    fs::write(&path, forged).unwrap();
    world.reopen().unwrap();
    assert!(!world.check().is_sound());
}
