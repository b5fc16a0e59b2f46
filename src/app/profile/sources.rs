//! Where values come from: versions, layouts, variables, databases.

use std::path::PathBuf;

use crate::app::version::{Scheme, VersionRange};

use super::ProfileError;
use super::model::{
    ConfigParser, ConfigSource, DatabaseRule, DatabaseSource, Driver, FieldMap, Layout, Var,
    VarRule, VersionRule,
};
use super::node::{Field, Node, Value, to_toml};
use super::parse::{Declared, id, only};
use super::reader::{Reader, Text, as_text};
use super::template::Template;

/// The configuration parsers by their names in `parser = "…"`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ParserName {
    PhpDefine,
    PhpVar,
    PhpArray,
    PhpReturn,
    PhpClass,
    Ini,
    Dotenv,
}

const PARSERS: [(&str, ParserName); 7] = [
    ("php-define", ParserName::PhpDefine),
    ("php-var", ParserName::PhpVar),
    ("php-array", ParserName::PhpArray),
    ("php-return", ParserName::PhpReturn),
    ("php-class", ParserName::PhpClass),
    ("ini", ParserName::Ini),
    ("dotenv", ParserName::Dotenv),
];

/// The same as keys of a variable's rule: `{ php_define = FILE, key = … }`.
const PARSER_KEYS: [(&str, ParserName); 7] = [
    ("php_define", ParserName::PhpDefine),
    ("php_var", ParserName::PhpVar),
    ("php_array", ParserName::PhpArray),
    ("php_return", ParserName::PhpReturn),
    ("php_class", ParserName::PhpClass),
    ("ini", ParserName::Ini),
    ("dotenv", ParserName::Dotenv),
];

pub(super) fn version(top: &mut Reader<'_>) -> Result<Option<VersionRule>, ProfileError> {
    top.table("version")?.map(version_rule).transpose()
}

/// `{ file, regex }`, also used for what PHP a release needs.
pub(super) fn version_rule(mut reader: Reader<'_>) -> Result<VersionRule, ProfileError> {
    let file = plain_path(reader.need("file")?)?;
    let text = reader.need("regex")?;
    let regex = text.regex()?;
    if regex.captures_len() < 2 {
        return Err(text.error("the expression has no group that is the version"));
    }
    reader.finish(&["command"])?;
    Ok(VersionRule { file, regex })
}

fn plain_paths(texts: &[Text<'_>]) -> Result<Vec<String>, ProfileError> {
    texts.iter().map(|text| plain_path(*text)).collect()
}

/// A path below the root, without patterns or variables.
fn plain_path(text: Text<'_>) -> Result<String, ProfileError> {
    let bare = text.text.strip_suffix('/').unwrap_or(text.text);
    match crate::tree::TreePath::parse(bare.as_bytes()) {
        Ok(_) => Ok(text.text.to_owned()),
        Err(bad) => Err(text.error(format!("{:?} is no path below the root: {bad}", text.text))),
    }
}

pub(super) fn layouts(top: &mut Reader<'_>, scheme: Scheme) -> Result<Vec<Layout>, ProfileError> {
    let mut layouts: Vec<Layout> = Vec::new();
    for mut reader in top.tables("layout")? {
        let name = reader.need("id")?;
        if layouts.iter().any(|layout| layout.id == name.text) {
            return Err(name.error(format!("two layouts are called {:?}", name.text)));
        }
        let require = plain_paths(&reader.texts("require")?)?;
        if require.is_empty() {
            return Err(reader.error("a layout without required paths would match anything"));
        }
        let range = reader.text("range")?;
        let range = range.map(|text| {
            VersionRange::parse(text.text, scheme).map_err(|bad| text.error(bad.to_string()))
        });
        layouts.push(Layout {
            id: id(name)?,
            require,
            forbid: plain_paths(&reader.texts("forbid")?)?,
            range: range.transpose()?,
            version: reader.table("version")?.map(version_rule).transpose()?,
        });
        reader.finish(&[])?;
    }
    if layouts.is_empty() {
        return Err(top.error("the profile has no [[layout]]"));
    }
    Ok(layouts)
}

pub(super) fn vars(top: &mut Reader<'_>, known: &Declared) -> Result<Vec<Var>, ProfileError> {
    let Some(table) = top.table("vars")? else { return Ok(Vec::new()) };
    table.all().iter().map(|field| var(field, known)).collect()
}

fn var(field: &Field, known: &Declared) -> Result<Var, ProfileError> {
    let name = field.key.clone();
    if let Value::Text(_) = field.node.value {
        let rule = VarRule::Literal(known.template(as_text(&field.node, &name)?)?);
        return Ok(Var { name, rule, default: None });
    }
    let mut reader = Reader::new(&field.node, format!("variable {name}"))?;
    let rule = if reader.has("find_dir") {
        let texts = |texts: Vec<Text<'_>>| texts.iter().map(|one| one.text.to_owned()).collect();
        VarRule::FindDir {
            dir: known.template(reader.need("find_dir")?)?,
            containing: texts(reader.texts("containing")?),
            exclude: texts(reader.texts("exclude")?),
        }
    } else {
        config_var(&mut reader, known)?
    };
    let default = reader.text("default")?.map(|text| known.template(text)).transpose()?;
    reader.finish(&["dsn"])?;
    Ok(Var { name, rule, default })
}

fn config_var(reader: &mut Reader<'_>, known: &Declared) -> Result<VarRule, ProfileError> {
    for (key, parser) in PARSER_KEYS {
        if let Some(file) = reader.text(key)? {
            return Ok(VarRule::Config {
                parser: parser_details(reader, parser)?,
                file: known.template(file)?,
                key: reader.need("key")?.text.to_owned(),
            });
        }
    }
    Err(reader.error("a variable is a string, find_dir, or a parser such as php_define"))
}

fn parser_details(
    reader: &mut Reader<'_>,
    parser: ParserName,
) -> Result<ConfigParser, ProfileError> {
    let dollar = |reader: &mut Reader<'_>| {
        let text = reader.need("variable")?;
        match text.text.strip_prefix('$') {
            Some(name) if !name.is_empty() => Ok(text.text.to_owned()),
            _ => Err(text.error("a PHP variable begins with $")),
        }
    };
    Ok(match parser {
        ParserName::PhpDefine => ConfigParser::PhpDefine,
        ParserName::PhpVar => ConfigParser::PhpVar,
        ParserName::PhpArray => ConfigParser::PhpArray { variable: dollar(reader)? },
        ParserName::PhpReturn => ConfigParser::PhpReturn,
        ParserName::PhpClass => ConfigParser::PhpClass {
            class: reader.need("class")?.text.to_owned(),
            property: dollar(reader)?,
        },
        ParserName::Ini => ConfigParser::Ini,
        ParserName::Dotenv => ConfigParser::Dotenv,
    })
}

