//! What the benchmarks work on.

use snap_backup::cli::bench::corpus::{Package, Random};
use snap_backup::repository::{InitOptions, Repository};

/// A repository that goes with its directory.
pub(crate) struct Stage {
    pub(crate) place: tempfile::TempDir,
    pub(crate) repository: Repository,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let place = tempfile::tempdir().expect("a temporary directory can be made");
        let key = place.path().join("key");
        let options = InitOptions { machine_key_file: Some(&key), ..InitOptions::default() };
        let repository = Repository::init(&place.path().join("repository"), &options)
            .expect("a repository can be made");
        Self { place, repository }
    }
}

/// Source files as applications have them: 8 KB in the mean, of one package each sixteen.
pub(crate) fn sources(files: usize) -> Vec<Vec<u8>> {
    let mut random = Random::new(1);
    let mut package = Package::new(1);
    (0..files)
        .map(|number| {
            if number % 16 == 0 {
                package = Package::new(random.next());
            }
            let bytes = (8.0 + 1.06 * random.normal()).exp();
            let mut text = Vec::new();
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "positive"
            )]
            package.source(&mut random, bytes as usize, &mut text);
            text
        })
        .collect()
}

/// Bytes that nothing compresses.
pub(crate) fn noise(bytes: usize) -> Vec<u8> {
    let mut noise = vec![0; bytes];
    Random::new(2).fill(&mut noise);
    noise
}
