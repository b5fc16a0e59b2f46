//! A profile's TOML as a tree in which every key and value knows where it was written.
//!
//! A profile that extends another is merged here, before anything is read from it: tables key by
//! key, everything else as a whole. So a message still names the file in which a value stands.

use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::ProfileError;

/// A text and what it is called in messages.
#[derive(Debug)]
pub(super) struct Text {
    /// A path, or `builtin:NAME`.
    pub(super) name: String,
    /// Where lines begin.
    line_starts: Vec<usize>,
}

/// A place in a text.
#[derive(Clone, Debug)]
pub(super) struct Place {
    text: Arc<Text>,
    offset: usize,
}

impl Place {
    /// An error at this place.
    pub(super) fn error(&self, what: impl Into<String>) -> ProfileError {
        let line = self.text.line_starts.partition_point(|start| *start <= self.offset);
        let column = self.offset - self.text.line_starts[line - 1] + 1;
        ProfileError {
            file: self.text.name.clone(),
            line,
            column,
            what: what.into(),
            nearest: None,
        }
    }

    /// The file and line, as `config.toml:12`.
    pub(super) fn start_of(&self) -> usize {
        self.offset
    }
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
}

/// What a value can be in a profile.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    Int(i64),
    Bool(bool),
    List(Vec<Node>),
    Table(Vec<Field>),
}

/// A key with its value, in the order of the text.
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) key: String,
    pub(super) key_place: Place,
    pub(super) node: Node,
}

impl Value {
    /// How messages call it.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Int(_) => "an integer",
            Self::Bool(_) => "true or false",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

/// Reads `text` as TOML.
pub(super) fn parse(text: &str, name: &str) -> Result<Node, ProfileError> {
    let starts = text.match_indices('\n').map(|(at, _)| at + 1);
    let source = Arc::new(Text {
        name: name.to_owned(),
        line_starts: std::iter::once(0).chain(starts).collect(),
    });
    let table = DeTable::parse(text).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        Place { text: Arc::clone(&source), offset }.error(error.message())
    })?;
    let place = Place { text: Arc::clone(&source), offset: 0 };
    Ok(Node { place, value: Value::Table(fields(table.get_ref(), &source)?) })
}

fn fields(table: &DeTable<'_>, source: &Arc<Text>) -> Result<Vec<Field>, ProfileError> {
    let mut fields = Vec::with_capacity(table.len());
    for (key, value) in table {
        let key_place = Place { text: Arc::clone(source), offset: key.span().start };
        let node = node(value.get_ref(), value.span().start, source)?;
        fields.push(Field { key: key.get_ref().clone().into_owned(), key_place, node });
    }
    // The parser sorts keys; variables are resolved in the order in which they were written.
    fields.sort_by_key(|field| field.key_place.start_of());
    Ok(fields)
}

fn node(value: &DeValue<'_>, offset: usize, source: &Arc<Text>) -> Result<Node, ProfileError> {
    let place = Place { text: Arc::clone(source), offset };
    let value = match value {
        DeValue::String(text) => Value::Text(text.clone().into_owned()),
        DeValue::Boolean(flag) => Value::Bool(*flag),
        DeValue::Integer(int) => Value::Int(
            i64::from_str_radix(int.as_str(), int.radix())
                .map_err(|_| place.error("this number is too large"))?,
        ),
        DeValue::Array(items) => Value::List(
            items
                .iter()
                .map(|item| node(item.get_ref(), item.span().start, source))
                .collect::<Result<_, _>>()?,
        ),
        DeValue::Table(table) => Value::Table(fields(table, source)?),
        DeValue::Float(_) | DeValue::Datetime(_) => {
            return Err(place.error("no key of a profile takes a fraction or a date"));
        }
    };
    Ok(Node { place, value })
}

/// Lays `over` on `base`: what `over` says wins, what it does not mention stays.
pub(super) fn merge(base: Node, over: Node) -> Node {
    match (base.value, over.value) {
        (Value::Table(mut kept), Value::Table(new)) => {
            for field in new {
                match kept.iter_mut().find(|old| old.key == field.key) {
                    Some(old) => {
                        old.key_place = field.key_place;
                        old.node = merge(old.node.clone(), field.node);
                    }
                    None => kept.push(field),
                }
            }
            Node { place: over.place, value: Value::Table(kept) }
        }
        (_, value) => Node { place: over.place, value },
    }
}

/// Writes the tree as TOML again: one text that means the same without what it extended.
pub(super) fn to_toml(node: &Node) -> toml::Value {
    match &node.value {
        Value::Text(text) => toml::Value::String(text.clone()),
        Value::Int(int) => toml::Value::Integer(*int),
        Value::Bool(flag) => toml::Value::Boolean(*flag),
        Value::List(items) => toml::Value::Array(items.iter().map(to_toml).collect()),
        Value::Table(fields) => toml::Value::Table(
            fields.iter().map(|field| (field.key.clone(), to_toml(&field.node))).collect(),
        ),
    }
}
