//! Reads the literal values of an application's configuration files. Nothing is ever executed.
//!
//! What is not literal (a call, a condition, a variable) is refused with its key and line when
//! somebody asks for it: a guessed password or path would be worse than none.

mod dotenv;
mod ini;
mod php;
mod secrets;
mod value;

#[cfg(test)]
mod tests;

use std::path::Path;

use crate::app::AppError;
use crate::app::files::{CONFIG_BYTES_MAX, Files, as_path};
use crate::app::profile::ConfigParser;
use crate::tree::TreePath;

pub use secrets::{names_a_secret, secrets_in};
pub use value::{Key, Literal, Value};

/// What expressions in a file may refer to.
pub(crate) struct Environment<'a> {
    /// The installation's root: also where a stored tree came from.
    pub(crate) root: &'a str,
    /// `__DIR__`
    pub(crate) dir: String,
    /// Environment variables that the application keeps in a file.
    pub(crate) variable: &'a dyn Fn(&str) -> Option<String>,
}

/// One configuration file, read.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its true path from the root.
    pub file: TreePath,
    values: Literal,
}

/// A value as an application's part of configuration: one word or number.
#[derive(Clone)]
pub struct Setting {
    /// The value as text.
    pub text: String,
    /// The file it stands in.
    pub file: TreePath,
    /// Its line.
    pub line: usize,
    /// The environment variable whose default it is.
    pub default_of: Option<String>,
}

impl Config {
    /// Reads `file`, if it is there. `root` is where the installation lies, whatever `files` reads.
    pub fn read(
        files: &dyn Files,
        file: &TreePath,
        parser: &ConfigParser,
        root: &Path,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, AppError> {
        let Some((file, _)) = files.find(file)? else { return Ok(None) };
        let Some(bytes) = files.read(&file, CONFIG_BYTES_MAX)? else { return Ok(None) };
        let root = root.to_string_lossy();
        let dir = file.parent().map_or_else(
            || root.clone().into_owned(),
            |parent| format!("{root}/{}", as_path(&parent).display()),
        );
        let environment = Environment { root: &root, dir, variable };
        Self::parse(file, &bytes, parser, &environment).map(Some)
    }

    fn parse(
        file: TreePath,
        bytes: &[u8],
        parser: &ConfigParser,
        environment: &Environment<'_>,
    ) -> Result<Self, AppError> {
        let read = match parser {
            ConfigParser::Ini => ini::read(bytes),
            ConfigParser::Dotenv => dotenv::read(bytes),
            _ => php::read(bytes, parser, environment),
        };
        match read {
            Ok(values) => Ok(Self { file, values }),
            Err(php::Unreadable { line, what }) => {
                Err(AppError::NotLiteral { file: file.to_string(), line, key: None, what })
            }
        }
    }

    /// The value under `key` (parts joined by dots), literal or refused.
    pub fn get(&self, key: &str) -> Option<&Literal> {
        self.values.get(key)
    }

    /// All values.
    pub const fn values(&self) -> &Literal {
        &self.values
    }

    /// The value under `key` as one word; `None` where it is missing, null or an empty text.
    pub fn setting(&self, key: &str) -> Result<Option<Setting>, AppError> {
        let Some(found) = self.get(key) else { return Ok(None) };
        let refused = |what: String| AppError::NotLiteral {
            file: self.file.to_string(),
            line: found.line,
            key: Some(key.to_owned()),
            what,
        };
        let text = match &found.value {
            Value::Null => return Ok(None),
            Value::Text(text) if text.is_empty() => return Ok(None),
            Value::Text(text) | Value::Fraction(text) => text.clone(),
            Value::Int(int) => int.to_string(),
            Value::Bool(flag) => flag.to_string(),
            Value::Array(_) => return Err(refused("an array".to_owned())),
            Value::Refused(what) => return Err(refused(what.clone())),
        };
        Ok(Some(Setting {
            text,
            file: self.file.clone(),
            line: found.line,
            default_of: found.default_of.clone(),
        }))
    }
}
