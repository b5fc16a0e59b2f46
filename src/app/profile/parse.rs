//! The door: a profile's text in, a checked [`Profile`] or one precise complaint out.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::app::builtin;
use crate::app::version::Scheme;

use super::node::{self, Node};
use super::reader::{Reader, Text, as_text, nearest, not_supported};
use super::template::{GIVEN, Template};
use super::{Profile, ProfileError, probes, sections, sources, steps};

/// Sections of the schema that a later version reads.
const LATER: [&str; 2] = ["before_migrate", "task"];

/// What has been declared so far, so that names used elsewhere can be checked.
pub(super) struct Declared {
    pub(super) vars: BTreeSet<String>,
    pub(super) layouts: BTreeSet<String>,
    pub(super) databases: BTreeSet<String>,
}

impl Declared {
    /// Takes `text` as a template whose names all exist.
    pub(super) fn template(&self, text: Text<'_>) -> Result<Template, ProfileError> {
        let template = Template::new(text.text);
        for name in template.names() {
            let known = || self.vars.iter().map(String::as_str).chain(GIVEN);
            if !known().any(|one| one == name) {
                let mut error = text.error(format!("no variable is called {name:?}"));
                error.nearest = nearest(name, known());
                return Err(error);
            }
        }
        Ok(template)
    }

    pub(super) fn templates(&self, texts: &[Text<'_>]) -> Result<Vec<Template>, ProfileError> {
        texts.iter().map(|text| self.template(*text)).collect()
    }

    /// A command: a program and its arguments, never a line for a shell.
    pub(super) fn argv(
        &self,
        reader: &mut Reader<'_>,
        key: &'static str,
    ) -> Result<Vec<Template>, ProfileError> {
        let argv = self.templates(&reader.texts(key)?)?;
        if argv.is_empty() {
            return Err(reader.error(format!("{key} must name a program")));
        }
        Ok(argv)
    }

    /// The database that a section means: `default`, or the only one.
    pub(super) fn database(&self, reader: &mut Reader<'_>) -> Result<String, ProfileError> {
        let Some(text) = reader.text("database")? else {
            let only = self.databases.iter().next().filter(|_| self.databases.len() == 1);
            return only
                .or_else(|| self.databases.get("default"))
                .cloned()
                .ok_or_else(|| reader.error("the profile declares no default database"));
        };
        if self.databases.contains(text.text) {
            return Ok(text.text.to_owned());
        }
        let mut error = text.error(format!("no database is called {:?}", text.text));
        error.nearest = nearest(text.text, self.databases.iter().map(String::as_str));
        Err(error)
    }
}

impl Profile {
    /// Reads a profile. `origin` is its path or `builtin:NAME`: messages and its name come from it.
    pub fn parse(text: &str, origin: &str) -> Result<Self, ProfileError> {
        let own = node::parse(text, origin)?;
        match extended(&own)? {
            Some(base) => {
                let merged = node::merge(base, own);
                let whole = toml::to_string(&without_extends(&merged))
                    .map_err(|error| merged.place.error(error.to_string()))?;
                read(&merged, whole, origin)
            }
            None => read(&own, text.to_owned(), origin),
        }
    }
}

/// The built-in that the profile extends.
fn extended(own: &Node) -> Result<Option<Node>, ProfileError> {
    let Some(extends) = Reader::new(own, "the profile")?.text("extends")? else { return Ok(None) };
    let found = extends.text.strip_prefix("builtin:").and_then(builtin::text);
    let Some(base) = found else {
        let names = builtin::names().map(|name| format!("builtin:{name}")).collect::<Vec<_>>();
        let mut error = extends.error(format!("{:?} is no built-in profile", extends.text));
        error.nearest = nearest(extends.text, names.iter().map(String::as_str));
        return Err(error);
    };
    node::parse(base, extends.text).map(Some)
}

fn without_extends(merged: &Node) -> toml::Value {
    let mut value = node::to_toml(merged);
    if let toml::Value::Table(table) = &mut value {
        table.remove("extends");
    }
    value
}

fn read(whole: &Node, text: String, origin: &str) -> Result<Profile, ProfileError> {
    let mut top = Reader::new(whole, "the profile")?;
    top.text("extends")?; // resolved before
    schema(&mut top)?;
    let app = id(top.need("app")?)?;
    let scheme = scheme(&mut top)?;
    let mut declared = Declared {
        vars: top.node("vars").map(var_names).transpose()?.unwrap_or_default(),
        layouts: BTreeSet::new(),
        databases: BTreeSet::new(),
    };
    let layouts = sources::layouts(&mut top, scheme)?;
    declared.layouts = layouts.iter().map(|layout| layout.id.clone()).collect();
    let databases = sources::databases(&mut top, &declared)?;
    declared.databases = databases.iter().map(|rule| rule.name.clone()).collect();
    let profile = Profile {
        name: name_of(origin),
        app,
        root: root(&mut top)?,
        scheme,
        version: sources::version(&mut top)?,
        vars: sources::vars(&mut top, &declared)?,
        snapshot: sections::snapshot(&mut top, &declared)?,
        release: sections::release(&mut top)?,
        files: sections::files(&mut top, &declared)?,
        runtime: sections::runtime(&mut top, &declared)?,
        path: sections::path(&mut top)?,
        quiesce: sections::quiesce(&mut top)?,
        maintenance: steps::maintenance(&mut top, &declared)?,
        pending: steps::pending(&mut top, &declared)?,
        migrate: steps::migrate(&mut top, &declared)?,
        probes: probes::probes(&mut top, &declared)?,
        hooks: steps::hooks(&mut top, &declared)?,
        layouts,
        databases,
        origin: origin.to_owned(),
        text,
    };
    for layout in &profile.layouts {
        if layout.version.is_none() && profile.version.is_none() {
            return Err(top
                .error(format!("nothing says where layout {:?} declares its version", layout.id)));
        }
    }
    top.finish(&LATER)?;
    Ok(profile)
}

fn schema(top: &mut Reader<'_>) -> Result<(), ProfileError> {
    match top.int("schema")? {
        Some((1, _)) => Ok(()),
        Some((other, place)) => {
            Err(place.error(format!("schema {other} is not known; this version reads schema 1")))
        }
        None => Err(top.error("the profile lacks the key \"schema\"")),
    }
}

/// An id is a word that can stand in a file name, an address and a command line.
pub(super) fn id(text: Text<'_>) -> Result<String, ProfileError> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    let starts = text.text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    if starts && text.text.chars().all(fits) && text.text.len() <= 64 {
        return Ok(text.text.to_owned());
    }
    Err(text.error(format!("{:?} is no id: lower-case letters, digits, - and _", text.text)))
}

