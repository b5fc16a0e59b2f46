//! `snap backup`: an application, or paths and databases, as one snapshot.

mod report;

use std::path::PathBuf;
use std::time::Instant;

use crate::app::App;
use crate::database::{self, Address, Consistency, Database, OpenOptions};
use crate::monitor::{Monitor, News};
use crate::os::{clock, file};
use crate::repository::{Compression, Repository, WriteOptions};
use crate::snapshot::{
    self, AppMark, Class, DatabaseMark, Memory, Request, Snapshot, Source, Trust,
};
use crate::tree::walk::Walker;
use crate::tree::{ExclusionRules, Exclusions};
use crate::upgrade;
use crate::upgrade::lock::AppLock;

use crate::cli::app as apps;
use crate::cli::command::About;
use crate::cli::context::Context;
use crate::cli::failure::{Code, Exit, Failure};
use crate::cli::progress::Progress;
use crate::cli::render::{counted, size};
use crate::cli::text;
use crate::cli::{remembered, secret, unlock};

pub(in crate::cli) const ABOUT: About = About {
    name: "backup",
    examples: "snap backup --app passbolt\n\
               snap backup /etc /srv/www --exclude-caches --tag nightly\n\
               snap backup /srv/wiki --db sqlite:///srv/wiki/data/wiki.db",
    exits: &[
        Exit::Partial,
        Exit::NoRepo,
        Exit::Locked,
        Exit::Password,
        Exit::Space,
        Exit::Backend,
        Exit::OpenTxn,
        Exit::Db,
        Exit::NoApp,
    ],
};

/// What to back up.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Files and directories
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// A database too: sqlite:///PATH or mysql://USER@HOST/SCHEMA, without a password
    #[arg(long, value_name = "URL", help_heading = "What")]
    db: Vec<String>,
    /// Leave out what matches
    #[arg(short = 'e', long, value_name = "PATTERN", help_heading = "What")]
    exclude: Vec<String>,
    /// The same, in upper or lower case
    #[arg(long, value_name = "PATTERN", help_heading = "What")]
    iexclude: Vec<String>,
    /// Leave out the inside of directories that hold a CACHEDIR.TAG
    #[arg(long, help_heading = "What")]
    exclude_caches: bool,
    /// Leave out files larger than so many bytes (K, M, G, T)
    #[arg(long, value_name = "SIZE", value_parser = bytes, help_heading = "What")]
    exclude_larger_than: Option<u64>,
    /// auto, off, or how hard from 1 to 19
    #[arg(long, value_name = "LEVEL", value_parser = compression, help_heading = "What")]
    compression: Option<Compression>,
    /// A word to find it by; may be given again
    #[arg(long, value_name = "TEXT", help_heading = "Output")]
    tag: Vec<String>,
    /// A line to remember it by
    #[arg(long, value_name = "TEXT", help_heading = "Output")]
    note: Option<String>,
    /// Read every file again
    #[arg(short = 'f', long, help_heading = "Safety")]
    force: bool,
}

/// One snapshot to be.
struct Wanted {
    source: String,
    app: Option<AppMark>,
    sources: Vec<Source>,
    databases: Vec<Box<dyn Database>>,
    /// Held until the snapshot exists: an upgrade must not begin meanwhile.
    _lock: Option<AppLock>,
}

/// Takes a snapshot of each app that was named, or one of the paths.
pub(in crate::cli) fn run(cx: &Context<'_>, args: &Args) -> Result<Exit, Failure> {
    let repository = unlock::open(cx)?.repository;
    let names = if args.paths.is_empty() && args.db.is_empty() { cx.apps() } else { Vec::new() };
    let mut exit = Exit::Ok;
    if names.is_empty() {
        exit = take(cx, args, &repository, of_paths(cx, args)?)?;
    }
    for name in names {
        exit = exit.worst(take(cx, args, &repository, of_app(cx, &name)?)?);
    }
    Ok(exit)
}

