use proptest::prelude::*;

use super::*;

fn semver(text: &str) -> AppVersion {
    AppVersion::parse(text, Scheme::Semver).expect("a version")
}

fn dotted(text: &str) -> AppVersion {
    AppVersion::parse(text, Scheme::Dotted4).expect("a version")
}

#[test]
fn a_leading_v_and_a_missing_patch_change_nothing() {
    assert_eq!(semver("v2.4"), semver("2.4.0"));
    assert_eq!(semver("v2.4").to_string(), "2.4");
    assert_eq!(semver("2.4-rc1"), semver("2.4.0-rc1"));
}

#[test]
fn what_is_no_version_is_refused() {
    for text in ["", "list", "1..2", "1.2.3.4", "version", "v", "1.2.3\n4"] {
        assert!(AppVersion::parse(text, Scheme::Semver).is_err(), "{text:?}");
    }
    for text in ["", "1.2.3.4.5", "1.2.", "x1", "1.2._"] {
        assert!(AppVersion::parse(text, Scheme::Dotted4).is_err(), "{text:?}");
    }
}

#[test]
fn a_tail_sorts_below_the_release() {
    let order = ["2.3.0.0b1", "2.3.0.0_rc1", "2.3.0.0_rc2", "2.3.0.0_rc10", "2.3.0.0"];
    for pair in order.windows(2) {
        assert!(dotted(pair[0]) < dotted(pair[1]), "{pair:?}");
    }
}

#[test]
fn a_jump_is_named_by_the_first_part_that_differs() {
    let jump = |from: &str, to: &str| Jump::between(&semver(from), &semver(to));
    assert_eq!(jump("1.1.0", "1.3.2"), Jump::Minor);
    assert_eq!(jump("1.6.0", "1.6.4"), Jump::Patch);
    assert_eq!(jump("1.6.10", "2.0.0"), Jump::Major);
    assert_eq!(jump("1.6.10", "1.6.9"), Jump::Downgrade);
    assert_eq!(jump("2.4", "v2.4.0"), Jump::Same);
    assert_eq!(jump("2.0.0-rc1", "2.0.0"), Jump::Patch);
}

#[test]
fn four_parts_are_classed_by_their_scheme() {
    let jump = |scheme, from, to| {
        let parse = |text| AppVersion::parse(text, scheme).expect("a version");
        Jump::between(&parse(from), &parse(to))
    };
    assert_eq!(jump(Scheme::Dotted4, "3.0.3.8", "3.0.3.9"), Jump::Patch);
    assert_eq!(jump(Scheme::Dotted4, "3.0.3.9", "3.0.5.1"), Jump::Patch);
    assert_eq!(jump(Scheme::Dotted4, "4.0.2.3", "4.1.0.4"), Jump::Minor);
    assert_eq!(jump(Scheme::Dotted4, "3.0.5.1", "4.1.0.4"), Jump::Major);
    assert_eq!(jump(Scheme::Dotted4Counter, "10.16.4.0", "10.16.4.1"), Jump::Patch);
    assert_eq!(jump(Scheme::Calver, "2024.1", "2024.2"), Jump::Unknown);
    assert_eq!(jump(Scheme::Calver, "2024.2", "2024.1.0"), Jump::Downgrade);
    assert_eq!(jump(Scheme::Opaque, "blue", "green"), Jump::Unknown);
    assert_eq!(jump(Scheme::Opaque, "blue", "blue"), Jump::Same);
}

#[test]
fn a_range_holds_all_its_bounds() {
    let range = VersionRange::parse(">=2.2, <4", Scheme::Dotted4).expect("a range");
    assert!(range.contains(&dotted("2.2.0.0")) && range.contains(&dotted("3.0.5.1")));
    assert!(!range.contains(&dotted("2.1.0.2")) && !range.contains(&dotted("4.0.0.0")));
    assert!(VersionRange::parse("2.2", Scheme::Dotted4).is_err());
    assert!(VersionRange::parse(">=2.2,", Scheme::Dotted4).is_err());
}

fn any_version() -> impl Strategy<Value = AppVersion> {
    let semver = ("(v?[0-3]\\.[0-3](\\.[0-3])?(-(rc|b)\\.?[0-3]{1,2})?)", Just(Scheme::Semver));
    let four = (
        "[0-3](\\.[0-3]){0,3}([_-]?(rc|b|alpha)[0-9]{0,2})?",
        prop_oneof![Just(Scheme::Dotted4), Just(Scheme::Dotted4Counter), Just(Scheme::Calver)],
    );
    let opaque = ("[a-c]{1,3}", Just(Scheme::Opaque));
    prop_oneof![semver, four, opaque]
        .prop_filter_map("no version", |(text, scheme)| AppVersion::parse(&text, scheme).ok())
}

proptest! {
    #[test]
    fn the_order_is_total(a in any_version(), b in any_version(), c in any_version()) {
        prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
        prop_assert_eq!(a == b, a.cmp(&b) == Ordering::Equal);
        if a <= b && b <= c {
            prop_assert!(a <= c);
        }
    }

    #[test]
    fn what_is_printed_is_read_back_the_same(a in any_version()) {
        prop_assert_eq!(AppVersion::parse(&a.to_string(), a.scheme()), Ok(a));
    }

    #[test]
    fn a_jump_and_the_way_back_agree(a in any_version(), b in any_version()) {
        let (there, back) = (Jump::between(&a, &b), Jump::between(&b, &a));
        prop_assert_eq!(there == Jump::Same, back == Jump::Same);
        if there == Jump::Downgrade {
            prop_assert!(back != Jump::Downgrade && back != Jump::Same);
        }
    }

    #[test]
    fn any_text_is_read_or_refused_without_harm(text in ".{0,24}") {
        for scheme in [Scheme::Semver, Scheme::Dotted4, Scheme::Calver, Scheme::Opaque] {
            let _ = AppVersion::parse(&text, scheme);
            let _ = VersionRange::parse(&text, scheme);
        }
    }
}
