//! Before and after, side by side: the promise kept, for everybody to see.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::cli::render::count;
use crate::cli::text::Ink;
use crate::upgrade::event::Proof;

/// What was compared at the end of a rollback; digests in whole hex.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Compared {
    /// The files' digest before and after.
    pub(in crate::cli) files: (String, String),
    /// Each database's name, and its fingerprint before and after.
    pub(in crate::cli) databases: Vec<(String, String, String)>,
    /// Files whose bytes were read again.
    pub(in crate::cli) files_read: u64,
    /// Files that nothing had touched.
    pub(in crate::cli) files_unchanged: u64,
}

impl From<&Proof> for Compared {
    fn from(proof: &Proof) -> Self {
        let (before, after) = (proof.files.before.to_string(), proof.files.after.to_string());
        let of = |one: &crate::upgrade::event::NamedCompared| {
            let compared = &one.compared;
            (one.name.clone(), compared.before.to_string(), compared.after.to_string())
        };
        Self {
            files: (before, after),
            databases: proof.databases.iter().map(of).collect(),
            files_read: proof.files_read,
            files_unchanged: proof.files_unchanged,
        }
    }
}

impl Compared {
    /// A line for the files and for each database, then what was read to know it.
    pub(in crate::cli) fn lines(&self, indent: &str) -> String {
        let mut out = String::new();
        let mut line = |name: &str, before: &str, after: &str| {
            let (sign, verdict) = if before == after {
                ('=', Ink::Good.on("identical"))
            } else {
                ('≠', Ink::Bad.on("DIFFERENT"))
            };
            let (before, after) = (short(before), short(after));
            let _ = writeln!(out, "{indent}{name:<12} {before} {sign} {after}  {verdict}");
        };
        line("files", &self.files.0, &self.files.1);
        for (name, before, after) in &self.databases {
            let named = format!("database {name}");
            let name = if self.databases.len() == 1 { "database" } else { &named };
            line(name, before, after);
        }
        let (read, unchanged) = (count(self.files_read), count(self.files_unchanged));
        let _ = writeln!(out, "{indent}{read} files read again, {unchanged} unchanged since T0");
        out
    }

    /// The same for a program.
    pub(in crate::cli) fn json(&self) -> Value {
        let pair = |before: &str, after: &str| json!({ "before": format!("b3:{before}"), "after": format!("b3:{after}") });
        let databases = &self.databases;
        let fingerprints: Map<String, Value> =
            databases.iter().map(|(name, b, a)| (name.clone(), pair(b, a))).collect();
        json!({
            "identical": self.files.0 == self.files.1 && databases.iter().all(|(_, b, a)| b == a),
            "files_read": self.files_read,
            "files_unchanged": self.files_unchanged,
            "digest": pair(&self.files.0, &self.files.1),
            "fingerprints": fingerprints,
        })
    }
}

/// The first and telling digits.
pub(in crate::cli) fn short(hex: &str) -> String {
    format!("b3:{}…", hex.get(..8).unwrap_or(hex))
}
