//! A tar archive, plain or compressed, read once from its first byte to its last.
//!
//! The `tar` crate finds the headers; what they mean is decided here. Its own handling of long
//! names and extended headers is not used: it reads them whole, however long they claim to be, and
//! lets the second of two sizes win. Where two statements disagree, the archive is refused.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::rc::Rc;

use tar::{Archive, EntryType, Header};

use crate::app::AppError;
use crate::repository::RepositoryError;
use crate::tree::{Mtime, TreePath};

use super::checksum::{Checksum, Hashing};
use super::collect::{Collection, bad};
use super::pax::{self, Extended};
use super::{Figure, Limits, ReleaseError};

/// Long names and extended headers are not longer than this.
const EXTENSION_BYTES_MAX: u64 = 64 * 1024;

/// The window that a zstd archive may ask for: 128 MiB.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// Below this the ratio of a compressed archive proves nothing.
const RATIO_COUNTS_FROM: u64 = 64 << 20;

const BLOCK: u64 = 512;

/// Reads the archive at `path` into `collection`; its checksum is compared at the end.
pub(super) fn read(
    path: &Path,
    wanted: Option<&Checksum>,
    limits: Limits,
    collection: &mut Collection<'_, '_>,
) -> Result<(), AppError> {
    let file = File::open(path)
        .map_err(|source| ReleaseError::NotFound { path: path.to_owned(), source })?;
    let packed_bytes = Rc::new(Cell::new(0));
    let mut hashing = Hashing::new(file, wanted, Rc::clone(&packed_bytes));
    {
        let mut packed = BufReader::with_capacity(256 * 1024, &mut hashing);
        let start = packed.fill_buf().map_err(|error| misread(path, error))?;
        let packing = Packing::of(start)
            .map_err(|kind| ReleaseError::UnknownArchive { path: path.to_owned(), kind })?;
        let inner = packing.open(packed).map_err(|error| misread(path, error))?;
        let plain =
            Metered { inner, packed: packed_bytes, ratio: limits.ratio, bytes: 0, zeros: 0 };
        entries(plain, collection).map_err(|error| match error {
            Fault::Entry(error) => error,
            Fault::Read(error) => misread(path, error),
            Fault::Malformed(what) => malformed(path, what),
        })?;
    }
    hashing.finish(path)
}

/// What ends the reading.
enum Fault {
    Entry(AppError),
    Read(io::Error),
    Malformed(&'static str),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Read(error)
    }
}

impl From<AppError> for Fault {
    fn from(error: AppError) -> Self {
        match error {
            // The archive's own bytes could not be had while a file of it was being stored.
            AppError::Repository(RepositoryError::Source(error)) => Self::Read(error),
            error => Self::Entry(error),
        }
    }
}

fn malformed(path: &Path, what: impl Into<String>) -> AppError {
    ReleaseError::Malformed { path: path.to_owned(), what: what.into() }.into()
}

/// Bytes that make no sense are the archive's fault, everything else the disk's.
fn misread(path: &Path, error: io::Error) -> AppError {
    if error.get_ref().and_then(|inner| inner.downcast_ref::<TooDense>()).is_some() {
        let limit = Limits::default().ratio;
        return ReleaseError::TooMuch { figure: Figure::Ratio, limit }.into();
    }
    match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof | io::ErrorKind::Other => {
            let what = error.to_string();
            // Of bytes that are no header, `tar` quotes what it found.
            let quotes =
                what.contains(|c: char| c.is_control() || c == char::REPLACEMENT_CHARACTER);
            let what = if quotes { "it is no tar archive, or it is damaged".into() } else { what };
            malformed(path, what)
        }
        _ => ReleaseError::Unreadable { path: path.to_owned(), source: error }.into(),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Packing {
    Plain,
    Gzip,
    Zstd,
}

impl Packing {
    /// Judged by the first bytes, never by the name.
    fn of(start: &[u8]) -> Result<Self, &'static str> {
        match start {
            [0x1f, 0x8b, ..] => Ok(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Ok(Self::Zstd),
            [b'B', b'Z', b'h', ..] => Err("bzip2"),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Err("xz"),
            [b'P', b'K', 3 | 5, 4 | 6, ..] => Err("zip"),
            [b'R', b'a', b'r', b'!', ..] => Err("rar"),
            _ => Ok(Self::Plain),
        }
    }

    fn open<'r>(self, packed: impl BufRead + 'r) -> io::Result<Box<dyn Read + 'r>> {
        Ok(match self {
            Self::Plain => Box::new(packed),
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(packed)),
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(packed)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
                Box::new(decoder)
            }
        })
    }
}

