//! The least time that a stage can take on this machine, from its work and the primitives. Pure.

use serde::{Deserialize, Serialize};

use super::limits::Primitives;

/// What a stage must do at least.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Work {
    /// Entries listed and looked at.
    pub(super) walked: u64,
    /// Files opened and read.
    pub(super) read: u64,
    /// Bytes hashed.
    pub(super) hashed_bytes: u64,
    /// Bytes compressed.
    pub(super) compressed_bytes: u64,
    /// Bytes sealed or opened.
    pub(super) sealed_bytes: u64,
    /// Bytes decoded.
    pub(super) decoded_bytes: u64,
    /// Files created.
    pub(super) created: u64,
    /// Files renamed over others.
    pub(super) renamed: u64,
    /// Bytes that must reach the disk.
    pub(super) written_bytes: u64,
}

/// What takes time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Term {
    /// Listing and looking.
    Stat,
    /// Opening and reading.
    Read,
    /// BLAKE3.
    Hash,
    /// zstd.
    Zstd,
    /// AES.
    Aes,
    /// zstd the other way.
    Decode,
    /// Creating files.
    Create,
    /// Renaming files.
    Rename,
    /// The disk.
    Disk,
}

impl Term {
    /// As a person reads it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Stat => "stat",
            Self::Read => "read",
            Self::Hash => "hash",
            Self::Zstd => "zstd",
            Self::Aes => "aes",
            Self::Decode => "decode",
            Self::Create => "create",
            Self::Rename => "rename",
            Self::Disk => "disk",
        }
    }
}

/// The least time, and why it is not less.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Limit {
    /// In all.
    pub(super) seconds: f64,
    /// What takes most of it.
    pub(super) binds: Term,
    /// Each part; those of the cores add up, the disk works beside them.
    pub(super) terms: Vec<(Term, f64)>,
}

impl Limit {
    /// What the cores do in it, all of them together.
    #[expect(clippy::cast_precision_loss, reason = "a handful of cores")]
    pub(super) fn core_seconds(&self, cores: usize) -> f64 {
        let shared = self.terms.iter().filter(|(term, _)| *term != Term::Disk);
        shared.map(|(_, seconds)| seconds).sum::<f64>() * cores.max(1) as f64
    }
}

/// The least time for `work` on `cores`.
#[expect(clippy::cast_precision_loss, reason = "figures of three digits")]
pub(super) fn limit(work: &Work, p: &Primitives, cores: usize) -> Limit {
    let core = |units: u64, ns: f64| units as f64 * ns / 1e9 / cores.max(1) as f64;
    let terms = [
        (Term::Stat, core(work.walked, p.list_ns + p.stat_ns)),
        (Term::Read, core(work.read, p.read_ns)),
        (Term::Hash, core(work.hashed_bytes, p.hash_ns)),
        (Term::Zstd, core(work.compressed_bytes, p.compress_ns)),
        (Term::Aes, core(work.sealed_bytes, p.seal_ns)),
        (Term::Decode, core(work.decoded_bytes, p.decode_ns)),
        (Term::Create, core(work.created, p.create_ns)),
        (Term::Rename, core(work.renamed, p.rename_ns)),
    ];
    let cores_take: f64 = terms.iter().map(|(_, seconds)| seconds).sum();
    let disk_takes = if work.written_bytes == 0 {
        0.0
    } else {
        work.written_bytes as f64 / p.write_rate.max(1.0)
    };
    let longest = terms
        .iter()
        .copied()
        .fold((Term::Stat, 0.0), |most, one| if one.1 > most.1 { one } else { most });
    let binds = if disk_takes > cores_take { Term::Disk } else { longest.0 };
    let disk = [(Term::Disk, disk_takes)];
    let terms = terms.into_iter().chain(disk).filter(|(_, seconds)| *seconds > 0.0).collect();
    Limit { seconds: cores_take.max(disk_takes), binds, terms }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINE: Primitives = Primitives {
        list_ns: 1_000.0,
        stat_ns: 1_000.0,
        read_ns: 6_000.0,
        hash_ns: 0.5,
        level: 1,
        compress_ns: 2.0,
        ratio: 4.0,
        seal_ns: 0.1,
        decode_ns: 0.5,
        create_ns: 30_000.0,
        rename_ns: 12_000.0,
        write_rate: 250e6,
        disk_read_rate: 1e9,
        sample_files: 1,
        sample_bytes: 1,
    };

    #[test]
    fn cores_share_their_work_and_the_disk_runs_beside_them() {
        let work = Work { walked: 1_000_000, ..Work::default() };
        let one = limit(&work, &MACHINE, 1);
        let two = limit(&work, &MACHINE, 2);
        assert!((one.seconds - 2.0).abs() < 1e-9 && (two.seconds - 1.0).abs() < 1e-9);
        assert_eq!(one.binds, Term::Stat);
        let work = Work { written_bytes: 1_000_000_000, ..work };
        let disk = limit(&work, &MACHINE, 2);
        assert_eq!((disk.seconds, disk.binds), (4.0, Term::Disk));
    }

    #[test]
    fn compressing_binds_a_first_backup() {
        let work = Work {
            walked: 120_000,
            read: 100_000,
            hashed_bytes: 1 << 30,
            compressed_bytes: 1 << 30,
            sealed_bytes: 1 << 28,
            written_bytes: 1 << 28,
            ..Work::default()
        };
        assert_eq!(limit(&work, &MACHINE, 2).binds, Term::Zstd);
    }

    #[test]
    fn nothing_to_do_takes_no_time() {
        let idle = limit(&Work::default(), &MACHINE, 2);
        assert_eq!((idle.seconds, idle.terms.len()), (0.0, 0));
    }
}
