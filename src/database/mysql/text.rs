//! Names and values inside statements.

/// A name, quoted.
pub(super) fn name(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A name within a schema, quoted.
pub(super) fn qualified(schema: &str, table: &str) -> String {
    format!("{}.{}", name(schema), name(table))
}

/// A text value, quoted for a connection whose `sql_mode` lets a backslash escape.
pub(super) fn literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('\'');
    push_escaped(text, &mut out);
    out.push('\'');
    out
}

/// Appends what stands between the quotes of a literal.
pub(super) fn push_escaped(text: &str, out: &mut String) {
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        // A NUL may stand in a literal, but some old servers cut there.
        let escape = match byte {
            b'\'' => "\\'",
            b'\\' => "\\\\",
            0 => "\\0",
            // The servers' own client reads a raw CR LF in a script as LF, and ends at a Ctrl-Z.
            b'\n' => "\\n",
            b'\r' => "\\r",
            0x1a => "\\Z",
            _ => continue,
        };
        out.push_str(&text[plain..at]);
        out.push_str(escape);
        plain = at + 1;
    }
    out.push_str(&text[plain..]);
}

/// Appends bytes of any kind as a hexadecimal literal.
pub(super) fn push_hex(bytes: &[u8], out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.push_str("x'");
    out.reserve(bytes.len() * 2 + 1);
    for byte in bytes {
        out.push(char::from(DIGITS[usize::from(byte >> 4)]));
        out.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    out.push('\'');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_in_names_and_values_do_not_end_them() {
        assert_eq!(qualified("a`b", "c"), "`a``b`.`c`");
        assert_eq!(literal("it's a \\ and a \0"), r"'it\'s a \\ and a \0'");
        assert_eq!(literal("a\r\nb\x1a"), r"'a\r\nb\Z'");
        let mut hex = String::new();
        push_hex(&[0, 0x9f, 0xff], &mut hex);
        assert_eq!(hex, "x'009fff'");
    }
}