/// Too many plain bytes for the packed ones.
#[derive(Debug, thiserror::Error)]
#[error("it is packed too densely to be honest")]
struct TooDense;

/// Plain bytes, counted as they come.
struct Metered<R> {
    inner: R,
    packed: Rc<Cell<u64>>,
    ratio: u64,
    bytes: u64,
    /// How many zero bytes came last.
    zeros: u64,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let got = &buffer[..count];
        self.bytes += count as u64;
        match got.iter().rposition(|byte| *byte != 0) {
            None => self.zeros += count as u64,
            Some(last) => self.zeros = (count - last - 1) as u64,
        }
        if self.bytes > RATIO_COUNTS_FROM && self.bytes / self.ratio > self.packed.get() {
            return Err(io::Error::other(TooDense));
        }
        Ok(count)
    }
}

/// What earlier headers said about the entry to come.
#[derive(Default)]
struct Announced {
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
    extended: Option<Extended>,
}

fn entries<R: Read>(plain: Metered<R>, collection: &mut Collection<'_, '_>) -> Result<(), Fault> {
    let mut archive = Archive::new(plain);
    let mut announced = Announced::default();
    let mut end = 0;
    for entry in archive.entries()?.raw(true) {
        let mut entry = entry?;
        let size = entry.header().entry_size()?;
        end = entry.raw_file_position() + size.div_ceil(BLOCK) * BLOCK;
        match entry.header().entry_type() {
            EntryType::GNULongName => {
                let name = extension(&mut entry, size)?;
                once(&mut announced.long_name, name)?;
            }
            EntryType::GNULongLink => {
                let link = extension(&mut entry, size)?;
                once(&mut announced.long_link, link)?;
            }
            EntryType::XHeader => {
                let raw = extension(&mut entry, size)?;
                let extended = pax::parse(&raw).map_err(Fault::Malformed)?;
                once(&mut announced.extended, extended)?;
            }
            EntryType::XGlobalHeader => {
                pax::check_global(&extension(&mut entry, size)?).map_err(Fault::Malformed)?;
            }
            _ => {
                let header = entry.header().clone();
                let told = Told::of(&header, std::mem::take(&mut announced), size)?;
                take(told, &header, &mut entry, size, collection)?;
            }
        }
    }
    if announced.long_name.is_some()
        || announced.long_link.is_some()
        || announced.extended.is_some()
    {
        return Err(Fault::Malformed("it ends after a header that announces an entry"));
    }
    let mut plain = archive.into_inner();
    io::copy(&mut plain, &mut io::sink())?;
    // Two blocks of zeros say that nothing was cut off; behind them there is nothing.
    let whole = plain.bytes.is_multiple_of(BLOCK) && plain.bytes >= end + 2 * BLOCK;
    if end == 0 {
        return Err(Fault::Malformed("it holds nothing"));
    }
    if !whole || plain.zeros < plain.bytes - end {
        return Err(Fault::Malformed("it was cut off, or something follows its end"));
    }
    Ok(())
}

