//! How the values of each type are read and written so that they come back exactly.

use super::text::name;

/// How a value is spelled in a stored row. The numbers are part of the format: see STATE.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spelling {
    /// As the server prints it: numbers, dates, times.
    Text = 0,
    /// In the column's own character set, or of none.
    Bytes = 1,
    /// The number of an ENUM's or SET's value, so that invalid ones survive.
    Number = 2,
    /// A FLOAT as the double that equals it: its printed form has only six digits.
    Float = 3,
    /// Printed, and written back as text: from a binary literal these types take raw bytes only.
    Ascii = 4,
    /// MySQL's JSON, which takes nothing but text in UTF-8.
    Json = 5,
}

impl Spelling {
    /// The spelling for a type as `information_schema` names it; `None` for a type that is not
    /// known to come back exactly.
    pub(super) fn of(data_type: &str) -> Option<Self> {
        Some(match data_type {
            "tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "decimal" | "double"
            | "date" | "datetime" | "timestamp" | "time" | "year" => Self::Text,
            "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" | "binary"
            | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" | "bit"
            | "geometry" | "point" | "linestring" | "polygon" | "multipoint"
            | "multilinestring" | "multipolygon" | "geometrycollection" | "geomcollection" => {
                Self::Bytes
            }
            "enum" | "set" => Self::Number,
            "float" => Self::Float,
            "uuid" | "inet4" | "inet6" => Self::Ascii,
            "json" => Self::Json,
            _ => return None,
        })
    }

    /// The spelling with this number.
    pub(super) fn from_number(number: u32) -> Option<Self> {
        let all = [Self::Text, Self::Bytes, Self::Number, Self::Float, Self::Ascii, Self::Json];
        all.into_iter().find(|one| *one as u32 == number)
    }

    /// What is selected to read a column.
    pub(super) fn read(self, column: &str) -> String {
        match self {
            Self::Text | Self::Bytes | Self::Ascii | Self::Json => name(column),
            Self::Number => format!("{} + 0", name(column)),
            Self::Float => format!("{} + 0e0", name(column)),
        }
    }

    /// Where a value stands in a prepared INSERT.
    pub(super) const fn placeholder(self) -> &'static str {
        match self {
            Self::Text | Self::Bytes | Self::Number | Self::Float => "?",
            Self::Ascii => "CONVERT(? USING latin1)",
            Self::Json => "CONVERT(? USING utf8mb4)",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_keep_their_numbers_for_ever() {
        let numbers = ["int", "blob", "set", "float", "uuid", "json"]
            .map(|data_type| Spelling::of(data_type).expect("a known type") as u32);
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5]);
        for number in 0..6 {
            assert_eq!(Spelling::from_number(number).expect("a known number") as u32, number);
        }
        assert_eq!(Spelling::from_number(6), None);
    }

    #[test]
    fn a_type_that_nobody_has_tried_is_not_guessed() {
        assert_eq!(Spelling::of("xmltype"), None);
        assert_eq!(Spelling::of("vector"), None);
    }
}
