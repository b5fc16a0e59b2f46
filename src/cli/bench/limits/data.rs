//! What the bytes themselves ask for: hash, compress, seal, and the way back.

use std::hint::black_box;
use std::io;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use crate::cli::bench::scan::Sample;
use crate::repository::WriteOptions;

/// As the repository's frames: so many bytes of neighbours together.
const BUNDLE_BYTES: usize = 1 << 20;

/// Times a byte.
pub(super) struct Data {
    pub(super) hash_ns: f64,
    pub(super) level: i32,
    pub(super) compress_ns: f64,
    pub(super) ratio: f64,
    pub(super) seal_ns: f64,
    pub(super) decode_ns: f64,
}

/// Measures on the sample's bytes; noise takes the place of a sample without any.
#[expect(clippy::cast_precision_loss, reason = "a figure of three digits")]
pub(super) fn measure(sample: &Sample) -> io::Result<Data> {
    let key = [7; 32];
    let mut bundles = bundles(sample);
    if bundles.is_empty() {
        let mut noise = vec![0; BUNDLE_BYTES];
        crate::cli::bench::corpus::Random::new(1).fill(&mut noise);
        bundles.push(noise);
    }
    let plain: usize = bundles.iter().map(Vec::len).sum();
    let hash_ns = super::best(plain, || {
        for file in &sample.files {
            black_box(blake3::keyed_hash(&key, &file.text));
        }
        Ok(())
    })?;
    let level = WriteOptions::default().compression.level().unwrap_or(1);
    let mut codec = zstd::bulk::Compressor::new(level)?;
    let mut squeezed = Vec::new();
    let compress_ns = super::best(plain, || {
        squeezed = bundles.iter().map(|one| codec.compress(one)).collect::<Result<_, _>>()?;
        Ok(())
    })?;
    let stored: usize = squeezed.iter().map(Vec::len).sum();
    let mut codec = zstd::bulk::Decompressor::new()?;
    let mut room = vec![0; BUNDLE_BYTES.max(bundles.iter().map(Vec::len).max().unwrap_or(0))];
    let decode_ns = super::best(plain, || {
        for one in &squeezed {
            black_box(codec.decompress_to_buffer(one, &mut room)?);
        }
        Ok(())
    })?;
    let sealer = UnboundKey::new(&AES_256_GCM, &key).map_err(io::Error::other)?;
    let sealer = LessSafeKey::new(sealer);
    let seal_ns = super::best(stored, || {
        for one in &mut squeezed {
            let nonce = Nonce::assume_unique_for_key([0; 12]);
            let tag = sealer.seal_in_place_separate_tag(nonce, Aad::empty(), one);
            black_box(tag.map_err(io::Error::other)?.as_ref().len());
        }
        Ok(())
    })?;
    let ratio = plain as f64 / stored.max(1) as f64;
    Ok(Data { hash_ns, level, compress_ns, ratio, seal_ns, decode_ns })
}

fn bundles(sample: &Sample) -> Vec<Vec<u8>> {
    let mut bundles: Vec<Vec<u8>> = Vec::new();
    for file in sample.files.iter().filter(|file| !file.text.is_empty()) {
        match bundles.last_mut() {
            Some(last) if last.len() + file.text.len() <= BUNDLE_BYTES => {
                last.extend_from_slice(&file.text);
            }
            _ => bundles.push(file.text.clone()),
        }
    }
    bundles
}
