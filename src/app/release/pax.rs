//! Extended headers of tar archives, read strictly: what is malformed is refused, never skipped.

/// What an extended header says about the next entry. Everything else in it is nobody's business.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Extended {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    /// Seconds and nanoseconds.
    pub(super) mtime: Option<(i64, u32)>,
}

/// `LENGTH KEY=VALUE\n`, the length counting the whole record.
pub(super) fn parse(mut raw: &[u8]) -> Result<Extended, &'static str> {
    let mut extended = Extended::default();
    while !raw.is_empty() {
        let (key, value, rest) = record(raw).ok_or("an extended header is malformed")?;
        raw = rest;
        match key {
            b"path" => set(&mut extended.path, value.to_vec())?,
            b"linkpath" => set(&mut extended.link, value.to_vec())?,
            b"size" => set(&mut extended.size, number(value)?)?,
            b"mtime" => set(&mut extended.mtime, time(value)?)?,
            key if key.starts_with(b"GNU.sparse.") => return Err("it is a sparse file"),
            _ => {}
        }
    }
    Ok(extended)
}

/// A header for all entries may hold comments only: anything else would change what others read.
pub(super) fn check_global(mut raw: &[u8]) -> Result<(), &'static str> {
    while !raw.is_empty() {
        let (key, _, rest) = record(raw).ok_or("a global header is malformed")?;
        if key != b"comment" {
            return Err("a global header changes all entries");
        }
        raw = rest;
    }
    Ok(())
}

fn record(raw: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = raw.iter().take(20).position(|byte| *byte == b' ')?;
    let digits = std::str::from_utf8(&raw[..space]).ok()?;
    if digits.is_empty() || digits.starts_with('0') || !digits.bytes().all(|d| d.is_ascii_digit()) {
        return None;
    }
    let length: usize = digits.parse().ok()?;
    if length < space + 3 || length > raw.len() || raw[length - 1] != b'\n' {
        return None;
    }
    let body = &raw[space + 1..length - 1];
    let equals = body.iter().position(|byte| *byte == b'=')?;
    Some((&body[..equals], &body[equals + 1..], &raw[length..]))
}

fn set<T>(place: &mut Option<T>, value: T) -> Result<(), &'static str> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err("an extended header says the same thing twice"),
    }
}

fn number(value: &[u8]) -> Result<u64, &'static str> {
    let text = std::str::from_utf8(value).ok().filter(|text| !text.starts_with('+'));
    text.and_then(|text| text.parse().ok()).ok_or("an extended header holds no number")
}

/// `1500000000.25`, perhaps negative; digits beyond nanoseconds are dropped.
fn time(value: &[u8]) -> Result<(i64, u32), &'static str> {
    let read = || {
        let text = std::str::from_utf8(value).ok()?;
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        if !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        let secs: i64 = whole.parse().ok()?;
        let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
        let nanos: u32 = digits.parse().ok()?;
        if whole.starts_with('-') && nanos > 0 {
            return Some((secs.checked_sub(1)?, 1_000_000_000 - nanos));
        }
        Some((secs, nanos))
    };
    read().ok_or("an extended header holds no time")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_by_their_length() {
        let raw = b"14 path=a\nb/c\n20 mtime=1500000.25\n10 size=7\n17 comment=hello\n";
        let extended = parse(raw).unwrap();
        assert_eq!(extended.path.as_deref(), Some(&b"a\nb/c"[..]));
        assert_eq!((extended.size, extended.mtime), (Some(7), Some((1_500_000, 250_000_000))));
        assert_eq!(time(b"-1.5"), Ok((-2, 500_000_000)));
    }

    #[test]
    fn what_is_malformed_is_refused() {
        for raw in [
            &b"8 path=a\n"[..],
            b"11 path=a\n",
            b"010 path=a\n",
            b"9 path=a\n9 path=b\n",
            b"10 path=ab",
            b"10 size=x\n",
            b"11 size=+7\n",
            b"x",
            b"20 GNU.sparse.map=1\n",
            b"99999999999999999999999 path=a\n",
        ] {
            assert!(parse(raw).is_err(), "{}", raw.escape_ascii());
        }
        assert!(check_global(b"13 comment=a\n").is_ok());
        assert!(check_global(b"10 path=a\n").is_err());
    }
}
