//! What a configuration file says, as far as it says it literally.

use std::fmt;

/// A value, and where it was written.
#[derive(Clone, PartialEq)]
pub struct Literal {
    /// The value.
    pub value: Value,
    /// Its line, counted from 1.
    pub line: usize,
    /// The environment variable that could override it but is not set where we may look.
    pub default_of: Option<String>,
}

/// What a value is. Values may be secrets: they are not shown by `Debug`.
#[derive(Clone, PartialEq)]
pub enum Value {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A fraction, as it was written.
    Fraction(String),
    /// A text.
    Text(String),
    /// A list or map, in the order of the file.
    Array(Vec<(Key, Literal)>),
    /// No literal: what it is instead.
    Refused(String),
}

/// A key of an array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// A number.
    Int(i64),
    /// A text.
    Text(String),
}

impl Literal {
    pub(super) const fn new(value: Value, line: usize) -> Self {
        Self { value, line, default_of: None }
    }

    pub(super) fn refused(what: impl Into<String>, line: usize) -> Self {
        Self::new(Value::Refused(what.into()), line)
    }

    /// The element under `key`, whose parts are joined by dots. A part may itself hold dots.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        let Value::Array(items) = &self.value else {
            // What is refused is refused with all that may be in it.
            return matches!(self.value, Value::Refused(_)).then_some(self);
        };
        let child = |name: &str| items.iter().find(|(key, _)| key.is(name)).map(|(_, item)| item);
        if let Some(found) = child(key) {
            return Some(found);
        }
        key.match_indices('.').find_map(|(dot, _)| child(&key[..dot])?.get(&key[dot + 1..]))
    }

    /// Sets the element at `path`, making arrays on the way.
    pub(super) fn set(&mut self, path: &[Key], item: Self) {
        let Some((first, rest)) = path.split_first() else {
            *self = item;
            return;
        };
        if let Value::Refused(_) = self.value {
            return;
        }
        if !matches!(self.value, Value::Array(_)) {
            self.value = Value::Array(Vec::new());
        }
        let Value::Array(items) = &mut self.value else { return };
        if let Some((_, old)) = items.iter_mut().find(|(key, _)| key == first) {
            old.set(rest, item);
            return;
        }
        let mut new = Self::new(Value::Array(Vec::new()), item.line);
        new.set(rest, item);
        items.push((first.clone(), new));
    }
}

impl Key {
    /// As PHP turns the text into a key: `"12"` is the number 12.
    pub(super) fn from_text(text: String) -> Self {
        match text.parse::<i64>() {
            Ok(int) if int.to_string() == text => Self::Int(int),
            _ => Self::Text(text),
        }
    }

    fn is(&self, name: &str) -> bool {
        match self {
            Self::Int(int) => int.to_string() == name,
            Self::Text(text) => text == name,
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(_) => f.write_str("bool"),
            Self::Int(_) => f.write_str("int"),
            Self::Fraction(_) => f.write_str("fraction"),
            Self::Text(_) => f.write_str("text"),
            Self::Array(items) => f.debug_map().entries(items.iter().map(|(k, v)| (k, v))).finish(),
            Self::Refused(what) => write!(f, "refused({what})"),
        }
    }
}

impl fmt::Debug for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}@{}", self.value, self.line)
    }
}
