//! How an application's health is judged: independent looks, compared with those of before.
//!
//! Only what got worse fails an upgrade: health checks that need the network or a certificate are
//! often red by themselves. An application's own claims, a status 200 or an exit code 0, suffice
//! nowhere.

mod compare;
mod http;
mod json;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;

use serde::{Deserialize, Serialize};

use crate::app::files::Files;
use crate::app::pending::named;
use crate::app::profile::{Expect, ProbeKind, ProbeRule, Template, Vars};
use crate::app::version::AppVersion;
use crate::app::{App, AppError, detect, hook};
use crate::database::Database;

pub use compare::{Comparison, compare};

/// What one probe found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeResult {
    /// As the profile calls it.
    pub name: String,
    /// Whether it passed.
    pub outcome: Outcome,
    /// What a checklist says fails, by identity.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub failing: BTreeSet<String>,
    /// Rows in each table.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rows: BTreeMap<String, u64>,
}

/// Whether a probe passed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", content = "why", rename_all = "kebab-case")]
pub enum Outcome {
    /// It saw what it wanted.
    Passed,
    /// It did not.
    Failed(String),
    /// It could not look.
    Skipped(String),
}

/// A command that a probe ran.
#[derive(Clone, Debug, Default)]
pub struct Answered {
    /// Its exit code, if it ended by itself.
    pub code: Option<i32>,
    /// Its standard output.
    pub out: Vec<u8>,
    /// Its standard error.
    pub err: Vec<u8>,
}

/// Runs one of the application's commands as its account.
pub type Ask<'a> =
    dyn FnMut(&str, &[OsString]) -> Result<Answered, Box<dyn std::error::Error + Send + Sync>> + 'a;

/// What the probes look at, and with what.
pub struct Look<'a> {
    /// The live tree.
    pub files: &'a dyn Files,
    /// The application's databases, opened.
    pub databases: &'a mut [Box<dyn Database>],
    /// How commands are run.
    pub ask: &'a mut Ask<'a>,
    /// The version that the tree should declare.
    pub version: &'a AppVersion,
    /// The layouts before and after, for `when`.
    pub layouts: (&'a str, &'a str),
    /// Whether `snap` keeps the site shut right now.
    pub is_shut: bool,
    /// Names of probes that are left out.
    pub skip: &'a [String],
}

/// Runs all probes of the profile that apply.
pub fn run(app: &App, look: &mut Look<'_>) -> Result<Vec<ProbeResult>, AppError> {
    let vars = app.vars_for(look.version, "");
    let (from, to) = look.layouts;
    let apply = app.profile.probes.iter().filter(|rule| rule.when.holds(from, to));
    apply.map(|rule| one(app, rule, &vars, look)).collect()
}

fn one(
    app: &App,
    rule: &ProbeRule,
    vars: &Vars,
    look: &mut Look<'_>,
) -> Result<ProbeResult, AppError> {
    let mut result = ProbeResult {
        name: rule.name.clone(),
        outcome: Outcome::Passed,
        failing: BTreeSet::new(),
        rows: BTreeMap::new(),
    };
    if look.skip.contains(&rule.name) {
        result.outcome = Outcome::Skipped("left out on request".to_owned());
        return Ok(result);
    }
    result.outcome = match &rule.kind {
        ProbeKind::Version => version(app, look),
        ProbeKind::Http(page) => http::look(page, vars, look.is_shut)?,
        ProbeKind::Command { argv, expect, json } => {
            let answered = ask(argv, vars, look)?;
            match answered {
                Ok(answered) => command(&answered, expect, json, vars)?,
                Err(why) => Outcome::Failed(why),
            }
        }
        ProbeKind::Checklist { argv, fail, ignore } => match ask(argv, vars, look)? {
            Ok(answered) => {
                for line in hook::plain_lines(&[&answered.out[..], b"\n", &answered.err].concat()) {
                    let found = fail.captures(&line);
                    let id = found.as_ref().and_then(|all| all.name("id").or_else(|| all.get(1)));
                    let text = id.map(|id| id.as_str().trim()).filter(|text| {
                        !ignore.as_ref().is_some_and(|ignore| ignore.is_match(text))
                    });
                    result.failing.extend(text.map(identity));
                }
                match result.failing.len() {
                    0 => Outcome::Passed,
                    some => Outcome::Failed(format!("{some} checks fail")),
                }
            }
            Err(why) => Outcome::Failed(why),
        },
        ProbeKind::Rows { database, tables } => rows(database, tables, vars, look, &mut result)?,
    };
    Ok(result)
}

/// A check's text with its numbers folded: a count that moves is the same check.
fn identity(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '0'..='9' if folded.ends_with('#') => {}
            '0'..='9' => folded.push('#'),
            c => folded.push(c),
        }
    }
    folded
}

fn version(app: &App, look: &Look<'_>) -> Outcome {
    match detect::declared(&app.profile, look.files) {
        Ok(declared) if declared.version == *look.version => Outcome::Passed,
        Ok(declared) => {
            Outcome::Failed(format!("the tree declares {}, not {}", declared.version, look.version))
        }
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

fn ask(
    argv: &[Template],
    vars: &Vars,
    look: &mut Look<'_>,
) -> Result<Result<Answered, String>, AppError> {
    let words: Vec<OsString> =
        argv.iter().map(|word| word.fill(vars).map(Into::into)).collect::<Result<_, _>>()?;
    Ok((look.ask)("probe", &words).map_err(|error| error.to_string()))
}

fn command(
    answered: &Answered,
    expect: &Expect,
    json: &[(String, crate::app::profile::JsonValue)],
    vars: &Vars,
) -> Result<Outcome, AppError> {
    let Some(code) = answered.code else {
        return Ok(Outcome::Failed("it did not end by itself".to_owned()));
    };
    if !expect.exit.contains(&code) {
        return Ok(Outcome::Failed(format!("it ended with exit code {code}")));
    }
    let text = hook::plain_lines(&[&answered.out[..], b"\n", &answered.err].concat()).join("\n");
    if let Some(found) = expect.must_not.as_ref().and_then(|must_not| must_not.find(&text)) {
        return Ok(Outcome::Failed(format!("it printed {:?}", found.as_str())));
    }
    if let Some(must) = expect.must.as_ref().filter(|must| !must.is_match(&text)) {
        return Ok(Outcome::Failed(format!("it did not print {:?}", must.as_str())));
    }
    json::compare(&answered.out, json, vars)
}

fn rows(
    database: &str,
    tables: &[Template],
    vars: &Vars,
    look: &mut Look<'_>,
    result: &mut ProbeResult,
) -> Result<Outcome, AppError> {
    let mut missing = Vec::new();
    for table in tables {
        let table = table.fill(vars)?;
        match named(look.databases, database)?.count(&table) {
            Ok(Some(count)) => drop(result.rows.insert(table, count)),
            Ok(None) => missing.push(table),
            Err(error) => return Ok(Outcome::Failed(error.to_string())),
        }
    }
    Ok(match missing[..] {
        [] => Outcome::Passed,
        _ => Outcome::Failed(format!("there is no table {}", missing.join(", "))),
    })
}

#[cfg(test)]
mod tests;
