//! `snap ls`: what a snapshot holds.

use serde_json::json;

use crate::os::clock::Moment;
use crate::repository::Repository;
use crate::snapshot::{Root, Snapshot};
use crate::tree::read::Entries;
use crate::tree::{Entry, Kind, TreePath};

use super::address::{self, Place};
use super::command::About;
use super::context::Context;
use super::failure::{Exit, Failure};
use super::output::Level;
use super::render;
use super::text;
use super::unlock;

pub(super) const ABOUT: About = About {
    name: "ls",
    examples: "snap ls latest\nsnap ls latest:/var/www/passbolt -l\nsnap ls 4f1c09 -R",
    exits: &[Exit::NoRepo, Exit::Password, Exit::Damaged],
};

/// What to list, and how.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A snapshot, or a path in one
    #[arg(value_name = "SNAP[:/PATH]", default_value = "latest")]
    address: String,
    /// Mode, owner, size and time too
    #[arg(short = 'l', long, help_heading = "Output")]
    long: bool,
    /// All that is below
    #[arg(short = 'R', long, help_heading = "What")]
    recursive: bool,
}

/// Lists it in the order of the tree.
pub(super) fn run(cx: &Context<'_>, args: &Args) -> Result<Exit, Failure> {
    let repository = unlock::open(cx)?.repository;
    let (snapshot, path) = address::snapshot(cx, &repository, &args.address)?;
    let when = render::when(snapshot.time);
    cx.out.remark(&format!("snapshot {} of {when}\n", snapshot.id.short()));
    match path {
        Some(path) => {
            let place = address::place(&repository, &snapshot, path)?;
            below(cx, args, &repository, &place)?;
        }
        None => roots(cx, args, &repository, &snapshot)?,
    }
    Ok(Exit::Ok)
}

fn roots(
    cx: &Context<'_>,
    args: &Args,
    repository: &Repository,
    snapshot: &Snapshot,
) -> Result<(), Failure> {
    for root in &snapshot.roots {
        if args.recursive {
            let place = Place { root, path: None, entry: root.entry.clone() };
            below(cx, args, repository, &place)?;
        } else {
            show(cx, args, root, None, &root.entry);
        }
    }
    for database in &snapshot.databases {
        let size = render::size(database.bytes);
        cx.out.print(&format!("database {}   {}, {size}\n", database.name, database.address));
        let fields = json!({ "name": database.name, "rows": database.rows });
        cx.out.message("database", Level::Info, &database.name, fields);
    }
    Ok(())
}

fn below(
    cx: &Context<'_>,
    args: &Args,
    repository: &Repository,
    place: &Place<'_>,
) -> Result<(), Failure> {
    if !matches!(place.entry.kind, Kind::Directory { .. }) {
        show(cx, args, place.root, place.path.as_ref(), &place.entry);
        return Ok(());
    }
    let mut entries = Entries::below(repository, &place.entry);
    while let Some((path, entry)) = entries.next().transpose()? {
        if !args.recursive {
            entries.skip_inside();
        }
        let path = match &place.path {
            None => path,
            Some(above) => joined(above, &path),
        };
        show(cx, args, place.root, Some(&path), &entry);
    }
    Ok(())
}

fn joined(above: &TreePath, below: &TreePath) -> TreePath {
    let raw = [above.as_bytes(), below.as_bytes()].join(&b'/');
    TreePath::parse(&raw).expect("two good paths make a good path")
}

fn show(cx: &Context<'_>, args: &Args, root: &Root, path: Option<&TreePath>, entry: &Entry) {
    let place = Place { root, path: path.cloned(), entry: entry.clone() };
    let absolute = place.absolute();
    let (meta, size) = (&entry.meta, size(entry));
    let target = match &entry.kind {
        Kind::Symlink { target } => format!(" → {}", text::name(target)),
        _ => String::new(),
    };
    let seconds = i128::from(meta.mtime.secs) * 1_000_000_000 + i128::from(meta.mtime.nanos);
    let mtime = Moment(i64::try_from(seconds).unwrap_or(i64::MAX));
    if args.long {
        let (uid, gid) = (meta.uid, meta.gid);
        cx.out.print(&format!(
            "{}{}  {uid:>5} {gid:>5} {size:>12}  {}  {absolute}{target}\n",
            letter(&entry.kind),
            mode(meta.mode),
            render::when(mtime),
        ));
    } else {
        cx.out.print(&format!("{absolute}{target}\n"));
    }
    let fields = json!({
        "path": absolute,
        "type": word(&entry.kind),
        "mode": meta.mode,
        "permissions": format!("{}{}", letter(&entry.kind), mode(meta.mode)),
        "uid": meta.uid,
        "gid": meta.gid,
        "size": size,
        "mtime": render::timestamp(mtime),
    });
    cx.out.message("node", Level::Info, &absolute, fields);
}

const fn size(entry: &Entry) -> u64 {
    match entry.kind {
        Kind::File { size, .. } => size,
        _ => 0,
    }
}

const fn letter(kind: &Kind) -> char {
    match kind {
        Kind::File { .. } | Kind::Database { .. } => '-',
        Kind::Directory { .. } | Kind::SkippedDirectory | Kind::MountPoint => 'd',
        Kind::Symlink { .. } => 'l',
        Kind::Fifo => 'p',
        Kind::Socket => 's',
        Kind::CharDevice { .. } => 'c',
        Kind::BlockDevice { .. } => 'b',
    }
}

pub(super) const fn word(kind: &Kind) -> &'static str {
    match kind {
        Kind::File { .. } => "file",
        Kind::Directory { .. } => "dir",
        Kind::SkippedDirectory => "skipped_dir",
        Kind::MountPoint => "mount_point",
        Kind::Symlink { .. } => "symlink",
        Kind::Fifo => "fifo",
        Kind::Socket => "socket",
        Kind::CharDevice { .. } => "chardev",
        Kind::BlockDevice { .. } => "dev",
        Kind::Database { .. } => "database",
    }
}

/// As `ls -l` shows the low 12 bits.
fn mode(mode: u32) -> String {
    let mut shown = String::new();
    for (shift, special, upper, lower) in
        [(6, 0o4000, 'S', 's'), (3, 0o2000, 'S', 's'), (0, 0o1000, 'T', 't')]
    {
        let bits = mode >> shift;
        shown.push(if bits & 4 != 0 { 'r' } else { '-' });
        shown.push(if bits & 2 != 0 { 'w' } else { '-' });
        shown.push(match (mode & special != 0, bits & 1 != 0) {
            (true, true) => lower,
            (true, false) => upper,
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_shown_as_everybody_knows_it() {
        assert_eq!(mode(0o755), "rwxr-xr-x");
        assert_eq!(mode(0o4711), "rws--x--x");
        assert_eq!(mode(0o1777), "rwxrwxrwt");
        assert_eq!(mode(0o2640), "rw-r-S---");
    }
}
