//! config.toml: where the repository is and what opens it. A key that is not known is refused.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::snapshot::retain::{BadPolicy, Count, Policy};

use super::failure::{Code, Failure};
use super::suggest;

/// What the configuration file says; all of it may be missing.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    /// The file's format; 1 is all there is.
    version: Option<u32>,
    /// `[repository]`.
    #[serde(default)]
    pub(super) repository: RepositoryConfig,
    /// `[retention]`.
    #[serde(default)]
    pub(super) retention: RetentionConfig,
}

/// `[retention]`: what `forget --policy` keeps. A count is a number, or "unlimited".
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RetentionConfig {
    #[serde(rename = "keep_last", alias = "keep-last")]
    last: Option<Words>,
    #[serde(rename = "keep_hourly", alias = "keep-hourly")]
    hourly: Option<Words>,
    #[serde(rename = "keep_daily", alias = "keep-daily")]
    daily: Option<Words>,
    #[serde(rename = "keep_weekly", alias = "keep-weekly")]
    weekly: Option<Words>,
    #[serde(rename = "keep_monthly", alias = "keep-monthly")]
    monthly: Option<Words>,
    #[serde(rename = "keep_yearly", alias = "keep-yearly")]
    yearly: Option<Words>,
    #[serde(rename = "keep_within", alias = "keep-within")]
    within: Option<String>,
    #[serde(rename = "keep_upgrades", alias = "keep-upgrades")]
    upgrades: Option<u32>,
    #[serde(rename = "keep_tags", alias = "keep-tags", default)]
    tags: Vec<String>,
}

/// A number, as a number or in words.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Words {
    Number(u32),
    Text(String),
}

impl RetentionConfig {
    /// What it asks to keep: a policy, and how many ways back.
    pub(super) fn policy(&self) -> Result<(Policy, Option<u32>), Failure> {
        let wrong = |error: BadPolicy| {
            Failure::new(Code::E0002, format!("[retention] in the configuration: {error}"))
        };
        let count = |words: &Option<Words>| match words {
            None => Ok(None),
            Some(Words::Number(many)) => Ok(Some(Count::AtMost(*many))),
            Some(Words::Text(text)) => text.parse().map(Some).map_err(wrong),
        };
        let within = self.within.as_ref().map(|text| text.parse().map_err(wrong));
        let policy = Policy {
            last: count(&self.last)?,
            hourly: count(&self.hourly)?,
            daily: count(&self.daily)?,
            weekly: count(&self.weekly)?,
            monthly: count(&self.monthly)?,
            yearly: count(&self.yearly)?,
            within: within.transpose()?,
            tags: self.tags.iter().map(|tag| vec![tag.clone()]).collect(),
            ..Policy::default()
        };
        Ok((policy, self.upgrades))
    }
}

/// `[repository]`: never a secret itself, only where to get it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RepositoryConfig {
    /// A directory.
    pub(super) location: Option<PathBuf>,
    /// The machine key file.
    pub(super) key_file: Option<PathBuf>,
    /// A command that prints the recovery passphrase.
    pub(super) password_command: Option<String>,
}

impl Config {
    /// Reads `file`; where there is none, nothing is configured.
    pub(super) fn read(file: &Path, required: bool) -> Result<Self, Failure> {
        let text = match fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !required => {
                return Ok(Self::default());
            }
            Err(error) => {
                let message = format!("cannot read {}", super::text::path(file));
                return Err(Failure::new(Code::E0002, message).because(error.to_string()));
            }
        };
        trusted(file, Holds::Commands)?;
        Self::parse(&text, file)
    }

    fn parse(text: &str, file: &Path) -> Result<Self, Failure> {
        let mut config: Self = toml::from_str(text).map_err(|error| wrong(text, file, &error))?;
        if let Some(version) = config.version.filter(|version| *version != 1) {
            let message = format!("{}: version {version} is not known", super::text::path(file));
            return Err(Failure::new(Code::E0002, message).tip("version = 1"));
        }
        // Paths are relative to the file they stand in, never to where one happens to be.
        let base = file.parent().unwrap_or(Path::new("/"));
        for path in [&mut config.repository.location, &mut config.repository.key_file] {
            *path = path.take().map(|path| base.join(path));
        }
        Ok(config)
    }
}

