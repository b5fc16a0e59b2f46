//! What a tree leaves out: the same list for the walk, the digest, the comparison and the oracle.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::{TreeError, TreePath};

/// The list as it is written in profiles, on the command line and in snapshot records.
///
/// Patterns are globs over the path from the root; `*` and `?` stop at `/`, `**` does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExclusionRules {
    /// Directories whose inside is not covered: listed themselves. `cache/**` means `cache`.
    pub skip_content: Vec<String>,
    /// Paths that are never read for content nor written, and are in no digest.
    pub guarded: Vec<String>,
    /// SQLite files that belong to a database, with the database's name.
    pub databases: Vec<(TreePath, String)>,
    /// What the user leaves out: with a leading `/` from the root, else at any depth.
    pub exclude: Vec<String>,
    /// The same, in upper or lower case.
    pub iexclude: Vec<String>,
    /// Directories marked by a `CACHEDIR.TAG` are listed without their inside.
    pub exclude_caches: bool,
    /// Files larger than this many bytes are left out.
    pub larger_than: Option<u64>,
}

/// The list, ready to be asked.
#[derive(Clone, Debug, Default)]
pub struct Exclusions {
    rules: ExclusionRules,
    skip_content: GlobSet,
    guarded: GlobSet,
    exclude: GlobSet,
    recorded: Option<Arc<Recorded>>,
    absent: Arc<BTreeSet<TreePath>>,
}

/// What was so when a tree was recorded, and may be otherwise where it is compared: a restored tree
/// has no mounts in it, and nothing of what was left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    /// Directories whose time was no part of the tree; `None` is the root. It then is none of the
    /// live tree either, and that of every other directory is.
    pub untimed: BTreeSet<Option<TreePath>>,
    /// Where something was mounted.
    pub mount_points: BTreeSet<TreePath>,
    /// Directories that were marked as caches.
    pub caches: BTreeSet<TreePath>,
}

/// How one path is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// It is part of the tree.
    Covered,
    /// A directory that is listed, while its inside is not.
    SkipContent,
    /// Not part of the tree at all, nor is the time of the directory that holds it. (What carries
    /// our own token is left out alone: it is there before and not after, or the reverse, and
    /// whoever makes or removes it puts the directory's time back.)
    LeftOut,
}

/// Files that SQLite keeps beside a database.
const COMPANIONS: [&[u8]; 3] = [b"-wal", b"-shm", b"-journal"];

/// What a cache directory's mark starts with (the Cache Directory Tagging specification).
pub const CACHEDIR_TAG: &[u8] = b"Signature: 8a477f597d28d172789f06886806bc55";

impl Exclusions {
    /// Reads the patterns.
    pub fn compile(rules: ExclusionRules) -> Result<Self, TreeError> {
        let skip_content = globs(rules.skip_content.iter().map(|text| directory(text)), false)?;
        let guarded = globs(rules.guarded.iter().map(|text| directory(text)), false)?;
        let mut exclude = GlobSetBuilder::new();
        add_user_globs(&mut exclude, &rules.exclude, false)?;
        add_user_globs(&mut exclude, &rules.iexclude, true)?;
        let exclude = exclude.build().map_err(|source| bad(&rules.exclude.join(" "), source))?;
        let (recorded, absent) = (None, Arc::default());
        Ok(Self { rules, skip_content, guarded, exclude, recorded, absent })
    }

    /// The same list, for comparing a live tree with a recorded one.
    #[must_use]
    pub fn as_recorded(self, recorded: Recorded) -> Self {
        Self { recorded: Some(Arc::new(recorded)), ..self }
    }

    /// The same list, and these paths besides: a damaged repository cannot give them.
    #[must_use]
    pub fn without(self, absent: BTreeSet<TreePath>) -> Self {
        Self { absent: Arc::new(absent), ..self }
    }

    /// Whether the time of a directory is no part of the tree, given whether it directly holds
    /// something that is left out.
    pub fn leaves_time_out(&self, dir: Option<&TreePath>, holds_left_out: bool) -> bool {
        let recorded = self.recorded.as_ref();
        recorded.map_or(holds_left_out, |recorded| recorded.untimed.contains(&dir.cloned()))
    }

