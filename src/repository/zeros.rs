//! Long runs of zeros: the holes of sparse files, and room that was reserved and never used. They are
//! read like any other bytes, for a file system may err about its holes; but where such a run is cut,
//! and what its chunk is called, is known from the first time on.

use super::chunker::Chunker;
use super::content::Piece;
use super::id::ChunkId;
use super::media::Kind;
use super::repository::{Inner, Repository};

static ZEROS: [u8; 4096] = [0; 4096];

/// Whether these bytes are all zeros.
fn are_zeros(bytes: &[u8]) -> bool {
    bytes.chunks(ZEROS.len()).all(|part| *part == ZEROS[..part.len()])
}

impl Chunker {
    /// The length of the first chunk of `rest` where that begins with as many zeros as a chunk may have
    /// bytes; [`Chunker::first_cut`] says the same, but looks for it.
    pub(super) fn cut_in_zeros(&self, kind: Kind, rest: &[u8]) -> Option<usize> {
        let run = rest.get(..self.max())?;
        if kind == Kind::Media || !are_zeros(run) {
            return None;
        }
        Some(
            *self.zeros.get_or_init(|| {
                self.first_cut(kind, run, 0, false).expect("so many bytes show a cut")
            }),
        )
    }
}

impl Inner {
    /// The id of these bytes, if they are the longest chunk of zeros.
    pub(super) fn hash_of_zeros(&self, plain: &[u8]) -> Option<ChunkId> {
        let is_longest = plain.len() == self.chunker.max();
        (is_longest && are_zeros(plain)).then(|| self.zeros())
    }

    /// The id of the longest chunk of zeros.
    fn zeros(&self) -> ChunkId {
        *self.zeros.get_or_init(|| self.keyed_hash(&vec![0; self.chunker.max()]))
    }
}

impl Repository {
    /// Whether this piece of a file is the longest chunk of zeros. So are all but the last of a long run.
    pub fn is_zeros(&self, piece: &Piece) -> bool {
        piece.bytes == self.inner.chunker.max() as u64 && piece.id == self.inner.zeros()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::repository::content::{Extent, Sink, take_apart};
    use crate::repository::error::RepositoryError;
    use crate::repository::format::{Config, Cutting, FASTCDC_2020};
    use crate::repository::id::RepositoryId;
    use crate::repository::tests::golden::golden_inner;
    use crate::repository::tests::memory::Memory;
    use crate::repository::window::Window;

    fn cutting() -> Cutting {
        Config::new(&RepositoryId::from_bytes([0; 32]), 0).cutting
    }

    /// Small ones: there zeros are often cut before they are as long as a chunk may be.
    fn small(seed: u64) -> Chunker {
        let cutting = Cutting {
            chunker: FASTCDC_2020,
            whole_bytes_max: 2_000,
            chunk_bytes_min: 64,
            chunk_bytes_avg: 256,
            chunk_bytes_max: 1024,
        };
        Chunker::new(&cutting, seed)
    }

    /// Keeps how long the pieces are.
    #[derive(Default)]
    struct Lengths(Vec<usize>);

    impl Sink for Lengths {
        fn chunk(&mut self, plain: &[u8]) -> Result<ChunkId, RepositoryError> {
            self.0.push(plain.len());
            Ok(ChunkId::from_bytes([0; 32]))
        }

        fn piece(
            &mut self,
            _: Kind,
            window: &mut Window,
            bytes: usize,
        ) -> Result<ChunkId, RepositoryError> {
            let id = self.chunk(&window.rest()[..bytes])?;
            window.pass(bytes);
            Ok(id)
        }

        fn list(&mut self, _: &[u8]) -> Result<ChunkId, RepositoryError> {
            Ok(ChunkId::from_bytes([0; 32]))
        }
    }

    /// How long the pieces of a longer file are.
    fn lengths(chunker: &Chunker, content: &[u8]) -> Vec<usize> {
        let mut lengths = Lengths::default();
        let mut window = Window::default();
        take_apart(chunker, &mut &*content, Extent::ToEnd, &mut window, &mut lengths).unwrap();
        lengths.0
    }

    /// The same, each looked for.
    fn looked_for(chunker: &Chunker, mut rest: &[u8]) -> Vec<usize> {
        let mut lengths = Vec::new();
        while let Some(bytes) = chunker.first_cut(Kind::Ordinary, rest, 0, true).filter(|n| *n > 0)
        {
            lengths.push(bytes);
            rest = &rest[bytes..];
        }
        lengths
    }

    /// Runs of zeros and of noise by turns.
    fn content(runs: &[usize], unit: usize) -> Vec<u8> {
        let mut noise = blake3::Hasher::new().finalize_xof();
        let mut content = b"no media, and more than one chunk".repeat(8_000);
        for (number, run) in runs.iter().enumerate() {
            let start = content.len();
            content.resize(start + run * unit / 1_000, 0);
            if number % 2 == 1 {
                noise.fill(&mut content[start..]);
            }
        }
        content
    }

    #[test]
    fn one_byte_anywhere_is_no_zeros() {
        let mut bytes = vec![0; 3 * ZEROS.len() + 7];
        assert!(are_zeros(&bytes) && are_zeros(&[]));
        for at in (0..bytes.len()).step_by(61).chain([bytes.len() - 1]) {
            bytes[at] = 1;
            assert!(!are_zeros(&bytes), "{at}");
            bytes[at] = 0;
        }
    }

    proptest! {
        #[test]
        fn runs_of_zeros_are_cut_as_if_each_cut_were_looked_for(
            seed in any::<u64>(),
            runs in proptest::collection::vec(0..5_000_usize, 0..12),
        ) {
            let (chunker, content) = (small(seed), content(&runs, 1_024));
            prop_assert_eq!(lengths(&chunker, &content), looked_for(&chunker, &content));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8))]
        #[test]
        fn so_are_they_with_the_sizes_in_use(
            seed in any::<u64>(),
            runs in proptest::collection::vec(0..4_000_usize, 1..5),
        ) {
            let (chunker, content) = (Chunker::new(&cutting(), seed), content(&runs, 1 << 20));
            prop_assert_eq!(lengths(&chunker, &content), looked_for(&chunker, &content));
        }
    }

    #[test]
    fn zeros_have_the_id_that_their_bytes_have() {
        let inner = golden_inner(Box::new(Memory::default()));
        let max = inner.chunker.max();
        for bytes in [0, 1, max - 1, max, max + 1] {
            let mut plain = vec![0; bytes];
            assert_eq!(inner.hash(&plain), inner.keyed_hash(&plain), "{bytes}");
            if let Some(last) = plain.last_mut() {
                *last = 1;
                assert_eq!(inner.hash(&plain), inner.keyed_hash(&plain), "{bytes} but the last");
            }
        }
    }
}
