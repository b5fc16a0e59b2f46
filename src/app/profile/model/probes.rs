//! How an application's health is judged.

use regex::Regex;

use super::{Expect, When};
use crate::app::profile::template::Template;

/// One way of judging the application's health.
#[derive(Clone, Debug)]
pub struct ProbeRule {
    /// Unique within the profile; named by `--skip-probe`.
    pub name: String,
    /// Only for these layouts.
    pub when: When,
    /// What is looked at.
    pub kind: ProbeKind,
}

/// What a probe looks at.
#[derive(Clone, Debug)]
pub enum ProbeKind {
    /// The live tree declares what the release declares.
    Version,
    /// A page.
    Http(HttpProbe),
    /// A command's exit and output.
    Command {
        /// Program and arguments.
        argv: Vec<Template>,
        /// What success is.
        expect: Expect,
        /// Keys of a JSON object on its standard output, and their values.
        json: Vec<(String, JsonValue)>,
    },
    /// A command's list of failures, compared line by line with that of before.
    Checklist {
        /// Program and arguments; the exit code is ignored.
        argv: Vec<Template>,
        /// Group `id` (else the first) names what failed.
        fail: Regex,
        /// Names that are none.
        ignore: Option<Regex>,
    },
    /// Tables that must not lose rows.
    Rows {
        /// Which database.
        database: String,
        /// The tables.
        tables: Vec<Template>,
    },
}

/// A page and what it must look like.
#[derive(Clone, Debug)]
pub struct HttpProbe {
    /// A path below `{base_url}`, or a whole URL.
    pub url: Template,
    /// Allowed status codes.
    pub status: Vec<u16>,
    /// At least this long.
    pub min_bytes: u64,
    /// Must be found in it.
    pub must: Option<Regex>,
    /// Must not.
    pub must_not: Option<Regex>,
    /// Keys of the JSON object that it is, and their values.
    pub json: Vec<(String, JsonValue)>,
    /// Allowed status codes while `snap` keeps the site shut.
    pub shut: Option<Vec<u16>>,
}

/// A value that a JSON answer must have.
#[derive(Clone, Debug)]
pub enum JsonValue {
    /// A string.
    Text(Template),
    /// A whole number.
    Int(i64),
    /// True or false.
    Bool(bool),
}