fn of_paths(cx: &Context<'_>, args: &Args) -> Result<Wanted, Failure> {
    if args.paths.is_empty() && args.db.is_empty() {
        return Err(Failure::new(Code::E0001, "back up what? name a path or an --app"));
    }
    let paths: Vec<PathBuf> =
        args.paths.iter().map(|path| cx.environment.directory.join(path)).collect();
    let mut databases = Vec::new();
    let mut files = Vec::new();
    for (index, url) in args.db.iter().enumerate() {
        let mut address = Address::parse(url)?;
        if let (Address::MySql(_), Some(password)) = (&address, secret::database(cx)?) {
            address = address.with_password(password);
        }
        let name = if index == 0 { "main".to_owned() } else { format!("main-{}", index + 1) };
        if let Address::Sqlite(path) = &address {
            files.push((path.clone(), name.clone()));
        }
        databases.push(open(cx, &name, &address, None)?);
    }
    let mut sources = Vec::new();
    for path in &paths {
        let rules = ExclusionRules {
            databases: below(path, &files),
            exclude: args.exclude.clone(),
            iexclude: args.iexclude.clone(),
            exclude_caches: args.exclude_caches,
            larger_than: args.exclude_larger_than,
            ..ExclusionRules::default()
        };
        let exclusions = Exclusions::compile(rules)?;
        sources.push(Source { label: text::path(path), path: path.clone(), exclusions });
    }
    let mut named: Vec<String> = paths.iter().map(|path| text::path(path)).collect();
    named.extend(args.db.clone());
    Ok(Wanted { source: named.join(" "), app: None, sources, databases, _lock: None })
}

/// The database files that lie below `root`, from there: they belong to their databases.
fn below(
    root: &std::path::Path,
    files: &[(PathBuf, String)],
) -> Vec<(crate::tree::TreePath, String)> {
    use std::os::unix::ffi::OsStrExt;
    let inside = |(file, name): &(PathBuf, String)| {
        let path = file.strip_prefix(root).ok()?;
        Some((crate::tree::TreePath::parse(path.as_os_str().as_bytes()).ok()?, name.clone()))
    };
    files.iter().filter_map(inside).collect()
}

fn of_app(cx: &Context<'_>, name: &str) -> Result<Wanted, Failure> {
    let app = apps::named(cx, name)?;
    let failed = |failure: Failure| failure.with("app", name);
    let state = cx.directories.state()?;
    let open_one = upgrade::unfinished(state)?.into_iter().find(|told| told.header.app == name);
    if let Some(told) = open_one {
        let message = format!("transaction {} of {name} is not finished", told.header.number);
        return Err(Failure::new(Code::E0401, message).with("app", name));
    }
    let areas = app.areas().map_err(|error| failed(error.into()))?;
    let roots: Vec<PathBuf> = areas.iter().map(|area| area.path.clone()).collect();
    file::create_dirs(state, 0o700).map_err(Failure::cannot("create", state))?;
    let lock = AppLock::shared(state, name, &roots).map_err(|error| failed(error.into()))?;
    let mut sources = Vec::new();
    for area in areas {
        let exclusions = Exclusions::compile(area.exclusions)?;
        sources.push(Source { label: area.label, path: area.path, exclusions });
    }
    let mut databases = Vec::new();
    for one in &app.databases {
        let prefix = Some(one.prefix.clone()).filter(|prefix| !prefix.is_empty());
        databases.push(open(cx, &one.name, &one.address, prefix).map_err(failed)?);
    }
    let source = format!("app:{name}");
    Ok(Wanted { source, app: Some(mark(&app)), sources, databases, _lock: Some(lock) })
}

fn mark(app: &App) -> AppMark {
    AppMark {
        name: app.name.clone(),
        version: app.version.as_str().to_owned(),
        profile: app.profile.origin().to_owned(),
    }
}

/// Opens a database; images are built where only we can read.
pub(in crate::cli) fn open(
    cx: &Context<'_>,
    name: &str,
    address: &Address,
    prefix: Option<String>,
) -> Result<Box<dyn Database>, Failure> {
    let scratch_dir = cx.directories.state()?.join("scratch");
    file::create_dirs(&scratch_dir, 0o700).map_err(Failure::cannot("create", &scratch_dir))?;
    Ok(database::open(name, address, &OpenOptions { prefix, ..OpenOptions::new(scratch_dir) })?)
}

fn take(
    cx: &Context<'_>,
    args: &Args,
    repository: &Repository,
    mut wanted: Wanted,
) -> Result<Exit, Failure> {
    if cx.global.dry_run {
        for source in &wanted.sources {
            cx.out.print(&format!("would back up {}\n", text::path(&source.path)));
        }
        for database in &wanted.databases {
            cx.out.print(&format!("would back up {}\n", database.address()));
        }
        return Ok(Exit::Ok);
    }
    let progress = Progress::new(cx.out);
    let snapshot = progress.during(|| store(cx, args, repository, &mut wanted, &progress))?;
    remembered::note(cx, repository, &snapshot);
    cx.directories.tidy();
    let news = report::news(repository, &snapshot)?;
    Ok(report::tell(cx, &snapshot, &news, &progress))
}

