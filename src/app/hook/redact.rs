//! Takes secrets out of what children print, before anybody keeps or shows it.

use secrecy::{ExposeSecret, SecretString};

use crate::app::App;
use crate::app::config::{Config, Key, Literal, Value};
use crate::database::Address;

/// What stands in the place of a secret.
const MASK: &str = "••••";

/// Shorter ones would blot out half of every text, and protect nothing.
const SECRET_BYTES_MIN: usize = 4;

/// The secrets of an application, to be recognized wherever they appear.
#[derive(Default)]
pub struct Redactor {
    secrets: Vec<SecretString>,
}

impl Redactor {
    /// Knows these secrets.
    pub fn new(secrets: impl IntoIterator<Item = SecretString>) -> Self {
        let long = |secret: &SecretString| secret.expose_secret().len() >= SECRET_BYTES_MIN;
        let mut secrets: Vec<_> = secrets.into_iter().filter(long).collect();
        // A secret may hold another: the longer one goes first.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.expose_secret().len()));
        Self { secrets }
    }

    /// Knows the passwords of the application's databases, and every text that `configs` keep
    /// under a name which says that it is secret.
    pub fn of(app: &App, configs: &[Config]) -> Self {
        let passwords = app.databases.iter().filter_map(|database| match &database.address {
            Address::MySql(mysql) => Some(mysql.password.clone()),
            Address::Sqlite(_) => None,
        });
        let mut secrets: Vec<_> = passwords.collect();
        for config in configs {
            collect(config.values(), false, &mut secrets);
        }
        Self::new(secrets)
    }

    /// `text` without them.
    pub fn redact(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.secrets {
            if text.contains(secret.expose_secret()) {
                text = text.replace(secret.expose_secret(), MASK);
            }
        }
        text
    }

    /// The length of the longest secret, in bytes: how much of an unfinished text may be the
    /// beginning of one.
    pub(super) fn longest(&self) -> usize {
        self.secrets.first().map_or(0, |secret| secret.expose_secret().len())
    }
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redactor({} secrets)", self.secrets.len())
    }
}

/// Whether a key's name says that its value is secret.
pub fn names_a_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let words = ["passw", "passphrase", "secret", "token", "salt", "seed", "cipherkey", "apikey"];
    words.iter().any(|word| key.contains(word)) || key == "key" || key.ends_with("_key")
}

fn collect(value: &Literal, secret: bool, found: &mut Vec<SecretString>) {
    match &value.value {
        Value::Text(text) if secret => found.push(SecretString::from(text.as_str())),
        Value::Array(items) => {
            for (key, item) in items {
                let named = matches!(key, Key::Text(name) if names_a_secret(name));
                collect(item, secret || named, found);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_longer_secret_hides_the_shorter_one_in_it() {
        let redactor = Redactor::new(["hunter".into(), "hunter22".into(), "ab".into()]);
        assert_eq!(redactor.redact("x=hunter22 y=hunter ab"), "x=•••• y=•••• ab");
        assert_eq!(redactor.longest(), 8);
        assert!(!format!("{redactor:?}").contains("hunter"));
    }

    #[test]
    fn names_tell_what_is_secret() {
        for name in ["password", "DB_PASSWORD", "Security.salt", "cipherSeed", "secret_key"] {
            assert!(names_a_secret(name), "{name}");
        }
        assert!(!names_a_secret("keyboard") && !names_a_secret("host"));
    }
}
