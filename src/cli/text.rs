//! Words and glyphs on a terminal: what may reach it, in which colour, how wide.
//!
//! Colour travels inside text as private-use marks that only [`Style::render`] turns into escape
//! sequences, after it has made every control character visible. So whatever a file name, a
//! database or a child process says, the worst it can do to a terminal is to change a colour.

use std::fmt::Write as _;

/// A colour by its meaning. Nothing rests on colour alone: a glyph or word stands beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ink {
    /// Well.
    Good,
    /// Needs your eye.
    Warn,
    /// Failed.
    Bad,
    /// A path or an id.
    Name,
    /// Unimportant.
    Dim,
    /// A heading.
    Strong,
}

const END: char = '\u{f00f}';

impl Ink {
    const fn mark(self) -> char {
        match self {
            Self::Good => '\u{f000}',
            Self::Warn => '\u{f001}',
            Self::Bad => '\u{f002}',
            Self::Name => '\u{f003}',
            Self::Dim => '\u{f004}',
            Self::Strong => '\u{f005}',
        }
    }

    /// `text` in this colour.
    pub(super) fn on(self, text: impl std::fmt::Display) -> String {
        format!("{}{text}{END}", self.mark())
    }
}

const fn escape_of(mark: char) -> Option<&'static str> {
    match mark {
        '\u{f000}' => Some("\x1b[32m"),
        '\u{f001}' => Some("\x1b[33m"),
        '\u{f002}' => Some("\x1b[31m"),
        '\u{f003}' => Some("\x1b[34m"),
        '\u{f004}' => Some("\x1b[2m"),
        '\u{f005}' => Some("\x1b[1m"),
        END => Some("\x1b[0m"),
        _ => None,
    }
}

/// How this terminal is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Style {
    /// Escape sequences for colour.
    pub(super) color: bool,
    /// Only ASCII of our own glyphs.
    pub(super) ascii: bool,
}

impl Style {
    /// Text as it may be written: controls visible, colours resolved, glyphs in this style.
    pub(super) fn render(self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        for c in text.chars() {
            if let Some(escape) = escape_of(c) {
                if self.color {
                    out.push_str(escape);
                }
            } else if c == '\n' {
                out.push(c);
            } else if is_dangerous(c) {
                push_visible(&mut out, c);
            } else if let Some(twin) = self.ascii.then(|| twin_of(c)).flatten() {
                out.push_str(twin);
            } else {
                out.push(c);
            }
        }
        out
    }
}

/// The ASCII twin of a glyph that we print ourselves.
const fn twin_of(glyph: char) -> Option<&'static str> {
    Some(match glyph {
        '✓' => "+",
        '✗' => "X",
        '→' => "->",
        '…' => "...",
        '·' => "-",
        '•' => "*",
        '≠' => "!=",
        '≥' => ">=",
        '≤' => "<=",
        _ => return None,
    })
}

/// Controls, and the marks that make text read backwards or vanish.
fn is_dangerous(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

fn push_visible(out: &mut String, c: char) {
    let code = u32::from(c);
    let done =
        if code < 0x100 { write!(out, "\\x{code:02x}") } else { write!(out, "\\u{{{code:x}}}") };
    done.expect("writing to a string does not fail");
}

/// A file name, or any other bytes from outside, on one line: what is not printable text is
/// shown as `\xNN`, and a backslash is doubled so that no name can look like another.
pub(super) fn name(raw: &[u8]) -> String {
    let mut out = String::with_capacity(raw.len());
    for part in raw.utf8_chunks() {
        for c in part.valid().chars() {
            match c {
                '\\' => out.push_str("\\\\"),
                c if is_dangerous(c) || escape_of(c).is_some() => push_visible(&mut out, c),
                c => out.push(c),
            }
        }
        for byte in part.invalid() {
            write!(out, "\\x{byte:02x}").expect("writing to a string does not fail");
        }
    }
    out
}

/// A path of this machine, shown as [`name`] shows a file name.
pub(super) fn path(path: &std::path::Path) -> String {
    use std::os::unix::ffi::OsStrExt as _;
    name(path.as_os_str().as_bytes())
}

/// How many columns `text` takes, colour marks apart.
pub(super) fn width(text: &str) -> usize {
    text.chars().filter(|c| escape_of(*c).is_none()).map(columns).sum()
}

/// East Asian wide and emoji blocks take two columns, combining marks none.
const fn columns(c: char) -> usize {
    match c as u32 {
        0x0300..=0x036f => 0,
        0x1100..=0x115f
        | 0x2e80..=0xa4cf
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f
        | 0xff00..=0xff60
        | 0xffe0..=0xffe6
        | 0x1f300..=0x1faff
        | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

/// `text` cut to `columns_max` columns, with an ellipsis if something was cut.
pub(super) fn clip(text: &str, columns_max: usize) -> String {
    if width(text) <= columns_max {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 0;
    for c in text.chars() {
        let wide = if escape_of(c).is_some() { 0 } else { columns(c) };
        if used + wide > columns_max.saturating_sub(1) {
            break;
        }
        used += wide;
        out.push(c);
    }
    out.push('…');
    if out.chars().any(|c| escape_of(c).is_some()) {
        out.push(END);
    }
    out
}

/// Breaks `text` into lines of at most `columns_max`, at blanks only: an id or a path that is
/// longer stays whole, for it is there to be copied.
pub(super) fn wrap(text: &str, columns_max: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for line in text.lines() {
        let indent: String = line.chars().take_while(|c| *c == ' ').collect();
        let mut current = indent.clone();
        for word in line.split_whitespace() {
            let empty = current.len() == indent.len();
            if !empty && width(&current) + 1 + width(word) > columns_max {
                lines.push(std::mem::replace(&mut current, indent.clone()));
                current.push_str(word);
            } else {
                if !empty {
                    current.push(' ');
                }
                current.push_str(word);
            }
        }
        lines.push(current);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Style = Style { color: false, ascii: false };

    #[test]
    fn no_escape_sequence_of_a_name_reaches_the_terminal() {
        let hostile = "\x1b]0;owned\x07\x1b[2Jx\u{9b}31m\u{202e}txt\r";
        for style in [PLAIN, Style { color: true, ascii: true }] {
            let shown = style.render(hostile);
            assert!(!shown.contains('\x1b') && !shown.contains('\r') && !shown.contains('\u{9b}'));
            assert!(shown.contains("\\x1b]0;owned\\x07"), "{shown}");
            assert!(shown.contains("\\u{202e}"), "{shown}");
        }
    }

    #[test]
    fn a_name_stays_on_one_line_and_cannot_look_like_another() {
        assert_eq!(name(b"a\nb"), "a\\x0ab");
        assert_eq!(name(b"a\\x0ab"), "a\\\\x0ab");
        assert_eq!(name(b"caf\xe9"), "caf\\xe9");
        assert_eq!(name("café".as_bytes()), "café");
    }

    #[test]
    fn colours_are_only_for_who_asked() {
        let text = Ink::Good.on("✓ done");
        assert_eq!(PLAIN.render(&text), "✓ done");
        assert_eq!(Style { color: true, ascii: false }.render(&text), "\x1b[32m✓ done\x1b[0m");
        assert_eq!(Style { color: false, ascii: true }.render(&text), "+ done");
        assert_eq!(width(&text), 6);
    }

    #[test]
    fn a_long_word_is_not_broken() {
        assert_eq!(wrap("see /a/very/long/path now", 10), ["see", "/a/very/long/path", "now"]);
        assert_eq!(clip("abcdef", 4), "abc…");
    }
}
