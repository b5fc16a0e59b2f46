//! Which keys a configuration text gives a value, and what stands there, unevaluated.

use std::collections::BTreeMap;

/// Dotted keys, and the text of each value with blanks collapsed.
///
/// PHP if the text begins like it, else `KEY=value` lines.
pub fn keys(text: &str) -> BTreeMap<String, String> {
    if text.trim_start().starts_with("<?php") {
        let tokens = tokens(text);
        let mut reader = Reader { tokens: &tokens, at: 0, found: BTreeMap::new() };
        reader.statements();
        reader.found
    } else {
        lines(text)
    }
}

fn lines(text: &str) -> BTreeMap<String, String> {
    let mut section = String::new();
    let mut found = BTreeMap::new();
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = format!("{name}.");
        } else if !line.starts_with(['#', ';'])
            && let Some((key, value)) = line.split_once('=')
        {
            let key = key.trim().trim_start_matches("export ");
            found.insert(format!("{section}{key}"), value.trim().to_owned());
        }
    }
    found
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// A quoted string: what is between the quotes, and how it stands there.
    Text(String, String),
    /// A name, a number, a variable, an operator.
    Word(String),
    /// One of `( ) [ ] { } , ;`.
    Mark(char),
    /// `=>`.
    Arrow,
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (token, length) = token(rest, first);
        tokens.extend(token);
        rest = &rest[length..];
    }
    tokens
}

/// The token that `rest` begins with, if any, and how many bytes it takes.
fn token(rest: &str, first: char) -> (Option<Token>, usize) {
    let until = |end: &str| rest.find(end).map_or(rest.len(), |at| at + end.len());
    if rest.starts_with("//") || (first == '#' && !rest.starts_with("#[")) {
        return (None, until("\n"));
    }
    if rest.starts_with("/*") {
        return (None, until("*/"));
    }
    if rest.starts_with("=>") {
        return (Some(Token::Arrow), 2);
    }
    match first {
        '\'' | '"' => quoted(rest, first),
        '(' | ')' | '[' | ']' | '{' | '}' | ',' | ';' => (Some(Token::Mark(first)), 1),
        c if c.is_whitespace() => (None, c.len_utf8()),
        c if is_word(c) => {
            let end = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
            (Some(Token::Word(rest[..end].to_owned())), end)
        }
        c => (Some(Token::Word(c.to_string())), c.len_utf8()),
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '$' | '\\')
}

fn quoted(rest: &str, quote: char) -> (Option<Token>, usize) {
    let mut inside = String::new();
    let mut chars = rest.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => {
                let Some((_, escaped)) = chars.next() else { break };
                if escaped != quote && escaped != '\\' {
                    inside.push('\\');
                }
                inside.push(escaped);
            }
            c if c == quote => {
                let whole = rest[..=at].to_owned();
                return (Some(Token::Text(inside, whole)), at + 1);
            }
            c => inside.push(c),
        }
    }
    (None, rest.len()) // a quote that never ends: the rest is no key
}

/// Nesting beyond this is not configuration.
const DEPTH_MAX: usize = 64;

struct Reader<'a> {
    tokens: &'a [Token],
    at: usize,
    found: BTreeMap<String, String>,
}

