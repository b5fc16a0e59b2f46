use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const HOUR: i64 = 3600 * 1_000_000_000;
const DAY: i64 = 24 * HOUR;
/// Friday, 20 November 2026, noon.
const NOON: i64 = 1_795_176_000 * 1_000_000_000;

fn id(number: u64) -> ObjectId {
    ObjectId::from_bytes(*blake3::hash(&number.to_le_bytes()).as_bytes())
}

fn subject(sequence: u64, time: i64) -> Subject {
    Subject {
        id: id(sequence),
        time: Moment(time),
        host: "web1".into(),
        source: "app:shop".into(),
        sequence,
        tags: Vec::new(),
        is_partial: false,
        is_pinned: false,
    }
}

/// A snapshot each day, the oldest first, ending at noon.
fn daily(days: u64) -> Vec<Subject> {
    (1..=days).map(|n| subject(n, NOON - DAY * i64::try_from(days - n).unwrap())).collect()
}

fn judged(policy: &Policy, subjects: &[Subject]) -> Vec<Judged> {
    let mut groups = judge(policy, GroupBy::default(), subjects, &TimeZone::UTC);
    assert_eq!(groups.len(), 1);
    groups.remove(0).judged
}

fn kept(policy: &Policy, subjects: &[Subject]) -> BTreeSet<ObjectId> {
    let groups = judge(policy, GroupBy::default(), subjects, &TimeZone::UTC);
    let all = groups.into_iter().flat_map(|group| group.judged);
    all.filter(Judged::stays).map(|one| one.id).collect()
}

fn ids(numbers: impl IntoIterator<Item = u64>) -> BTreeSet<ObjectId> {
    numbers.into_iter().map(id).collect()
}

const fn at_most(many: u32) -> Count {
    Count::AtMost(many)
}

#[test]
fn the_last_so_many_stay() {
    let policy = Policy { last: Some(at_most(3)), ..Policy::default() };
    assert_eq!(kept(&policy, &daily(10)), ids([8, 9, 10]));
    assert_eq!(kept(&policy, &daily(2)), ids([1, 2]));
}

#[test]
fn of_each_day_the_newest_stays_and_says_so() {
    let mut all = Vec::new();
    for n in 0..6 {
        all.push(subject(2 * n + 1, NOON + DAY * i64::try_from(n).unwrap() - 5 * DAY));
        all.push(subject(2 * n + 2, NOON + DAY * i64::try_from(n).unwrap() - 5 * DAY + HOUR));
    }
    let policy = Policy { daily: Some(at_most(3)), ..Policy::default() };
    assert_eq!(kept(&policy, &all), ids([8, 10, 12]));
    let first = &judged(&policy, &all)[0];
    assert_eq!(first.reasons, [Reason::In(Period::Day, 1)]);
    assert_eq!(first.reasons[0].to_string(), "daily 1");
}

#[test]
fn weeks_months_and_years_are_those_of_the_calendar() {
    let weekly = Policy { weekly: Some(at_most(2)), ..Policy::default() };
    // Friday 20 November, and the Sunday before it.
    assert_eq!(kept(&weekly, &daily(30)), ids([30, 25]));
    let monthly = Policy { monthly: Some(at_most(2)), ..Policy::default() };
    assert_eq!(kept(&monthly, &daily(60)), ids([60, 40]), "31 October");
    let yearly = Policy { yearly: Some(at_most(9)), ..Policy::default() };
    assert_eq!(kept(&yearly, &daily(400)), ids([400, 76, 1]), "and the oldest, for there is room");
}

#[test]
fn what_is_young_enough_stays_counted_from_the_newest() {
    let policy = Policy { within: Some("3d".parse().unwrap()), ..Policy::default() };
    assert_eq!(kept(&policy, &daily(10)), ids([8, 9, 10]));
    let hours = Policy { within_daily: Some("1y".parse().unwrap()), ..Policy::default() };
    assert_eq!(kept(&hours, &daily(10)).len(), 10);
}

#[test]
fn all_tags_of_one_list_are_needed() {
    let mut all = daily(4);
    all[0].tags = vec!["a".into(), "b".into()];
    all[1].tags = vec!["a".into()];
    let policy =
        Policy { tags: vec![vec!["a".into(), "b".into()], vec!["c".into()]], ..Policy::default() };
    assert_eq!(kept(&policy, &all), ids([1, 4]), "and the newest");
}

#[test]
fn the_newest_and_the_newest_whole_one_always_stay() {
    let mut all = daily(5);
    all[4].is_partial = true;
    all[3].is_partial = true;
    let policy = Policy { tags: vec![vec!["none".into()]], ..Policy::default() };
    let judged = judged(&policy, &all);
    assert_eq!(judged[0].reasons, [Reason::Newest]);
    assert_eq!(judged[2].reasons, [Reason::NewestWhole]);
    assert!(!judged[1].stays() && !judged[3].stays() && !judged[4].stays());
}

#[test]
fn a_snapshot_dated_into_the_future_does_not_push_out_the_others() {
    let mut all = daily(10);
    all[2].time = Moment(NOON + 4000 * DAY);
    let policy = Policy { last: Some(at_most(3)), ..Policy::default() };
    assert_eq!(kept(&policy, &all), ids([8, 9, 10]), "the sequence counts, not the date");
    let jump = clock_jump(&all, Moment(NOON));
    assert!(matches!(jump, Some(ClockJump::Behind { newest, .. }) if newest == id(3)), "{jump:?}");
}

