//! Ranges of versions, as profiles write them.

use super::{AppVersion, BadVersion, Scheme};

/// A range as a profile writes it: `>=2.2, <4`. All its bounds must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionRange(Vec<(Bound, AppVersion)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bound {
    AtLeast,
    Above,
    AtMost,
    Below,
    Exactly,
}

impl VersionRange {
    /// Reads bounds joined by commas; each is `>=`, `>`, `<=`, `<` or `=` and a version.
    pub fn parse(text: &str, scheme: Scheme) -> Result<Self, BadVersion> {
        let bound = |part: &str| {
            let part = part.trim();
            let (bound, rest) = [
                (">=", Bound::AtLeast),
                ("<=", Bound::AtMost),
                (">", Bound::Above),
                ("<", Bound::Below),
                ("=", Bound::Exactly),
            ]
            .iter()
            .find_map(|(sign, bound)| Some((*bound, part.strip_prefix(sign)?)))
            .ok_or_else(|| BadVersion { text: part.to_owned(), scheme })?;
            Ok((bound, AppVersion::parse(rest, scheme)?))
        };
        text.split(',').map(bound).collect::<Result<_, _>>().map(Self)
    }

    /// Whether `version` lies within every bound.
    pub fn contains(&self, version: &AppVersion) -> bool {
        self.0.iter().all(|(bound, limit)| match bound {
            Bound::AtLeast => version >= limit,
            Bound::Above => version > limit,
            Bound::AtMost => version <= limit,
            Bound::Below => version < limit,
            Bound::Exactly => version == limit,
        })
    }
}
