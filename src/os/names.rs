//! The names in a directory, in one block of memory: there may be a million of them.

/// Names, each up to 65,535 bytes long.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    bytes: Vec<u8>,
    /// Where each begins, whether it was listed as a file, and in the low 16 bits how long it is.
    places: Vec<u64>,
}

impl Names {
    const LENGTH_BITS: u32 = 16;
    const IS_FILE: u64 = 1 << Self::LENGTH_BITS;

    /// Adds a name, of a file or of something else. One that is longer than any the kernel gives
    /// is cut.
    pub fn push(&mut self, name: &[u8], is_file: bool) {
        let length = u16::try_from(name.len()).unwrap_or(u16::MAX);
        let start = (self.bytes.len() as u64) << (Self::LENGTH_BITS + 1);
        let kind = if is_file { Self::IS_FILE } else { 0 };
        self.places.push(start | kind | u64::from(length));
        self.bytes.extend_from_slice(&name[..usize::from(length)]);
    }

    /// Sorts them byte by byte.
    pub fn sort(&mut self) {
        let bytes = &self.bytes;
        self.places.sort_unstable_by(|a, b| at(bytes, *a).cmp(at(bytes, *b)));
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The name of that number.
    pub fn get(&self, number: usize) -> &[u8] {
        at(&self.bytes, self.places[number])
    }

    /// Whether the name of that number was listed as a file. It may be something else by now, and
    /// a file system that does not tell says of nothing that it is one.
    pub fn is_file(&self, number: usize) -> bool {
        self.places[number] & Self::IS_FILE != 0
    }

    /// All of them, in their order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.places.iter().map(|place| at(&self.bytes, *place))
    }

    /// Whether `name` is among them, once they are sorted.
    pub fn holds(&self, name: &[u8]) -> bool {
        self.places.binary_search_by(|place| at(&self.bytes, *place).cmp(name)).is_ok()
    }
}

fn at(bytes: &[u8], place: u64) -> &[u8] {
    let [low, high, ..] = place.to_le_bytes();
    let start = usize::try_from(place >> (Names::LENGTH_BITS + 1)).expect("it lies in memory");
    &bytes[start..start + usize::from(u16::from_le_bytes([low, high]))]
}

impl<'n> FromIterator<&'n [u8]> for Names {
    fn from_iter<I: IntoIterator<Item = &'n [u8]>>(names: I) -> Self {
        let mut all = Self::default();
        names.into_iter().for_each(|name| all.push(name, false));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_sorted() {
        let mut names: Names = [&b"b"[..], b"", b"abc", b"ab"].into_iter().collect();
        assert_eq!(names.get(2), b"abc");
        names.sort();
        assert_eq!(names.iter().collect::<Vec<_>>(), [&b""[..], b"ab", b"abc", b"b"]);
        assert!(names.holds(b"abc") && !names.holds(b"a") && names.len() == 4);
        assert!(Names::default().is_empty());
    }

    #[test]
    fn a_name_of_any_length_is_known_for_what_it_was_listed_as() {
        let long = vec![b'z'; usize::from(u16::MAX)];
        let mut names = Names::default();
        for (name, is_file) in [(&long[..], true), (b"dir", false), (b"file", true)] {
            names.push(name, is_file);
        }
        names.sort();
        let kinds = (0..3).map(|at| (names.get(at), names.is_file(at)));
        let expected = [(&b"dir"[..], false), (b"file", true), (&long[..], true)];
        assert!(kinds.eq(expected));
    }
}
