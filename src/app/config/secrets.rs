//! Values that a configuration keeps under names which say that they are secret.
//!
//! For masking what is shown, so nothing here needs to be certain: whatever looks like one counts,
//! also where it is no literal that anybody would believe.

use std::path::Path;

use tree_sitter::{Node, Parser};

/// Whether a key's name says that its value is secret.
pub fn names_a_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let words =
        ["passw", "passphrase", "secret", "token", "salt", "cipherseed", "cipherkey", "apikey"];
    words.iter().any(|word| key.contains(word)) || key == "key" || key.ends_with("_key")
}

/// The secret-looking values of a configuration file, whatever its language.
pub fn secrets_in(name: &str, bytes: &[u8]) -> Vec<String> {
    let php = Path::new(name).extension().is_some_and(|it| it.eq_ignore_ascii_case("php"));
    let found = if php { in_php(bytes) } else { in_lines(bytes) };
    found.into_iter().filter(|value| !is_a_word(value)).collect()
}

/// Whether this is a name rather than a secret, as in `'fields' => ['password' => 'passwd']`: to
/// mask every "token" that a migration prints would hide what went wrong.
fn is_a_word(value: &str) -> bool {
    value.len() <= 12 && value.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

/// `'password' => 'x'`, `define('DB_PASSWORD', 'x')`, `$password = 'x'`.
fn in_php(bytes: &[u8]) -> Vec<String> {
    let mut parser = Parser::new();
    parser
        .set_language(&tree_sitter_php::LANGUAGE_PHP.into())
        .expect("grammar and parser are of matching versions");
    let Some(tree) = parser.parse(bytes, None) else { return Vec::new() };
    let mut secrets = Vec::new();
    let mut cursor = tree.walk();
    loop {
        pair(cursor.node(), bytes, &mut secrets);
        if cursor.goto_first_child() {
            continue;
        }
        while !cursor.goto_next_sibling() {
            if !cursor.goto_parent() {
                return secrets;
            }
        }
    }
}

fn pair(node: Node<'_>, bytes: &[u8], secrets: &mut Vec<String>) {
    let parts = match node.kind() {
        "array_element_initializer" | "assignment_expression" | "arguments" => {
            super::php::parts_of(node)
        }
        _ => return,
    };
    let [name, value] = parts[..] else { return };
    let text = |node: Node<'_>| node.utf8_text(bytes).unwrap_or_default().to_owned();
    let plain = |text: String| text.trim_matches(['\'', '"', '$']).to_owned();
    if names_a_secret(&plain(text(name))) {
        let value = text(value);
        if value.starts_with(['\'', '"']) {
            let bare = &value[1..value.len().saturating_sub(1).max(1)];
            secrets.push(bare.to_owned());
            secrets.push(bare.replace("\\'", "'").replace("\\\\", "\\"));
        }
    }
}

/// `PASSWORD=x`, `password = "x"`.
fn in_lines(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    let secret = pairs.filter(|(name, _)| names_a_secret(name.trim()));
    secret.map(|(_, value)| value.trim().trim_matches(['"', '\'']).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_what_is_secret() {
        for name in ["password", "DB_PASSWORD", "Security.salt", "cipherSeed", "secret_key"] {
            assert!(names_a_secret(name), "{name}");
        }
        assert!(!names_a_secret("keyboard") && !names_a_secret("host"));
    }

    #[test]
    fn secrets_are_found_wherever_php_keeps_them() {
        let php = b"<?php\nclass C { public $default = array('login' => 'pb', 'password' => 'p\\'w1'); }\n\
            Configure::write('Security.salt', \"salty1\");\ndefine('DB_PASSWORD', 'const1');\n\
            $db_password = 'var1';\n$x = ['a' => ['token' => f('no')]];\n";
        let found = secrets_in("core.php", php);
        for secret in ["p'w1", "salty1", "const1", "var1"] {
            assert!(found.iter().any(|one| one == secret), "{secret}: {found:?}");
        }
        assert!(!found.iter().any(|one| one == "pb"));
    }

    #[test]
    fn a_field_that_is_called_token_is_no_secret() {
        let found = secrets_in("core.php", b"<?php $x = ['token' => 'token', 'salt' => 'Xy7'];");
        assert_eq!(found, ["Xy7", "Xy7"]);
    }

    #[test]
    fn secrets_are_found_in_lines() {
        let found = secrets_in(".env", b"DB_HOST=h\nDB_PASSWORD=\"two words\"\nsecret = x1\n");
        assert_eq!(found, ["two words", "x1"]);
    }
}
