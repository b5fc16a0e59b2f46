//! Micro benchmarks of what a backup is made of: `cargo bench --bench micro`.
//!
//! What an idea is compared with stands beside it in the same group (bundled against per file, hit
//! against miss), so that a figure explains itself.

#![expect(
    clippy::disallowed_methods,
    reason = "the bans protect the product; a benchmark sets its stage by hand"
)]

mod bytes;
mod index;
mod stage;
mod tree;

use criterion::{Criterion, criterion_group, criterion_main};

fn all(criterion: &mut Criterion) {
    bytes::hashing(criterion);
    bytes::cutting(criterion);
    bytes::compressing(criterion);
    bytes::rows(criterion);
    index::looking_up(criterion);
    index::building(criterion);
    tree::directories(criterion);
    tree::stat_cache(criterion);
}

criterion_group! {
    name = micro;
    config = Criterion::default().without_plots().sample_size(20);
    targets = all
}
criterion_main!(micro);
