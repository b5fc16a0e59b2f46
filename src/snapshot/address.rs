//! How people name a snapshot: `latest`, `latest~2`, `latest@passbolt`, `4f1c09`, `SNAP:/path`.

use super::SnapshotError;
use super::record::{Class, Snapshot};
use crate::tree::TreePath;

/// The shortest prefix of an id that is taken for one.
const PREFIX_DIGITS_MIN: usize = 4;

/// What an address leads to.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// The snapshot.
    pub snapshot: &'a Snapshot,
    /// Newer partial snapshots that `latest` passed over: worth a word.
    pub partial_passed_over: usize,
}

/// Finds the snapshot that `address` names, without a `:/path`.
///
/// `latest` sees the class `user` only, and passes over partial snapshots.
pub fn resolve<'a>(snapshots: &'a [Snapshot], address: &str) -> Result<Found<'a>, SnapshotError> {
    if let Some(rest) = address.strip_prefix("latest") {
        let (app, back) = parse_latest(rest).ok_or_else(|| bad(address))?;
        return latest(snapshots, app, back)
            .ok_or_else(|| SnapshotError::NotFound { address: address.to_owned() });
    }
    let is_hex = address.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_hex || address.len() < PREFIX_DIGITS_MIN || address.len() > 64 {
        return Err(bad(address));
    }
    let wanted = address.to_ascii_lowercase();
    let fits: Vec<_> = snapshots.iter().filter(|s| s.id.to_string().starts_with(&wanted)).collect();
    match *fits {
        [] => Err(SnapshotError::NotFound { address: address.to_owned() }),
        [snapshot] => Ok(Found { snapshot, partial_passed_over: 0 }),
        _ => Err(SnapshotError::Ambiguous {
            address: address.to_owned(),
            candidates: fits.iter().map(|snapshot| snapshot.id).collect(),
        }),
    }
}

/// Cuts `SNAP:/path` into the snapshot's address and the path, which names the file as it was on
/// the machine. Without a path, the whole snapshot is meant.
pub fn split_path(address: &str) -> (&str, Option<&str>) {
    match address.find(":/") {
        Some(at) => (&address[..at], Some(&address[at + 1..])),
        None => (address, None),
    }
}

impl Snapshot {
    /// Which root the absolute `path` lies in, and where in it (`None`: it is the root itself).
    /// Of nested roots the inner one.
    pub fn locate(&self, path: &[u8]) -> Option<(&super::Root, Option<TreePath>)> {
        use std::os::unix::ffi::OsStrExt;
        let inside = |root: &'_ super::Root| -> Option<Option<TreePath>> {
            let rest = path.strip_prefix(root.path.as_os_str().as_bytes())?;
            match rest.strip_prefix(b"/").unwrap_or(rest) {
                b"" => Some(None),
                _ if !rest.starts_with(b"/") && root.path.as_os_str() != "/" => None,
                below => TreePath::parse(trim_slash(below)).ok().map(Some),
            }
        };
        let found = self.roots.iter().filter_map(|root| Some((root, inside(root)?)));
        found.max_by_key(|(root, _)| root.path.as_os_str().len())
    }
}

fn trim_slash(path: &[u8]) -> &[u8] {
    path.strip_suffix(b"/").unwrap_or(path)
}

fn bad(address: &str) -> SnapshotError {
    SnapshotError::BadAddress { address: address.to_owned() }
}

/// `@app` and `~n`, in either order, each at most once.
fn parse_latest(mut rest: &str) -> Option<(Option<&str>, usize)> {
    let (mut app, mut back) = (None, None);
    while let Some(sign) = rest.chars().next() {
        let after = &rest[1..];
        let end = after.find(['@', '~']).unwrap_or(after.len());
        let word = &after[..end];
        match sign {
            '@' if app.is_none() && !word.is_empty() => app = Some(word),
            '~' if back.is_none() => back = Some(word.parse().ok()?),
            _ => return None,
        }
        rest = &after[end..];
    }
    Some((app, back.unwrap_or(0)))
}