    /// Whether something was mounted there when the tree was recorded.
    pub fn was_mount_point(&self, path: &TreePath) -> bool {
        self.recorded.as_ref().is_some_and(|recorded| recorded.mount_points.contains(path))
    }

    /// The list as it was written.
    pub const fn rules(&self) -> &ExclusionRules {
        &self.rules
    }

    /// How `path` is treated, given that its parents are covered. A declared database file is
    /// [`Treatment::LeftOut`]: see [`databases_in`](Self::databases_in).
    pub fn treat(&self, path: &TreePath, is_directory: bool) -> Treatment {
        if is_ours(path.name()) || self.is_database_file(path) || self.absent.contains(path) {
            return Treatment::LeftOut;
        }
        let as_path = as_path(path.as_bytes());
        if self.guarded.is_match(as_path) || self.exclude.is_match(as_path) {
            Treatment::LeftOut
        } else if is_directory && (self.skip_content.is_match(as_path) || self.was_cache(path)) {
            Treatment::SkipContent
        } else {
            Treatment::Covered
        }
    }

    /// Whether `path` is left out because it is guarded.
    pub fn is_guarded(&self, path: &TreePath) -> bool {
        self.guarded.is_match(as_path(path.as_bytes()))
    }

    /// Whether `path` or a directory above it is left out or inside a skipped directory: nothing
    /// there is ever written or deleted.
    pub fn is_untouchable(&self, path: &TreePath) -> bool {
        let mut above = path.parent();
        while let Some(directory) = above {
            if self.treat(&directory, true) != Treatment::Covered {
                return true;
            }
            above = directory.parent();
        }
        self.treat(path, false) == Treatment::LeftOut
    }

    /// The databases declared in the directory `dir` (`None`: the root): file name, database name.
    /// They are listed whether or not the file is there now.
    pub fn databases_in(&self, dir: Option<&TreePath>) -> impl Iterator<Item = (&[u8], &str)> {
        let dir = dir.cloned();
        let here = move |path: &TreePath| path.parent() == dir;
        let declared = self.rules.databases.iter();
        declared.filter(move |(path, _)| here(path)).map(|(path, name)| (path.name(), &**name))
    }

    /// Whether a declared SQLite file, or one that SQLite keeps beside it, has this path.
    pub fn is_database_file(&self, path: &TreePath) -> bool {
        self.rules.databases.iter().any(|(file, _)| {
            let rest = path.as_bytes().strip_prefix(file.as_bytes());
            rest.is_some_and(|rest| rest.is_empty() || COMPANIONS.contains(&rest))
        })
    }

    fn was_cache(&self, path: &TreePath) -> bool {
        self.recorded.as_ref().is_some_and(|recorded| recorded.caches.contains(path))
    }

    /// Whether a file of this size is left out.
    pub fn is_too_large(&self, size: u64) -> bool {
        self.rules.larger_than.is_some_and(|limit| size > limit)
    }

    /// Whether every path but our own leftovers is covered, so that asking is needless.
    pub fn is_trivial(&self) -> bool {
        self.skip_content.is_empty()
            && self.guarded.is_empty()
            && self.exclude.is_empty()
            && self.rules.databases.is_empty()
            && self.recorded.is_none()
            && self.absent.is_empty()
    }
}

/// Whether a name carries the token of one of our transactions: `.snap-<8 hex digits>`, alone or
/// followed by `-` and more.
pub fn is_ours(name: &[u8]) -> bool {
    let Some(rest) = name.strip_prefix(b".snap-") else { return false };
    let Some((token, after)) = rest.split_at_checked(8) else { return false };
    token.iter().all(u8::is_ascii_hexdigit) && (after.is_empty() || after[0] == b'-')
}

/// `cache/**` and `cache/` say what `cache` says.
fn directory(pattern: &str) -> &str {
    pattern.strip_suffix("/**").unwrap_or(pattern).trim_end_matches('/')
}

fn globs<'a>(
    patterns: impl Iterator<Item = &'a str>,
    any_case: bool,
) -> Result<GlobSet, TreeError> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        add(&mut set, pattern.trim_start_matches('/'), pattern, any_case)?;
    }
    set.build().map_err(|source| bad("", source))
}