pub(super) fn databases(
    top: &mut Reader<'_>,
    known: &Declared,
) -> Result<Vec<DatabaseRule>, ProfileError> {
    let Some(node) = top.node("database") else { return Ok(Vec::new()) };
    let Value::List(items) = &node.value else {
        return Err(node.place.error("databases are written as [[database]]"));
    };
    let mut rules: Vec<DatabaseRule> = Vec::new();
    for item in items {
        let rule = database(item, known)?;
        if rules.iter().any(|other| other.name == rule.name) {
            return Err(item.place.error(format!("two databases are called {:?}", rule.name)));
        }
        rules.push(rule);
    }
    Ok(rules)
}

/// One `[[database]]`.
pub(super) fn database(node: &Node, known: &Declared) -> Result<DatabaseRule, ProfileError> {
    let mut reader = Reader::new(node, "[[database]]")?;
    let name = reader.text("name")?.map_or_else(|| Ok("default".to_owned()), id)?;
    only(&mut reader, "scope", "database")?;
    let source = if let Some(url) = reader.text("url")? {
        let password_file = reader.text("password_file")?;
        DatabaseSource::Url {
            url: known.template(url)?,
            password_file: password_file.map(|text| PathBuf::from(text.text)),
        }
    } else {
        DatabaseSource::Config(Box::new(config_source(&mut reader, known)?))
    };
    reader.finish(&["admin"])?;
    let text = toml::to_string(&to_toml(node)).map_err(|e| node.place.error(e.to_string()))?;
    Ok(DatabaseRule { name, source, text })
}

fn config_source(reader: &mut Reader<'_>, known: &Declared) -> Result<ConfigSource, ProfileError> {
    let parser = reader.need("parser")?;
    if parser.text == "dsn" {
        return Err(super::reader::not_supported(parser.place, "parser = \"dsn\""));
    }
    let name = parser.one_of(&PARSERS)?;
    let parser = parser_details(reader, name)?;
    let files = known.templates(&reader.texts("files")?)?;
    if files.is_empty() {
        return Err(reader.error("a database's files are not named"));
    }
    let driver = reader.text("driver")?.map(|text| text.one_of(&DRIVERS)).transpose()?;
    let map = field_map(reader)?;
    if driver.is_none() && map.driver.is_none() {
        return Err(reader.error("neither driver nor map.driver says what kind of database it is"));
    }
    Ok(ConfigSource {
        parser,
        files,
        agree_with: known.templates(&reader.texts("agree_with")?)?,
        env_file: template(reader, "env_file", known)?,
        map,
        driver_map: driver_map(reader)?,
        driver,
        sqlite_path: sqlite_path(reader, known)?,
    })
}

const DRIVERS: [(&str, Driver); 3] =
    [("mysql", Driver::MySql), ("sqlite", Driver::Sqlite), ("postgres", Driver::Postgres)];

fn template(
    reader: &mut Reader<'_>,
    key: &'static str,
    known: &Declared,
) -> Result<Option<Template>, ProfileError> {
    reader.text(key)?.map(|text| known.template(text)).transpose()
}

/// Beside the variables it may hold `{name}`, the database's name in the configuration.
fn sqlite_path(
    reader: &mut Reader<'_>,
    known: &Declared,
) -> Result<Option<Template>, ProfileError> {
    let Some(text) = reader.text("sqlite_path")? else { return Ok(None) };
    let without_name = text.text.replace("{name}", "");
    known.template(Text { text: &without_name, place: text.place })?;
    Ok(Some(Template::new(text.text)))
}

fn field_map(reader: &mut Reader<'_>) -> Result<FieldMap, ProfileError> {
    let Some(mut map) = reader.table("map")? else { return Ok(FieldMap::default()) };
    let mut take = |key| Ok(map.text(key)?.map(|text| text.text.to_owned()));
    let fields = FieldMap {
        driver: take("driver")?,
        host: take("host")?,
        port: take("port")?,
        socket: take("socket")?,
        user: take("user")?,
        password: take("password")?,
        name: take("name")?,
        prefix: take("prefix")?,
    };
    map.finish(&["ssl_ca", "ssl_cert", "ssl_key", "url"])?;
    Ok(fields)
}

fn driver_map(reader: &mut Reader<'_>) -> Result<Vec<(String, Driver)>, ProfileError> {
    let Some(map) = reader.table("driver_map")? else { return Ok(Vec::new()) };
    let entry = |field: &Field| {
        Ok((field.key.clone(), as_text(&field.node, &field.key)?.one_of(&DRIVERS)?))
    };
    map.all().iter().map(entry).collect()
}
