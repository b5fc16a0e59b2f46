use super::*;
use crate::tree::TreePath;

fn path(text: &[u8]) -> PathText {
    PathText(TreePath::parse(text).unwrap())
}

/// A plan that would start.
pub(in crate::upgrade) fn plan() -> Plan {
    Plan {
        format: FORMAT,
        aim: Aim::Upgrade(PlannedRelease {
            snapshot: Digest([1; 32]),
            version: "1.3.2".into(),
            layout: "v1".into(),
            origin: "git tag v1.3.2".into(),
            jump: "MINOR".into(),
            base: None,
            commit: None,
        }),
        app: PlannedApp {
            name: "passbolt".into(),
            profile: "schema = 1\n".into(),
            profile_origin: "builtin:passbolt-v1".into(),
            layout: "v1".into(),
            version: "1.1.0".into(),
            root: "/var/www/passbolt".into(),
        },
        repository: "r".into(),
        roots: Vec::new(),
        databases: Vec::new(),
        typed: vec![PathTyped(path(b"a\xff"), Typed::Keep)],
        fates: vec![PathFate(path(b"a\xff"), Fate::Conflict, Seen(u64::MAX))],
        preserved: Vec::new(),
        review: Vec::new(),
        pending: Vec::new(),
        questions: Vec::new(),
        maintenance: Vec::new(),
        probes: Vec::new(),
        hooks: Vec::new(),
        label: Label::Verified,
        label_reasons: Vec::new(),
        space: Vec::new(),
        uncovered: Vec::new(),
        risks: Vec::new(),
        refusals: Vec::new(),
    }
}

#[test]
fn a_plan_survives_being_stored_in_one_form_only() {
    let raw = plan().encode();
    let read = Plan::decode(&raw).unwrap();
    assert_eq!(read, plan());
    assert_eq!(read.encode(), raw);
    assert_eq!(read.digest(), plan().digest());
}

#[test]
fn a_plan_of_a_later_version_is_refused_by_its_number() {
    let later = Plan { format: FORMAT + 1, ..plan() }.encode();
    assert!(matches!(Plan::decode(&later), Err(BadPlan::TooNew(2))));
    assert!(matches!(Plan::decode(b"{}"), Err(BadPlan::Malformed(_))));
}

#[test]
fn the_gravest_refusal_decides_the_exit_code() {
    let refusal = |kind| Refusal { kind, what: String::new() };
    let refused = |kinds: &[RefusalKind]| {
        Plan { refusals: kinds.iter().map(|kind| refusal(*kind)).collect(), ..plan() }.exit_code()
    };
    assert_eq!(refused(&[]), 0);
    assert_eq!(refused(&[RefusalKind::Edited, RefusalKind::Space]), 14);
    assert_eq!(refused(&[RefusalKind::Jump, RefusalKind::OpenTransaction]), 24);
}

#[test]
fn a_stale_plan_names_what_moved() {
    let seen = |path_: &[u8], seen| PathSeen(path(path_), Seen(seen));
    let made = Plan { preserved: vec![seen(b"config.php", 1), seen(b"keys/k", 2)], ..plan() };
    assert_eq!(made.moved(&made.clone()), None);
    let edited = Plan { preserved: vec![seen(b"config.php", 1), seen(b"keys/k", 3)], ..plan() };
    assert_eq!(made.moved(&edited).as_deref(), Some("keys/k changed"));
    let new = Plan { preserved: vec![seen(b"a.php", 9), seen(b"config.php", 1)], ..plan() };
    assert_eq!(made.moved(&new).as_deref(), Some("a.php changed"));
    let app = PlannedApp { version: "1.2.0".into(), ..plan().app };
    let upgraded = Plan { app, ..made.clone() };
    assert_eq!(made.moved(&upgraded).as_deref(), Some("the application or its profile changed"));
    // What is only shown may move.
    let risky = Plan { risks: vec!["disk is slow".into()], ..made.clone() };
    assert_eq!(made.moved(&risky), None);
}
