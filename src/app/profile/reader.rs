//! Reads one table of a profile, key by key, and notices what nobody asked for.
//!
//! The keys that were asked for *are* the schema, so a misspelt key cannot be ignored by accident
//! and its nearest neighbour is always at hand.

use std::collections::BTreeSet;
use std::time::Duration;

use regex::Regex;

use super::ProfileError;
use super::node::{Field, Node, Place, Value};

/// A string and where it stands.
#[derive(Clone, Copy)]
pub(super) struct Text<'a> {
    pub(super) text: &'a str,
    pub(super) place: &'a Place,
}

impl Text<'_> {
    pub(super) fn error(&self, what: impl Into<String>) -> ProfileError {
        self.place.error(what)
    }

    /// The value that this text names among `choices`.
    pub(super) fn one_of<T: Copy>(&self, choices: &[(&'static str, T)]) -> Result<T, ProfileError> {
        if let Some((_, value)) = choices.iter().find(|(name, _)| *name == self.text) {
            return Ok(*value);
        }
        let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
        let mut error = self.error(format!("{:?} is none of {}", self.text, names.join(", ")));
        error.nearest = nearest(self.text, names.into_iter());
        Err(error)
    }

    pub(super) fn regex(&self) -> Result<Regex, ProfileError> {
        Regex::new(self.text).map_err(|error| {
            let last = error.to_string();
            let reason = last.lines().last().unwrap_or_default().trim().to_owned();
            self.error(format!("this is no regular expression: {reason}"))
        })
    }

    /// `90s`, `10m` or `2h`.
    pub(super) fn duration(&self) -> Result<Duration, ProfileError> {
        let bad = || self.error(format!("{:?} is no duration like 90s, 10m or 2h", self.text));
        let unit = self.text.chars().next_back().ok_or_else(bad)?;
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            _ => return Err(bad()),
        };
        let number: u64 = self.text[..self.text.len() - 1].parse().map_err(|_| bad())?;
        number
            .checked_mul(seconds)
            .filter(|total| (1..=7 * 86_400).contains(total))
            .map(Duration::from_secs)
            .ok_or_else(bad)
    }
}

/// One table, being read.
pub(super) struct Reader<'a> {
    name: String,
    place: &'a Place,
    fields: &'a [Field],
    asked: BTreeSet<&'static str>,
}

impl<'a> Reader<'a> {
    /// Reads `node`, which messages call `name` (`[release]`).
    pub(super) fn new(node: &'a Node, name: impl Into<String>) -> Result<Self, ProfileError> {
        let name = name.into();
        match &node.value {
            Value::Table(fields) => {
                Ok(Self { name, place: &node.place, fields, asked: BTreeSet::new() })
            }
            other => Err(node.place.error(format!("{name} is {}, not a table", other.kind()))),
        }
    }

    pub(super) fn error(&self, what: impl Into<String>) -> ProfileError {
        self.place.error(what)
    }

