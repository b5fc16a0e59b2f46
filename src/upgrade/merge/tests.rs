use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::repository::ChunkId;
use crate::tree::{Meta, Mtime};

fn rule(owner: Owner, edited: Edited, typed: Option<Typed>) -> Rule {
    Rule { owner, edited, typed }
}

#[test]
fn nothing_of_the_operators_is_lost_silently() {
    let (old, new, edited) = (Some(&"old"), Some(&"new"), Some(&"edited"));
    let release = rule(Owner::Release, Edited::Stop, None);
    let core = |base, mine, theirs| merge(release, base, mine, theirs);
    assert_eq!(core(old, old, new), Fate::Changed);
    assert_eq!(core(old, None, new), Fate::Restored);
    assert_eq!(core(None, None, new), Fate::Added);
    assert_eq!(core(old, old, None), Fate::Removed);
    assert_eq!(core(None, edited, None), Fate::Extra);
    assert_eq!(core(old, edited, new), Fate::Conflict);
    assert_eq!(core(old, edited, old), Fate::EditedAlone);
    assert_eq!(core(old, edited, None), Fate::Conflict);
    assert_eq!(core(None, edited, new), Fate::Conflict); // base unknown
    assert_eq!(core(old, new, new), Fate::Same);
    assert_eq!(core(old, None, None), Fate::Gone);
    let own = rule(Owner::Operator, Edited::Take, Some(Typed::Take));
    assert_eq!(merge(own, old, old, None), Fate::Preserved); // T32: preserve beats stale
    assert_eq!(merge(own, old, edited, new), Fate::Preserved);
    assert_eq!(merge(own, None, None, new), Fate::Added);
}

#[test]
fn what_was_typed_goes_before_what_the_profile_says() {
    let (old, new, edited) = (Some(&"old"), Some(&"new"), Some(&"edited"));
    for profile in [Edited::Stop, Edited::Take, Edited::Keep] {
        let typed =
            |typed, theirs| merge(rule(Owner::Release, profile, Some(typed)), old, edited, theirs);
        assert_eq!(typed(Typed::Keep, new), Fate::EditedKept);
        assert_eq!(typed(Typed::Take, new), Fate::EditedReplaced);
        assert_eq!(typed(Typed::Take, None), Fate::EditedRemoved);
        assert_eq!(typed(Typed::Take, old), Fate::EditedReplaced);
        assert_eq!(typed(Typed::Keep, old), Fate::EditedAlone);
    }
    let says =
        |edited_rule, theirs| merge(rule(Owner::Release, edited_rule, None), old, edited, theirs);
    assert_eq!(says(Edited::Take, new), Fate::EditedReplaced);
    assert_eq!(says(Edited::Keep, None), Fate::EditedKept);
}

fn sides() -> impl Strategy<Value = Option<u8>> {
    prop::option::of(0u8..3)
}

