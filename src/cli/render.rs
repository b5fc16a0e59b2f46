//! Tables, sizes, times: the same values as a person and as a program read them.

use std::time::Duration;

use jiff::{Timestamp, tz::TimeZone};

use crate::os::clock::Moment;

use super::text;

/// A table whose columns are as wide as they must be.
#[derive(Debug, Default)]
pub(super) struct Table {
    heads: Vec<&'static str>,
    right: Vec<bool>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// With these headings; one that begins with `>` is aligned to the right.
    pub(super) fn new(heads: &[&'static str]) -> Self {
        Self {
            heads: heads.iter().map(|head| head.trim_start_matches('>')).collect(),
            right: heads.iter().map(|head| head.starts_with('>')).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The lines, each cut to `columns`; the last column gives way.
    pub(super) fn render(&self, columns: usize) -> String {
        let mut widths: Vec<usize> = self.heads.iter().map(|head| text::width(head)).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(text::width(cell));
            }
        }
        let heads: Vec<String> = self.heads.iter().map(|&head| head.to_owned()).collect();
        let mut out = text::Ink::Strong.on(self.line(&heads, &widths, columns)) + "\n";
        for row in &self.rows {
            out.push_str(&self.line(row, &widths, columns));
            out.push('\n');
        }
        out
    }

    fn line(&self, cells: &[String], widths: &[usize], columns: usize) -> String {
        let mut line = String::new();
        for (index, cell) in cells.iter().enumerate() {
            let gap = " ".repeat(widths[index] - text::width(cell));
            if index > 0 {
                line.push_str("  ");
            }
            if self.right[index] {
                line.push_str(&gap);
                line.push_str(cell);
            } else {
                line.push_str(cell);
                line.push_str(&gap);
            }
        }
        text::clip(line.trim_end(), columns)
    }
}

/// Bytes as people read them: 431 B, 18.2 KiB, 2.2 MiB.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    // Tenths of the unit, rounded half up, in integers: a size is never a guess.
    let mut tenths = u128::from(bytes) * 10;
    let mut unit = 0;
    loop {
        tenths = (tenths + 512) / 1024;
        if tenths < 10_000 || unit + 1 == UNITS.len() {
            break;
        }
        unit += 1;
    }
    if tenths >= 1000 {
        format!("{} {}", (tenths + 5) / 10, UNITS[unit])
    } else {
        format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
    }
}

/// A count with its thousands apart: 4,115.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 file`, `2 files`.
pub(super) fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// How long something took: 0.3 s, 48 s, 2 m 05 s.
pub(super) fn took(duration: Duration) -> String {
    let tenths = (duration.as_millis() + 50) / 100;
    if tenths < 100 {
        return format!("{}.{} s", tenths / 10, tenths % 10);
    }
    let seconds = (duration.as_millis() + 500) / 1000;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} m {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} m", seconds / 3600, seconds / 60 % 60),
    }
}

/// A length of time in words, for what went wrong by it: 3 days, 5 hours.
pub(super) fn took_words(seconds: i64) -> String {
    let hours = seconds.unsigned_abs() / 3600;
    if hours >= 48 { counted(hours / 24, "day", "days") } else { counted(hours, "hour", "hours") }
}

/// A moment for programs: RFC 3339 in UTC, to the microsecond.
pub(super) fn timestamp(moment: Moment) -> String {
    let instant = Timestamp::from_nanosecond(i128::from(moment.0)).unwrap_or(Timestamp::UNIX_EPOCH);
    instant.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

/// A moment for people: local date and time, to the second.
pub(super) fn when(moment: Moment) -> String {
    let instant = Timestamp::from_nanosecond(i128::from(moment.0)).unwrap_or(Timestamp::UNIX_EPOCH);
    instant.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// A digest as people compare it: the first and telling digits.
pub(super) fn digest(bytes: &[u8; 32]) -> String {
    format!("b3:{}…", &blake3::Hash::from_bytes(*bytes).to_hex()[..8])
}

/// A digest whole, for programs.
pub(super) fn digest_whole(bytes: &[u8; 32]) -> String {
    format!("b3:{}", blake3::Hash::from_bytes(*bytes).to_hex())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_at_a_glance() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(1024), "1.0 KiB");
        assert_eq!(size(6 * 1024 * 1024 + 100 * 1024), "6.1 MiB");
        assert_eq!(size(410 * 1024 * 1024), "410 MiB");
        assert_eq!(size(u64::MAX), "16384 PiB");
    }

    #[test]
    fn counts_and_times_are_read_at_a_glance() {
        assert_eq!(count(4_115), "4,115");
        assert_eq!(count(115), "115");
        assert_eq!(counted(1, "file", "files"), "1 file");
        assert_eq!(took(Duration::from_millis(280)), "0.3 s");
        assert_eq!(took(Duration::from_millis(48_400)), "48 s");
        assert_eq!(took(Duration::from_secs(125)), "2 m 05 s");
    }

    #[test]
    fn a_table_lines_up_also_with_wide_and_coloured_cells() {
        let mut table = Table::new(&["ID", ">SIZE", "NAME"]);
        table.row([text::Ink::Name.on("4f1c09"), "9 B".into(), "日本".into()]);
        table.row(["a".into(), "10 KiB".into(), "x".into()]);
        let shown = text::Style { color: false, ascii: false }.render(&table.render(80));
        assert_eq!(shown, "ID        SIZE  NAME\n4f1c09     9 B  日本\na       10 KiB  x\n");
    }

    #[test]
    fn machine_times_are_utc() {
        assert_eq!(timestamp(Moment(1_500_000_000_000_001_000)), "2017-07-14T02:40:00.000001Z");
    }
}