fn extension(entry: &mut impl Read, size: u64) -> Result<Vec<u8>, Fault> {
    if size > EXTENSION_BYTES_MAX {
        return Err(Fault::Malformed("a name or extended header is absurdly long"));
    }
    let mut raw = Vec::new();
    entry.read_to_end(&mut raw)?;
    if raw.len() as u64 != size {
        return Err(Fault::Read(io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(raw)
}

fn once<T>(place: &mut Option<T>, value: T) -> Result<(), Fault> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(Fault::Malformed("two headers announce the same entry")),
    }
}

/// What all the headers together say of one entry, if they agree.
struct Told {
    name: Vec<u8>,
    link: Option<Vec<u8>>,
    mtime: Mtime,
}

impl Told {
    fn of(header: &Header, announced: Announced, size: u64) -> Result<Self, Fault> {
        let extended = announced.extended.unwrap_or_default();
        let own = own_name(header)?;
        let name = agreed(announced.long_name, extended.path)?.unwrap_or(own);
        let own_link = header.link_name_bytes().map(std::borrow::Cow::into_owned);
        let link = agreed(announced.long_link, extended.link)?.or(own_link);
        if extended.size.is_some_and(|other| other != size) {
            return Err(Fault::Entry(bad(&name, "its headers disagree about its size")));
        }
        if name.contains(&0) {
            return Err(Fault::Entry(bad(&name, "its name holds a NUL byte")));
        }
        let mtime = match extended.mtime {
            Some((secs, nanos)) => Mtime { secs, nanos },
            None => Mtime { secs: i64::try_from(header.mtime()?).unwrap_or_default(), nanos: 0 },
        };
        Ok(Self { name, link, mtime })
    }
}

/// The header's own name. What lies behind its end must be empty: others might read on.
fn own_name(header: &Header) -> Result<Vec<u8>, Fault> {
    let bytes = header.as_bytes();
    let is_ustar = header.as_ustar().is_some();
    let fields: &[&[u8]] =
        if is_ustar { &[&bytes[..100], &bytes[345..500]] } else { &[&bytes[..100]] };
    for field in fields {
        let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
        if field[end..].iter().any(|byte| *byte != 0) {
            return Err(Fault::Entry(bad(&field[..end], "its name holds a NUL byte")));
        }
    }
    Ok(header.path_bytes().into_owned())
}

/// A GNU long name and a pax path for the same entry must be the same.
fn agreed(gnu: Option<Vec<u8>>, pax: Option<Vec<u8>>) -> Result<Option<Vec<u8>>, Fault> {
    // GNU tar ends it with a NUL.
    let gnu = gnu.map(|mut name| {
        if name.last() == Some(&0) {
            name.pop();
        }
        name
    });
    match (gnu, pax) {
        (Some(a), Some(b)) if a != b => {
            Err(Fault::Malformed("two headers name an entry differently"))
        }
        (a, b) => Ok(a.or(b)),
    }
}

/// Takes one entry: a file, a directory, a link. Anything else is none of a release's.
fn take(
    told: Told,
    header: &Header,
    content: &mut impl Read,
    size: u64,
    collection: &mut Collection<'_, '_>,
) -> Result<(), Fault> {
    let Told { name, link, mtime } = told;
    let refuse = |what| Err(Fault::Entry(bad(&name, what)));
    let mode = header.mode()?;
    let kind = header.entry_type();
    // Before POSIX, a name that ends in a slash made a directory.
    let is_directory =
        kind == EntryType::Directory || (kind == EntryType::Regular && name.ends_with(b"/"));
    if kind != EntryType::Regular && size != 0 {
        return refuse("it is no file, but has content");
    }
    if kind == EntryType::Regular && mode & 0o6000 != 0 {
        return refuse("it would run with another account's rights");
    }
    let Some(path) = collection.path(&name)? else {
        return if is_directory { Ok(()) } else { refuse("the release itself is no directory") };
    };
    let target = |link: Option<Vec<u8>>| link.filter(|link| !link.is_empty());
    match kind {
        _ if is_directory && size != 0 => refuse("it is a directory, but has content"),
        _ if is_directory => Ok(collection.directory(path, mtime)?),
        EntryType::Regular => Ok(collection.file(path, content, size, mode & 0o100 != 0, mtime)?),
        EntryType::Symlink => match target(link) {
            Some(target) => Ok(collection.link(path, &target, mtime)?),
            None => refuse("it is a link to nothing"),
        },
        EntryType::Link => match hard_target(target(link), collection)? {
            Some(target) => Ok(collection.hard_link(path, &target)?),
            None => refuse("it is a hard link to nothing"),
        },
        EntryType::Char | EntryType::Block => refuse("it is a device"),
        EntryType::Fifo => refuse("it is a pipe"),
        EntryType::GNUSparse => refuse("it is a sparse file"),
        _ => refuse("it is of an unknown kind"),
    }
}

fn hard_target(
    link: Option<Vec<u8>>,
    collection: &Collection<'_, '_>,
) -> Result<Option<TreePath>, AppError> {
    link.map_or(Ok(None), |link| collection.path(&link))
}
