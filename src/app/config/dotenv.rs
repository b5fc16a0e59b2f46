//! `.env` files: `KEY=value`, as the common PHP readers of them agree.

use super::php::Unreadable;
use super::value::{Key, Literal, Value};

pub(super) fn read(bytes: &[u8]) -> Result<Literal, Unreadable> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| Unreadable { line: 1, what: "a text that is not UTF-8".to_owned() })?;
    let mut values = Literal::new(Value::Array(Vec::new()), 1);
    for (index, raw) in text.lines().enumerate() {
        let line = index + 1;
        let content = raw.trim();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        let content = content.strip_prefix("export ").unwrap_or(content);
        let (key, value) = content
            .split_once('=')
            .ok_or_else(|| Unreadable { line, what: "no KEY=value".to_owned() })?;
        values.set(&[Key::Text(key.trim().to_owned())], value_of(value.trim(), line));
    }
    Ok(values)
}

fn value_of(raw: &str, line: usize) -> Literal {
    if let Some(rest) = raw.strip_prefix('\'') {
        return match rest.split_once('\'') {
            Some((inside, after)) if is_comment(after) => text(inside, line),
            _ => Literal::refused("an unfinished text", line),
        };
    }
    if let Some(rest) = raw.strip_prefix('"') {
        return match rest.split_once('"') {
            // Readers differ in what they make of `\` and `$` here.
            Some((inside, after)) if is_comment(after) && !inside.contains(['\\', '$']) => {
                text(inside, line)
            }
            _ => Literal::refused("a text with escapes or variables", line),
        };
    }
    let bare = raw.split_once(" #").map_or(raw, |(before, _)| before).trim();
    if bare.contains(['$', '\\', '"', '\'', '`']) {
        return Literal::refused("a text with escapes or variables", line);
    }
    text(bare, line)
}

fn text(plain: &str, line: usize) -> Literal {
    Literal::new(Value::Text(plain.to_owned()), line)
}

fn is_comment(after: &str) -> bool {
    let after = after.trim();
    after.is_empty() || after.starts_with('#')
}
