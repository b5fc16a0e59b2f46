//! `snap export`: a snapshot as a tar archive that needs no `snap` to be restored.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::os::file;
use crate::repository::Repository;
use crate::snapshot::{self, EXPORT_DIR, Exported, Snapshot, SnapshotError};
use crate::tree::TreeError;

use super::command::About;
use super::context::Context;
use super::failure::{Code, Exit, Failure};
use super::output::{Level, Output};
use super::progress::Progress;
use super::render::{self, counted, size};
use super::text::{self, Ink};
use super::{address, unlock};

pub(super) const ABOUT: About = About {
    name: "export",
    examples: "snap export latest -o backup.tar.zst\nsnap export 4f1c09 -o /media/usb/site.tar\n\
               snap export latest@passbolt -o -",
    exits: &[Exit::Partial, Exit::NoRepo, Exit::Password, Exit::Damaged, Exit::Space],
};

/// Of zstd: what it saves beyond costs more than it gives.
const LEVEL: i32 = 3;

/// Which snapshot, and where to.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A snapshot
    #[arg(value_name = "SNAP", default_value = "latest")]
    address: String,
    /// A new file, .tar or .tar.zst; - is standard output. Holes are written as zeros
    #[arg(short = 'o', long, value_name = "FILE")]
    output: PathBuf,
}

/// Writes it.
pub(super) fn run(cx: &Context<'_>, args: &Args) -> Result<Exit, Failure> {
    let repository = unlock::open(cx)?.repository;
    let (snapshot, path) = address::snapshot(cx, &repository, &args.address)?;
    if path.is_some() {
        return Err(Failure::new(Code::E0001, "a whole snapshot is exported")
            .tip(format!("a part of it: snap restore {} --target DIR", args.address)));
    }
    let progress = Progress::new(cx.out);
    if args.output.as_os_str() == "-" {
        let mut out = BufWriter::with_capacity(1 << 20, Stdout(cx.out));
        let done = snapshot::export(&repository, &snapshot, &mut out, &progress)?;
        out.flush().map_err(|error| unwritten(&args.output, error))?;
        return Ok(ending(&done));
    }
    let target = cx.environment.directory.join(&args.output);
    let packing = Packing::of(&target)?;
    let shown = text::path(&target);
    if cx.global.dry_run {
        cx.out.print(&format!("would write snapshot {} to {shown}\n", snapshot.id.short()));
        return Ok(Exit::Ok);
    }
    let done = progress.during(|| write(&repository, &snapshot, &target, packing, &progress));
    let done = done.inspect_err(|failure| {
        // What is not whole must not be taken for an export. What was there before stays.
        if failure.code != Code::E0205 {
            let _ = file::remove(&target);
        }
    })?;
    let length = target.metadata().map_or(0, |meta| meta.len());
    let mark = if done.left_out.is_empty() { Ink::Good.on('✓') } else { Ink::Warn.on('!') };
    let databases = match done.databases {
        0 => String::new(),
        number => format!(", {}", counted(number, "database", "databases")),
    };
    cx.out.print(&format!(
        "{mark} {} ({}{databases}) in {shown}, {}   {}\n",
        counted(done.entries, "entry", "entries"),
        size(done.bytes),
        size(length),
        render::took(progress.elapsed()),
    ));
    let tar = if packing == Packing::Zstd { "tar --zstd" } else { "tar" };
    cx.out.remark(&format!(
        "   back without snap:  {tar} --xattrs --xattrs-include='*' -xpf {shown}\n\
         \x20  server databases:   {EXPORT_DIR}/NAME.sql, for the client of the server\n"
    ));
    let fields = json!({
        "snapshot_id": snapshot.id.to_string(),
        "file": shown,
        "entries": done.entries,
        "bytes": done.bytes,
        "databases": done.databases,
        "file_bytes": length,
        "left_out": done.left_out.len(),
        "total_duration": progress.elapsed().as_secs_f64(),
    });
    cx.out.message("summary", Level::Info, &format!("exported to {shown}"), fields);
    Ok(ending(&done))
}

fn ending(done: &Exported) -> Exit {
    if done.left_out.is_empty() { Exit::Ok } else { Exit::Partial }
}

/// How the archive is packed, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Packing {
    Plain,
    Zstd,
}

impl Packing {
    fn of(target: &Path) -> Result<Self, Failure> {
        let ending = |path: &Path| path.extension().map(std::ffi::OsStr::to_owned);
        let inner = target.file_stem().map(Path::new).and_then(ending);
        let (is, was) = (ending(target).unwrap_or_default(), inner.unwrap_or_default());
        if is == "tar" {
            Ok(Self::Plain)
        } else if is == "tzst" || (is == "zst" && was == "tar") {
            Ok(Self::Zstd)
        } else {
            Err(Failure::new(Code::E0001, format!("{} is neither", text::path(target)))
                .tip("the file's name ends with .tar or .tar.zst"))
        }
    }
}

fn write(
    repository: &Repository,
    snapshot: &Snapshot,
    target: &Path,
    packing: Packing,
    progress: &Progress<'_>,
) -> Result<Exported, Failure> {
    let failed = |error| unwritten(target, error);
    // Whatever the files' own modes: it holds all of them, secrets too.
    let file = match file::create_new(target, 0o600) {
        Err(taken) if taken.kind() == io::ErrorKind::AlreadyExists => {
            let message = format!("{} is there already", text::path(target));
            return Err(Failure::new(Code::E0205, message));
        }
        created => created.map_err(failed)?,
    };
    let mut plain = BufWriter::with_capacity(1 << 20, file);
    let (done, plain) = match packing {
        Packing::Plain => (snapshot::export(repository, snapshot, &mut plain, progress)?, plain),
        Packing::Zstd => {
            let mut packed = zstd::stream::write::Encoder::new(plain, LEVEL).map_err(failed)?;
            packed.include_checksum(true).map_err(failed)?;
            let done = snapshot::export(repository, snapshot, &mut packed, progress)?;
            (done, packed.finish().map_err(failed)?)
        }
    };
    let file: File = plain.into_inner().map_err(|error| failed(error.into_error()))?;
    file.sync_all().map_err(failed)?;
    Ok(done)
}

fn unwritten(target: &Path, error: io::Error) -> Failure {
    SnapshotError::from(TreeError::Io { doing: "write", path: target.to_owned(), source: error })
        .into()
}

/// Standard output, as far as somebody reads it.
struct Stdout<'a>(&'a Output);

impl Write for Stdout<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.print_raw(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
