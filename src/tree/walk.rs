//! Lists one directory, sorted by name. A tree is listed one directory at a time, by whoever
//! owns the work: nothing here recurses.

use std::io;
use std::os::unix::ffi::OsStrExt;

use walkdir::WalkDir;

use crate::os::beneath::Dir;
use crate::os::names::Names;

/// Who lists a directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Walker {
    /// The kernel's own entries, read into one buffer.
    #[default]
    Fast,
    /// The `walkdir` library: portable, and the oracle of the other.
    Walkdir,
}

impl Walker {
    /// The names in `dir`, sorted byte by byte.
    pub fn names(self, dir: &Dir) -> io::Result<Names> {
        let mut names = match self {
            Self::Fast => dir.list()?,
            Self::Walkdir => by_walkdir(dir)?,
        };
        names.sort();
        Ok(names)
    }
}

fn by_walkdir(dir: &Dir) -> io::Result<Names> {
    let mut names = Names::default();
    for entry in WalkDir::new(dir.magic_path()).min_depth(1).max_depth(1) {
        let entry = entry?;
        names.push(entry.file_name().as_bytes(), entry.file_type().is_file());
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::collection::btree_set;
    use proptest::prelude::*;

    use super::*;

    fn any_names() -> impl Strategy<Value = BTreeSet<Vec<u8>>> {
        let name = proptest::collection::vec(1..=255_u8, 1..40).prop_filter("a name", |name| {
            !matches!(&**name, b"." | b"..") && !name.contains(&b'/')
        });
        btree_set(name, 0..40)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn both_walkers_see_the_same_names_in_the_same_order(names in any_names()) {
            let place = tempfile::tempdir().unwrap();
            let dir = Dir::open_root(place.path()).unwrap();
            for (index, name) in names.iter().enumerate() {
                match index % 3 {
                    0 => dir.create_dir(name).unwrap(),
                    1 => dir.create_symlink(name, b"nowhere").unwrap(),
                    _ => drop(dir.create_file(name).unwrap()),
                }
            }
            let expected: Vec<Vec<u8>> = names.into_iter().collect();
            // A handle may be listed more than once.
            for walker in [Walker::Fast, Walker::Walkdir, Walker::Fast] {
                let names = walker.names(&dir).unwrap();
                prop_assert_eq!(names.iter().map(<[u8]>::to_vec).collect::<Vec<_>>(), expected.clone());
            }
        }
    }

    #[test]
    fn a_directory_larger_than_the_buffer_is_listed_whole() {
        let place = tempfile::tempdir().unwrap();
        let dir = Dir::open_root(place.path()).unwrap();
        for n in 0..3000 {
            dir.create_file(format!("a-rather-long-name-for-a-file-{n:06}").as_bytes()).unwrap();
        }
        let names = Walker::Fast.names(&dir).unwrap();
        assert_eq!(names.len(), 3000);
        assert!(names.iter().eq(Walker::Walkdir.names(&dir).unwrap().iter()));
    }
}
