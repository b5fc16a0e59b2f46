//! Installed applications, as their administrators left them.

pub(crate) mod notes;
pub(crate) mod passbolt;

pub(crate) use notes::Notes;
pub(crate) use passbolt::Passbolt;

/// The user that a site's files belong to, where the test may give files away.
pub(crate) const OWNER: &str = "www-data";
