//! What reached a disk, write by write, and which of it a power cut may leave there.
//!
//! Read from the log that qemu's `blklogwrites` keeps: a super block, then each request with its
//! data. Up to a flush everything before it is there; of what came since, any part may be.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

const SECTOR: u64 = 512;
/// What a disk writes wholly or not at all: ext4 relies on it for its super block.
const ATOM: u64 = 4096;
const FLUSH: u64 = 1;
const DISCARD: u64 = 4;

/// One request to the disk.
#[derive(Clone, Copy, Debug)]
enum Request {
    /// These bytes of the log came to that place; none are kept of what was discarded.
    Write { at: u64, bytes: u64, kept_at: Option<u64> },
    /// All before it is durable.
    Flush,
}

/// Everything that reached a disk, in order.
pub(crate) struct WriteLog {
    file: File,
    requests: Vec<Request>,
}

/// A state that a power cut may leave: all up to a flush, and some of what came after it.
#[derive(Clone, Debug)]
pub(crate) struct Cut {
    /// So many requests are there wholly.
    pub(crate) flushed: usize,
    /// And these; of the last one perhaps only so many bytes.
    also: Vec<usize>,
    torn: Option<u64>,
    kind: &'static str,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} requests flushed, then {:?}", self.kind, self.flushed, self.also)?;
        self.torn.map_or(Ok(()), |bytes| write!(f, ", of the last {bytes} bytes"))
    }
}

impl WriteLog {
    /// Reads a log to its end.
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let mut requests = Vec::new();
        let mut at = SECTOR;
        loop {
            let mut head = [0; 32];
            file.read_exact_at(&mut head, at)?;
            let word = |n: usize| {
                u64::from_le_bytes(head[n * 8..n * 8 + 8].try_into().expect("eight bytes"))
            };
            let (sector, sectors, flags) = (word(0), word(1), word(2));
            if sector == 0 && sectors == 0 && flags == 0 {
                return Ok(Self { file, requests });
            }
            at += SECTOR;
            if sectors > 0 {
                let kept_at = (flags & DISCARD == 0).then_some(at);
                let bytes = sectors * SECTOR;
                requests.push(Request::Write { at: sector * SECTOR, bytes, kept_at });
                at += kept_at.map_or(0, |_| bytes);
            }
            if flags & FLUSH != 0 {
                requests.push(Request::Flush);
            }
        }
    }

    /// How many requests it holds.
    pub(crate) fn len(&self) -> usize {
        self.requests.len()
    }

    /// How many of the requests are surely there if the power fails after `reached` of them.
    pub(crate) fn flushed(&self, reached: usize) -> usize {
        let before = &self.requests[..reached];
        before.iter().rposition(|one| matches!(one, Request::Flush)).map_or(0, |at| at + 1)
    }

    /// Every state that a power cut may leave, of those that differ from all written by one
    /// request: each prefix, each request lost, each the only one there, each torn.
    pub(crate) fn cuts(&self) -> Vec<Cut> {
        let mut cuts = Vec::new();
        let mut flushed = 0;
        let is_flush = |at: &usize| matches!(self.requests[*at], Request::Flush);
        for end in (0..self.len()).filter(is_flush).chain([self.len()]) {
            self.cuts_between(flushed, end, &mut cuts);
            flushed = (end + 1).min(self.len());
        }
        cuts
    }

    fn cuts_between(&self, flushed: usize, end: usize, cuts: &mut Vec<Cut>) {
        let all: Vec<usize> = (flushed..end).collect();
        let mut cut = |kind, also: &[usize], torn| {
            cuts.push(Cut { flushed, also: also.to_vec(), torn, kind });
        };
        for n in 0..=all.len() {
            cut("prefix", &all[..n], None);
        }
        for (n, one) in all.iter().enumerate() {
            if let Request::Write { bytes, .. } = self.requests[*one]
                && bytes > ATOM
            {
                cut("torn", &all[..=n], Some((bytes / 2).next_multiple_of(ATOM)));
            }
            // Of two or fewer what is left is a prefix, or torn out of one.
            if all.len() > 1 && n + 1 < all.len() {
                let others: Vec<usize> = all.iter().copied().filter(|other| other != one).collect();
                cut("lost", &others, None);
            }
            if n > 0 {
                cut("alone", &[*one], None);
            }
        }
    }

    /// Writes the requests of `range` into `image`.
    pub(crate) fn replay(&self, range: std::ops::Range<usize>, image: &File) -> io::Result<()> {
        range.into_iter().try_for_each(|one| self.write(one, None, image))
    }

    /// Writes what `cut` leaves besides what is flushed.
    pub(crate) fn finish(&self, cut: &Cut, image: &File) -> io::Result<()> {
        let last = cut.also.len().saturating_sub(1);
        for (n, one) in cut.also.iter().enumerate() {
            self.write(*one, cut.torn.filter(|_| n == last), image)?;
        }
        Ok(())
    }

    fn write(&self, one: usize, torn: Option<u64>, image: &File) -> io::Result<()> {
        let Request::Write { at, bytes, kept_at } = self.requests[one] else { return Ok(()) };
        let bytes = torn.unwrap_or(bytes);
        let mut data = vec![0; usize::try_from(bytes).expect("a request fits into memory")];
        if let Some(from) = kept_at {
            self.file.read_exact_at(&mut data, from)?;
        }
        image.write_all_at(&data, at)
    }
}

/// A log of requests as they are written: `None` for a flush, else a sector and its content.
#[cfg(test)]
fn log_of(requests: &[Option<(u64, &[u8])>]) -> tempfile::NamedTempFile {
    let mut bytes = vec![0; 512];
    for request in requests {
        let (sector, data, flags) = match request {
            Some((sector, data)) => (*sector, *data, 0),
            None => (0, &[][..], FLUSH),
        };
        let sectors = data.len() as u64 / SECTOR;
        let head = [sector, sectors, flags, 0].map(u64::to_le_bytes).concat();
        bytes.extend(head);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes.extend(data);
    }
    bytes.resize(bytes.len() + 1024, 0);
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), bytes).expect("ours");
    file
}

#[test]
fn a_write_log_gives_every_state_that_a_power_cut_may_leave() {
    let [a, b, c] = [b'a', b'b', b'c'].map(|letter| vec![letter; 2 * 4096]);
    let file = log_of(&[Some((8, &a)), None, Some((24, &b)), Some((8, &c))]);
    let log = WriteLog::read(file.path()).expect("a log");
    assert_eq!((log.len(), log.flushed(1), log.flushed(2), log.flushed(4)), (4, 0, 2, 2));
    let mut seen = std::collections::BTreeSet::new();
    for cut in log.cuts() {
        let image = tempfile::tempfile().expect("a temporary file");
        image.set_len(5 * ATOM).expect("ours");
        log.replay(0..cut.flushed, &image).expect("ours");
        log.finish(&cut, &image).expect("ours");
        let letter = |block: u64| {
            let mut byte = [0];
            image.read_exact_at(&mut byte, block * ATOM).expect("ours");
            if byte[0] == 0 { '.' } else { char::from(byte[0]) }
        };
        seen.insert((0..5).map(letter).collect::<String>());
    }
    let wanted = [".....", ".a...", ".aa..", ".aab.", ".aabb", ".cabb", ".cc..", ".ccbb"];
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), wanted);
}