    /// All fields: for tables whose keys are names chosen by the writer.
    pub(super) fn all(self) -> &'a [Field] {
        self.fields
    }

    pub(super) fn node(&mut self, key: &'static str) -> Option<&'a Node> {
        self.asked.insert(key);
        self.fields.iter().find(|field| field.key == key).map(|field| &field.node)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.fields.iter().any(|field| field.key == key)
    }

    pub(super) fn text(&mut self, key: &'static str) -> Result<Option<Text<'a>>, ProfileError> {
        self.node(key).map(|node| as_text(node, key)).transpose()
    }

    pub(super) fn need(&mut self, key: &'static str) -> Result<Text<'a>, ProfileError> {
        let missing = self.error(format!("{} lacks the key {key:?}", self.name));
        self.text(key)?.ok_or(missing)
    }

    pub(super) fn texts(&mut self, key: &'static str) -> Result<Vec<Text<'a>>, ProfileError> {
        let Some(node) = self.node(key) else { return Ok(Vec::new()) };
        list(node, key)?.iter().map(|item| as_text(item, key)).collect()
    }

    pub(super) fn int(
        &mut self,
        key: &'static str,
    ) -> Result<Option<(i64, &'a Place)>, ProfileError> {
        match self.node(key) {
            None => Ok(None),
            Some(Node { value: Value::Int(int), place }) => Ok(Some((*int, place))),
            Some(node) => Err(wrong(node, key, "an integer")),
        }
    }

    pub(super) fn ints(&mut self, key: &'static str) -> Result<Option<Vec<i64>>, ProfileError> {
        let Some(node) = self.node(key) else { return Ok(None) };
        let items = list(node, key)?.iter();
        items
            .map(|item| match item.value {
                Value::Int(int) => Ok(int),
                _ => Err(wrong(item, key, "an integer")),
            })
            .collect::<Result<_, _>>()
            .map(Some)
    }

    pub(super) fn flag(&mut self, key: &'static str) -> Result<Option<bool>, ProfileError> {
        match self.node(key) {
            None => Ok(None),
            Some(Node { value: Value::Bool(flag), .. }) => Ok(Some(*flag)),
            Some(node) => Err(wrong(node, key, "true or false")),
        }
    }

    pub(super) fn regex(&mut self, key: &'static str) -> Result<Option<Regex>, ProfileError> {
        self.text(key)?.map(|text| text.regex()).transpose()
    }

    pub(super) fn duration(
        &mut self,
        key: &'static str,
        default: Duration,
    ) -> Result<Duration, ProfileError> {
        self.text(key)?.map_or(Ok(default), |text| text.duration())
    }

    pub(super) fn table(&mut self, key: &'static str) -> Result<Option<Self>, ProfileError> {
        self.node(key).map(|node| Self::new(node, format!("[{key}]"))).transpose()
    }

    pub(super) fn tables(&mut self, key: &'static str) -> Result<Vec<Self>, ProfileError> {
        let Some(node) = self.node(key) else { return Ok(Vec::new()) };
        list(node, key)?.iter().map(|item| Self::new(item, format!("[[{key}]]"))).collect()
    }

    /// Ends the reading: refuses the keys of `later` as not yet supported, all others as unknown.
    pub(super) fn finish(self, later: &[&'static str]) -> Result<(), ProfileError> {
        for field in self.fields {
            if self.asked.contains(field.key.as_str()) {
                continue;
            }
            if later.contains(&field.key.as_str()) {
                return Err(not_supported(&field.key_place, &field.key));
            }
            let valid: Vec<_> = self.asked.iter().chain(later).copied().collect();
            let mut error = field.key_place.error(format!(
                "unknown key {:?} in {}; it may hold {}",
                field.key,
                self.name,
                valid.join(", ")
            ));
            error.nearest = nearest(&field.key, valid.into_iter());
            return Err(error);
        }
        Ok(())
    }
}

/// The refusal of something that the schema names and a later version will read.
pub(super) fn not_supported(place: &Place, what: &str) -> ProfileError {
    place.error(format!("{what} is not supported by this version"))
}

pub(super) fn as_text<'a>(node: &'a Node, key: &str) -> Result<Text<'a>, ProfileError> {
    match &node.value {
        Value::Text(text) => Ok(Text { text, place: &node.place }),
        _ => Err(wrong(node, key, "a string")),
    }
}

fn list<'a>(node: &'a Node, key: &str) -> Result<&'a [Node], ProfileError> {
    match &node.value {
        Value::List(items) => Ok(items),
        _ => Err(wrong(node, key, "a list")),
    }
}

fn wrong(node: &Node, key: &str, wanted: &str) -> ProfileError {
    node.place.error(format!("{key} wants {wanted}, this is {}", node.value.kind()))
}

/// The candidate closest to `word`, if it is close enough to have been meant.
pub(super) fn nearest<'c>(word: &str, candidates: impl Iterator<Item = &'c str>) -> Option<String> {
    candidates
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len().max(word.len()) / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate.to_owned())
}

/// Edit distance: insertions, deletions, replacements and swaps of neighbours.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_its_neighbour() {
        let keys = ["preserve", "purge", "secret", "review"];
        let near = |word| nearest(word, keys.iter().copied());
        assert_eq!(near("perserve").as_deref(), Some("preserve"));
        assert_eq!(near("secrets").as_deref(), Some("secret"));
        assert_eq!(near("colour"), None);
    }

    #[test]
    fn a_swap_costs_one() {
        assert_eq!(distance("verison", "version"), 1);
        assert_eq!(distance("", "abc"), 3);
    }
}
