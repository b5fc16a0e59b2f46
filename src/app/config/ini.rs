//! INI files, also those that hide behind a line of PHP (`; <?php exit; ?>`).

use super::php::Unreadable;
use super::value::{Key, Literal, Value};

/// Sections become arrays of their keys; keys before the first section stand at the top.
pub(super) fn read(bytes: &[u8]) -> Result<Literal, Unreadable> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| Unreadable { line: 1, what: "a text that is not UTF-8".to_owned() })?;
    let mut values = Literal::new(Value::Array(Vec::new()), 1);
    let mut section: Vec<Key> = Vec::new();
    for (index, raw) in text.lines().enumerate() {
        let line = index + 1;
        let unreadable = |what: &str| Unreadable { line, what: what.to_owned() };
        let content = raw.trim();
        if content.is_empty() || content.starts_with([';', '#']) || content.starts_with("<?php") {
            continue;
        }
        if let Some(name) = content.strip_prefix('[') {
            let name = name.strip_suffix(']').ok_or_else(|| unreadable("an open section"))?;
            section = vec![Key::Text(name.trim().to_owned())];
            continue;
        }
        let (key, value) = content.split_once('=').ok_or_else(|| unreadable("no key = value"))?;
        let mut path = section.clone();
        // `key[] = a` collects; what it comes to depends on all files, so it is not offered.
        let (key, value) = match key.trim().strip_suffix("[]") {
            Some(list) => (list, Literal::refused("a list", line)),
            None => (key, value_of(value.trim(), line)),
        };
        path.push(Key::Text(key.trim().to_owned()));
        values.set(&path, value);
    }
    Ok(values)
}

fn value_of(raw: &str, line: usize) -> Literal {
    for quote in ['"', '\''] {
        if let Some(rest) = raw.strip_prefix(quote) {
            return match rest.split_once(quote) {
                Some((inside, after)) if is_comment(after) && is_plain(inside, quote) => {
                    Literal::new(Value::Text(inside.to_owned()), line)
                }
                _ => Literal::refused("an escaped or unfinished text", line),
            };
        }
    }
    let bare = raw.split_once(';').map_or(raw, |(before, _)| before).trim();
    if bare.contains(['$', '{', '}', '|', '&', '~', '!', '(', ')', '"', '\'']) {
        return Literal::refused("an expression", line);
    }
    let value = match bare.to_ascii_lowercase().as_str() {
        "null" => Value::Null,
        "true" | "on" | "yes" => Value::Bool(true),
        "false" | "off" | "no" | "none" => Value::Bool(false),
        _ => Value::Text(bare.to_owned()),
    };
    Literal::new(value, line)
}

fn is_comment(after: &str) -> bool {
    let after = after.trim();
    after.is_empty() || after.starts_with(';')
}

/// Between double quotes PHP reads `\` and `${…}`; we do not.
fn is_plain(inside: &str, quote: char) -> bool {
    quote == '\'' || !(inside.contains('\\') || inside.contains("${"))
}
