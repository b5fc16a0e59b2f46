//! Media, archives and ciphertext: what does not compress, and is written once or wholly anew. A new
//! repository cuts it at fixed places; which files these are is part of the format (FORMAT.md, "Content
//! of files").

/// How the content of one file is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Where the content says.
    Ordinary,
    /// At fixed places: to look for others would be more than half of the work.
    Media,
}

/// How media begin: from which byte on, and with which bytes.
const MAGICS: [(usize, &[u8]); 19] = [
    (0, b"\xff\xd8\xff"), // JPEG
    (0, b"\x89PNG\r\n\x1a\n"),
    (0, b"GIF8"),
    (8, b"WEBP"),             // in RIFF
    (4, b"ftyp"),             // MP4, MOV, HEIC, AVIF
    (0, b"\x1a\x45\xdf\xa3"), // Matroska, WebM
    (0, b"ID3"),              // MP3
    (0, b"\xff\xfb"),         // MP3 without a tag
    (0, b"OggS"),
    (0, b"fLaC"),
    (0, b"PK\x03\x04"),   // ZIP and all that is made of it
    (0, b"\x1f\x8b\x08"), // gzip
    (0, b"\xfd7zXZ\x00"),
    (0, b"\x28\xb5\x2f\xfd"), // zstd
    (0, b"BZh"),
    (0, b"7z\xbc\xaf\x27\x1c"),
    (0, b"Rar!\x1a\x07"),
    (0, b"\x04\x22\x4d\x18"), // LZ4
    (0, b"LZIP"),
];

/// The parts of a file that are looked at. Behind a magic they lie after the tags and thumbnails that
/// many begin with; where none says what the file is, its very first bytes must be noise too. So a tar
/// archive of pictures is cut where its content says: a picture may be put into it.
const PARTS: usize = 8;
const PARTS_FROM: usize = 64 << 10;
const PART_STEP: usize = 24 << 10;
const PART_BYTES: usize = 4 << 10;

/// How much of its beginning says what a file is.
pub(super) const HEAD_BYTES: usize = PARTS_FROM + (PARTS - 1) * PART_STEP + PART_BYTES;

/// What the file is that begins with `head`: at least [`HEAD_BYTES`] of it. Without a magic it may be
/// ciphertext, where whoever cuts `knows_noise`.
pub(super) fn kind_of(head: &[u8], knows_noise: bool) -> Kind {
    let begins =
        |(at, magic): &(usize, &[u8])| head.get(*at..).is_some_and(|rest| rest.starts_with(magic));
    let is_known = MAGICS.iter().any(begins);
    let parts = |first: usize| {
        let part = move |number| {
            let from = first + number * PART_STEP;
            head.get(from..from + PART_BYTES)
        };
        (0..PARTS).filter_map(part)
    };
    let is_media = if is_known {
        excess(parts(PARTS_FROM)) <= EVEN
    } else {
        knows_noise && excess(parts(0)) <= NOISE
    };
    if is_media { Kind::Media } else { Kind::Ordinary }
}

/// Whether what is stored of media may stay as it is: some archives hold what nobody compressed.
pub(super) fn seems_random(payload: &[u8]) -> bool {
    const SAMPLES: usize = 8;
    const SAMPLE_BYTES: usize = 512;
    let step = (payload.len() / SAMPLES).max(SAMPLE_BYTES);
    excess(payload.chunks(step).filter_map(|part| part.get(..SAMPLE_BYTES))) <= EVEN
}

/// The excess of pictures, films and archives: 1 to 10 hundredths. Of texts and programs it is many times
/// the least sum itself.
const EVEN: u64 = 128;
/// The excess of noise in 32 KiB: 8 thousandths, give or take one. A tar header among them has 50.
const NOISE: u64 = 16;

/// How equally frequent all values of a byte are: by how many 1,024ths the sum of the squares of their
/// counts is above the least that it may be. In whole numbers, for it decides ids.
fn excess<'a>(parts: impl Iterator<Item = &'a [u8]>) -> u64 {
    let mut counts = [0_u64; 256];
    let mut bytes = 0;
    for part in parts {
        for byte in part {
            counts[usize::from(*byte)] += 1;
        }
        bytes += part.len() as u64;
    }
    let squares: u64 = counts.iter().map(|count| count * count).sum();
    match bytes {
        0 => u64::MAX,
        _ => (squares * 256 * 1024).div_ceil(bytes * bytes) - 1024,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(bytes: usize) -> Vec<u8> {
        let mut noise = vec![0; bytes];
        blake3::Hasher::new().finalize_xof().fill(&mut noise);
        noise
    }

    #[test]
    fn media_begin_as_such_and_do_not_compress() {
        let noise = noise(HEAD_BYTES);
        let text = b"INSERT INTO orders VALUES (1, 'somebody', 2.50);\n".repeat(6_000);
        for (at, magic) in MAGICS {
            let under = |plain: &[u8]| {
                let mut file = plain.to_vec();
                file[at..at + magic.len()].copy_from_slice(magic);
                kind_of(&file, true)
            };
            assert_eq!(under(&noise), Kind::Media, "{magic:?}");
            assert_eq!(under(&text), Kind::Ordinary, "{magic:?}");
            let half = [&text[..HEAD_BYTES / 2], &noise[HEAD_BYTES / 2..]].concat();
            assert_eq!(under(&half), Kind::Ordinary, "{magic:?}");
        }
    }

    #[test]
    fn noise_is_ciphertext_unless_anything_else_lies_before_it() {
        let noise = noise(HEAD_BYTES);
        assert_eq!(kind_of(&noise, true), Kind::Media);
        assert_eq!(kind_of(&noise, false), Kind::Ordinary, "chunker 2 looks for a magic");
        let mut archive = noise.clone();
        archive[..512].fill(0);
        archive[..10].copy_from_slice(b"a/name.jpg");
        assert_eq!(kind_of(&archive, true), Kind::Ordinary, "as a tar archive begins");
        let mut waves = noise;
        for byte in &mut waves {
            *byte %= 250;
        }
        assert_eq!(kind_of(&waves, true), Kind::Ordinary, "six values never come");
    }

    #[test]
    fn a_head_of_tags_and_thumbnails_does_not_hide_a_picture() {
        let mut picture = noise(HEAD_BYTES);
        picture[..PARTS_FROM].fill(0);
        picture[..3].copy_from_slice(b"\xff\xd8\xff");
        assert_eq!(kind_of(&picture, true), Kind::Media);
    }

    #[test]
    fn what_nobody_compressed_is_seen_in_an_archive() {
        assert!(seems_random(&noise(1 << 20)));
        assert!(seems_random(&noise(5_000)));
        assert!(!seems_random(&b"SELECT 1;\n".repeat(100_000)));
        assert!(!seems_random(&[0; 4096]));
        assert!(!seems_random(b""));
    }
}
