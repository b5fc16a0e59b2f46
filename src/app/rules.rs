//! Whose each path is, as the profile's patterns say.

use std::path::Path;

use globset::{GlobBuilder, GlobMatcher};

use crate::app::AppError;
use crate::app::files::as_path;
use crate::app::profile::{FileRules, Template, Vars};
use crate::tree::TreePath;

/// Whose a path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The operator's, and byte-equal after the migration.
    Secret,
    /// Nobody's: an upgrade empties it.
    Purge,
    /// The operator's: kept across the overwrite.
    Operator,
    /// The release's.
    Release,
}

/// A list of patterns over paths from the root. `!` takes back; the last match counts.
///
/// `*`, `?` and `[…]` stop at `/`, `**` does not. A pattern also fits all below what it fits.
#[derive(Clone, Debug, Default)]
pub struct PatternList(Vec<Pattern>);

#[derive(Clone, Debug)]
struct Pattern {
    written: String,
    takes_back: bool,
    itself: GlobMatcher,
    below: GlobMatcher,
}

impl PatternList {
    /// Fills in the variables and reads the patterns.
    pub fn compile(templates: &[Template], vars: &Vars) -> Result<Self, AppError> {
        templates
            .iter()
            .map(|one| Pattern::read(&one.fill_pattern(vars)?))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether the list holds `path`.
    pub fn contains(&self, path: &TreePath) -> bool {
        self.decisive(path).is_some_and(|pattern| !pattern.takes_back)
    }

    /// The pattern that put `path` into the list.
    pub fn reason(&self, path: &TreePath) -> Option<&str> {
        self.decisive(path).filter(|one| !one.takes_back).map(|one| one.written.as_str())
    }

    fn decisive(&self, path: &TreePath) -> Option<&Pattern> {
        self.0.iter().rev().find(|pattern| pattern.fits(as_path(path)))
    }

    /// Whether nothing was listed.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Pattern {
    fn read(written: &str) -> Result<Self, AppError> {
        let (takes_back, bare) = match written.strip_prefix('!') {
            Some(bare) => (true, bare),
            None => (false, written),
        };
        // A variable that ends in `/` before `/**`, or begins the pattern with one.
        let parts: Vec<_> = bare.split('/').filter(|part| !part.is_empty()).collect();
        let path = parts.join("/");
        let glob = |text: &str| {
            GlobBuilder::new(text)
                .literal_separator(true)
                .backslash_escape(true)
                .build()
                .map(|glob| glob.compile_matcher())
                .map_err(|source| AppError::BadPattern { pattern: written.to_owned(), source })
        };
        Ok(Self {
            written: written.to_owned(),
            takes_back,
            itself: glob(&path)?,
            below: glob(&format!("{path}/**"))?,
        })
    }

    fn fits(&self, path: &Path) -> bool {
        self.itself.is_match(path) || self.below.is_match(path)
    }
}

/// The profile's file rules, ready to be asked.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    secret: PatternList,
    purge: PatternList,
    preserve: PatternList,
}

impl Rules {
    /// Fills in the variables and reads the patterns.
    pub fn compile(rules: &FileRules, vars: &Vars) -> Result<Self, AppError> {
        Ok(Self {
            secret: PatternList::compile(&rules.secret, vars)?,
            purge: PatternList::compile(&rules.purge, vars)?,
            preserve: PatternList::compile(&rules.preserve, vars)?,
        })
    }

    /// Whose `path` is: a secret before a purge, a purge before what is preserved.
    pub fn owner(&self, path: &TreePath) -> Owner {
        if self.secret.contains(path) {
            Owner::Secret
        } else if self.purge.contains(path) {
            Owner::Purge
        } else if self.preserve.contains(path) {
            Owner::Operator
        } else {
            Owner::Release
        }
    }

    /// The pattern that decided, as the profile wrote it; `None` for the release's own.
    pub fn reason(&self, path: &TreePath) -> Option<&str> {
        [&self.secret, &self.purge, &self.preserve].into_iter().find_map(|list| list.reason(path))
    }
}

#[cfg(test)]
mod tests {
    use crate::app::builtin;

    use super::*;

    fn path(raw: &str) -> TreePath {
        TreePath::parse(raw.as_bytes()).unwrap()
    }

    fn list(patterns: &[&str]) -> PatternList {
        PatternList(patterns.iter().map(|one| Pattern::read(one).unwrap()).collect())
    }

    #[test]
    fn the_last_pattern_that_fits_decides() {
        let list = list(&["storage/**", "!storage/vendor/**", "config.php"]);
        for kept in ["storage/cache/x", "storage", "config.php"] {
            assert_eq!(list.contains(&path(kept)), kept != "storage", "{kept}");
        }
        assert!(!list.contains(&path("storage/vendor/a.php")));
        assert!(!list.contains(&path("sub/config.php")));
    }

    #[test]
    fn a_pattern_holds_what_lies_below_it() {
        let list = list(&["uploads", "a//b/", "/lead"]);
        for kept in ["uploads/deep/down", "a/b", "a/b/c", "lead/x"] {
            assert!(list.contains(&path(kept)), "{kept}");
        }
        assert!(!list.contains(&path("uploads2")));
    }

    #[test]
    fn passbolt_keeps_its_keys_and_lets_the_release_have_its_examples() {
        let profile = &builtin::all().unwrap()[0];
        let rules = Rules::compile(&profile.files, &Vars::default()).unwrap();
        let cases = [
            ("app/Config/database.php", Owner::Secret),
            ("app/Config/gpg/serverkey_private.asc", Owner::Secret),
            ("app/Config/gpg/unsecure_private.key", Owner::Release),
            ("app/Config/email.php", Owner::Operator),
            ("app/Config/app.php.default", Owner::Release),
            ("app/webroot/img/public/images/a.png", Owner::Operator),
            ("app/tmp/cache/models/cake_model_x", Owner::Purge),
            ("app/tmp/logs/error.log", Owner::Operator),
            ("app/Model/User.php", Owner::Release),
        ];
        for (raw, owner) in cases {
            assert_eq!(rules.owner(&path(raw)), owner, "{raw}");
        }
        assert_eq!(rules.reason(&path("app/Config/gpg/x.asc")), Some("app/Config/gpg/*"));
    }
}
