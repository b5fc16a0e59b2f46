//! Hashing, cutting, compressing, and rows of databases.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput};
use snap_backup::database::rows::RowCodec;
use snap_backup::repository::Extent;

use crate::stage::{Stage, noise, sources};

/// By size: small files pay for the start of a hash.
pub(crate) fn hashing(criterion: &mut Criterion) {
    let stage = Stage::new();
    let plain = noise(4 << 20);
    let mut group = criterion.benchmark_group("hash");
    for bytes in [1 << 10, 4 << 10, 16 << 10, 64 << 10, 1 << 20, 4 << 20] {
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_with_input(BenchmarkId::from_parameter(bytes), &plain[..bytes], |b, plain| {
            b.iter(|| stage.repository.hash(plain));
        });
    }
    group.finish();
}

/// Large content cut and hashed, as a walk does it without storing.
pub(crate) fn cutting(criterion: &mut Criterion) {
    let stage = Stage::new();
    let text: Vec<u8> = sources(4_000).concat();
    let noise = noise(text.len());
    let mut group = criterion.benchmark_group("cut-and-hash");
    group.throughput(Throughput::Bytes(text.len() as u64)).sample_size(10);
    for (name, plain) in [("text", &text), ("noise", &noise)] {
        let mut hasher = stage.repository.content_hasher();
        group.bench_function(name, |b| {
            b.iter(|| {
                let extent = Extent::Bytes(plain.len() as u64);
                hasher.hash(&mut &plain[..], extent).expect("memory can be read")
            });
        });
    }
    group.finish();
}

/// File by file against neighbours together: both faster and smaller.
pub(crate) fn compressing(criterion: &mut Criterion) {
    let files = sources(2_000);
    let whole: Vec<u8> = files.concat();
    let mut group = criterion.benchmark_group("compress");
    group.throughput(Throughput::Bytes(whole.len() as u64)).sample_size(10);
    for level in [1, 3] {
        let mut codec = zstd::bulk::Compressor::new(level).expect("the level exists");
        let mut squeeze =
            |part: &[u8]| codec.compress(part).expect("memory can be compressed").len();
        let alone: usize = files.iter().map(|file| squeeze(file)).sum();
        let together: usize = whole.chunks(512 << 10).map(&mut squeeze).sum();
        group.bench_function(format!("per-file-{level}-{}", ratio(&whole, alone)), |b| {
            b.iter(|| files.iter().map(|file| squeeze(file)).sum::<usize>());
        });
        group.bench_function(format!("bundled-{level}-{}", ratio(&whole, together)), |b| {
            b.iter(|| whole.chunks(512 << 10).map(&mut squeeze).sum::<usize>());
        });
    }
    group.finish();
}

/// The ratio belongs to the name: a speed without it says little.
fn ratio(whole: &[u8], stored: usize) -> String {
    format!("{}.{:02}x", whole.len() / stored, whole.len() * 100 / stored % 100)
}

/// Rows as a dump writes them, with NULLs and lengths: short cells, for of long ones the copy is all
/// that would be seen.
pub(crate) fn rows(criterion: &mut Criterion) {
    let codec = RowCodec::new(6).expect("tables have six columns");
    let text: Vec<_> = sources(2_000).into_iter().filter(|text| text.len() >= 120).collect();
    let rows: Vec<[Option<&[u8]>; 6]> = text
        .iter()
        .map(|text| {
            [Some(&b"4711"[..]), None, Some(&text[..40]), Some(&text[40..120]), None, Some(b"1")]
        })
        .collect();
    let bytes: usize = rows.iter().flatten().flatten().map(|cell| cell.len()).sum();
    let mut group = criterion.benchmark_group("rows");
    group.throughput(Throughput::Elements(rows.len() as u64));
    group.bench_function("encode", |b| {
        let mut out = Vec::with_capacity(bytes * 2);
        b.iter(|| {
            out.clear();
            for row in &rows {
                codec.encode(row.iter().copied(), &mut out);
            }
            black_box(out.len())
        });
    });
    group.finish();
}
