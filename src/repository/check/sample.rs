//! Which packs a sampled check reads: those that nobody has read for the longest time.

use std::collections::BTreeSet;

use super::history::History;
use crate::repository::id::ObjectId;

/// How much of the packs a check reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sample {
    /// So many thousandths of all bytes.
    Thousandths(u32),
    /// So many bytes.
    Bytes(u64),
    /// One of so many equal parts, by the packs' names: the same packs every time.
    Part {
        /// Which, from 1.
        number: u32,
        /// Of how many.
        of: u32,
    },
}

impl Sample {
    /// Reads `5%`, `2G`, `512M` or `1/4`.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(percent) = text.strip_suffix('%') {
            let (whole, tenths) = percent.split_once('.').unwrap_or((percent, "0"));
            let tenths = (tenths.len() == 1).then(|| tenths.parse::<u32>().ok())??;
            let thousandths = whole.parse::<u32>().ok()?.checked_mul(10)?.checked_add(tenths)?;
            return (1..=1000).contains(&thousandths).then_some(Self::Thousandths(thousandths));
        }
        if let Some((number, of)) = text.split_once('/') {
            let (number, of) = (number.parse().ok()?, of.parse().ok()?);
            return (1..=of).contains(&number).then_some(Self::Part { number, of });
        }
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let unit = match text[digits..].trim_end_matches("iB") {
            "" => 0,
            "K" | "k" => 10,
            "M" | "m" => 20,
            "G" | "g" => 30,
            "T" | "t" => 40,
            _ => return None,
        };
        let bytes = text[..digits].parse::<u64>().ok()?.checked_mul(1 << unit)?;
        (bytes > 0).then_some(Self::Bytes(bytes))
    }

    /// Chooses among `packs`, given with their lengths. At least one is chosen if there is any.
    pub(super) fn choose(self, packs: &[(ObjectId, u64)], history: &History) -> BTreeSet<ObjectId> {
        let total: u64 = packs.iter().map(|(_, bytes)| bytes).sum();
        let wanted = match self {
            Self::Part { number, of } => {
                let part = |id: &ObjectId| {
                    let first = id.as_bytes().first_chunk().expect("a name is longer");
                    u64::from_le_bytes(*first) % u64::from(of)
                };
                let ours = packs.iter().map(|(id, _)| *id);
                return ours.filter(|id| part(id) == u64::from(number - 1)).collect();
            }
            Self::Bytes(bytes) => bytes,
            Self::Thousandths(share) => {
                let wanted = (u128::from(total) * u128::from(share)).div_ceil(1000);
                u64::try_from(wanted).unwrap_or(u64::MAX)
            }
        };
        let mut oldest_first = packs.to_vec();
        oldest_first.sort_by_key(|(id, _)| (history.read_at(id), *id));
        let mut chosen = BTreeSet::new();
        let mut bytes = 0;
        for (id, length) in oldest_first {
            if bytes >= wanted {
                break;
            }
            bytes += length;
            chosen.insert(id);
        }
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_a_share_a_size_or_a_part() {
        assert_eq!(Sample::parse("5%"), Some(Sample::Thousandths(50)));
        assert_eq!(Sample::parse("2.5%"), Some(Sample::Thousandths(25)));
        assert_eq!(Sample::parse("100%"), Some(Sample::Thousandths(1000)));
        assert_eq!(Sample::parse("2G"), Some(Sample::Bytes(2 << 30)));
        assert_eq!(Sample::parse("512MiB"), Some(Sample::Bytes(512 << 20)));
        assert_eq!(Sample::parse("700"), Some(Sample::Bytes(700)));
        assert_eq!(Sample::parse("1/4"), Some(Sample::Part { number: 1, of: 4 }));
        for text in ["", "%", "0%", "101%", "-1%", "0/4", "5/4", "1/0", "G", "5x", "2.55%", "0"] {
            assert_eq!(Sample::parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_was_read_longest_ago_comes_first() {
        let id = |n| ObjectId::from_bytes([n; 32]);
        let packs: Vec<_> = (1..=10).map(|n| (id(n), 101)).collect();
        let mut history = History::default();
        for n in 1..=8 {
            history.note(id(n), 100 - i64::from(n));
        }
        let chosen = Sample::Thousandths(299).choose(&packs, &history);
        assert_eq!(
            chosen,
            BTreeSet::from([id(8), id(9), id(10)]),
            "never read before read long ago"
        );
        assert_eq!(Sample::Bytes(1).choose(&packs, &history).len(), 1);
        assert_eq!(Sample::Thousandths(1000).choose(&packs[..7], &history).len(), 7);
        assert_eq!(Sample::Bytes(1 << 40).choose(&packs, &history).len(), 10);
        let parts: usize = (1..=3)
            .map(|number| Sample::Part { number, of: 3 }.choose(&packs, &history).len())
            .sum();
        assert_eq!(parts, 10);
    }
}
