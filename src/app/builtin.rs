//! The profiles that are part of the program.

use super::profile::{Profile, ProfileError};

const ALL: [(&str, &str); 2] = [
    ("passbolt-v1", include_str!("builtin/passbolt-v1.toml")),
    ("sql-files", include_str!("builtin/sql-files.toml")),
];

/// Their names.
pub fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|(name, _)| *name)
}

/// The text of the built-in profile `name`.
pub fn text(name: &str) -> Option<&'static str> {
    ALL.iter().find(|(one, _)| *one == name).map(|(_, text)| *text)
}

/// All of them, read.
pub fn all() -> Result<Vec<Profile>, ProfileError> {
    ALL.iter().map(|(name, text)| Profile::parse(text, &format!("builtin:{name}"))).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_built_in_profile_is_read() {
        let profiles = super::all().unwrap_or_else(|error| panic!("{error}"));
        let names: Vec<_> = profiles.iter().map(|profile| profile.name.as_str()).collect();
        assert_eq!(names, super::names().collect::<Vec<_>>());
    }
}
