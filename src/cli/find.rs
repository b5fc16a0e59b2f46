//! `snap find`: which snapshots hold a file, and in which versions.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use jiff::{Span, Timestamp, Zoned, civil};
use serde_json::json;

use crate::os::clock::Moment;
use crate::snapshot::{self, Finder, Snapshot};
use crate::tree::{Entry, Kind};

use super::command::About;
use super::context::Context;
use super::failure::{Code, Exit, Failure};
use super::output::Level;
use super::render::{self, counted};
use super::selection::is_of_apps;
use super::text::{self, Ink};
use super::{address, unlock};

pub(super) const ABOUT: About = About {
    name: "find",
    examples: "snap find 'config*.php'\nsnap find '/var/www/**/*.sql' --larger 10M\n\
               snap find '*' --type l --snapshot latest\nsnap find app.php --newest --json",
    exits: &[Exit::NoRepo, Exit::Password, Exit::Damaged],
};

/// What to look for, and where.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A name, or with a slash a path; *, ?, [a-z], and ** for any depth
    #[arg(value_name = "PATTERN", required = true)]
    patterns: Vec<String>,
    /// Upper and lower case are the same
    #[arg(short = 'i', long, help_heading = "What")]
    ignore_case: bool,
    /// Files of at least SIZE: 500K, 10M, 2G
    #[arg(long, value_name = "SIZE", help_heading = "What")]
    larger: Option<String>,
    /// Files of at most SIZE
    #[arg(long, value_name = "SIZE", help_heading = "What")]
    smaller: Option<String>,
    /// Changed since: 2026-11-20, "2026-11-20 14:00" or 3d, 12h, 30m ago
    #[arg(long, value_name = "TIME", help_heading = "What")]
    newer: Option<String>,
    /// Not changed since
    #[arg(long, value_name = "TIME", help_heading = "What")]
    older: Option<String>,
    /// Only files, directories or links
    #[arg(long, value_name = "f|d|l", value_parser = ["f", "d", "l"], help_heading = "What")]
    r#type: Option<String>,
    /// Only in this snapshot; may be given again
    #[arg(short = 's', long, value_name = "SNAP", help_heading = "Where")]
    snapshot: Vec<String>,
    /// Of each path only the newest version
    #[arg(long, help_heading = "Output", conflicts_with = "oldest")]
    newest: bool,
    /// Of each path only the oldest version
    #[arg(long, help_heading = "Output")]
    oldest: bool,
}

/// One version of one path, and the snapshots that hold it.
struct Version {
    entry: Entry,
    holders: Vec<usize>,
}

/// Looks, and lists each version with the snapshots that hold it.
pub(super) fn run(cx: &Context<'_>, args: &Args) -> Result<Exit, Failure> {
    let filter = Filter::of(args)?;
    let repository = unlock::open(cx)?.repository;
    let snapshots = chosen(cx, args, &repository)?;
    let wanted = |path: &Path, entry: &Entry| filter.takes(path, entry);
    let mut finder = Finder::new(&repository, &wanted);
    let mut found: BTreeMap<PathBuf, Vec<Version>> = BTreeMap::new();
    for (number, snapshot) in snapshots.iter().enumerate() {
        for sighting in finder.look(snapshot)? {
            let versions = found.entry(sighting.path).or_default();
            match versions.iter_mut().find(|version| version.entry == sighting.entry) {
                Some(version) => version.holders.push(number),
                None => {
                    versions.push(Version { entry: sighting.entry, holders: vec![number] });
                }
            }
        }
    }
    let mut count = 0;
    for (path, versions) in &found {
        let last = versions.len() - 1;
        for (index, version) in versions.iter().enumerate() {
            if (args.newest && index != last) || (args.oldest && index != 0) {
                continue;
            }
            count += 1;
            show(cx, path, version, &snapshots);
        }
    }
    let (paths, all) = (found.len() as u64, snapshots.len() as u64);
    let sentence = format!(
        "{} of {} in {}",
        counted(count, "version", "versions"),
        counted(paths, "path", "paths"),
        counted(all, "snapshot", "snapshots")
    );
    cx.out.remark(&format!("{sentence}\n"));
    let fields = json!({ "paths": paths, "versions": count, "snapshots": all });
    cx.out.message("summary", Level::Info, &sentence, fields);
    Ok(Exit::Ok)
}

