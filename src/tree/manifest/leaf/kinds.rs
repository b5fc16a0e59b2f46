//! What an entry is: a code for each, and four columns that only some kinds have.

use crate::repository::ChunkId;
use crate::tree::wire::{Reader, Writer};
use crate::tree::{BadObject, Content, Entry, Kind};

pub(super) const fn code(kind: &Kind) -> u8 {
    match kind {
        Kind::File { content: Content::Empty, .. } => 0,
        Kind::File { content: Content::Chunk(_), .. } => 1,
        Kind::File { content: Content::List(_), .. } => 2,
        Kind::Directory { .. } => 3,
        Kind::SkippedDirectory => 4,
        Kind::MountPoint => 5,
        Kind::Symlink { .. } => 6,
        Kind::Fifo => 7,
        Kind::Socket => 8,
        Kind::CharDevice { .. } => 9,
        Kind::BlockDevice { .. } => 10,
        Kind::Database { .. } => 11,
    }
}

/// The four columns that only some kinds have: sizes, ids, texts, devices.
pub(super) fn put_contents(out: &mut Writer, entries: &[Entry]) {
    let kinds = || entries.iter().map(|entry| &entry.kind);
    for kind in kinds() {
        match kind {
            Kind::File { size, content: Content::Chunk(_) | Content::List(_) } => out.number(*size),
            Kind::File { size, content: Content::Empty } => debug_assert_eq!(*size, 0),
            _ => {}
        }
    }
    for kind in kinds() {
        if let Kind::File { content: Content::Chunk(id) | Content::List(id), .. }
        | Kind::Directory { object: id } = kind
        {
            out.raw(id.as_bytes());
        }
    }
    for kind in kinds() {
        match kind {
            Kind::Symlink { target } => out.bytes(target),
            Kind::Database { name } => out.bytes(name.as_bytes()),
            _ => {}
        }
    }
    for kind in kinds() {
        if let Kind::CharDevice { rdev } | Kind::BlockDevice { rdev } = kind {
            out.number(*rdev);
        }
    }
}

pub(super) fn take_contents(from: &mut Reader<'_>, codes: &[u8]) -> Result<Vec<Kind>, BadObject> {
    let count_of = |wanted: &[u8]| codes.iter().filter(|code| wanted.contains(code)).count();
    let sizes = column(from, count_of(&[1, 2]), |from| match from.number("sizes")? {
        0 => Err(BadObject::Number("sizes")),
        size => Ok(size),
    })?;
    let ids = column(from, count_of(&[1, 2, 3]), |from| from.array().map(ChunkId::from_bytes))?;
    let texts = column(from, count_of(&[6, 11]), |from| match from.bytes("texts")? {
        b"" => Err(BadObject::Number("texts")),
        text => Ok(text),
    })?;
    let devices = column(from, count_of(&[9, 10]), |from| from.number("devices"))?;
    let (mut sizes, mut ids) = (sizes.into_iter(), ids.into_iter());
    let (mut texts, mut devices) = (texts.into_iter(), devices.into_iter());
    // Each column is as long as the codes say, so what is missing here was an unknown code.
    let mut kind = |code: u8| {
        Some(match code {
            0 => Kind::File { size: 0, content: Content::Empty },
            1 => Kind::File { size: sizes.next()?, content: Content::Chunk(ids.next()?) },
            2 => Kind::File { size: sizes.next()?, content: Content::List(ids.next()?) },
            3 => Kind::Directory { object: ids.next()? },
            4 => Kind::SkippedDirectory,
            5 => Kind::MountPoint,
            6 => Kind::Symlink { target: texts.next()?.into() },
            7 => Kind::Fifo,
            8 => Kind::Socket,
            9 => Kind::CharDevice { rdev: devices.next()? },
            10 => Kind::BlockDevice { rdev: devices.next()? },
            11 => Kind::Database { name: String::from_utf8(texts.next()?.into()).ok()? },
            _ => return None,
        })
    };
    codes.iter().map(|code| kind(*code).ok_or(BadObject::Number("kinds"))).collect()
}

fn column<'a, T>(
    from: &mut Reader<'a>,
    count: usize,
    mut take: impl FnMut(&mut Reader<'a>) -> Result<T, BadObject>,
) -> Result<Vec<T>, BadObject> {
    (0..count).map(|_| take(from)).collect()
}
