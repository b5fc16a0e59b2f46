//! The texts that create tables, views and triggers: what in them is content, and what only says
//! where they stand.

use super::token::{Dialect, Kind, Token, tokens};

/// A table's definition without its AUTO_INCREMENT mark, and the mark.
///
/// The mark counts on with every row, so it is a counter and no part of the definition.
pub(super) fn without_counter(text: &[u8]) -> (Vec<u8>, Option<u64>) {
    let found = tokens(text, Dialect::default());
    let options = &found[options_start(&found)..];
    for part in options.windows(3) {
        let [word, equals, number] = part else { continue };
        if !word.is_keyword(text, "AUTO_INCREMENT") || !equals.is_sign(b'=') {
            continue;
        }
        let digits = std::str::from_utf8(&text[number.at.clone()]).ok();
        let Some(mark) = digits.and_then(|digits| digits.parse().ok()) else { continue };
        // The space before it goes too.
        let start = word.at.start.saturating_sub(1);
        return ([&text[..start], &text[number.at.end..]].concat(), Some(mark));
    }
    (text.to_vec(), None)
}

/// A table's definition with an AUTO_INCREMENT mark, for creating it.
pub(super) fn with_counter(text: &[u8], mark: Option<u64>) -> Vec<u8> {
    match mark {
        // Options follow the closing parenthesis; the order among them does not matter, but
        // partitions would come last.
        Some(mark) => {
            let found = tokens(text, Dialect::default());
            let before = options_start(&found).checked_sub(1).map(|index| found[index].at.end);
            let at = before.unwrap_or(text.len());
            let option = format!(" AUTO_INCREMENT={mark}");
            [&text[..at], option.as_bytes(), &text[at..]].concat()
        }
        None => text.to_vec(),
    }
}

/// The words of a table's options, upper case: what follows the list of its columns.
pub(super) fn option_words(text: &[u8]) -> Vec<String> {
    let found = tokens(text, Dialect::default());
    let options = &found[options_start(&found)..];
    let words = options.iter().filter(|token| token.kind == Kind::Word && !token.quoted);
    words.map(|token| String::from_utf8_lossy(&text[token.at.clone()]).to_uppercase()).collect()
}

/// The index of the first token after the closing parenthesis of the columns.
fn options_start(found: &[Token]) -> usize {
    let mut depth = 0_u32;
    for (index, token) in found.iter().enumerate() {
        if token.is_sign(b'(') {
            depth += 1;
        } else if token.is_sign(b')') {
            depth = depth.saturating_sub(1);
            if depth == 0 {
                return index + 1;
            }
        }
    }
    found.len()
}

/// Whether a definition can be moved to another schema, and what is left when the name of its own
/// schema is taken out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Moved {
    /// The definition with the name taken out wherever that is safe.
    pub(super) text: Vec<u8>,
    /// Whether it names its schema nowhere else.
    pub(super) is_whole: bool,
}

/// A view's definition with `schema` replaced by `by` where it qualifies a name.
///
/// The server spells it, so every name is in backticks. Where all tables are of one schema it
/// leaves the schema out by itself. Where an alias has the schema's name, `` `app`.`x` `` may be a
/// table or a column, and the definition is left as it is.
pub(super) fn move_view(text: &[u8], schema: &str, by: &str) -> Moved {
    let found = tokens(text, Dialect::default());
    let places = qualifiers(text, &found, schema);
    if places.is_empty() {
        return Moved { text: text.to_vec(), is_whole: true };
    }
    let is_alias = |index: usize| {
        let follows_name = index > 0
            && (found[index - 1].quoted && found[index - 1].kind == Kind::Word
                || found[index - 1].is_sign(b')'));
        let goes_on =
            found.get(index + 1).is_some_and(|next| next.is_sign(b'.') || next.is_sign(b'@'));
        follows_name && !goes_on && found[index].is_name(text, schema)
    };
    if (0..found.len()).any(is_alias) {
        return Moved { text: text.to_vec(), is_whole: false };
    }
    let mut out = Vec::with_capacity(text.len());
    let mut done = 0;
    for index in places {
        out.extend_from_slice(&text[done..found[index].at.start]);
        out.extend_from_slice(super::text::name(by).as_bytes());
        done = found[index].at.end;
    }
    out.extend_from_slice(&text[done..]);
    Moved { text: out, is_whole: true }
}

