//! Takes secrets out of what children print, before anybody keeps or shows it.

use std::collections::BTreeSet;

use secrecy::{ExposeSecret, SecretString};

use crate::app::App;
use crate::app::config::secrets_in;
use crate::app::files::{CONFIG_BYTES_MAX, Files, Live};
use crate::app::profile::DatabaseSource;
use crate::database::Address;
use crate::tree::TreePath;

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

    /// Knows the passwords of the application's databases, and every text that its live
    /// configuration keeps under a name which says that it is secret. What cannot be read there
    /// keeps no secret.
    pub fn of(app: &App) -> Self {
        let passwords = app.databases.iter().filter_map(|database| match &database.address {
            Address::MySql(mysql) => Some(mysql.password.clone()),
            Address::Sqlite(_) => None,
        });
        let mut secrets: Vec<_> = passwords.collect();
        if let Ok(live) = Live::open(&app.root) {
            let files: &dyn Files = &live;
            for path in configurations(app, files) {
                let name = String::from_utf8_lossy(path.name()).into_owned();
                let bytes = files.read(&path, CONFIG_BYTES_MAX).ok().flatten().unwrap_or_default();
                secrets.extend(secrets_in(&name, &bytes).into_iter().map(SecretString::from));
            }
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

/// The files that may keep secrets: those that name databases, those made from templates, and
/// those that the profile calls secret.
fn configurations(app: &App, files: &dyn Files) -> BTreeSet<TreePath> {
    let profile = &app.profile;
    let named = profile.databases.iter().flat_map(|rule| match &rule.source {
        DatabaseSource::Config(source) => source.files.iter().chain(source.env_file.iter()),
        DatabaseSource::Url { .. } => [].iter().chain(None.iter()),
    });
    let reviewed = profile.files.review.iter().map(|review| &review.live);
    let secret = profile.files.secret.iter().filter(|one| !one.as_str().starts_with('!'));
    let patterns = named.chain(reviewed).chain(secret);
    let filled = patterns.filter_map(|one| one.fill_pattern(&app.vars).ok());
    let named = |pattern: String| match TreePath::parse(pattern.as_bytes()) {
        // Perhaps a link, which a pattern would not follow.
        Ok(path) if !pattern.contains(['*', '?', '[']) => vec![path],
        _ => files.matching(&pattern).unwrap_or_default(),
    };
    filled.flat_map(named).collect()
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
}