/// A TOML error as one failure: file, line, column, and the nearest known key.
fn wrong(text: &str, file: &Path, error: &toml::de::Error) -> Failure {
    let at = error.span().map_or(0, |span| span.start).min(text.len());
    let before = &text[..text.floor_char_boundary(at)];
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    let place = format!("{}:{line}:{column}", super::text::path(file));
    let message = error.message();
    let failure = Failure::new(Code::E0002, format!("{place}: {message}"));
    let mut quoted = message.split('`').skip(1).step_by(2);
    let Some(typed) = quoted.next().filter(|_| message.starts_with("unknown field")) else {
        return failure;
    };
    match suggest::nearest(typed, quoted) {
        Some(word) => failure.tip(format!("did you mean '{word}'?")),
        None => failure,
    }
}

/// What a file that is read holds, and so who may touch it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// What it says may be run: nobody else may write it.
    Commands,
    /// A secret: nobody else may even read it.
    Secret,
}

/// Refuses a file that others may change, or a secret that others may read.
pub(super) fn trusted(file: &Path, holds: Holds) -> Result<(), Failure> {
    let shown = super::text::path(file);
    let meta = fs::metadata(file).map_err(|error| {
        Failure::new(Code::E0601, format!("cannot read {shown}")).because(error.to_string())
    })?;
    // A pipe or /dev/fd/N is what the caller's shell made of a secret: nobody else holds it.
    if !meta.is_file() {
        return Ok(());
    }
    let me = nix::unistd::Uid::effective().as_raw();
    if meta.uid() != 0 && meta.uid() != me {
        let message = format!("{shown} belongs to another user (uid {})", meta.uid());
        return Err(Failure::new(Code::E0003, message).fix(format!("sudo chown root {shown}")));
    }
    let mode = meta.mode() & 0o777;
    let (forbidden, fix) = match holds {
        Holds::Commands => (0o022, "go-w"),
        Holds::Secret => (0o077, "600"),
    };
    if mode & forbidden != 0 {
        let others = if holds == Holds::Secret { "read" } else { "write" };
        let message = format!("others may {others} {shown} (mode {mode:03o})");
        return Err(Failure::new(Code::E0003, message).fix(format!("chmod {fix} {shown}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, Failure> {
        Config::parse(text, Path::new("/etc/snap-backup/config.toml"))
    }

    #[test]
    fn a_path_is_relative_to_the_file_it_stands_in() {
        let config = parse("[repository]\nlocation = \"repo\"\nkey_file = \"/k\"\n").unwrap();
        assert_eq!(config.repository.location.as_deref(), Some(Path::new("/etc/snap-backup/repo")));
        assert_eq!(config.repository.key_file.as_deref(), Some(Path::new("/k")));
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_place_and_the_nearest_one() {
        let failure = parse("version = 1\n[repository]\nlocatoin = \"x\"\n").unwrap_err();
        assert!(failure.message().contains("config.toml:3:1"), "{}", failure.message());
        assert_eq!(failure.hint(), Some("did you mean 'location'?"));
    }

    #[test]
    fn what_is_to_be_kept_is_read_as_restic_and_borgmatic_write_it() {
        let text = "[retention]\nkeep_last = 3\nkeep-daily = \"unlimited\"\nkeep_within = \"2d\"\n\
                    keep_upgrades = 5\nkeep_tags = [\"keep\"]\n";
        let (policy, upgrades) = parse(text).unwrap().retention.policy().unwrap();
        assert_eq!(policy.to_string(), "last 3, daily all, within 2d, tag keep");
        assert_eq!(upgrades, Some(5));
        assert!(parse("[retention]\nkeep_dayly = 3\n").is_err());
        assert!(parse("[retention]\nkeep_within = \"2w\"\n").unwrap().retention.policy().is_err());
    }

    #[test]
    fn a_later_format_is_refused() {
        assert!(parse("version = 2\n").is_err());
    }

    #[test]
    fn what_others_may_change_is_not_obeyed() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.toml");
        let kept = tempfile::NamedTempFile::new_in(dir.path()).unwrap();
        kept.persist(&file).unwrap();
        for (mode, holds, fine) in [
            (0o644, Holds::Commands, true),
            (0o664, Holds::Commands, false),
            (0o646, Holds::Commands, false),
            (0o600, Holds::Secret, true),
            (0o640, Holds::Secret, false),
        ] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(trusted(&file, holds).is_ok(), fine, "{mode:o} {holds:?}");
        }
    }
}
