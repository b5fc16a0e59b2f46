//! Finds the values of a profile's `[vars]` in a tree.

use std::collections::BTreeSet;
use std::path::Path;

use crate::app::AppError;
use crate::app::config::Config;
use crate::app::files::{Files, Found};
use crate::app::profile::{Profile, Template, Var, VarRule, Vars};
use crate::tree::TreePath;

/// Finds every variable of `profile`; `root` is where the installation lies.
///
/// Variables may use each other in any order, but not in circles.
pub(super) fn find(profile: &Profile, root: &Path, files: &dyn Files) -> Result<Vars, AppError> {
    let mut vars = Vars::default();
    vars.set("root", root.to_string_lossy());
    let mut search = Search { profile, root, files, vars, open: BTreeSet::new() };
    for var in &profile.vars {
        search.resolve(var)?;
    }
    Ok(search.vars)
}

struct Search<'a> {
    profile: &'a Profile,
    root: &'a Path,
    files: &'a dyn Files,
    vars: Vars,
    /// Being looked for right now: meeting one of them again is a circle.
    open: BTreeSet<&'a str>,
}

impl<'a> Search<'a> {
    fn resolve(&mut self, var: &'a Var) -> Result<(), AppError> {
        if self.vars.get(&var.name).is_some() {
            return Ok(());
        }
        if !self.open.insert(&var.name) {
            return Err(AppError::CircularVariable { name: var.name.clone() });
        }
        let value = match &var.rule {
            VarRule::Literal(text) => Some(self.fill(text)?),
            VarRule::Config { parser, file, key } => {
                let path = self.path(file)?;
                let config = Config::read(self.files, &path, parser, self.root, &|_| None)?;
                config.map(|config| config.setting(key)).transpose()?.flatten().map(|one| one.text)
            }
            VarRule::FindDir { dir, containing, exclude } => {
                self.find_dir(var, dir, containing, exclude)?
            }
        };
        let value = match (value, &var.default) {
            (Some(value), _) => value,
            (None, Some(default)) => self.fill(default)?,
            (None, None) => {
                return Err(AppError::VariableNotFound {
                    name: var.name.clone(),
                    place: self.files.place(),
                });
            }
        };
        self.open.remove(var.name.as_str());
        self.vars.set(&var.name, value);
        Ok(())
    }

    fn fill(&mut self, template: &Template) -> Result<String, AppError> {
        for name in template.names() {
            if let Some(other) = self.profile.vars.iter().find(|var| var.name == name) {
                self.resolve(other)?;
            }
        }
        template.fill(&self.vars)
    }

    fn path(&mut self, template: &Template) -> Result<TreePath, AppError> {
        let text = self.fill(template)?;
        tree_path(&text, self.files)
    }

    /// The one directory in `dir` that holds all of `containing`.
    fn find_dir(
        &mut self,
        var: &Var,
        dir: &Template,
        containing: &[String],
        exclude: &[String],
    ) -> Result<Option<String>, AppError> {
        let dir = self.fill(dir)?;
        let dir = if dir == "." { None } else { Some(tree_path(&dir, self.files)?) };
        let mut found = Vec::new();
        for name in self.files.names(dir.as_ref())? {
            let Ok(path) = TreePath::child(dir.as_ref(), &name) else { continue };
            let Ok(text) = std::str::from_utf8(path.as_bytes()) else { continue };
            if exclude.iter().any(|other| other.trim_end_matches('/').as_bytes() == &*name)
                || self.files.look(&path)? != Some(Found::Directory)
            {
                continue;
            }
            let mut holds = true;
            for inside in containing {
                holds = holds && self.files.has(&format!("{text}/{inside}"))?;
            }
            if holds {
                found.push(text.to_owned());
            }
        }
        match &found[..] {
            [] => Ok(None),
            [one] => Ok(Some(one.clone())),
            _ => Err(AppError::AmbiguousVariable { name: var.name.clone(), found }),
        }
    }
}

/// A path below the root, as a template gave it.
pub(super) fn tree_path(text: &str, files: &dyn Files) -> Result<TreePath, AppError> {
    let trimmed = text.trim_end_matches('/');
    TreePath::parse(trimmed.as_bytes())
        .map_err(|_| AppError::LeadsOut { path: text.to_owned(), place: files.place() })
}
