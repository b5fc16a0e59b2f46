//! The sections that name commands: maintenance, pending, migrate, hooks.

use std::time::Duration;

use regex::Regex;

use super::ProfileError;
use super::model::{
    Expect, HookFailure, HookPoint, HookRule, MigrateRun, MigrateStep, PendingRule, PromptRule,
    Scan, ScanWithin, StatusCommand, Switch, When,
};
use super::parse::{Declared, id, only};
use super::reader::{Reader, Text, as_text, not_supported};

/// The second element says whether this version has it.
pub(super) type Kinds = &'static [(&'static str, bool)];

/// The `kind` of a section, refused where it belongs to a later version.
pub(super) fn kind<'a>(reader: &mut Reader<'a>, kinds: Kinds) -> Result<&'a str, ProfileError> {
    let text: Text<'a> = reader.need("kind")?;
    if text.one_of(kinds)? {
        return Ok(text.text);
    }
    Err(not_supported(text.place, &format!("kind = {:?}", text.text)))
}

pub(super) fn maintenance(
    top: &mut Reader<'_>,
    known: &Declared,
) -> Result<Vec<Switch>, ProfileError> {
    const KINDS: Kinds = &[("file", true), ("row", true), ("command", true), ("units", true)];
    let mut switches = Vec::new();
    for mut reader in top.tables("maintenance")? {
        let switch = match kind(&mut reader, KINDS)? {
            "file" => Switch::File {
                file: known.template(reader.need("file")?)?,
                content: known.template(reader.need("content")?)?,
            },
            "row" => Switch::Row {
                database: known.database(&mut reader)?,
                table: known.template(reader.need("table")?)?,
                filter: filter(&mut reader)?,
                column: reader.need("column")?.text.to_owned(),
                on: reader.need("on")?.text.to_owned(),
                key_columns: reader
                    .texts("key_columns")?
                    .iter()
                    .map(|column| column.text.to_owned())
                    .collect(),
            },
            "command" => Switch::Command {
                get: known.argv(&mut reader, "get")?,
                is_on: reader.need("is_on")?.regex()?,
                on: known.argv(&mut reader, "on")?,
                off: known.argv(&mut reader, "off")?,
            },
            _ => Switch::Units(units(&mut reader)?),
        };
        // A single key of a parsed file is a later version's way.
        reader.finish(&["key", "parser", "variable"])?;
        switches.push(switch);
    }
    Ok(switches)
}

/// Column and value of the rows meant; without any, a whole table would be.
fn filter(reader: &mut Reader<'_>) -> Result<Vec<(String, String)>, ProfileError> {
    let missing = reader.error("where must name a column");
    let Some(table) = reader.table("where")? else { return Err(missing) };
    let fields = table.all();
    if fields.is_empty() {
        return Err(missing);
    }
    let pair = |field: &super::node::Field| {
        Ok((field.key.clone(), as_text(&field.node, &field.key)?.text.to_owned()))
    };
    fields.iter().map(pair).collect()
}

/// Names of services, which end up as arguments: nothing that looks like an option.
pub(super) fn units(reader: &mut Reader<'_>) -> Result<Vec<String>, ProfileError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "@._:-\\".contains(c);
    let mut units = Vec::new();
    for text in reader.texts("units")? {
        if text.text.is_empty() || text.text.starts_with('-') || !text.text.chars().all(fits) {
            return Err(text.error(format!("{:?} is no name of a unit", text.text)));
        }
        units.push(text.text.to_owned());
    }
    Ok(units)
}

pub(super) fn pending(
    top: &mut Reader<'_>,
    known: &Declared,
) -> Result<Vec<PendingRule>, ProfileError> {
    let mut rules = Vec::new();
    for mut reader in top.tables("pending")? {
        let scan = reader.table("scan")?.map(|scan| scan_rule(scan, known)).transpose()?;
        let status = if reader.has("argv") {
            Some(StatusCommand {
                argv: known.argv(&mut reader, "argv")?,
                pending_if: reader.need("pending_if")?.regex()?,
            })
        } else {
            None
        };
        if scan.is_none() && status.is_none() {
            return Err(reader.error("[[pending]] needs scan or argv"));
        }
        reader.finish(&[])?;
        rules.push(PendingRule { scan, status });
    }
    Ok(rules)
}

fn one_group(text: Text<'_>) -> Result<Regex, ProfileError> {
    let regex = text.regex()?;
    if regex.captures_len() == 2 {
        return Ok(regex);
    }
    Err(text.error("the expression needs one group, which is the question"))
}

fn scan_rule(mut reader: Reader<'_>, known: &Declared) -> Result<Scan, ProfileError> {
    let within = [("content", ScanWithin::Content), ("name", ScanWithin::Name)];
    let text = reader.need("id")?;
    let id = text.regex()?;
    if id.captures_len() < 2 {
        return Err(text.error("the expression has no group that is the id"));
    }
    let scan = Scan {
        files: known.template(reader.need("files")?)?,
        within: reader.need("in")?.one_of(&within)?,
        id,
        database: known.database(&mut reader)?,
        table: known.template(reader.need("table")?)?,
        column: reader.need("column")?.text.to_owned(),
        asks: reader.text("asks")?.map(one_group).transpose()?,
    };
    reader.finish(&[])?;
    Ok(scan)
}

