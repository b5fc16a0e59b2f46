//! Where an entry lives inside a root.

use std::cmp::Ordering;
use std::fmt;

/// Where an entry lives inside a snapshot, relative to the root it was taken from.
///
/// A `TreePath` never escapes its root: it is not absolute, has no empty, `.` or `..` part,
/// and holds no NUL. There is one way to make one, so every holder may rely on that.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TreePath(Box<[u8]>); // bytes, not `str`: Linux file names need not be UTF-8

/// Why some bytes are no path inside a root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPath {
    /// Nothing at all.
    #[error("the path is empty")]
    Empty,
    /// A NUL byte, which no Linux name can hold.
    #[error("the path holds a NUL byte")]
    HasNul,
    /// An empty part, `.` or `..`.
    #[error("part {index} of the path is empty, . or ..")]
    BadPart {
        /// Counted from 0.
        index: usize,
    },
}

impl TreePath {
    /// Checks `raw` and takes it.
    pub fn parse(raw: &[u8]) -> Result<Self, BadPath> {
        if raw.is_empty() {
            return Err(BadPath::Empty);
        }
        if raw.contains(&0) {
            return Err(BadPath::HasNul);
        }
        for (index, part) in raw.split(|b| *b == b'/').enumerate() {
            if matches!(part, b"" | b"." | b"..") {
                return Err(BadPath::BadPart { index });
            }
        }
        Ok(Self(raw.into()))
    }

    /// The path of `name` inside this directory.
    pub fn join(&self, name: &[u8]) -> Result<Self, BadPath> {
        Self::parse(&[&self.0, &b"/"[..], name].concat())
    }

    /// `name` inside `parent`, where `None` is the root itself.
    pub fn child(parent: Option<&Self>, name: &[u8]) -> Result<Self, BadPath> {
        parent.map_or_else(|| Self::parse(name), |parent| parent.join(name))
    }

    /// The names on the way down.
    pub fn parts(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|b| *b == b'/')
    }

    /// The last part.
    pub fn name(&self) -> &[u8] {
        self.parts().next_back().expect("a path has a part")
    }

    /// The directory it lies in; `None` at the root.
    pub fn parent(&self) -> Option<Self> {
        let cut = self.0.iter().rposition(|b| *b == b'/')?;
        Some(Self(self.0[..cut].into()))
    }

    /// Whether this is `other` or lies below it.
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.strip_prefix(&*other.0).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
    }

    /// The bytes, parts joined by `/`.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Part by part, as a walk meets them and as they are stored. A derived order would compare
/// bytes and put `a-b` between `a` and `a/x`, for `-` sorts below `/`.
impl Ord for TreePath {
    fn cmp(&self, other: &Self) -> Ordering {
        self.parts().cmp(other.parts())
    }
}

impl PartialOrd for TreePath {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// As a terminal may show it: what is not printable is escaped.
impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                if c.is_control() {
                    write!(f, "{}", c.escape_default())?;
                } else {
                    write!(f, "{c}")?;
                }
            }
            write!(f, "{}", chunk.invalid().escape_ascii())?;
        }
        Ok(())
    }
}

impl fmt::Debug for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(raw: &[u8]) -> TreePath {
        TreePath::parse(raw).expect("a good path")
    }

    #[test]
    fn a_path_cannot_climb_out_of_its_root() {
        for raw in [&b"../etc"[..], b"/etc", b"a/../../b", b"a//b", b"a/", b".", b"", b"a\0b"] {
            assert!(TreePath::parse(raw).is_err(), "{}", raw.escape_ascii());
        }
        assert!(TreePath::parse(b"app/Config/..core.php").is_ok());
    }

    #[test]
    fn a_directory_is_finished_before_its_next_sibling() {
        assert!(path(b"a") < path(b"a/x") && path(b"a/x") < path(b"a-b"));
    }

    #[test]
    fn a_path_is_within_itself_and_its_parents_only() {
        assert!(path(b"a/b").is_within(&path(b"a")) && path(b"a").is_within(&path(b"a")));
        assert!(!path(b"ab").is_within(&path(b"a")) && !path(b"a").is_within(&path(b"a/b")));
    }

    #[test]
    fn a_terminal_sees_no_escape_codes() {
        assert_eq!(path(b"a\x1b[2Jb\xff\n").to_string(), "a\\u{1b}[2Jb\\xff\\n");
    }
}