fn latest<'a>(snapshots: &'a [Snapshot], app: Option<&str>, back: usize) -> Option<Found<'a>> {
    let is_meant = |snapshot: &&Snapshot| {
        let name = snapshot.app.as_ref().map(|mark| &*mark.name);
        snapshot.class == Class::User && app.is_none_or(|app| name == Some(app))
    };
    let mut newest_first: Vec<_> = snapshots.iter().filter(is_meant).collect();
    newest_first.sort_by_key(|snapshot| std::cmp::Reverse((snapshot.time, snapshot.sequence)));
    let whole = newest_first.iter().enumerate().filter(|(_, snapshot)| !snapshot.is_partial());
    let (index, snapshot) = whole.clone().nth(back)?;
    Some(Found { snapshot, partial_passed_over: index - back })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::clock::Moment;
    use crate::repository::ObjectId;
    use crate::snapshot::testing;

    fn at(time: i64, id: u8, class: Class, app: Option<&str>, problems: u64) -> Snapshot {
        let mut snapshot = testing::snapshot();
        snapshot.id = ObjectId::from_bytes([id; 32]);
        snapshot.time = Moment(time);
        snapshot.class = class;
        snapshot.counts.problems = problems;
        match app {
            Some(name) => snapshot.app.as_mut().unwrap().name = name.to_owned(),
            None => snapshot.app = None,
        }
        snapshot
    }

    fn some() -> Vec<Snapshot> {
        vec![
            at(1, 0x11, Class::User, Some("shop"), 0),
            at(5, 0x55, Class::Safety, Some("shop"), 0),
            at(3, 0x33, Class::User, None, 0),
            at(4, 0x44, Class::User, None, 2),
            at(2, 0x22, Class::User, Some("shop"), 0),
        ]
    }

    fn id_of(address: &str) -> Option<u8> {
        let list = some();
        resolve(&list, address).ok().map(|found| found.snapshot.id.as_bytes()[0])
    }

    #[test]
    fn latest_is_the_newest_whole_one_that_a_user_asked_for() {
        let list = some();
        let found = resolve(&list, "latest").unwrap();
        assert_eq!((found.snapshot.time, found.partial_passed_over), (Moment(3), 1));
        assert_eq!(id_of("latest~1"), Some(0x22));
        assert_eq!(id_of("latest@shop"), Some(0x22));
        assert_eq!(id_of("latest@shop~1"), Some(0x11));
        assert_eq!(id_of("latest~1@shop"), Some(0x11));
        assert_eq!(id_of("latest~9"), None);
        assert_eq!(id_of("latest@nobody"), None);
    }

    #[test]
    fn an_id_may_be_cut_to_what_is_unique() {
        assert_eq!(id_of("5555"), Some(0x55));
        assert_eq!(id_of("555"), None);
        let mut list = some();
        let mut twin = [0x55; 32];
        twin[31] = 0;
        list.push(at(9, 0, Class::User, None, 0));
        list[5].id = ObjectId::from_bytes(twin);
        let refused = resolve(&list, "5555").unwrap_err();
        assert!(matches!(refused, SnapshotError::Ambiguous { candidates, .. }
            if candidates.len() == 2));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in ["", "latest~", "latest~x", "latestx", "latest@", "zzzz", "latest~1~2"] {
            let refused = resolve(&some(), text).unwrap_err();
            assert!(matches!(refused, SnapshotError::BadAddress { .. }), "{text}");
        }
    }

    #[test]
    fn a_path_after_the_address_is_found_in_its_root() {
        assert_eq!(split_path("latest@a~1:/etc/x"), ("latest@a~1", Some("/etc/x")));
        assert_eq!(split_path("latest"), ("latest", None));
        let snapshot = testing::snapshot();
        let root = snapshot.roots[0].path.to_str().unwrap().to_owned();
        let inner = |text: &str| {
            snapshot.locate(text.as_bytes()).map(|(_, path)| path.map(|path| path.to_string()))
        };
        assert_eq!(inner(&root), Some(None));
        assert_eq!(inner(&format!("{root}/a/b")), Some(Some("a/b".to_owned())));
        assert_eq!(inner(&format!("{root}x")), None);
        assert_eq!(inner("/elsewhere"), None);
    }
}