proptest! {
    /// The promises of the table, whatever the three sides and the rules are.
    #[test]
    fn a_verdict_never_loses_what_nobody_gave_up(
        base in sides(), mine in sides(), theirs in sides(),
        owner in prop::sample::select(vec![Owner::Operator, Owner::Purge, Owner::Release]),
        edited in prop::sample::select(vec![Edited::Stop, Edited::Take, Edited::Keep]),
        typed in prop::option::of(prop::sample::select(vec![Typed::Keep, Typed::Take])),
    ) {
        let fate = merge(rule(owner, edited, typed), base.as_ref(), mine.as_ref(), theirs.as_ref());
        let verdict = fate.verdict();
        let gave_up = edited == Edited::Take || typed == Some(Typed::Take);
        match verdict {
            Verdict::Take => {
                prop_assert!(theirs.is_some());
                if mine.is_some() && mine != base && owner == Owner::Release {
                    prop_assert!(gave_up, "an edit was overwritten");
                }
                if mine.is_some() {
                    prop_assert!(owner != Owner::Operator);
                }
            }
            Verdict::Delete => {
                prop_assert!(mine.is_some() && theirs.is_none());
                prop_assert!(owner != Owner::Operator);
                if owner == Owner::Release {
                    prop_assert!(base.is_some(), "an upload was deleted");
                    prop_assert!(mine == base || gave_up);
                }
            }
            Verdict::Stop => {
                prop_assert!(mine != theirs && mine != base && typed.is_none());
                prop_assert!(edited == Edited::Stop);
            }
            Verdict::Keep => {
                // A release is whole: what it ships is there, unless something else stays.
                if theirs.is_some() {
                    prop_assert!(mine.is_some());
                }
            }
        }
    }

    /// Merging what the upgrade made with the same two releases again changes nothing.
    #[test]
    fn a_second_upgrade_to_the_same_release_finds_nothing_to_do(
        base in sides(), mine in sides(), theirs in sides(),
        owner in prop::sample::select(vec![Owner::Operator, Owner::Release]),
    ) {
        let rule = rule(owner, Edited::Take, None);
        let after = match merge(rule, base.as_ref(), mine.as_ref(), theirs.as_ref()).verdict() {
            Verdict::Keep => mine,
            Verdict::Take => theirs,
            Verdict::Delete => None,
            Verdict::Stop => unreachable!("the profile says take"),
        };
        let again = merge(rule, theirs.as_ref(), after.as_ref(), theirs.as_ref());
        prop_assert_eq!(again.verdict(), Verdict::Keep);
    }
}

fn path(text: &str) -> TreePath {
    TreePath::parse(text.as_bytes()).unwrap()
}

fn entry(text: &str, kind: Kind, mode: u32) -> (TreePath, Entry) {
    let path = path(text);
    let meta = Meta { mode, uid: 33, gid: 33, mtime: Mtime::default(), xattrs: Vec::new() };
    let entry = Entry { name: path.name().into(), meta, kind, link_group: None };
    (path, entry)
}

fn file(text: &str, byte: u8) -> (TreePath, Entry) {
    let content = Content::Chunk(ChunkId::from_bytes([byte; 32]));
    entry(text, Kind::File { size: 1, content }, 0o640)
}

fn dir(text: &str) -> (TreePath, Entry) {
    entry(text, Kind::Directory { object: ChunkId::from_bytes([0; 32]) }, 0o2750)
}

fn link(text: &str) -> (TreePath, Entry) {
    entry(text, Kind::Symlink { target: (*b"/mnt/big").into() }, 0o777)
}

fn side<const N: usize>(entries: [(TreePath, Entry); N]) -> Side {
    entries.into_iter().collect()
}

