//! Which layout a tree has, and which version it declares.

use crate::app::AppError;
use crate::app::files::{CONFIG_BYTES_MAX, Files};
use crate::app::profile::{Layout, Profile, VersionRule};
use crate::app::version::AppVersion;
use crate::tree::TreePath;

/// What a tree says of itself: an installation or a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    /// The id of the one layout that matched.
    pub layout: String,
    /// What the tree itself declares, never what a tag or a person calls it.
    pub version: AppVersion,
}

/// Reads what the tree declares. Exactly one layout of the profile must match it.
pub fn declared(profile: &Profile, files: &dyn Files) -> Result<Declared, AppError> {
    let mut matching = Vec::new();
    let mut why_not = Vec::new();
    for layout in &profile.layouts {
        match mismatch(profile, layout, files)? {
            Ok(version) => matching.push(Declared { layout: layout.id.clone(), version }),
            Err(reason) => why_not.push(format!("{}: {reason}", layout.id)),
        }
    }
    match <[Declared; 1]>::try_from(matching) {
        Ok([one]) => Ok(one),
        Err(none) if none.is_empty() => Err(AppError::NoLayout {
            app: profile.app.clone(),
            place: files.place(),
            why_not: why_not.join("; "),
        }),
        Err(several) => Err(AppError::AmbiguousLayout {
            place: files.place(),
            layouts: several.into_iter().map(|one| one.layout).collect(),
        }),
    }
}

/// Why `layout` does not match, or the version if it does.
fn mismatch(
    profile: &Profile,
    layout: &Layout,
    files: &dyn Files,
) -> Result<Result<AppVersion, String>, AppError> {
    for path in &layout.require {
        if !files.has(path)? {
            return Ok(Err(format!("{path} is missing")));
        }
    }
    for path in &layout.forbid {
        if files.has(path)? {
            return Ok(Err(format!("{path} should not be there")));
        }
    }
    let rule = layout.version.as_ref().or(profile.version.as_ref());
    let rule = rule.expect("a profile says for every layout where the version is");
    let Some(text) = declared_text(rule, files)? else {
        return Ok(Err(format!("{} declares no version", rule.file)));
    };
    let version = match AppVersion::parse(&text, profile.scheme) {
        Ok(version) => version,
        Err(bad) => return Ok(Err(bad.to_string())),
    };
    match &layout.range {
        Some(range) if !range.contains(&version) => {
            Ok(Err(format!("version {version} is not in its range")))
        }
        _ => Ok(Ok(version)),
    }
}

/// What `rule` finds in its file.
pub fn declared_text(rule: &VersionRule, files: &dyn Files) -> Result<Option<String>, AppError> {
    let Ok(path) = TreePath::parse(rule.file.as_bytes()) else { return Ok(None) };
    let Some(bytes) = files.read(&path, CONFIG_BYTES_MAX)? else { return Ok(None) };
    let text = String::from_utf8_lossy(&bytes);
    let found = rule.regex.captures(&text);
    let group = found.as_ref().and_then(|found| found.name("v").or_else(|| found.get(1)));
    Ok(group.map(|group| group.as_str().to_owned()))
}
