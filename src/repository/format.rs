//! The configuration of a repository: what it is, how it cuts, and what a reader must know.

use std::fmt;

use minicbor::{Decode, Encode};

use super::delta;
use super::error::RepositoryError;
use super::id::{ObjectId, RepositoryId};
use super::media::HEAD_BYTES;

/// What a feature is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeatureClass {
    /// To read anything.
    Read,
    /// To add anything.
    Write,
    /// To remove anything.
    Prune,
}

impl fmt::Display for FeatureClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "be read",
            Self::Write => "be written to",
            Self::Prune => "be pruned",
        })
    }
}

/// Something a repository uses that not every version knows.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(super) struct Feature {
    #[n(0)]
    pub(super) name: String,
    /// The first version that knows it, for the error of a version that does not.
    #[n(1)]
    pub(super) since: String,
}

/// How files are cut. Every field decides ids: none ever changes in a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(super) struct Cutting {
    /// 1: FastCDC v2020 as in the crate `fastcdc` 5.0.0, normalisation level 1. 2: the same, but media
    /// and archives at fixed places. 3: the same, but ciphertext too.
    #[n(0)]
    pub(super) chunker: u16,
    /// A file up to this long is one chunk.
    #[n(1)]
    pub(super) whole_bytes_max: u32,
    #[n(2)]
    pub(super) chunk_bytes_min: u32,
    #[n(3)]
    pub(super) chunk_bytes_avg: u32,
    #[n(4)]
    pub(super) chunk_bytes_max: u32,
}

/// How large things become. A hint for writers: readers take what they find, within the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
#[expect(clippy::struct_field_names, reason = "a size says its unit")]
pub(super) struct Sizes {
    #[n(0)]
    pub(super) frame_bytes: u32,
    #[n(1)]
    pub(super) data_pack_bytes: u32,
    #[n(2)]
    pub(super) metadata_pack_bytes: u32,
}

/// What `config/<n>` says. Layout: FORMAT.md, "Config".
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(super) struct Config {
    #[cbor(n(0), with = "minicbor::bytes")]
    repository: [u8; 32],
    #[n(1)]
    pub(super) created_ns: i64,
    #[n(2)]
    pub(super) cutting: Cutting,
    #[n(3)]
    pub(super) sizes: Sizes,
    #[n(4)]
    pub(super) read: Vec<Feature>,
    #[n(5)]
    pub(super) write: Vec<Feature>,
    #[n(6)]
    pub(super) prune: Vec<Feature>,
}

/// The longest chunk. File content is cut far below it; only metadata objects come near.
pub const CHUNK_BYTES_MAX: usize = 64 << 20;
/// The most chunks in a frame.
pub(super) const FRAME_CHUNKS_MAX: usize = 65_535;
/// The longest payload of a frame: one longest chunk, or a full table of short ones.
pub(super) const FRAME_BYTES_MAX: usize = CHUNK_BYTES_MAX + 4 * FRAME_CHUNKS_MAX + 2;
/// The most frames in a pack: 20 bits of a place.
pub(super) const PACK_FRAMES_MAX: usize = 1 << 20;

const KIB: u32 = 1024;
/// FastCDC v2020 for all.
pub(super) const FASTCDC_2020: u16 = 1;
/// The same but for media and archives, which are cut at fixed places.
pub(super) const FASTCDC_2020_AND_MEDIA: u16 = 2;
/// The same but for media, archives and ciphertext.
pub(super) const FASTCDC_2020_AND_NOISE: u16 = 3;
const CHUNKERS: [u16; 3] = [FASTCDC_2020, FASTCDC_2020_AND_MEDIA, FASTCDC_2020_AND_NOISE];
/// Names of features this version knows, by class.
const KNOWN: [&[&str]; 3] = [&[delta::FEATURE], &[], &[]];

impl Config {
    pub(super) fn new(repository: &RepositoryId, created_ns: i64) -> Self {
        Self {
            repository: *repository.as_bytes(),
            created_ns,
            cutting: Cutting {
                chunker: FASTCDC_2020_AND_NOISE,
                whole_bytes_max: 256 * KIB,
                chunk_bytes_min: 64 * KIB,
                chunk_bytes_avg: 256 * KIB,
                chunk_bytes_max: 1024 * KIB,
            },
            sizes: Sizes {
                // 512 KiB were 3 % larger at level 1, of 355 MB of sources; 2 MiB another 1 %, for
                // twice the time to read one directory or file.
                frame_bytes: 1024 * KIB,
                data_pack_bytes: 64 * KIB * KIB,
                metadata_pack_bytes: 8 * KIB * KIB,
            },
            read: vec![Feature { name: delta::FEATURE.to_owned(), since: "0.1.0".to_owned() }],
            write: Vec::new(),
            prune: Vec::new(),
        }
    }

    pub(super) fn repository(&self) -> RepositoryId {
        RepositoryId::from_bytes(self.repository)
    }

    /// Whether whoever reads it knows delta frames.
    pub(super) fn has_deltas(&self) -> bool {
        self.read.iter().any(|feature| feature.name == delta::FEATURE)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        minicbor::to_vec(self).expect("memory takes every byte")
    }

    /// Believes nothing: a config that asks for impossible sizes is not a config.
    pub(super) fn decode(body: &[u8]) -> Option<Self> {
        let config: Self = minicbor::decode(body).ok()?;
        let Cutting { whole_bytes_max: whole, chunk_bytes_min: min, .. } = config.cutting;
        let Cutting { chunk_bytes_avg: avg, chunk_bytes_max: max, .. } = config.cutting;
        let cut_well = [whole, min, avg, max].iter().all(|size| size.is_power_of_two())
            && (64..=KIB * KIB).contains(&min)
            && (min..=4 * KIB * KIB).contains(&avg)
            && (avg..=16 * KIB * KIB).contains(&max)
            && avg >= 256
            && max >= KIB
            && whole <= 16 * KIB * KIB
            && (config.cutting.chunker == FASTCDC_2020 || whole as usize >= HEAD_BYTES);
        let sizes = config.sizes;
        let sized_well = (4 * KIB..=16 * KIB * KIB).contains(&sizes.frame_bytes)
            && [sizes.data_pack_bytes, sizes.metadata_pack_bytes]
                .iter()
                .all(|size| (64 * KIB..=1 << 30).contains(size));
        (cut_well && sized_well).then_some(config)
    }

    /// Refuses, by its name, the first feature of `class` that this version does not know.
    pub(super) fn demand(&self, class: FeatureClass) -> Result<(), RepositoryError> {
        let (needed, known) = match class {
            FeatureClass::Read => (&self.read, KNOWN[0]),
            FeatureClass::Write => (&self.write, KNOWN[1]),
            FeatureClass::Prune => (&self.prune, KNOWN[2]),
        };
        if class == FeatureClass::Read && !CHUNKERS.contains(&self.cutting.chunker) {
            // Reading would do, but every comparison with live files would be wrong.
            return Err(RepositoryError::UnknownFeature {
                class,
                feature: format!("chunker {}", self.cutting.chunker),
                version: "unknown".to_owned(),
            });
        }
        match needed.iter().find(|feature| !known.contains(&feature.name.as_str())) {
            None => Ok(()),
            Some(unknown) => Err(RepositoryError::UnknownFeature {
                class,
                feature: unknown.name.clone(),
                version: unknown.since.clone(),
            }),
        }
    }
}

/// The name that binds the tag of `config/<number>`.
pub(super) fn config_name(number: u64) -> ObjectId {
    let mut name = [0; 32];
    name[24..].copy_from_slice(&number.to_be_bytes());
    ObjectId::from_bytes(name)
}