#[test]
fn a_clock_that_stands_far_behind_or_went_back_is_noticed() {
    let all = daily(10);
    assert_eq!(clock_jump(&all, Moment(NOON + 40 * DAY)), None, "no backup for weeks is no jump");
    assert_eq!(clock_jump(&all, Moment(NOON - 23 * HOUR)), None);
    let behind = clock_jump(&all, Moment(NOON - 49 * HOUR));
    assert_eq!(behind, Some(ClockJump::Behind { newest: id(10), seconds: 49 * 3600 }));
    let mut back = daily(10);
    back[9].time = Moment(NOON - 30 * DAY);
    let jump = clock_jump(&back, Moment(NOON));
    assert_eq!(jump, Some(ClockJump::WentBack { later: id(10), seconds: 29 * 86_400 }));
    assert_eq!(clock_jump(&[], Moment(NOON)), None);
}

#[test]
fn each_series_is_judged_for_itself_unless_told_otherwise() {
    let mut all = daily(3);
    let other = daily(3).into_iter().map(|one| Subject {
        id: id(100 + one.sequence),
        source: "/etc".into(),
        ..one
    });
    all.extend(other);
    let policy = Policy { last: Some(at_most(1)), ..Policy::default() };
    assert_eq!(kept(&policy, &all), ids([3, 103]));
    let by = GroupBy { host: false, source: false, tags: false };
    let together = judge(&policy, by, &all, &TimeZone::UTC);
    assert_eq!(together.len(), 1);
    assert_eq!(together[0].judged.iter().filter(|one| one.stays()).count(), 1);
}

#[test]
fn lengths_of_time_are_read_as_restic_writes_them() {
    let span: Within = "1y5m7d2h".parse().unwrap();
    assert_eq!(span.to_string(), "1y5m7d2h");
    for bad in ["", "5", "d", "1w", "1d 2h", "99999999d", "0d"] {
        assert!(bad.parse::<Within>().is_err(), "{bad}");
    }
    assert_eq!("unlimited".parse(), Ok(Count::All));
    assert_eq!("7".parse(), Ok(Count::AtMost(7)));
    assert!("seven".parse::<Count>().is_err());
}

fn policies() -> impl Strategy<Value = Policy> {
    let count = || {
        prop_oneof![
            Just(None),
            (0_u32..5).prop_map(|many| Some(Count::AtMost(many))),
            Just(Some(Count::All))
        ]
    };
    let within = || prop_oneof![Just(None), (1_u16..40).prop_map(|d| format!("{d}d").parse().ok())];
    let tags = prop_oneof![Just(Vec::new()), Just(vec![vec!["a".to_owned()]])];
    (count(), count(), count(), count(), count(), within(), within(), tags).prop_map(
        |(last, hourly, daily, weekly, monthly, within, within_daily, tags)| Policy {
            last,
            hourly,
            daily,
            weekly,
            monthly,
            within,
            within_daily,
            tags,
            ..Policy::default()
        },
    )
}

fn histories() -> impl Strategy<Value = Vec<Subject>> {
    let one = (0_u8..3, -200_i64..200, any::<bool>(), any::<bool>(), any::<bool>());
    prop::collection::vec(one, 1..60).prop_map(|drawn| {
        let mut all = Vec::new();
        for (n, (source, hours, tagged, is_partial, is_pinned)) in drawn.into_iter().enumerate() {
            let n = u64::try_from(n).unwrap();
            let mut one = subject(n, NOON + i64::try_from(n).unwrap() * 7 * HOUR + hours * HOUR);
            one.source = format!("/srv/{source}");
            one.tags = if tagged { vec!["a".into()] } else { Vec::new() };
            one.is_partial = is_partial;
            one.is_pinned = is_pinned && n % 9 == 0;
            all.push(one);
        }
        all
    })
}

proptest! {
    #[test]
    fn no_series_is_emptied_and_no_pin_is_dropped(policy in policies(), all in histories()) {
        let kept = kept(&policy, &all);
        for source in 0..3 {
            let of: Vec<_> = all.iter().filter(|s| s.source == format!("/srv/{source}")).collect();
            if let Some(newest) = of.iter().max_by_key(|one| one.sequence) {
                prop_assert!(kept.contains(&newest.id));
            }
            let whole = of.iter().filter(|one| !one.is_partial).max_by_key(|one| one.sequence);
            if let Some(whole) = whole {
                let newer = of.iter().any(|one| {
                    one.sequence >= whole.sequence && !one.is_partial && kept.contains(&one.id)
                });
                prop_assert!(newer, "a whole one stays");
            }
        }
        prop_assert!(all.iter().all(|one| !one.is_pinned || kept.contains(&one.id)));
    }

    #[test]
    fn asking_to_keep_more_never_keeps_less(policy in policies(), all in histories(), add in 1_u32..4) {
        let more = |count: Option<Count>| match count {
            Some(Count::AtMost(many)) => Some(at_most(many + add)),
            None => Some(at_most(add)),
            Some(Count::All) => Some(Count::All),
        };
        let before = kept(&policy, &all);
        let wider = Policy {
            last: more(policy.last),
            daily: more(policy.daily),
            weekly: more(policy.weekly),
            ..policy.clone()
        };
        prop_assert!(before.is_subset(&kept(&wider, &all)));
    }

    #[test]
    fn the_order_of_the_list_does_not_matter(policy in policies(), mut all in histories()) {
        let before = kept(&policy, &all);
        all.reverse();
        prop_assert_eq!(before, kept(&policy, &all));
    }

    #[test]
    fn what_was_kept_is_kept_again(policy in policies(), all in histories()) {
        let once = kept(&policy, &all);
        let left: Vec<_> = all.iter().filter(|one| once.contains(&one.id)).cloned().collect();
        prop_assert_eq!(kept(&policy, &left), once, "a second run with nothing new takes nothing");
    }
}