/// Databases first: what a request writes to both lies in the files too, not only in the database.
fn store(
    cx: &Context<'_>,
    args: &Args,
    repository: &Repository,
    wanted: &mut Wanted,
    progress: &Progress<'_>,
) -> Result<Snapshot, Failure> {
    let compression = args.compression.unwrap_or_default();
    let writer = repository.begin(&WriteOptions { compression, ..WriteOptions::default() })?;
    let mut databases = Vec::new();
    for one in &mut wanted.databases {
        let name = format!("database {}", one.name());
        let watch = begin(progress, &name);
        let state = one.dump(&writer, progress)?;
        for fact in &state.facts {
            progress.tell(News::Warning { what: fact.to_string() });
        }
        if state.consistency == Consistency::PerTable {
            let what = format!(
                "{name}: tables without transactions were read one after the other, for the \
                 account lacks the right LOCK TABLES: of one instant only if nobody wrote"
            );
            progress.tell(News::Warning { what });
        }
        done(progress, name, watch, amount(state.rows, state.bytes));
        databases.push(DatabaseMark {
            name: one.name().to_owned(),
            kind: one.kind(),
            state: state.state,
            fingerprint: state.fingerprint,
            identity: one.identity()?,
            address: one.address(),
            rows: state.rows,
            bytes: state.bytes,
        });
    }
    let watch = begin(progress, "files");
    let trust = if args.force { Trust::Never } else { Trust::SameBoot };
    let request = Request {
        class: Class::User,
        source: wanted.source.clone(),
        sources: &wanted.sources,
        app: wanted.app.clone(),
        attachments: Vec::new(),
        tags: args.tag.clone(),
        note: args.note.clone(),
        memory: Memory { dir: cx.directories.cache().map(|dir| &**dir), trust },
        walker: Walker::default(),
        threads: cx.global.threads.map(usize::from),
    };
    let mut prepared = snapshot::prepare(&writer, request, progress)?;
    databases.sort_by(|a, b| a.name.cmp(&b.name));
    prepared.snapshot.databases = databases;
    let counts = prepared.snapshot.counts;
    done(
        progress,
        "files".to_owned(),
        watch,
        format!("{}, {}", counted(counts.files, "file", "files"), size(counts.bytes)),
    );
    Ok(prepared.commit(writer, progress)?)
}

/// SQLite's pages hold rows that nobody counted.
fn amount(rows: u64, bytes: u64) -> String {
    if rows == 0 {
        size(bytes)
    } else {
        format!("{}, {}", counted(rows, "row", "rows"), size(bytes))
    }
}

fn begin(progress: &Progress<'_>, name: &str) -> Instant {
    progress.tell(News::StepStarted { number: 0, name: name.to_owned() });
    clock::stopwatch()
}

fn done(progress: &Progress<'_>, name: String, watch: Instant, note: String) {
    progress.tell(News::StepDone { number: 0, name, took: watch.elapsed(), note });
}

/// `10M` as people write a size.
fn compression(typed: &str) -> Result<Compression, String> {
    match (typed, typed.parse()) {
        ("auto", _) => Ok(Compression::default()),
        ("off", _) => Ok(Compression::Off),
        (_, Ok(level)) if (1..=Compression::LEVEL_MAX).contains(&level) => {
            Ok(Compression::Level(level))
        }
        _ => Err(format!("'{typed}' is not auto, off or a level from 1 to 19")),
    }
}

fn bytes(typed: &str) -> Result<u64, String> {
    let digits = typed.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = typed[digits.len()..].to_ascii_uppercase();
    let shift = match unit.trim_end_matches("IB").trim_end_matches('B') {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return Err(format!("'{typed}' is not a size; 10M is one")),
    };
    let number: u64 = digits.parse().map_err(|_| format!("'{typed}' is not a size; 10M is one"))?;
    number.checked_mul(1 << shift).ok_or_else(|| format!("'{typed}' is too large"))
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn a_size_is_read_as_people_write_it() {
        assert_eq!(bytes("10M"), Ok(10 << 20));
        assert_eq!(bytes("3gib"), Ok(3 << 30));
        assert_eq!(bytes("512"), Ok(512));
        assert!(bytes("much").is_err() && bytes("99999999T").is_err());
    }
}
