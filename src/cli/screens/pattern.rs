//! A prompt rule's pattern, as a person reads it.

/// What a pattern matches, near enough to be recognised: `(?i)sure\?.{0,9}\(y/n\) $` is
/// `sure? … (y/n)`.
pub(super) fn words_of(pattern: &str) -> String {
    let mut words = String::new();
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        let (text, length) = match c {
            '(' if rest.starts_with("(?") => ("", rest.find([')', ':']).map_or(1, |end| end + 1)),
            '\\' => match rest[1..].chars().next() {
                Some('s' | 'n' | 't' | 'r' | 'b') => (" ", 2),
                Some('d' | 'w' | 'S') => ("…", 2),
                Some(escaped) => (&rest[1..=escaped.len_utf8()], 1 + escaped.len_utf8()),
                None => ("", 1),
            },
            '.' => (" … ", 1),
            '{' => ("", rest.find('}').map_or(1, |end| end + 1)),
            '*' | '+' | '?' | '^' | '$' => ("", 1),
            other => (&rest[..other.len_utf8()], other.len_utf8()),
        };
        words.push_str(text);
        rest = &rest[length..];
    }
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_shown_as_the_question_it_matches() {
        let shown = words_of(r"(?is)anonymous usage statistics.{0,200}\(y/n\)\s*\n\[n\] > $");
        assert_eq!(shown, "anonymous usage statistics … (y/n) [n] >");
        assert_eq!(words_of(r"(?i)sûr\? $"), "sûr?");
        assert_eq!(words_of("\\"), "");
    }
}