fn with_rules<R>(typed: &[(&str, Typed)], work: impl FnOnce(&Rules<'_>) -> R) -> R {
    let typed = typed.iter().map(|(text, typed)| (path(text), *typed)).collect();
    let owner = |path: &TreePath| match path.as_bytes() {
        bytes if bytes.starts_with(b"conf") => Owner::Operator,
        bytes if bytes.starts_with(b"cache") => Owner::Purge,
        _ => Owner::Release,
    };
    let covered = |path: &TreePath| !path.as_bytes().starts_with(b"tmp/");
    work(&Rules {
        owner: &owner,
        covered: &covered,
        edited: Edited::Stop,
        extra_stops: false,
        typed: &typed,
    })
}

fn root() -> Meta {
    Meta { mode: 0o755, uid: 0, gid: 0, mtime: Mtime::default(), xattrs: Vec::new() }
}

/// What is directly in each directory of `mine`.
fn names(mine: &Side) -> impl Fn(&TreePath) -> Result<Vec<Box<[u8]>>, Unplaceable> {
    let paths: Vec<TreePath> = mine.keys().cloned().collect();
    move |dir| {
        let inside = paths.iter().filter(|path| path.parent().as_ref() == Some(dir));
        Ok(inside.map(|path| path.name().into()).collect())
    }
}

#[test]
fn an_upload_survives_and_a_stale_directory_goes_only_when_it_is_empty() {
    let base = side([dir("old"), file("old/a", 1), dir("both"), file("both/a", 1)]);
    let mine = side([
        dir("both"),
        file("both/a", 1),
        file("both/upload", 9),
        dir("old"),
        file("old/a", 1),
    ]);
    let theirs = Side::new();
    let sides = Sides { base: &base, mine: &mine, theirs: &theirs };
    let fates = with_rules(&[], |rules| fates(rules, sides));
    assert!(!fates.contains_key(&path("both/upload")), "an upload has no fate");
    let placed = compose(&fates, sides, &root(), names(&mine)).unwrap();
    let gone: Vec<&TreePath> = placed.keys().collect();
    assert_eq!(gone, [&path("both/a"), &path("old"), &path("old/a")]);
}

#[test]
fn taken_content_gets_owner_and_mode_of_what_it_replaces_or_of_its_directory() {
    let mine = side([dir("lib"), file("lib/a", 1)]);
    let mut theirs = side([dir("lib"), file("lib/a", 2), file("lib/b", 3), dir("lib/sub")]);
    for entry in theirs.values_mut() {
        (entry.meta.uid, entry.meta.gid) = (1000, 1000);
    }
    theirs.get_mut(&path("lib/b")).unwrap().meta.mode = 0o755;
    let base = side([dir("lib"), file("lib/a", 1)]);
    let sides = Sides { base: &base, mine: &mine, theirs: &theirs };
    let fates = with_rules(&[], |rules| fates(rules, sides));
    let placed = compose(&fates, sides, &root(), names(&mine)).unwrap();
    let meta = |text: &str| match &placed[&path(text)] {
        Placed::Entry(entry) => entry.meta.clone(),
        Placed::Directory(meta) => meta.clone(),
        Placed::Nothing => panic!("{text} is not deleted"),
    };
    assert_eq!((meta("lib/a").mode, meta("lib/a").uid), (0o640, 33));
    assert_eq!((meta("lib/b").mode, meta("lib/b").gid), (0o750, 33));
    assert_eq!(meta("lib/sub").mode, 0o2750);
    assert!(!placed.contains_key(&path("lib")), "a directory that is there stays whole");
}

#[test]
fn a_live_link_where_the_release_has_a_directory_is_kept_with_all_behind_it() {
    let base = side([dir("data"), file("data/a", 1)]);
    let mine = side([link("data")]);
    let theirs = side([dir("data"), file("data/a", 2)]);
    let fates =
        with_rules(&[], |rules| fates(rules, Sides { base: &base, mine: &mine, theirs: &theirs }));
    assert!(fates.values().all(|fate| *fate == Fate::NotCovered), "{fates:?}");
}

#[test]
fn what_the_snapshot_does_not_cover_is_not_written() {
    let theirs = side([dir("tmp"), file("tmp/empty", 1)]);
    let nothing = Side::new();
    let sides = Sides { base: &nothing, mine: &nothing, theirs: &theirs };
    let fates = with_rules(&[], |rules| fates(rules, sides));
    assert_eq!(fates[&path("tmp/empty")], Fate::NotCovered);
    assert_eq!(fates[&path("tmp")], Fate::Added);
}

#[test]
fn a_decision_about_a_directory_counts_for_all_in_it_and_the_nearest_wins() {
    let base = side([file("v/a", 1), file("v/b", 1)]);
    let mine = side([file("v/a", 2), file("v/b", 2)]);
    let theirs = side([file("v/a", 3), file("v/b", 3)]);
    let typed = [("v", Typed::Keep), ("v/b", Typed::Take)];
    let fates = with_rules(&typed, |rules| {
        fates(rules, Sides { base: &base, mine: &mine, theirs: &theirs })
    });
    assert_eq!(fates[&path("v/a")], Fate::EditedKept);
    assert_eq!(fates[&path("v/b")], Fate::EditedReplaced);
}

#[test]
fn a_directory_becomes_a_file_only_when_nothing_stays_in_it() {
    let base = side([dir("x"), file("x/a", 1)]);
    let theirs = side([file("x", 5)]);
    let clean = side([dir("x"), file("x/a", 1)]);
    let held = side([dir("x"), file("x/a", 1), file("x/upload", 9)]);
    for (mine, fits) in [(&clean, true), (&held, false)] {
        let sides = Sides { base: &base, mine, theirs: &theirs };
        let fates = with_rules(&[], |rules| fates(rules, sides));
        let placed = compose(&fates, sides, &root(), names(mine));
        assert_eq!(placed.is_ok(), fits, "{placed:?}");
    }
}

#[test]
fn an_undecided_path_is_never_composed() {
    let base = side([file("a", 1)]);
    let mine = side([file("a", 2)]);
    let theirs = side([file("a", 3)]);
    let sides = Sides { base: &base, mine: &mine, theirs: &theirs };
    let fates = with_rules(&[], |rules| fates(rules, sides));
    let refused = compose(&fates, sides, &root(), names(&mine));
    assert_eq!(refused, Err(Unplaceable::Undecided(path("a"))));
}

#[test]
fn what_is_left_over_from_running_is_purged_but_not_what_the_release_ships() {
    let mine = side([dir("cache"), file("cache/x", 1), file("cache/empty", 2)]);
    let theirs = side([dir("cache"), file("cache/empty", 3)]);
    let nothing = Side::new();
    let fates = with_rules(&[], |rules| {
        fates(rules, Sides { base: &nothing, mine: &mine, theirs: &theirs })
    });
    assert_eq!(fates[&path("cache/x")], Fate::Purged);
    assert_eq!(fates[&path("cache/empty")], Fate::Changed);
    assert_eq!(fates[&path("cache")], Fate::Same);
}

#[test]
fn a_link_group_that_loses_its_first_name_is_called_by_the_next() {
    let grouped = |text: &str, group: &str| {
        let (path_, mut entry) = file(text, 1);
        entry.link_group = Some(path(group));
        (path_, entry)
    };
    let linked = side([
        grouped("a", "a"),
        grouped("b", "a"),
        grouped("c", "a"),
        grouped("d", "d"),
        grouped("e", "d"),
    ]);
    let mut placed = BTreeMap::from([(path("a"), Placed::Nothing), (path("e"), Placed::Nothing)]);
    regroup(&linked, &mut placed);
    let group = |text: &str| match &placed[&path(text)] {
        Placed::Entry(entry) => entry.link_group.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(group("b"), Some(path("b")));
    assert_eq!(group("c"), Some(path("b")));
    assert_eq!(group("d"), None, "alone is no group");
}

#[test]
fn a_file_that_the_release_makes_run_runs_unless_somebody_chose_its_mode() {
    let with = |mode| {
        let (path, mut entry) = file("bin/cake", 1);
        entry.meta.mode = mode;
        side([(path, entry)])
    };
    let fate = |base: Side, mine, theirs| {
        let (mine, theirs) = (with(mine), with(theirs));
        let sides = Sides { base: &base, mine: &mine, theirs: &theirs };
        with_rules(&[], |rules| fates(rules, sides)[&path("bin/cake")])
    };
    assert_eq!(fate(with(0o644), 0o640, 0o755), Fate::Changed);
    assert_eq!(fate(with(0o755), 0o750, 0o644), Fate::Changed);
    assert_eq!(fate(with(0o644), 0o755, 0o755), Fate::Same, "all files run here");
    assert_eq!(fate(with(0o755), 0o640, 0o755), Fate::Same, "none does");
    assert_eq!(fate(Side::new(), 0o640, 0o755), Fate::Same, "the old release is not to hand");
}
