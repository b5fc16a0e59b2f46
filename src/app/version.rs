//! Versions as applications write them, their order, and how far one lies from another.

mod range;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::fmt;

pub use self::range::VersionRange;

/// How an application numbers its releases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// Semantic versioning; a leading `v` is dropped, `2.4` is `2.4.0`.
    Semver,
    /// Four numbers, of which the last two count patches (OpenCart).
    Dotted4,
    /// Four numbers, of which the fourth counts schema changes within a patch (ownCloud).
    Dotted4Counter,
    /// Dates or other numbers whose parts promise nothing.
    Calver,
    /// Text that can only be equal or not.
    Opaque,
}

/// A version that was read under a [`Scheme`].
///
/// Versions of one scheme have a total order. Across schemes the order is arbitrary but fixed;
/// [`Jump::between`] calls such a pair unknown.
#[derive(Clone)]
pub struct AppVersion {
    scheme: Scheme,
    order: Order,
    text: String,
}

/// What decides the order, in a form that is the same for equal versions.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Order {
    Semver(semver::Version),
    Numbers(Vec<u64>, Tail),
    Text(String),
}

/// What follows the numbers. `2.3.0.0_rc1` comes before `2.3.0.0`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Tail {
    Before(Vec<Token>),
    Final,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Token {
    Number(u64),
    Word(String),
}

/// Why some text is no version of its scheme.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no {scheme} version")]
pub struct BadVersion {
    /// What was read.
    pub text: String,
    /// The scheme it was read under.
    pub scheme: Scheme,
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Semver => "semver",
            Self::Dotted4 | Self::Dotted4Counter => "dotted4",
            Self::Calver => "calver",
            Self::Opaque => "opaque",
        })
    }
}

impl AppVersion {
    /// Reads `text` under `scheme`.
    pub fn parse(text: &str, scheme: Scheme) -> Result<Self, BadVersion> {
        let bad = || BadVersion { text: text.to_owned(), scheme };
        let trimmed = text.trim();
        let bare = match scheme {
            Scheme::Opaque => trimmed,
            _ => strip_v(trimmed),
        };
        if bare.is_empty() || bare.chars().any(char::is_control) {
            return Err(bad());
        }
        let order = match scheme {
            Scheme::Semver => Order::Semver(padded_semver(bare).ok_or_else(bad)?),
            Scheme::Dotted4 | Scheme::Dotted4Counter => {
                let (mut numbers, tail) = numbers_and_tail(bare).ok_or_else(bad)?;
                if numbers.len() > 4 {
                    return Err(bad());
                }
                numbers.resize(4, 0);
                Order::Numbers(numbers, tail)
            }
            Scheme::Calver => {
                let (mut numbers, tail) = numbers_and_tail(bare).ok_or_else(bad)?;
                while numbers.len() > 1 && numbers.last() == Some(&0) {
                    numbers.pop();
                }
                Order::Numbers(numbers, tail)
            }
            Scheme::Opaque => Order::Text(bare.to_owned()),
        };
        Ok(Self { scheme, order, text: bare.to_owned() })
    }

    /// The scheme it was read under.
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// As the application wrote it, without a leading `v`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Major, minor and patch as the scheme reads them; `None` where it promises none.
    fn levels(&self) -> Option<[u64; 3]> {
        match (&self.order, self.scheme) {
            (Order::Semver(v), _) => Some([v.major, v.minor, v.patch]),
            (Order::Numbers(n, _), Scheme::Dotted4 | Scheme::Dotted4Counter) => {
                Some([n[0], n[1], n[2]])
            }
            _ => None,
        }
    }
}

/// `v1.2` and `V1.2` are `1.2`; `version` is left alone.
fn strip_v(text: &str) -> &str {
    match text.strip_prefix(['v', 'V']) {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_digit()) => rest,
        _ => text,
    }
}

fn padded_semver(text: &str) -> Option<semver::Version> {
    let cut = text.find(['-', '+']).unwrap_or(text.len());
    let (core, tail) = text.split_at(cut);
    let missing = 2usize.checked_sub(core.matches('.').count())?;
    semver::Version::parse(&format!("{core}{}{tail}", ".0".repeat(missing))).ok()
}

fn numbers_and_tail(text: &str) -> Option<(Vec<u64>, Tail)> {
    let mut numbers = Vec::new();
    let mut rest = text;
    loop {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        numbers.push(rest[..digits].parse().ok()?);
        rest = &rest[digits..];
        match rest.strip_prefix('.') {
            Some(next) if next.starts_with(|c: char| c.is_ascii_digit()) => rest = next,
            _ => break,
        }
    }
    let tokens = tokens(rest);
    if tokens.is_empty() && !rest.is_empty() {
        return None; // only separators: `1.2.`
    }
    Some((numbers, if tokens.is_empty() { Tail::Final } else { Tail::Before(tokens) }))
}

/// Runs of digits and of other letters; separators only separate.
fn tokens(text: &str) -> Vec<Token> {
    let lower = text.to_lowercase();
    let mut found = Vec::new();
    for part in lower.split(|c: char| !c.is_alphanumeric()) {
        let mut rest = part;
        while let Some(first) = rest.chars().next() {
            let digits = first.is_ascii_digit();
            let end = rest.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(rest.len());
            let (run, after) = rest.split_at(end);
            let number = run.parse().ok().filter(|_| digits);
            found.push(number.map_or_else(|| Token::Word(run.to_owned()), Token::Number));
            rest = after;
        }
    }
    found
}

impl PartialEq for AppVersion {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for AppVersion {}

impl Ord for AppVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        self.scheme.cmp(&other.scheme).then_with(|| self.order.cmp(&other.order))
    }
}

impl PartialOrd for AppVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for AppVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for AppVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.scheme, self.text)
    }
}

/// What an upgrade from one version to another is called, and so which policy rules it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Jump {
    /// Only fixes.
    Patch,
    /// New functions, compatible.
    Minor,
    /// May break; needs `--allow-major` and a path rule.
    Major,
    /// To an older version.
    Downgrade,
    /// A reinstall, which repairs drift.
    Same,
    /// The scheme cannot say; ruled like [`Jump::Major`].
    Unknown,
}

impl Jump {
    /// Classifies the way from `from` to `to`. It never decides whether migrations are looked for.
    pub fn between(from: &AppVersion, to: &AppVersion) -> Self {
        if from.scheme != to.scheme {
            return Self::Unknown;
        }
        match (from.cmp(to), from.scheme) {
            (Ordering::Equal, _) => Self::Same,
            (_, Scheme::Opaque) => Self::Unknown,
            (Ordering::Greater, _) => Self::Downgrade,
            (Ordering::Less, _) => match (from.levels(), to.levels()) {
                (Some(from), Some(to)) if from[0] != to[0] => Self::Major,
                (Some(from), Some(to)) if from[1] != to[1] => Self::Minor,
                (Some(_), Some(_)) => Self::Patch,
                _ => Self::Unknown,
            },
        }
    }

    /// The word a plan prints.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Patch => "patch",
            Self::Minor => "minor",
            Self::Major => "major",
            Self::Downgrade => "downgrade",
            Self::Same => "same",
            Self::Unknown => "unknown",
        }
    }
}
