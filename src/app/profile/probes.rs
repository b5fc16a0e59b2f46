//! The sections that say how to see whether an application works.

use std::collections::BTreeSet;

use regex::Regex;

use super::ProfileError;
use super::model::{HttpProbe, JsonValue, ProbeKind, ProbeRule};
use super::node::Value;
use super::parse::{Declared, id, only};
use super::reader::{Reader, as_text};
use super::steps::{Kinds, expect, kind, when};

pub(super) fn probes(
    top: &mut Reader<'_>,
    known: &Declared,
) -> Result<Vec<ProbeRule>, ProfileError> {
    const KINDS: Kinds = &[
        ("version", true),
        ("http", true),
        ("command", true),
        ("checklist", true),
        ("rows", true),
        ("schema", false),
    ];
    let mut probes = Vec::new();
    let mut names = BTreeSet::new();
    for mut reader in top.tables("probe")? {
        let kind_name = kind(&mut reader, KINDS)?;
        let name = match reader.text("name")? {
            Some(text) => id(text)?,
            None => free_name(kind_name, &names),
        };
        if !names.insert(name.clone()) {
            return Err(reader.error(format!("two probes are called {name:?}")));
        }
        let when = when(&mut reader, known)?;
        let kind = match kind_name {
            "version" => ProbeKind::Version,
            "http" => ProbeKind::Http(http(&mut reader, known)?),
            "command" => ProbeKind::Command {
                argv: known.argv(&mut reader, "argv")?,
                expect: expect(&mut reader)?,
                json: json(&mut reader, known)?,
            },
            "checklist" => checklist(&mut reader, known)?,
            _ => rows(&mut reader, known)?,
        };
        reader.finish(&[])?;
        probes.push(ProbeRule { name, when, kind });
    }
    Ok(probes)
}

/// `http`, then `http-2`, `http-3`.
fn free_name(kind: &str, taken: &BTreeSet<String>) -> String {
    let numbered = (2..).map(|n| format!("{kind}-{n}"));
    std::iter::once(kind.to_owned())
        .chain(numbered)
        .find(|name| !taken.contains(name))
        .expect("the numbers do not end")
}

fn http(reader: &mut Reader<'_>, known: &Declared) -> Result<HttpProbe, ProfileError> {
    let status = status(reader)?.unwrap_or_else(|| vec![200]);
    let shut = match reader.table("shut")? {
        None => None,
        Some(mut shut) => {
            let codes = status_of(&mut shut)?;
            shut.finish(&[])?;
            Some(codes)
        }
    };
    let min_bytes = reader.int("min_bytes")?.map_or(Ok(0), |(bytes, place)| {
        u64::try_from(bytes).map_err(|_| place.error("min_bytes cannot be negative"))
    })?;
    Ok(HttpProbe {
        url: known.template(reader.need("url")?)?,
        status,
        min_bytes,
        must: reader.regex("must")?,
        must_not: reader.regex("must_not")?,
        json: json(reader, known)?,
        shut,
    })
}

fn status_of(reader: &mut Reader<'_>) -> Result<Vec<u16>, ProfileError> {
    let missing = reader.error("shut needs status");
    status(reader)?.ok_or(missing)
}

fn status(reader: &mut Reader<'_>) -> Result<Option<Vec<u16>>, ProfileError> {
    let bad = reader.error("status codes lie between 100 and 599");
    let Some(codes) = reader.ints("status")? else { return Ok(None) };
    let code = |code| u16::try_from(code).ok().filter(|code| (100..600).contains(code));
    codes.into_iter().map(code).collect::<Option<_>>().ok_or(bad).map(Some)
}

fn json(
    reader: &mut Reader<'_>,
    known: &Declared,
) -> Result<Vec<(String, JsonValue)>, ProfileError> {
    let Some(table) = reader.table("json")? else { return Ok(Vec::new()) };
    let mut wanted = Vec::new();
    for field in table.all() {
        let value = match &field.node.value {
            Value::Text(_) => JsonValue::Text(known.template(as_text(&field.node, &field.key)?)?),
            Value::Int(int) => JsonValue::Int(*int),
            Value::Bool(flag) => JsonValue::Bool(*flag),
            other => {
                let what = format!("{} cannot be compared with {}", field.key, other.kind());
                return Err(field.node.place.error(what));
            }
        };
        wanted.push((field.key.clone(), value));
    }
    Ok(wanted)
}

fn checklist(reader: &mut Reader<'_>, known: &Declared) -> Result<ProbeKind, ProfileError> {
    only(reader, "rule", "no-new-failures")?;
    let argv = known.argv(reader, "argv")?;
    let text = reader.need("fail")?;
    let fail: Regex = text.regex()?;
    if fail.captures_len() < 2 {
        return Err(text.error("the expression has no group that names what failed"));
    }
    Ok(ProbeKind::Checklist { argv, fail, ignore: reader.regex("ignore")? })
}

fn rows(reader: &mut Reader<'_>, known: &Declared) -> Result<ProbeKind, ProfileError> {
    let tables = known.templates(&reader.texts("tables")?)?;
    if tables.is_empty() {
        return Err(reader.error("a rows probe needs tables"));
    }
    if reader.flag("not_less_than_before")? == Some(false) {
        return Err(reader.error("a rows probe that compares nothing says nothing"));
    }
    Ok(ProbeKind::Rows { database: known.database(reader)?, tables })
}
