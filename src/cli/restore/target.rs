//! Restores below a directory, everything where it lay on the machine.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::cli::backup;
use crate::cli::confirm::{self, Risk};
use crate::cli::context::Context;
use crate::cli::failure::{Code, Exit, Failure};
use crate::cli::output::Level;
use crate::cli::progress::Progress;
use crate::cli::render::{self, counted};
use crate::cli::text;
use crate::database::{Address, DatabaseKind};
use crate::monitor::{Monitor, News};
use crate::os::beneath::Dir;
use crate::os::meta::Stamp;
use crate::os::{clock, file};
use crate::repository::Repository;
use crate::snapshot::converge::{self, ConvergePlan, Deletes, LossCounts, Unsynced};
use crate::snapshot::{DatabaseMark, Memory, Root, RootAnnex, Snapshot, Trust};
use crate::tree::{Exclusions, TreePath};

use super::Args;
use super::aim::Aim;
use super::partial::Absent;
use super::report::{Done, report};

/// One root on its way to the target.
pub(super) struct Piece<'a> {
    pub(super) root: &'a Root,
    pub(super) annex: RootAnnex,
    pub(super) exclusions: Exclusions,
    pub(super) place: PathBuf,
    /// Only these; `None`: all of it.
    pub(super) include: Option<Vec<TreePath>>,
}

/// Plans, asks if something would be lost, restores, compares.
pub(super) fn run(
    cx: &Context<'_>,
    args: &Args,
    repository: &Repository,
    snapshot: &Snapshot,
    path: Option<&str>,
    target: &Path,
) -> Result<Exit, Failure> {
    let absent = if args.partial { Absent::look(repository, snapshot)? } else { Absent::default() };
    let pieces = pieces(args, repository, snapshot, &absent, path, target)?;
    let files = if args.db_only { &[][..] } else { &pieces[..] };
    let mut databases = databases(args, snapshot, path, target);
    databases.retain(|(mark, _)| !absent.has_database(&mark.name));
    free(cx, args, target)?;
    let progress = Progress::new(cx.out);
    let trust = if args.rehash { Trust::Never } else { Trust::SameBoot };
    let aim = Aim {
        repository,
        snapshot,
        deletes: if args.delete { Deletes::All } else { Deletes::None },
        memory: Memory { dir: cx.directories.cache().map(|dir| &**dir), trust },
        progress: &progress,
    };
    let mut plans = Vec::new();
    for piece in files {
        plans.push(progress.during(|| aim.plan(piece))?);
    }
    let shown = text::path(target);
    if cx.global.dry_run {
        dry(cx, &plans, &databases, &shown);
        absent.tell(cx, snapshot);
        return Ok(Exit::Ok);
    }
    cx.out.remark(&format!("Restoring snapshot {} below {shown}\n", snapshot.id.short()));
    file::create_dirs(target, 0o700).map_err(Failure::cannot("create", target))?;
    let (losses, closed) = progress.during(|| {
        let work = write(repository, files, &plans, &progress)?;
        for (mark, place) in &databases {
            load(cx, repository, files, mark, place, &progress)?;
        }
        let closed = aim.compare(files, &work, &databases)?;
        let counts = work.iter().map(|(_, unsynced)| unsynced.done().losses.counts);
        let losses = counts.fold(LossCounts::default(), |all, one| all.plus(&one));
        Ok::<_, Failure>((losses, closed))
    })?;
    cx.directories.tidy();
    absent.tell(cx, snapshot);
    let done = Done { plans: &plans, databases: &databases, losses, closed, lost: absent.count() };
    Ok(report(cx, args, snapshot, &done, &shown, &progress))
}

/// The roots that are meant, and what of them.
fn pieces<'a>(
    args: &Args,
    repository: &Repository,
    snapshot: &'a Snapshot,
    absent: &Absent,
    path: Option<&str>,
    target: &Path,
) -> Result<Vec<Piece<'a>>, Failure> {
    let wanted: Vec<&str> = args.include.iter().map(String::as_str).chain(path).collect();
    for one in &wanted {
        crate::cli::address::place(repository, snapshot, one)?;
    }
    let annex = absent.annex(repository, snapshot)?;
    let mut pieces = Vec::new();
    for root in &snapshot.roots {
        let mut include = (!wanted.is_empty()).then(Vec::new);
        let mut whole = false;
        for one in &wanted {
            if let Some((inside, below)) = snapshot.locate(one.as_bytes()) {
                let here = inside.label == root.label;
                whole |= here && below.is_none();
                if let (true, Some(list), Some(below)) = (here, &mut include, below) {
                    list.push(below);
                }
            }
        }
        if whole {
            include = None;
        }
        if include.as_ref().is_some_and(Vec::is_empty) || absent.has_root(&root.label) {
            continue;
        }
        pieces.push(Piece {
            root,
            annex: annex.roots.get(&root.label).cloned().unwrap_or_default(),
            exclusions: Exclusions::compile(root.rules.clone())?.without(absent.below(&root.label)),
            place: below(target, &root.path),
            include,
        });
    }
    Ok(pieces)
}

/// Where an absolute path of the machine lies below the target.
fn below(target: &Path, path: &Path) -> PathBuf {
    target.join(path.strip_prefix("/").unwrap_or(path))
}