pub(super) fn migrate(
    top: &mut Reader<'_>,
    known: &Declared,
) -> Result<Vec<MigrateStep>, ProfileError> {
    const KINDS: Kinds = &[
        ("command", true),
        ("sql", true),
        ("http-chain", false),
        ("copy", false),
        ("template", false),
        ("service", false),
    ];
    let mut steps = Vec::new();
    for mut reader in top.tables("migrate")? {
        let run = match kind(&mut reader, KINDS)? {
            "command" => MigrateRun::Command(known.argv(&mut reader, "argv")?),
            _ => MigrateRun::Sql {
                glob: reader.need("glob")?.text.to_owned(),
                table: id(reader.need("table")?)?,
                database: known.database(&mut reader)?,
            },
        };
        only(&mut reader, "unknown_prompt", "fail")?;
        let step = MigrateStep {
            when: when(&mut reader, known)?,
            run,
            expect: expect(&mut reader)?,
            prompts: prompts(&mut reader)?,
            idle_timeout: reader.duration("idle_timeout", Duration::from_mins(2))?,
            timeout: reader.duration("timeout", Duration::from_hours(1))?,
        };
        reader.finish(&[])?;
        steps.push(step);
    }
    Ok(steps)
}

pub(super) fn when(reader: &mut Reader<'_>, known: &Declared) -> Result<When, ProfileError> {
    let Some(mut table) = reader.table("when")? else { return Ok(When::default()) };
    let layouts = |texts: Vec<Text<'_>>| {
        let mut ids = Vec::new();
        for text in texts {
            if !known.layouts.contains(text.text) {
                let mut error = text.error(format!("no layout is called {:?}", text.text));
                error.nearest =
                    super::reader::nearest(text.text, known.layouts.iter().map(String::as_str));
                return Err(error);
            }
            ids.push(text.text.to_owned());
        }
        Ok(ids)
    };
    let when = When { from: layouts(table.texts("from")?)?, to: layouts(table.texts("to")?)? };
    table.finish(&["channel", "os"])?;
    Ok(when)
}

pub(super) fn expect(reader: &mut Reader<'_>) -> Result<Expect, ProfileError> {
    let Some(mut table) = reader.table("expect")? else {
        return Ok(Expect { exit: vec![0], must: None, must_not: None });
    };
    let bad = table.error("exit codes lie between 0 and 255");
    let codes = table.ints("exit")?.unwrap_or_else(|| vec![0]);
    let expect = Expect {
        exit: codes
            .into_iter()
            .map(|code| u8::try_from(code).map(i32::from))
            .collect::<Result<_, _>>()
            .map_err(|_| bad)?,
        must: table.regex("must")?,
        must_not: table.regex("must_not")?,
    };
    table.finish(&[])?;
    Ok(expect)
}

fn prompts(reader: &mut Reader<'_>) -> Result<Vec<PromptRule>, ProfileError> {
    let mut rules = Vec::new();
    for mut prompt in reader.tables("prompt")? {
        let answer = prompt.need("answer")?;
        if answer.text.chars().any(char::is_control) {
            return Err(answer.error("an answer is one line, its newline is added"));
        }
        let max = prompt.int("max")?.map_or(Ok(1), |(max, place)| {
            u32::try_from(max)
                .ok()
                .filter(|max| *max > 0)
                .ok_or_else(|| place.error("max counts how often the question may come: 1 or more"))
        })?;
        let rule = PromptRule {
            pattern: prompt.need("match")?.regex()?,
            answer: answer.text.to_owned(),
            max,
            fails: match prompt.text("then")? {
                None => false,
                Some(then) => then.one_of(&[("fail", true), ("go-on", false)])?,
            },
        };
        prompt.finish(&[])?;
        rules.push(rule);
    }
    Ok(rules)
}

pub(super) fn hooks(top: &mut Reader<'_>, known: &Declared) -> Result<Vec<HookRule>, ProfileError> {
    let points = [
        ("before:migrate", HookPoint::BeforeMigrate),
        ("after:upgrade", HookPoint::AfterUpgrade),
        ("failed", HookPoint::Failed),
        ("finally", HookPoint::Finally),
    ];
    let failures = [
        ("abort", HookFailure::Abort),
        ("warn", HookFailure::Warn),
        ("ignore", HookFailure::Ignore),
    ];
    let mut hooks = Vec::new();
    for mut reader in top.tables("hook")? {
        let hook = HookRule {
            at: reader.need("at")?.one_of(&points)?,
            run: known.argv(&mut reader, "run")?,
            on_failure: reader
                .text("on_failure")?
                .map_or(Ok(HookFailure::Abort), |text| text.one_of(&failures))?,
            timeout: reader.duration("timeout", Duration::from_mins(10))?,
        };
        reader.finish(&["env", "shell"])?;
        hooks.push(hook);
    }
    Ok(hooks)
}