/// A trigger's definition without `schema` before its own name and its table's.
///
/// Its body is the text that somebody wrote; there nothing is replaced, since `app.x` may be a
/// table of schema `app` or a column of an alias.
pub(super) fn move_trigger(text: &[u8], schema: &str, sql_mode: &str) -> Moved {
    let found = tokens(text, Dialect::of(sql_mode));
    let body = found.windows(3).position(|three| {
        let words = ["FOR", "EACH", "ROW"];
        three.iter().zip(words).all(|(token, word)| token.is_keyword(text, word))
    });
    let body = body.map_or(0, |at| at + 3);
    let mut out = Vec::with_capacity(text.len());
    let mut done = 0;
    let mut is_whole = true;
    for index in qualifiers(text, &found, schema) {
        if index < body {
            out.extend_from_slice(&text[done..found[index].at.start]);
            done = found[index + 1].at.end;
        } else {
            is_whole = false;
        }
    }
    out.extend_from_slice(&text[done..]);
    Moved { text: out, is_whole }
}

/// Where `schema` stands before a dot and not after one.
fn qualifiers(text: &[u8], found: &[Token], schema: &str) -> Vec<usize> {
    let is_one = |index: &usize| {
        let before_dot = found.get(index + 1).is_some_and(|next| next.is_sign(b'.'));
        let after_dot = *index > 0 && found[index - 1].is_sign(b'.');
        before_dot && !after_dot && found[*index].is_name(text, schema)
    };
    (0..found.len()).filter(is_one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> &str {
        std::str::from_utf8(bytes).expect("the tests write UTF-8")
    }

    #[test]
    fn only_the_option_is_the_mark_and_not_what_looks_like_it() {
        let with = "CREATE TABLE `t` (\n  `a` int(11) NOT NULL AUTO_INCREMENT COMMENT \
                    ') AUTO_INCREMENT=9',\n  CHECK (`a` <> ')')\n) ENGINE=InnoDB AUTO_INCREMENT=51 \
                    DEFAULT CHARSET=utf8mb4 COMMENT=' AUTO_INCREMENT=7'";
        let without = with.replacen(" AUTO_INCREMENT=51", "", 1);
        let (bare, mark) = without_counter(with.as_bytes());
        assert_eq!((text(&bare), mark), (without.as_str(), Some(51)));
        assert_eq!(without_counter(&bare), (bare.clone(), None));
        let again = with_counter(&bare, Some(51));
        assert_eq!(without_counter(&again), (bare, Some(51)));
    }

    #[test]
    fn options_are_found_after_the_columns_only() {
        let words =
            option_words(b"CREATE TABLE `t` (`a` int COMMENT 'DATA DIRECTORY') ENGINE=MyISAM");
        assert_eq!(words, ["ENGINE", "MYISAM"]);
    }

    #[test]
    fn a_view_is_moved_where_it_names_its_schema() {
        let view = "CREATE ALGORITHM=UNDEFINED DEFINER=`app`@`localhost` SQL SECURITY DEFINER VIEW \
                    `v` AS select `app`.`t`.`app` AS `app`,'`app`.`t`' AS `x` from (`app`.`t` join \
                    `other`.`u` `w` on(1 = 0))";
        let moved = move_view(view.as_bytes(), "app", "new`one");
        assert!(moved.is_whole);
        let wanted = view
            .replace("select `app`.`t`", "select `new``one`.`t`")
            .replace("(`app`.`t`", "(`new``one`.`t`");
        assert_eq!(text(&moved.text), wanted);
    }

    #[test]
    fn a_view_with_an_alias_named_like_its_schema_is_not_moved() {
        let view = "CREATE VIEW `v` AS select `app`.`id` AS `id` from `x`.`t` `app`";
        let moved = move_view(view.as_bytes(), "app", "new");
        assert_eq!((text(&moved.text), moved.is_whole), (view, false));
        let moved = move_view(view.as_bytes(), "elsewhere", "new");
        assert!(moved.is_whole);
    }

    #[test]
    fn a_trigger_loses_its_schema_in_the_head_only() {
        let trigger = "CREATE DEFINER=`app`@`%` trigger app.tr before insert on `app`.`t` for each \
                       row set new.a = 'app.t'";
        let moved = move_trigger(trigger.as_bytes(), "app", "");
        assert!(moved.is_whole);
        let wanted = trigger.replace("app.tr ", "tr ").replace("`app`.`t`", "`t`");
        assert_eq!(text(&moved.text), wanted);

        let trigger =
            "CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW INSERT INTO app.u VALUES (1)";
        let moved = move_trigger(trigger.as_bytes(), "app", "");
        assert_eq!((text(&moved.text), moved.is_whole), (trigger, false));
    }
}
