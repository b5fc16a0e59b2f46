//! The words of a definition, so that a name inside a string or comment is never taken for a name.

use std::ops::Range;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A name or keyword, quoted or not.
    Word,
    /// A string in quotes.
    Literal,
    /// One other character, such as a dot or a parenthesis.
    Sign(u8),
}

/// One token of a definition; spaces and comments are none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    /// Its place in the text, quotes included.
    pub(super) at: Range<usize>,
    /// Whether it stood in backticks, or in double quotes where these quote names.
    pub(super) quoted: bool,
}

impl Token {
    pub(super) fn is_sign(&self, sign: u8) -> bool {
        self.kind == Kind::Sign(sign)
    }

    /// Whether it is this keyword.
    pub(super) fn is_keyword(&self, text: &[u8], keyword: &str) -> bool {
        let word = &text[self.at.clone()];
        self.kind == Kind::Word && !self.quoted && word.eq_ignore_ascii_case(keyword.as_bytes())
    }

    /// Whether it is this name.
    pub(super) fn is_name(&self, text: &[u8], name: &str) -> bool {
        if self.kind != Kind::Word {
            return false;
        }
        let word = &text[self.at.clone()];
        if !self.quoted {
            return word == name.as_bytes();
        }
        let (quote, [_, body @ .., _]) = (word[0], word) else { return false };
        let mut inner = Vec::with_capacity(body.len());
        let mut rest = body.iter();
        while let Some(byte) = rest.next() {
            inner.push(*byte);
            if *byte == quote {
                rest.next();
            }
        }
        inner == name.as_bytes()
    }
}

/// How a text is to be read: as its `sql_mode` says.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Dialect {
    /// Double quotes quote names.
    pub(super) ansi_quotes: bool,
    /// A backslash in a string is a backslash.
    pub(super) plain_backslash: bool,
}

impl Dialect {
    /// The dialect of an `sql_mode`.
    pub(super) fn of(sql_mode: &str) -> Self {
        let has = |mode: &str| sql_mode.split(',').any(|one| one == mode);
        Self { ansi_quotes: has("ANSI_QUOTES"), plain_backslash: has("NO_BACKSLASH_ESCAPES") }
    }
}

/// The tokens of a text, which need not be valid in any way.
pub(super) fn tokens(text: &[u8], dialect: Dialect) -> Vec<Token> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let byte = text[at];
        let rest = &text[at..];
        let (kind, quoted, len) = match byte {
            b' ' | b'\t' | b'\r' | b'\n' => {
                at += 1;
                continue;
            }
            b'#' => {
                at += line(rest);
                continue;
            }
            b'-' if rest.starts_with(b"-- ") || rest.starts_with(b"--\n") => {
                at += line(rest);
                continue;
            }
            // `/*!` and `/*M!` hold words that count.
            b'/' if rest.starts_with(b"/*!") || rest.starts_with(b"/*M!") => {
                at += 3;
                continue;
            }
            b'/' if rest.starts_with(b"/*") => {
                at += rest
                    .windows(2)
                    .skip(2)
                    .position(|two| two == b"*/")
                    .map_or(rest.len(), |n| n + 4);
                continue;
            }
            b'`' => (Kind::Word, true, quoted_len(rest, false)),
            b'"' if dialect.ansi_quotes => (Kind::Word, true, quoted_len(rest, false)),
            b'\'' | b'"' => (Kind::Literal, true, quoted_len(rest, !dialect.plain_backslash)),
            byte if is_word(byte) => {
                (Kind::Word, false, rest.iter().take_while(|byte| is_word(**byte)).count())
            }
            sign => (Kind::Sign(sign), false, 1),
        };
        found.push(Token { kind, at: at..at + len, quoted });
        at += len;
    }
    found
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | 0x80..)
}

fn line(rest: &[u8]) -> usize {
    rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |at| at + 1)
}

/// The length of what begins with a quote, to its end or to the end of the text.
fn quoted_len(rest: &[u8], backslash_escapes: bool) -> usize {
    let quote = rest[0];
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' if backslash_escapes => at += 2,
            byte if byte == quote && rest.get(at + 1) == Some(&quote) => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(text: &str, dialect: Dialect) -> Vec<String> {
        let found = tokens(text.as_bytes(), dialect);
        found.into_iter().map(|token| text[token.at].to_owned()).collect()
    }

    #[test]
    fn strings_names_and_comments_are_told_apart() {
        let text = "a.`b``c` = 'it''s \\' -- x' /* `no` */ \"q\" -- gone `x`\n#gone\n/*!50003 d*/";
        let plain = words(text, Dialect::default());
        let wanted = ["a", ".", "`b``c`", "=", "'it''s \\' -- x'", "\"q\"", "50003", "d", "*", "/"];
        assert_eq!(plain, wanted);
    }

    #[test]
    fn the_sql_mode_decides_what_quotes_and_backslashes_mean() {
        let dialect = Dialect::of("ANSI_QUOTES,NO_BACKSLASH_ESCAPES");
        let text = r#""a" '\' b"#;
        let found = tokens(text.as_bytes(), dialect);
        assert!(found[0].is_name(text.as_bytes(), "a"));
        assert_eq!(found[1].at, 4..7);
        assert!(found[2].is_name(text.as_bytes(), "b"));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic_and_tokens_never_overlap(
            text in proptest::collection::vec(
                proptest::sample::select(b"a`'\"\\/*!-# \n.(\xc3\xa9".to_vec()), 0..60,
            ),
            ansi_quotes: bool,
            plain_backslash: bool,
        ) {
            let dialect = Dialect { ansi_quotes, plain_backslash };
            let mut end = 0;
            for token in tokens(&text, dialect) {
                prop_assert!(token.at.start >= end && token.at.end > token.at.start);
                prop_assert!(token.at.end <= text.len());
                end = token.at.end;
                token.is_name(&text, "a");
            }
        }
    }
}