/// The snapshots to look into, the oldest first.
fn chosen(
    cx: &Context<'_>,
    args: &Args,
    repository: &crate::repository::Repository,
) -> Result<Vec<Snapshot>, Failure> {
    if !args.snapshot.is_empty() {
        let named = args.snapshot.iter().map(|typed| address::snapshot(cx, repository, typed));
        let named: Result<Vec<_>, Failure> = named.collect();
        let mut named: Vec<Snapshot> = named?.into_iter().map(|(snapshot, _)| snapshot).collect();
        named.sort_by_key(|one| (one.time, one.id));
        return Ok(named);
    }
    let listed = snapshot::list_readable(repository)?;
    for one in &listed.unreadable {
        cx.out.insist(&format!("  {} {}: {}\n", Ink::Warn.on('!'), one.object, one.error));
    }
    Ok(listed.snapshots.into_iter().filter(|one| is_of_apps(cx, one)).collect())
}

fn show(cx: &Context<'_>, path: &Path, version: &Version, snapshots: &[Snapshot]) {
    let (shown, entry) = (text::path(path), &version.entry);
    let mtime = mtime(entry);
    let size = entry.kind.size();
    let what = match (&entry.kind, size) {
        (Kind::Symlink { target }, _) => format!("→ {}", text::name(target)),
        (_, Some(size)) => render::size(size),
        _ => super::ls::word(&entry.kind).to_owned(),
    };
    cx.out.print(&format!("{}   {what}   {}\n", Ink::Name.on(&shown), render::when(mtime)));
    let holders = version.holders.iter().map(|number| &snapshots[*number]);
    let ids: Vec<String> = holders.clone().map(|one| one.id.short()).collect();
    for line in text::wrap(&format!("in {}", ids.join(" ")), cx.out.columns().saturating_sub(4)) {
        cx.out.print(&format!("    {line}\n"));
    }
    let fields = json!({
        "path": shown,
        "type": super::ls::word(&entry.kind),
        "size": size,
        "mtime": render::timestamp(mtime),
        "mode": entry.meta.mode,
        "uid": entry.meta.uid,
        "gid": entry.meta.gid,
        "snapshots": holders.map(|one| one.id.to_string()).collect::<Vec<_>>(),
    });
    cx.out.message("match", Level::Info, &shown, fields);
}

fn mtime(entry: &Entry) -> Moment {
    let nanos = i128::from(entry.meta.mtime.secs) * 1_000_000_000;
    let nanos = nanos + i128::from(entry.meta.mtime.nanos);
    Moment(i64::try_from(nanos).unwrap_or(i64::MAX))
}

/// What is looked for, parsed.
#[derive(Debug)]
struct Filter {
    names: GlobSet,
    paths: GlobSet,
    larger: Option<u64>,
    smaller: Option<u64>,
    newer: Option<Moment>,
    older: Option<Moment>,
    kind: Option<char>,
}

impl Filter {
    fn of(args: &Args) -> Result<Self, Failure> {
        let (mut names, mut paths) = (GlobSetBuilder::new(), GlobSetBuilder::new());
        for pattern in &args.patterns {
            let bad = |error: globset::Error| {
                Failure::new(Code::E0001, format!("{pattern:?} is no pattern"))
                    .because(error.to_string())
            };
            let is_path = pattern.contains('/');
            let is_anchored = pattern.starts_with('/') || !is_path;
            let anchored = if is_anchored { pattern.clone() } else { format!("**/{pattern}") };
            let glob = GlobBuilder::new(&anchored)
                .literal_separator(true)
                .case_insensitive(args.ignore_case)
                .build()
                .map_err(bad)?;
            if is_path {
                paths.add(glob)
            } else {
                names.add(glob)
            };
        }
        let built = |set: GlobSetBuilder| {
            set.build().map_err(|error| Failure::new(Code::E0001, error.to_string()))
        };
        Ok(Self {
            names: built(names)?,
            paths: built(paths)?,
            larger: args.larger.as_deref().map(size).transpose()?,
            smaller: args.smaller.as_deref().map(size).transpose()?,
            newer: args.newer.as_deref().map(time).transpose()?,
            older: args.older.as_deref().map(time).transpose()?,
            kind: args.r#type.as_ref().and_then(|kind| kind.chars().next()),
        })
    }

