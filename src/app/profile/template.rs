//! Strings of a profile that may hold `{name}`.

use std::collections::BTreeMap;

use crate::app::AppError;

/// A string that may hold `{name}`. Braces around anything but a name are taken as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(String);

/// The values that templates are filled with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vars(BTreeMap<String, String>);

/// Names that are always there, beside those in `[vars]`.
pub(super) const GIVEN: [&str; 5] = ["root", "prefix", "txn", "old.version", "new.version"];

enum Piece<'a> {
    Plain(&'a str),
    Name(&'a str),
}

impl Template {
    pub(crate) fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The text with its placeholders.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The names it needs.
    pub fn names(&self) -> Vec<&str> {
        let name = |piece| match piece {
            Piece::Name(name) => Some(name),
            Piece::Plain(_) => None,
        };
        self.pieces().into_iter().filter_map(name).collect()
    }

    /// Puts the values in.
    pub fn fill(&self, vars: &Vars) -> Result<String, AppError> {
        self.fill_with(vars, str::to_owned)
    }

    /// Puts the values in so that none of them acts as a pattern.
    pub fn fill_pattern(&self, vars: &Vars) -> Result<String, AppError> {
        self.fill_with(vars, globset::escape)
    }

    fn fill_with(&self, vars: &Vars, quote: fn(&str) -> String) -> Result<String, AppError> {
        let mut filled = String::with_capacity(self.0.len());
        for piece in self.pieces() {
            match piece {
                Piece::Plain(text) => filled.push_str(text),
                Piece::Name(name) => {
                    let value = vars.get(name).ok_or_else(|| AppError::NoValue {
                        name: name.to_owned(),
                        template: self.0.clone(),
                    })?;
                    filled.push_str(&quote(value));
                }
            }
        }
        Ok(filled)
    }

    fn pieces(&self) -> Vec<Piece<'_>> {
        let mut pieces = Vec::new();
        let mut rest = self.0.as_str();
        while let Some((before, name, after)) = first_name(rest) {
            pieces.push(Piece::Plain(before));
            pieces.push(Piece::Name(name));
            rest = after;
        }
        pieces.push(Piece::Plain(rest));
        pieces
    }
}

/// Splits at the first `{name}`.
fn first_name(text: &str) -> Option<(&str, &str, &str)> {
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '.';
    text.match_indices('{').find_map(|(at, _)| {
        let inside = &text[at + 1..];
        let end = inside.find('}')?;
        let name = &inside[..end];
        let fits = name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(is_name);
        fits.then(|| (&text[..at], name, &inside[end + 1..]))
    })
}

impl Vars {
    /// Sets one value.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.insert(name.into(), value.into());
    }

    /// The value of `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_filled_and_other_braces_left() {
        let mut vars = Vars::default();
        vars.set("admin", "back[1]");
        let template = Template::new("{admin}/{a,b}/*.{Php}/{");
        assert_eq!(template.fill(&vars).unwrap(), "back[1]/{a,b}/*.{Php}/{");
        assert_eq!(template.fill_pattern(&vars).unwrap(), "back[[]1[]]/{a,b}/*.{Php}/{");
        assert_eq!(template.names(), ["admin"]);
    }

    #[test]
    fn a_missing_value_is_named() {
        let error = Template::new("x{admin}").fill(&Vars::default()).unwrap_err();
        assert!(error.to_string().contains("admin"), "{error}");
    }
}
