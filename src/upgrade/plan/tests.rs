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
        fates: vec![PathFate(path(b"a\xff"), Fate::Conflict)],
        installed: Digest([2; 32]),
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