/// The databases whose files lie in the roots; a server's are loaded only where they are told to.
fn databases<'a>(
    args: &Args,
    snapshot: &'a Snapshot,
    path: Option<&str>,
    target: &Path,
) -> Vec<(&'a DatabaseMark, PathBuf)> {
    if args.files_only || path.is_some() || !args.include.is_empty() {
        return Vec::new();
    }
    let place = |mark: &'a DatabaseMark| match Address::parse(&mark.address) {
        Ok(Address::Sqlite(file)) if mark.kind == DatabaseKind::Sqlite => {
            Some((mark, below(target, &file)))
        }
        _ => None,
    };
    snapshot.databases.iter().filter_map(place).collect()
}

/// The target must be free, or it must have been said that it need not be.
fn free(cx: &Context<'_>, args: &Args, target: &Path) -> Result<(), Failure> {
    let taken = std::fs::read_dir(target).is_ok_and(|mut entries| entries.next().is_some());
    let shown = text::path(target);
    if !taken {
        return Ok(());
    }
    if !args.overwrite {
        return Err(Failure::new(Code::E0205, format!("{shown} is not empty"))
            .tip("another directory, or --overwrite"));
    }
    if args.delete && !cx.global.dry_run {
        let name = target.file_name().map_or_else(|| shown.clone(), |n| text::name(n.as_bytes()));
        let question = format!("What the snapshot does not have is DELETED below {shown}.");
        confirm::sure(cx, Risk::Severe { name: &name }, "delete", &question)?;
    }
    Ok(())
}

fn dry(
    cx: &Context<'_>,
    plans: &[ConvergePlan],
    databases: &[(&DatabaseMark, PathBuf)],
    shown: &str,
) {
    for plan in plans {
        let counts = plan.counts;
        for (word, path) in plan.lines() {
            let path = path.map_or_else(|| ".".to_owned(), |path| path.to_string());
            cx.out.print(&format!("  {word:<8} {path}\n"));
        }
        cx.out.print(&format!(
            "would write {} ({}) and delete {} below {}\n",
            counted(counts.write, "file", "files"),
            render::size(counts.write_bytes),
            render::count(counts.delete),
            text::path(plan.path()),
        ));
        let fields = json!({
            "path": text::path(plan.path()),
            "files_written": counts.write,
            "bytes_written": counts.write_bytes,
            "deleted": counts.delete,
            "unchanged": counts.keep,
        });
        cx.out.message("plan", Level::Info, &format!("restore below {shown}"), fields);
    }
    for (mark, place) in databases {
        cx.out.print(&format!("would load database {} into {}\n", mark.name, text::path(place)));
    }
}

/// Makes every piece what it is to be; what was done.
pub(super) fn write<'p>(
    repository: &Repository,
    pieces: &[Piece<'_>],
    plans: &'p [ConvergePlan],
    progress: &Progress<'_>,
) -> Result<Vec<(&'p ConvergePlan, Unsynced)>, Failure> {
    let mut work = Vec::new();
    for (piece, plan) in pieces.iter().zip(plans) {
        let name = "files".to_owned();
        let watch = clock::stopwatch();
        progress.tell(News::StepStarted { number: 0, name: name.clone() });
        if let Some(parent) = piece.place.parent() {
            file::create_dirs(parent, 0o755).map_err(Failure::cannot("create", parent))?;
        }
        let unsynced = converge::act(repository, plan, converge::LONE, progress)?;
        let counts = unsynced.done().counts;
        let note = format!(
            "{}, {} in {}",
            counted(counts.write, "file", "files"),
            render::size(counts.write_bytes),
            text::path(&piece.root.path)
        );
        progress.tell(News::StepDone { number: 0, name, took: watch.elapsed(), note });
        work.push((plan, unsynced));
    }
    Ok(work)
}

/// Puts a SQLite file where it lay, and its directory's time back.
fn load(
    cx: &Context<'_>,
    repository: &Repository,
    pieces: &[Piece<'_>],
    mark: &DatabaseMark,
    place: &Path,
    progress: &Progress<'_>,
) -> Result<(), Failure> {
    let name = format!("database {}", mark.name);
    let watch = clock::stopwatch();
    progress.tell(News::StepStarted { number: 0, name: name.clone() });
    let dir = place.parent().expect("a database file lies in a directory");
    file::create_dirs(dir, 0o755).map_err(Failure::cannot("create", dir))?;
    let address = Address::Sqlite(place.to_owned());
    let mut database = backup::open(cx, &mark.name, &address, None)?;
    let fingerprint = database.restore(repository, &mark.state, progress)?;
    if fingerprint != mark.fingerprint {
        let message = format!("{} is not what was saved", text::path(place));
        return Err(Failure::new(Code::E0705, message));
    }
    drop(database);
    put_time_back(pieces, dir);
    let note = format!("{} = {}", render::digest(&mark.fingerprint), render::digest(&fingerprint));
    progress.tell(News::StepDone { number: 0, name, took: watch.elapsed(), note });
    Ok(())
}

/// The time of a directory that holds a database is in no digest; it is put back all the same.
fn put_time_back(pieces: &[Piece<'_>], dir: &Path) {
    for piece in pieces {
        let Ok(inside) = dir.strip_prefix(&piece.place) else { continue };
        let key = TreePath::parse(inside.as_os_str().as_bytes()).ok();
        let Some(mtime) = piece.annex.directory_mtimes.get(&key) else { continue };
        let stamp = Stamp { secs: mtime.secs, nanos: mtime.nanos };
        // Worth no failure: the files are there and proved.
        let _ = Dir::open_root(dir).and_then(|dir| dir.at().set_mtime(stamp));
    }
}
