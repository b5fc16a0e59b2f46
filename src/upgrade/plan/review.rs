//! What a release changed in its configuration templates, key by key, beside what the operator has.
//!
//! Templates are read as text, never run. A key is found where PHP arrays, `define`,
//! `Configure::write`, a property or a plain `KEY=value` line give one; what is not understood is
//! no key, and nothing is decided by any of this: it is shown to a person.

use std::collections::BTreeMap;

use super::Review;
use crate::upgrade::stored::PathText;

mod keys;

pub use keys::keys;

/// The three texts that are compared.
#[derive(Clone, Copy, Debug)]
pub struct Texts<'a> {
    /// The template of the old release, if that is to hand.
    pub old: Option<&'a str>,
    /// The template of the new one.
    pub new: &'a str,
    /// What the operator made of it; `None` if there is no such file.
    pub live: Option<&'a str>,
}

/// Compares them; `None` where the release leaves the template alone.
pub fn review(template: PathText, live: PathText, texts: Texts<'_>) -> Option<Review> {
    if texts.old == Some(texts.new) {
        return None;
    }
    let (lines_added, lines_removed) = lines(texts.old.unwrap_or_default(), texts.new);
    let (old, new) = (texts.old.map(keys), keys(texts.new));
    let own = texts.live.map(keys).unwrap_or_default();
    let known = |key: &str| old.as_ref().is_some_and(|old| old.contains_key(key));
    let keys_you_lack =
        new.keys().filter(|key| !own.contains_key(*key) && !known(key)).cloned().collect();
    let mut keys_changed = Vec::new();
    let mut keys_dropped = Vec::new();
    for (key, was) in old.iter().flatten().filter(|(key, _)| own.contains_key(*key)) {
        match new.get(key) {
            Some(is) if is != was => keys_changed.push(change(key, was, is)),
            Some(_) => {}
            None => keys_dropped.push(key.clone()),
        }
    }
    Some(Review {
        template,
        live,
        lines_added,
        lines_removed,
        keys_you_lack,
        keys_changed,
        keys_dropped,
    })
}

fn change(key: &str, was: &str, is: &str) -> String {
    if is_secret(key) {
        return format!("{key} (its default changed)");
    }
    format!("{key} {} → {}", short(was), short(is))
}

/// Masked by name: nobody wants a salt in a log, even a default one.
fn is_secret(key: &str) -> bool {
    const SECRET: [&str; 8] =
        ["password", "passwd", "passphrase", "secret", "token", "salt", "key", "seed"];
    let last = key.rsplit('.').next().unwrap_or(key).to_ascii_lowercase();
    SECRET.iter().any(|word| last.ends_with(word))
}

fn short(value: &str) -> String {
    const SHOWN: usize = 40;
    match value.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value.to_owned(),
    }
}

/// Lines that only one of the two has, counted with their repetitions.
fn lines(old: &str, new: &str) -> (u32, u32) {
    let mut balance: BTreeMap<&str, i64> = BTreeMap::new();
    for line in new.lines() {
        *balance.entry(line).or_default() += 1;
    }
    for line in old.lines() {
        *balance.entry(line).or_default() -= 1;
    }
    let sum = |sign: i64| {
        let total: i64 = balance.values().map(|count| (count * sign).max(0)).sum();
        u32::try_from(total).unwrap_or(u32::MAX)
    };
    (sum(1), sum(-1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::TreePath;

    fn path(text: &str) -> PathText {
        PathText(TreePath::parse(text.as_bytes()).unwrap())
    }

    fn reviewed(old: Option<&str>, new: &str, live: Option<&str>) -> Option<Review> {
        review(path("app.php.default"), path("app.php"), Texts { old, new, live })
    }

    #[test]
    fn a_template_that_the_release_leaves_alone_is_not_shown() {
        assert_eq!(reviewed(Some("<?php $a = 1;"), "<?php $a = 1;", None), None);
    }

    #[test]
    fn new_keys_changed_defaults_and_dropped_keys_are_named() {
        let old = "<?php\n$config = ['App' => ['a' => 1, 'gone' => 2, 'same' => 3], 'off' => 1];\n";
        let new = "<?php\n$config = ['App' => ['a' => 2, 'same' => 3, 'new' => 4], 'off' => 2];\n";
        let live = "<?php $config = ['App' => ['a' => 7, 'gone' => 9, 'same' => 3]];";
        let review = reviewed(Some(old), new, Some(live)).unwrap();
        assert_eq!(review.keys_you_lack, ["App.new"]);
        assert_eq!(review.keys_changed, ["App.a 1 → 2"]);
        assert_eq!(review.keys_dropped, ["App.gone"]);
        assert_eq!((review.lines_added, review.lines_removed), (1, 1));
    }

    #[test]
    fn a_secrets_default_is_not_printed() {
        let old = "<?php Configure::write('Security.salt', 'abc');";
        let new = "<?php Configure::write('Security.salt', 'def');";
        let review = reviewed(Some(old), new, Some(old)).unwrap();
        assert_eq!(review.keys_changed, ["Security.salt (its default changed)"]);
        assert!(!is_secret("App.auth.tokenLength"));
    }

    #[test]
    fn without_the_old_template_every_key_you_lack_is_new() {
        let review =
            reviewed(None, "<?php return ['a' => 1, 'b' => 2];", Some("<?php return ['a' => 5];"));
        assert_eq!(review.unwrap().keys_you_lack, ["b"]);
    }
}
