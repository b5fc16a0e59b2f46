//! What the account may see.
//!
//! `information_schema` hides what an account has no right to, without a word: triggers from one
//! without TRIGGER, events from one without EVENT. A dump that believed it would be short and look
//! whole. So the rights to *see* everything are checked first.

use std::collections::BTreeSet;

use super::session::{Session, text};
use crate::database::DatabaseError;

/// The privileges an account has over one whole schema.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Rights {
    all: bool,
    named: BTreeSet<String>,
}

/// Without one of these, something of a schema could be there unseen.
const TO_SEE: [(&[&str], &str); 5] = [
    (&["SELECT"], "tables"),
    (&["SHOW VIEW"], "views"),
    (&["TRIGGER"], "triggers"),
    (&["EVENT"], "events"),
    (
        &["EXECUTE", "ALTER ROUTINE", "CREATE ROUTINE", "SHOW CREATE ROUTINE", "SHOW_ROUTINE"],
        "routines",
    ),
];

impl Rights {
    /// Asks the server what the account may do in `schema`.
    pub(super) fn ask(session: &mut Session, schema: &str) -> Result<Self, DatabaseError> {
        let lines = session.rows("read the account's rights", "SHOW GRANTS")?;
        let lines = lines.into_iter().filter_map(|row| row.into_iter().next()).map(text);
        Ok(Self::of(lines, schema))
    }

    fn of(lines: impl Iterator<Item = String>, schema: &str) -> Self {
        let mut rights = Self::default();
        for line in lines {
            let Some((privileges, scope)) = grant(&line) else { continue };
            if !covers(scope, schema) {
                continue;
            }
            for privilege in split_privileges(privileges) {
                match privilege {
                    "ALL PRIVILEGES" | "ALL" => rights.all = true,
                    // A right to some columns only is not a right to the rows.
                    named if named.contains('(') => {}
                    named => {
                        rights.named.insert(named.to_uppercase());
                    }
                }
            }
        }
        rights
    }

    /// Whether tables can be held still while they are read.
    pub(super) fn may_lock(&self) -> bool {
        self.all || self.named.contains("LOCK TABLES")
    }

    /// What could be in the schema without the account seeing it: privilege and objects.
    pub(super) fn blind_spots(&self) -> Vec<(&'static str, &'static str)> {
        let lacks = |any: &&[&str]| !self.all && !any.iter().any(|one| self.named.contains(*one));
        let missing = TO_SEE.iter().filter(|(any, _)| lacks(any));
        missing.map(|(any, what)| (any[0], *what)).collect()
    }
}

/// `GRANT privileges ON scope TO …`: the first two; `None` for roles and proxies.
fn grant(line: &str) -> Option<(&str, &str)> {
    let rest = line.strip_prefix("GRANT ")?;
    let on = outside_quotes(rest, " ON ")?;
    let (privileges, rest) = (&rest[..on], &rest[on + " ON ".len()..]);
    let to = outside_quotes(rest, " TO ")?;
    Some((privileges, &rest[..to]))
}

fn outside_quotes(text: &str, wanted: &str) -> Option<usize> {
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match quote {
            Some(open) if c == open => quote = None,
            None if c == '`' || c == '\'' => quote = Some(c),
            None if text[at..].starts_with(wanted) => return Some(at),
            Some(_) | None => {}
        }
    }
    None
}

/// `SELECT (a, b), INSERT` is two privileges.
fn split_privileges(text: &str) -> Vec<&str> {
    let mut depth = 0;
    let split = text.split(|c: char| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0
    });
    split.map(str::trim).collect()
}

/// Whether a grant's scope holds the whole of `schema`.
fn covers(scope: &str, schema: &str) -> bool {
    let Some(pattern) = scope.strip_suffix(".*") else { return false };
    if pattern == "*" {
        return true;
    }
    let quoted = pattern.strip_prefix('`').and_then(|rest| rest.strip_suffix('`'));
    let pattern = quoted.unwrap_or(pattern).replace("``", "`");
    matches(pattern.as_bytes(), schema.as_bytes())
}

/// The patterns of grants: `_` is any character, `%` any number, a backslash takes both meanings.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([], text) => text.is_empty(),
        ([b'\\', literal, rest @ ..], [first, text @ ..]) => {
            literal == first && matches(rest, text)
        }
        ([b'%', rest @ ..], text) => (0..=text.len()).any(|skip| matches(rest, &text[skip..])),
        ([b'_', rest @ ..], [_, text @ ..]) => matches(rest, text),
        ([literal, rest @ ..], [first, text @ ..]) => literal == first && matches(rest, text),
        (_, []) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blind(grants: &[&str], schema: &str) -> Vec<&'static str> {
        let rights = Rights::of(grants.iter().map(|line| (*line).to_owned()), schema);
        rights.blind_spots().into_iter().map(|(_, what)| what).collect()
    }

    #[test]
    fn an_account_with_all_rights_on_the_schema_sees_everything() {
        let grants =
            ["GRANT USAGE ON *.* TO `a`@`%`", "GRANT ALL PRIVILEGES ON `my\\_app`.* TO `a`@`%`"];
        assert_eq!(blind(&grants, "my_app"), [""; 0]);
        assert_eq!(blind(&grants, "myxapp").len(), 5);
        assert_eq!(
            blind(&["GRANT ALL PRIVILEGES ON *.* TO `a`@`%` WITH GRANT OPTION"], "x"),
            [""; 0]
        );
    }

    #[test]
    fn an_account_that_may_only_change_rows_is_blind_for_triggers_and_events() {
        let grants = ["GRANT SELECT, INSERT, SHOW VIEW, EXECUTE ON `app`.* TO `a`@`%`"];
        assert_eq!(blind(&grants, "app"), ["triggers", "events"]);
    }

    #[test]
    fn rights_on_single_tables_or_columns_are_not_rights_on_the_schema() {
        let grants = [
            "GRANT SELECT, TRIGGER ON `app`.`t` TO `a`@`%`",
            "GRANT SELECT (`a ON b`, `c`), EVENT ON `app`.* TO `a`@`%`",
        ];
        assert_eq!(blind(&grants, "app"), ["tables", "views", "triggers", "routines"]);
    }

    #[test]
    fn wildcards_of_grants_are_understood() {
        let all = |scope: &str| format!("GRANT ALL PRIVILEGES ON {scope} TO `a`@`%`");
        assert_eq!(blind(&[&all("`app%`.*")], "app_prod"), [""; 0]);
        assert_eq!(blind(&[&all("`app_prod`.*")], "appxprod"), [""; 0]);
        assert_eq!(blind(&[&all("`we``ird`.*")], "we`ird"), [""; 0]);
        assert_eq!(blind(&[&all("`other`.*"), "GRANT `role` TO `a`@`%`"], "app").len(), 5);
    }
}
