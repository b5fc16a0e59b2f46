//! `snap import`: a tar archive as a snapshot.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;

use serde_json::json;

use crate::snapshot::{self, Import};

use super::command::About;
use super::context::Context;
use super::failure::{Code, Exit, Failure};
use super::output::Level;
use super::progress::Progress;
use super::render::{self, counted, size};
use super::text::{self, Ink};
use super::unlock;

pub(super) const ABOUT: About = About {
    name: "import",
    examples: "snap import backup.tar.zst\nsnap import site.tar.gz --at /var/www/site --tag moved\n\
               snap import - --note old-host",
    exits: &[Exit::NoRepo, Exit::Password, Exit::Locked, Exit::Space, Exit::Source],
};

/// The window that a zstd archive may ask for: 128 MiB.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// What to take in, and where it belongs.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A tar archive, plain, .gz or .zst; - is standard input
    #[arg(value_name = "ARCHIVE")]
    archive: PathBuf,
    /// The directory that its entries lie below
    #[arg(long, value_name = "DIR", default_value = "/", help_heading = "What")]
    at: PathBuf,
    /// A word to find it by; may be given again
    #[arg(long, value_name = "TEXT", help_heading = "What")]
    tag: Vec<String>,
    /// A line to remember it by
    #[arg(long, value_name = "TEXT", help_heading = "What")]
    note: Option<String>,
}

/// Takes it in; nothing is unpacked.
pub(super) fn run(cx: &Context<'_>, args: &Args) -> Result<Exit, Failure> {
    let repository = unlock::open(cx)?.repository;
    if !args.at.is_absolute() {
        return Err(Failure::new(Code::E0001, "--at takes the path of a directory on a machine"));
    }
    let path = cx.environment.directory.join(&args.archive);
    let shown = text::path(&args.archive);
    let input: Box<dyn Read> = if args.archive.as_os_str() == "-" {
        Box::new(std::io::stdin().lock())
    } else {
        let opened = File::open(&path);
        Box::new(opened.map_err(Failure::cannot("open", &args.archive))?)
    };
    if cx.global.dry_run {
        cx.out.print(&format!("would take {shown} in below {}\n", text::path(&args.at)));
        return Ok(Exit::Ok);
    }
    let unpacked = unpacked(input).map_err(|error| {
        Failure::new(Code::E0211, format!("{shown} cannot be read")).because(error.to_string())
    });
    let mut unpacked = unpacked?;
    let progress = Progress::new(cx.out);
    let taken = progress.during(|| {
        let import = Import {
            archive: &mut *unpacked,
            at: args.at.clone(),
            source: format!("archive:{}", args.at.display()),
            tags: args.tag.clone(),
            note: args.note.clone(),
            scratch: cx.directories.cache().map(|dir| &**dir),
        };
        snapshot::import(&repository, import, &progress)
    })?;
    cx.out.print(&format!(
        "{} snapshot {} holds {} ({}) of {shown}   {}\n",
        Ink::Good.on('✓'),
        Ink::Name.on(taken.id.short()),
        counted(taken.counts.files, "file", "files"),
        size(taken.counts.bytes),
        render::took(progress.elapsed()),
    ));
    let fields = json!({
        "snapshot_id": taken.id.to_string(),
        "files": taken.counts.files,
        "dirs": taken.counts.directories,
        "total_bytes_processed": taken.counts.bytes,
        "digest": render::digest_whole(&taken.files_digest),
        "total_duration": progress.elapsed().as_secs_f64(),
    });
    cx.out.message("summary", Level::Info, "the archive is a snapshot now", fields);
    Ok(Exit::Ok)
}

/// The archive without its compression, which its first bytes tell.
fn unpacked(input: Box<dyn Read>) -> std::io::Result<Box<dyn Read>> {
    let mut input = BufReader::with_capacity(1 << 18, input);
    Ok(match input.fill_buf()? {
        [0x1f, 0x8b, ..] => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
            Box::new(decoder)
        }
        _ => Box::new(input),
    })
}