impl Reader<'_> {
    fn peek(&self, ahead: usize) -> Option<&Token> {
        self.tokens.get(self.at + ahead)
    }

    fn word_is(&self, ahead: usize, text: &str) -> bool {
        matches!(self.peek(ahead), Some(Token::Word(word)) if word == text)
    }

    fn statements(&mut self) {
        while let Some(token) = self.peek(0).cloned() {
            self.at += 1;
            let Token::Word(word) = token else { continue };
            let called = matches!(word.as_str(), "write" | "define")
                && self.peek(0) == Some(&Token::Mark('('));
            if called {
                if let (Some(Token::Text(key, _)), Some(Token::Mark(','))) =
                    (self.peek(1).cloned(), self.peek(2))
                {
                    self.at += 3;
                    self.value(&key, 0);
                }
            } else if word == "return" {
                self.value("", 0);
            } else if word.starts_with('$') && self.word_is(0, "=") {
                self.at += 1;
                let name = word.trim_start_matches('$');
                let is_whole = name.eq_ignore_ascii_case("config");
                self.value(if is_whole { "" } else { name }, 0);
            }
        }
    }

    /// Reads the value of `key`: an array's entries, or everything up to the end of the item.
    fn value(&mut self, key: &str, depth: usize) {
        let start = self.at;
        if self.word_is(0, "array") && self.peek(1) == Some(&Token::Mark('(')) {
            self.at += 2;
        } else if self.peek(0) == Some(&Token::Mark('[')) {
            self.at += 1;
        } else {
            self.skip_item();
            self.note(key, start);
            return;
        }
        if depth >= DEPTH_MAX {
            self.at = self.tokens.len();
            return;
        }
        // Every turn of the loops below takes a token or ends, so hostile text ends too.
        if !self.entries(key, depth + 1) {
            self.note(key, start);
        }
    }

    /// Reads the entries of an array up to its end; whether any of them had a key.
    fn entries(&mut self, prefix: &str, depth: usize) -> bool {
        let mut any = false;
        while let Some(token) = self.peek(0).cloned() {
            match (token, self.peek(1)) {
                (Token::Mark(')' | ']' | '}'), _) => {
                    self.at += 1;
                    break;
                }
                (Token::Mark(';'), _) => break,
                (Token::Mark(','), _) => self.at += 1,
                (Token::Text(key, _) | Token::Word(key), Some(Token::Arrow)) => {
                    any = true;
                    self.at += 2;
                    self.value(&join(prefix, &key), depth);
                }
                _ => self.skip_item(),
            }
        }
        any
    }

    /// Goes to the `,`, `;` or closing mark that ends this item.
    fn skip_item(&mut self) {
        let mut open = 0usize;
        while let Some(token) = self.peek(0) {
            match token {
                Token::Mark(',' | ';' | ')' | ']' | '}') if open == 0 => return,
                Token::Mark('(' | '[' | '{') => open += 1,
                Token::Mark(')' | ']' | '}') => open -= 1,
                _ => {}
            }
            self.at += 1;
        }
    }

    fn note(&mut self, key: &str, start: usize) {
        if key.is_empty() {
            return;
        }
        let parts = self.tokens[start..self.at].iter().map(|token| match token {
            Token::Text(_, whole) => whole.clone(),
            Token::Word(word) => word.clone(),
            Token::Mark(mark) => mark.to_string(),
            Token::Arrow => "=>".to_owned(),
        });
        self.found.insert(key.to_owned(), parts.collect::<Vec<_>>().join(" "));
    }
}

fn join(prefix: &str, key: &str) -> String {
    if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        keys(text).into_iter().collect()
    }

    fn pair(key: &str, value: &str) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }

    #[test]
    fn nested_arrays_old_and_new_style_give_dotted_keys() {
        let text = "<?php\n/* 'no' => 1 */ $config = array('App' => [\n // 'x' => 1\n 'ssl' => \
                    array('force' => true,),\n 'path' => APP . 'Config' . DS, 3 => 'n'], # 'y' => 2\n\
                    'list' => ['a', 'b']);";
        assert_eq!(
            pairs(text),
            [
                pair("App.3", "'n'"),
                pair("App.path", "APP . 'Config' . DS"),
                pair("App.ssl.force", "true"),
                pair("list", "[ 'a' , 'b' ]"),
            ]
        );
    }

    #[test]
    fn calls_properties_and_returns_give_keys_too() {
        let text = r#"<?php define( 'HTTP_SERVER', "http://a/" ); Configure::write('debug', 0);
            class DATABASE_CONFIG { public $default = array('host' => env('H', 'it\'s')); }
            return ['z' => 1];"#;
        assert_eq!(
            pairs(text),
            [
                pair("HTTP_SERVER", "\"http://a/\""),
                pair("debug", "0"),
                pair("default.host", "env ( 'H' , 'it\\'s' )"),
                pair("z", "1"),
            ]
        );
    }

    #[test]
    fn lines_give_keys_under_their_section() {
        let text = "# a=1\nexport KEY = value\n[smtp]\nhost=mail\n";
        assert_eq!(pairs(text), [pair("KEY", "value"), pair("smtp.host", "mail")]);
    }

    proptest! {
        #[test]
        fn any_text_is_read_to_its_end(text in "<\\?php (\\$a = )?[ '\"\\[\\](){},;=>a-z$/*#\\\\\n]{0,200}") {
            keys(&text);
        }

        #[test]
        fn any_array_is_read_to_its_end(text in "<\\?php return \\[[\\[\\](){},;a]{0,40}") {
            keys(&text);
        }
    }
}