    fn takes(&self, path: &Path, entry: &Entry) -> bool {
        let name = path.file_name().unwrap_or(path.as_os_str());
        let named = self.names.is_match(name) || self.paths.is_match(path);
        named && self.is_of_kind(entry) && self.is_of_size(entry) && self.is_of_time(entry)
    }

    fn is_of_kind(&self, entry: &Entry) -> bool {
        match self.kind {
            None => true,
            Some('f') => matches!(entry.kind, Kind::File { .. }),
            Some('l') => matches!(entry.kind, Kind::Symlink { .. }),
            Some(_) => matches!(entry.kind, Kind::Directory { .. } | Kind::SkippedDirectory),
        }
    }

    fn is_of_size(&self, entry: &Entry) -> bool {
        if self.larger.is_none() && self.smaller.is_none() {
            return true;
        }
        let Some(size) = entry.kind.size() else { return false };
        self.larger.is_none_or(|least| size >= least)
            && self.smaller.is_none_or(|most| size <= most)
    }

    fn is_of_time(&self, entry: &Entry) -> bool {
        let mtime = mtime(entry);
        self.newer.is_none_or(|since| mtime >= since)
            && self.older.is_none_or(|until| mtime < until)
    }
}

/// Reads `500K`, `10M`, `2GiB` or a number of bytes.
fn size(text: &str) -> Result<u64, Failure> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let shift = match text[digits..].trim_end_matches("iB") {
        "" | "B" => Some(0),
        "K" | "k" => Some(10),
        "M" | "m" => Some(20),
        "G" | "g" => Some(30),
        "T" | "t" => Some(40),
        _ => None,
    };
    let bytes = text[..digits].parse::<u64>().ok().zip(shift);
    bytes.and_then(|(number, shift)| number.checked_mul(1 << shift)).ok_or_else(|| {
        Failure::new(Code::E0001, format!("{text:?} is no size")).tip("500K, 10M or 2G")
    })
}

/// Reads a date, a date with a time, or how long ago.
fn time(text: &str) -> Result<Moment, Failure> {
    let bad = || {
        Failure::new(Code::E0001, format!("{text:?} is no time"))
            .tip("2026-11-20, \"2026-11-20 14:00\" or 3d for three days ago")
    };
    if let Some(number) = text.strip_suffix(['d', 'h', 'm']) {
        let number: i64 = number.parse().map_err(|_| bad())?;
        let span = match text.chars().last() {
            Some('d') => Span::new().try_hours(number.saturating_mul(24)),
            Some('h') => Span::new().try_hours(number),
            _ => Span::new().try_minutes(number),
        };
        let now = Timestamp::from_nanosecond(i128::from(crate::os::clock::now().0));
        let then = now.and_then(|now| now.checked_sub(span?)).map_err(|_| bad())?;
        return Ok(moment(then));
    }
    let here = jiff::tz::TimeZone::system();
    let zoned: Result<Zoned, _> = match text.parse::<civil::DateTime>() {
        Ok(when) => when.to_zoned(here),
        Err(_) => match text.parse::<civil::Date>() {
            Ok(date) => date.to_zoned(here),
            Err(_) => return Err(bad()),
        },
    };
    Ok(moment(zoned.map_err(|_| bad())?.timestamp()))
}

fn moment(at: Timestamp) -> Moment {
    Moment(i64::try_from(at.as_nanosecond()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_read_as_people_write_them() {
        assert_eq!(size("10M").unwrap(), 10 << 20);
        assert_eq!(size("2GiB").unwrap(), 2 << 30);
        assert_eq!(size("77").unwrap(), 77);
        assert!(size("M").is_err() && size("1X").is_err() && size("").is_err());
        let hour = 3_600_000_000_000;
        let apart = time("1h").unwrap().0 - time("1d").unwrap().0;
        assert!((apart - 23 * hour).abs() < hour / 60);
        assert!(time("2026-11-20").unwrap() < time("2026-11-20 14:00").unwrap());
        assert!(time("soon").is_err() && time("d").is_err());
    }
}