fn scheme(top: &mut Reader<'_>) -> Result<Scheme, ProfileError> {
    let scheme = top.need("versions")?.one_of(&[
        ("semver", Scheme::Semver),
        ("dotted4", Scheme::Dotted4),
        ("calver", Scheme::Calver),
        ("opaque", Scheme::Opaque),
    ])?;
    match (scheme, top.int("counter")?) {
        (scheme, None) => Ok(scheme),
        (Scheme::Dotted4, Some((4, _))) => Ok(Scheme::Dotted4Counter),
        (_, Some((_, place))) => Err(place.error("counter can only be 4, of dotted4 versions")),
    }
}

fn root(top: &mut Reader<'_>) -> Result<Option<PathBuf>, ProfileError> {
    let Some(text) = top.text("root")? else { return Ok(None) };
    if text.text.starts_with('/') {
        return Ok(Some(PathBuf::from(text.text)));
    }
    Err(text.error(format!("root must be an absolute path, this is {:?}", text.text)))
}

fn var_names(node: &Node) -> Result<BTreeSet<String>, ProfileError> {
    let mut names = BTreeSet::new();
    for field in Reader::new(node, "[vars]")?.all() {
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let starts = field.key.starts_with(|c: char| c.is_ascii_lowercase());
        if !starts || !field.key.chars().all(is_name) {
            let what = format!("{:?} is no name: lower-case letters, digits and _", field.key);
            return Err(field.key_place.error(what));
        }
        if GIVEN.contains(&field.key.as_str()) {
            return Err(field.key_place.error(format!("{:?} is always given", field.key)));
        }
        names.insert(field.key.clone());
    }
    Ok(names)
}

/// `builtin:passbolt-v1` and `/etc/snap-backup/apps.d/passbolt-v1.toml` are both `passbolt-v1`.
fn name_of(origin: &str) -> String {
    let bare = origin.strip_prefix("builtin:").unwrap_or(origin);
    let file = bare.rsplit('/').next().unwrap_or(bare);
    file.strip_suffix(".toml").unwrap_or(file).to_owned()
}

/// A list whose only supported value is empty or absent.
pub(super) fn only_empty(reader: &mut Reader<'_>, key: &'static str) -> Result<(), ProfileError> {
    match reader.node(key) {
        None => Ok(()),
        Some(node) => match &node.value {
            node::Value::List(items) if items.is_empty() => Ok(()),
            _ => Err(not_supported(&node.place, key)),
        },
    }
}

/// A key whose only supported value is `value`.
pub(super) fn only(
    reader: &mut Reader<'_>,
    key: &'static str,
    value: &str,
) -> Result<(), ProfileError> {
    match reader.node(key) {
        None => Ok(()),
        Some(node) => match as_text(node, key) {
            Ok(text) if text.text == value => Ok(()),
            Ok(text) => Err(not_supported(text.place, &format!("{key} = {:?}", text.text))),
            Err(error) => Err(error),
        },
    }
}
