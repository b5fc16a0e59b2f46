//! Reasons not to start, from facts alone: pure.

use crate::app::profile::PathRule;
use crate::app::version::{AppVersion, Jump};
use crate::tree::{Entry, TreePath};

use super::super::merge::{Fate, Fates, Shape};
use super::{Question, Refusal, RefusalKind, Seen, Space};

/// What a person allowed on the command line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    /// `--allow-major`.
    pub major: bool,
    /// `--allow-downgrade`.
    pub downgrade: bool,
}

/// Whether the profile and a person's word let this jump go.
pub fn jump(from: &AppVersion, to: &AppVersion, rule: PathRule, allowed: Allowed) -> Vec<Refusal> {
    let jump = Jump::between(from, to);
    let refusal = |what: String| vec![Refusal { kind: RefusalKind::Jump, what }];
    match jump {
        Jump::Same | Jump::Patch | Jump::Minor => Vec::new(),
        Jump::Downgrade if allowed.downgrade => Vec::new(),
        Jump::Downgrade => refusal(format!("{to} is older than the installed {from}")),
        Jump::Major | Jump::Unknown if !leads_there(from, to, rule) => refusal(format!(
            "the profile knows no way from {from} to {to}: its vendor upgrades within one major \
             version only"
        )),
        Jump::Major | Jump::Unknown if allowed.major => Vec::new(),
        Jump::Major => {
            refusal(format!("{from} to {to} is a major upgrade: only with --allow-major"))
        }
        Jump::Unknown => refusal(format!("nobody can say how far it is from {from} to {to}")),
    }
}

fn leads_there(from: &AppVersion, to: &AppVersion, rule: PathRule) -> bool {
    match rule {
        PathRule::Any => true,
        PathRule::SameMajor => false,
        PathRule::NextMajor => match (major(from), major(to)) {
            (Some(from), Some(to)) => to == from + 1,
            _ => false,
        },
    }
}

fn major(version: &AppVersion) -> Option<u64> {
    version.as_str().split(|c: char| !c.is_ascii_digit()).find_map(|part| part.parse().ok())
}

/// One refusal for each path that nobody has decided about.
pub fn undecided(fates: &Fates, base_known: bool) -> Vec<Refusal> {
    let refusal = |path: &TreePath, why: &str| Refusal {
        kind: RefusalKind::Edited,
        what: format!("{path} {why}"),
    };
    let stopping = fates.iter().filter_map(|(path, fate)| match fate {
        Fate::Conflict if base_known => {
            Some(refusal(path, "was edited by hand, and the release changes it too"))
        }
        Fate::Conflict => {
            Some(refusal(path, "differs from the release, and the old release is not to hand"))
        }
        Fate::ExtraStop => Some(refusal(path, "belongs to no release")),
        _ => None,
    });
    stopping.collect()
}

/// One refusal for each file system that is too small.
pub fn room(spaces: &[Space]) -> Vec<Refusal> {
    let short = |what: &str, needs: u64, has: u64, unit: &str| {
        (needs > has).then(|| Refusal {
            kind: RefusalKind::Space,
            what: format!("{what} needs {needs} {unit} and has {has}"),
        })
    };
    let each = |space: &Space| {
        let bytes = short(&space.what, space.needs_bytes, space.has_bytes, "bytes");
        let inodes =
            space.has_inodes.and_then(|has| short(&space.what, space.needs_inodes, has, "inodes"));
        bytes.into_iter().chain(inodes)
    };
    spaces.iter().flat_map(each).collect()
}

/// One refusal for each question that will certainly be asked and that nothing answers.
pub fn unanswered(questions: &[Question]) -> Vec<Refusal> {
    let unanswered = questions.iter().filter(|question| question.answered_by.is_none());
    unanswered
        .map(|question| Refusal {
            kind: RefusalKind::Question,
            what: format!("the migration will ask {:?}, and nothing answers", question.pattern),
        })
        .collect()
}

/// What of an entry's content is remembered in a plan, to see later whether it moved.
pub fn seen(entry: Option<&Entry>) -> Seen {
    let bytes = entry.map_or(Vec::new(), |entry| Shape::of(entry).bytes());
    let hash = blake3::derive_key("snap-backup plan v1 seen", &bytes);
    let first = hash.first_chunk().expect("32 bytes hold 8");
    Seen(u64::from_le_bytes(*first))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::version::Scheme;

    fn version(text: &str) -> AppVersion {
        AppVersion::parse(text, Scheme::Semver).unwrap()
    }

    fn goes(from: &str, to: &str, rule: PathRule, major: bool, downgrade: bool) -> bool {
        jump(&version(from), &version(to), rule, Allowed { major, downgrade }).is_empty()
    }

    #[test]
    fn small_jumps_go_by_themselves_and_large_ones_by_a_persons_word() {
        let rule = PathRule::NextMajor;
        assert!(goes("1.1.0", "1.1.2", rule, false, false));
        assert!(goes("1.1.0", "1.3.2", rule, false, false));
        assert!(goes("1.1.0", "1.1.0", rule, false, false));
        assert!(!goes("1.1.0", "2.0.0", rule, false, false));
        assert!(goes("1.1.0", "2.0.0", rule, true, false));
        assert!(!goes("1.1.0", "3.0.0", rule, true, false), "two majors at once");
        assert!(!goes("1.3.2", "1.1.0", rule, true, false));
        assert!(goes("1.3.2", "1.1.0", rule, false, true));
    }

    #[test]
    fn a_word_does_not_make_a_way_where_the_vendor_has_none() {
        assert!(!goes("1.6.10", "2.0.0", PathRule::SameMajor, true, true));
        assert!(goes("1.6.10", "4.0.0", PathRule::Any, true, false));
    }

    #[test]
    fn a_file_system_is_refused_by_bytes_and_by_inodes() {
        let space = |needs_bytes, needs_inodes, has_inodes| Space {
            what: "repository".into(),
            needs_bytes,
            has_bytes: 10,
            needs_inodes,
            has_inodes,
        };
        assert!(room(&[space(10, 5, Some(5)), space(1, 9, None)]).is_empty());
        assert_eq!(room(&[space(11, 6, Some(5))]).len(), 2);
    }
}