fn add_user_globs(
    set: &mut GlobSetBuilder,
    patterns: &[String],
    any_case: bool,
) -> Result<(), TreeError> {
    for pattern in patterns {
        let trimmed = pattern.trim_end_matches('/');
        match trimmed.strip_prefix('/') {
            Some(from_root) => add(set, from_root, pattern, any_case)?,
            None => add(set, &format!("**/{trimmed}"), pattern, any_case)?,
        }
    }
    Ok(())
}

fn add(
    set: &mut GlobSetBuilder,
    glob: &str,
    written: &str,
    any_case: bool,
) -> Result<(), TreeError> {
    let glob = GlobBuilder::new(glob)
        .literal_separator(true)
        .backslash_escape(true)
        .case_insensitive(any_case)
        .build()
        .map_err(|source| bad(written, source))?;
    set.add(glob);
    Ok(())
}

fn bad(pattern: &str, source: globset::Error) -> TreeError {
    TreeError::BadPattern { pattern: pattern.to_owned(), source }
}

fn as_path(bytes: &[u8]) -> &Path {
    use std::os::unix::ffi::OsStrExt;
    Path::new(std::ffi::OsStr::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(raw: &str) -> TreePath {
        TreePath::parse(raw.as_bytes()).unwrap()
    }

    fn rules(skip: &[&str], exclude: &[&str]) -> Exclusions {
        let own = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect();
        let rules = ExclusionRules {
            skip_content: own(skip),
            exclude: own(exclude),
            databases: vec![(path("data/app.db"), "main".to_owned())],
            ..ExclusionRules::default()
        };
        Exclusions::compile(rules).unwrap()
    }

    #[test]
    fn a_skipped_directory_is_listed_itself() {
        let list = rules(&["app/tmp/**", "logs"], &[]);
        assert_eq!(list.treat(&path("app/tmp"), true), Treatment::SkipContent);
        assert_eq!(list.treat(&path("logs"), true), Treatment::SkipContent);
        // Directories only: a file of that name is part of the tree.
        assert_eq!(list.treat(&path("logs"), false), Treatment::Covered);
        assert!(list.is_untouchable(&path("app/tmp/cache/x")));
        assert!(!list.is_untouchable(&path("app/tmp")));
    }

    #[test]
    fn a_pattern_without_a_leading_slash_fits_at_any_depth() {
        let list = rules(&[], &["*.o", "/top", "a/b"]);
        for out in ["x.o", "deep/down/x.o", "top", "x/a/b"] {
            assert_eq!(list.treat(&path(out), false), Treatment::LeftOut, "{out}");
        }
        for covered in ["x.oo", "deep/top", "a/c/b"] {
            assert_eq!(list.treat(&path(covered), false), Treatment::Covered, "{covered}");
        }
    }

    #[test]
    fn the_files_of_a_declared_database_belong_to_it() {
        let list = rules(&[], &[]);
        for file in ["data/app.db", "data/app.db-wal", "data/app.db-shm", "data/app.db-journal"] {
            assert_eq!(list.treat(&path(file), false), Treatment::LeftOut, "{file}");
        }
        assert_eq!(list.treat(&path("data/app.db-old"), false), Treatment::Covered);
        let here: Vec<_> = list.databases_in(Some(&path("data"))).collect();
        assert_eq!(here, [(&b"app.db"[..], "main")]);
    }

    #[test]
    fn only_names_with_a_whole_token_are_ours() {
        assert!(is_ours(b".snap-0123abcd-aside") && is_ours(b".snap-0123abcd"));
        assert!(!is_ours(b".snap-012") && !is_ours(b".snapshot") && !is_ours(b".snap-0123abcdx"));
    }

    #[test]
    fn a_pattern_that_is_none_is_refused() {
        let rules = ExclusionRules { exclude: vec!["a[".to_owned()], ..Default::default() };
        let refused = Exclusions::compile(rules).unwrap_err();
        assert!(matches!(refused, TreeError::BadPattern { pattern, .. } if pattern == "a["));
    }
}
