//! Which snapshots stay: pure.
//!
//! ```text
//! series (host, source) in order of sequence; series of one group merged, clock jumps ironed out
//! newest first: each rule of the policy keeps the first snapshot it meets in each of its buckets
//! then what no rule may take: pinned, the newest, the newest that is whole
//! ```
//! The time of day says only which bucket a snapshot falls into, never which one came later: a
//! clock that jumped cannot make an old snapshot the newest.

mod policy;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

pub use policy::{BadPolicy, Count, Period, Policy, Within};

use super::record::Snapshot;
use crate::os::clock::Moment;
use crate::repository::ObjectId;

/// What snapshots are put together by, before a policy is applied to each group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupBy {
    /// The machine.
    pub host: bool,
    /// The application or, where there is none, the paths.
    pub source: bool,
    /// The tags.
    pub tags: bool,
}

impl Default for GroupBy {
    fn default() -> Self {
        Self { host: true, source: true, tags: false }
    }
}

/// What the snapshots of one group have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupKey {
    /// The machine, if it counts.
    pub host: Option<String>,
    /// The application or paths, if they count.
    pub source: Option<String>,
    /// The tags, if they count.
    pub tags: Option<Vec<String>>,
}

/// One snapshot, as a policy sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Which one.
    pub id: ObjectId,
    /// When it was taken, by the clock of then.
    pub time: Moment,
    /// The machine.
    pub host: String,
    /// What it is of. With the host, it names a series.
    pub source: String,
    /// Its number in the series.
    pub sequence: u64,
    /// Its tags.
    pub tags: Vec<String>,
    /// Something of it could not be read.
    pub is_partial: bool,
    /// Somebody pinned it.
    pub is_pinned: bool,
}

impl Subject {
    /// A snapshot as a policy sees it.
    pub fn of(snapshot: &Snapshot, is_pinned: bool) -> Self {
        Self {
            id: snapshot.id,
            time: snapshot.time,
            host: snapshot.host.clone(),
            source: snapshot.source.clone(),
            sequence: snapshot.sequence,
            tags: snapshot.tags.clone(),
            is_partial: snapshot.is_partial(),
            is_pinned,
        }
    }
}

/// Why a snapshot stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Among the last so many; which of them.
    Last(u64),
    /// The newest of its hour, day, …; the how manieth of these that is kept.
    In(Period, u64),
    /// The oldest there is, while the rule has not found as many as it may keep.
    Oldest(Period),
    /// Young enough.
    Within(Within),
    /// Young enough, and the newest of its hour, day, ….
    WithinIn(Period, Within),
    /// It has these tags.
    Tagged(Vec<String>),
    /// It is pinned.
    Pinned,
    /// The newest of its group: no policy empties a series.
    Newest,
    /// The newest of its group that is not partial.
    NewestWhole,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Last(number) => write!(f, "last {number}"),
            Self::In(period, number) => write!(f, "{} {number}", period.adverb()),
            Self::Oldest(period) => write!(f, "oldest {}", period.adverb()),
            Self::Within(span) => write!(f, "within {span}"),
            Self::WithinIn(period, span) => write!(f, "{} within {span}", period.adverb()),
            Self::Tagged(tags) => write!(f, "tag {}", tags.join(",")),
            Self::Pinned => f.write_str("pinned"),
            Self::Newest => f.write_str("newest"),
            Self::NewestWhole => f.write_str("newest that is whole"),
        }
    }
}

/// What becomes of one snapshot: without a reason to stay, it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// Which one.
    pub id: ObjectId,
    /// Every reason to stay.
    pub reasons: Vec<Reason>,
}

impl Judged {
    /// Whether it stays.
    pub const fn stays(&self) -> bool {
        !self.reasons.is_empty()
    }
}

/// One group, judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// What its snapshots have in common.
    pub key: GroupKey,
    /// They, newest first.
    pub judged: Vec<Judged>,
}

/// Judges every snapshot by the policy, group by group. Calendar days are those of `zone`.
pub fn judge(policy: &Policy, by: GroupBy, subjects: &[Subject], zone: &TimeZone) -> Vec<Group> {
    let mut groups: BTreeMap<GroupKey, Vec<&Subject>> = BTreeMap::new();
    for subject in subjects {
        groups.entry(key(by, subject)).or_default().push(subject);
    }
    let judge = |(key, of_group)| Group { key, judged: judge_group(policy, of_group, zone) };
    groups.into_iter().map(judge).collect()
}

fn key(by: GroupBy, subject: &Subject) -> GroupKey {
    let tags = || {
        let mut tags = subject.tags.clone();
        tags.sort_unstable();
        tags.dedup();
        tags
    };
    GroupKey {
        host: by.host.then(|| subject.host.clone()),
        source: by.source.then(|| subject.source.clone()),
        tags: by.tags.then(tags),
    }
}

/// Newest first. In one series that is the order of sequence; where series meet, a snapshot
/// counts as no older than those before it in its own.
fn newest_first(mut group: Vec<&Subject>) -> Vec<&Subject> {
    group.sort_by_key(|one| (&one.host, &one.source, one.sequence, one.time, one.id));
    let mut ordered = Vec::with_capacity(group.len());
    let mut series = None;
    let mut latest = Moment(i64::MIN);
    for one in group {
        let of = (&one.host, &one.source);
        if series != Some(of) {
            (series, latest) = (Some(of), Moment(i64::MIN));
        }
        latest = latest.max(one.time);
        ordered.push((latest, one.sequence, one.id, one));
    }
    ordered.sort_by_key(|(latest, sequence, id, _)| (*latest, *sequence, *id));
    ordered.into_iter().rev().map(|(_, _, _, one)| one).collect()
}

fn judge_group(policy: &Policy, group: Vec<&Subject>, zone: &TimeZone) -> Vec<Judged> {
    let group = newest_first(group);
    let Some(newest) = group.first() else { return Vec::new() };
    let mut rules = Rules::new(policy, &zoned(newest.time, zone));
    let whole = group.iter().position(|one| !one.is_partial);
    let count = group.len();
    let judged = group.into_iter().enumerate().map(|(number, one)| {
        let mut reasons = rules.reasons(one, &zoned(one.time, zone), number + 1 == count);
        if one.is_pinned {
            reasons.push(Reason::Pinned);
        }
        if reasons.is_empty() && number == 0 {
            reasons.push(Reason::Newest);
        }
        if reasons.is_empty() && Some(number) == whole {
            reasons.push(Reason::NewestWhole);
        }
        Judged { id: one.id, reasons }
    });
    judged.collect()
}

fn zoned(moment: Moment, zone: &TimeZone) -> Zoned {
    let instant = Timestamp::from_nanosecond(i128::from(moment.0)).unwrap_or(Timestamp::UNIX_EPOCH);
    instant.to_zoned(zone.clone())
}

/// One rule that keeps a snapshot of each bucket.
struct Rule {
    period: Option<Period>,
    /// `None` keeps as many as there are.
    left: Option<u64>,
    kept: u64,
    last: Option<[i16; 4]>,
    /// Only snapshots after this, because of that.
    within: Option<(Zoned, Within)>,
}

struct Rules<'p> {
    policy: &'p Policy,
    within: Option<(Zoned, Within)>,
    each: Vec<Rule>,
}

impl<'p> Rules<'p> {
    fn new(policy: &'p Policy, newest: &Zoned) -> Self {
        let since = |span: &Within| (span.before(newest), *span);
        let mut rules = Vec::new();
        let mut counted = |period, count: Option<Count>| match count {
            None | Some(Count::AtMost(0)) => {}
            Some(count) => {
                let left = match count {
                    Count::All => None,
                    Count::AtMost(many) => Some(u64::from(many)),
                };
                rules.push(Rule { period, left, kept: 0, last: None, within: None });
            }
        };
        counted(None, policy.last);
        for period in Period::ALL {
            counted(Some(period), policy.count(period));
        }
        for period in Period::ALL {
            if let Some(span) = policy.within_of(period) {
                let within = Some(since(&span));
                rules.push(Rule { period: Some(period), left: None, kept: 0, last: None, within });
            }
        }
        Self { policy, within: policy.within.as_ref().map(since), each: rules }
    }

    fn reasons(&mut self, one: &Subject, at: &Zoned, is_oldest: bool) -> Vec<Reason> {
        let mut reasons: Vec<Reason> =
            self.each.iter_mut().filter_map(|rule| rule.keeps(at, is_oldest)).collect();
        let young = self.within.as_ref().filter(|(since, _)| at > since);
        reasons.extend(young.map(|(_, span)| Reason::Within(*span)));
        let has: BTreeSet<&String> = one.tags.iter().collect();
        let tagged = self.policy.tags.iter().find(|all| all.iter().all(|tag| has.contains(tag)));
        reasons.extend(tagged.map(|tags| Reason::Tagged(tags.clone())));
        reasons
    }
}

impl Rule {
    fn keeps(&mut self, at: &Zoned, is_oldest: bool) -> Option<Reason> {
        if self.left == Some(0) || self.within.as_ref().is_some_and(|(since, _)| at <= since) {
            return None;
        }
        let bucket = self.period.map(|period| period.bucket(at));
        // The last rule has no buckets: every snapshot is one of its own.
        let is_new = bucket.is_none() || bucket != self.last;
        // While a rule has room, the oldest stays: the history is as long as it can be.
        if !is_new && !is_oldest {
            return None;
        }
        self.last = bucket;
        self.kept += 1;
        self.left = self.left.map(|left| left - 1);
        Some(match (self.period, &self.within) {
            (None, _) => Reason::Last(self.kept),
            (Some(period), Some((_, span))) => Reason::WithinIn(period, *span),
            (Some(period), None) if is_new => Reason::In(period, self.kept),
            (Some(period), None) => Reason::Oldest(period),
        })
    }
}

/// How a clock disagrees with the snapshots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClockJump {
    /// It stands behind the newest snapshot by so many seconds.
    Behind {
        /// That snapshot.
        newest: ObjectId,
        /// How far.
        seconds: i64,
    },
    /// A snapshot is that much older, by its clock, than one that came before it.
    WentBack {
        /// The later one.
        later: ObjectId,
        /// How far.
        seconds: i64,
    },
}

/// A clock may be off by this much before it is not believed.
const CLOCK_NS_MAX: i64 = 24 * 3600 * 1_000_000_000;

/// Whether the clock has jumped: `now` is far behind the newest snapshot, or the newest of a series
/// is far behind an earlier one.
pub fn clock_jump(subjects: &[Subject], now: Moment) -> Option<ClockJump> {
    let mut series: BTreeMap<(&str, &str), Vec<&Subject>> = BTreeMap::new();
    for one in subjects {
        series.entry((&one.host, &one.source)).or_default().push(one);
    }
    let seconds = |nanoseconds: i64| nanoseconds / 1_000_000_000;
    let newest = subjects.iter().max_by_key(|one| one.time)?;
    let behind = newest.time.0.saturating_sub(now.0);
    if behind > CLOCK_NS_MAX {
        return Some(ClockJump::Behind { newest: newest.id, seconds: seconds(behind) });
    }
    series.into_values().find_map(|mut one| {
        one.sort_by_key(|subject| subject.sequence);
        let latest = one.iter().map(|subject| subject.time).max()?;
        let last = one.last()?;
        let back = latest.0.saturating_sub(last.time.0);
        (back > CLOCK_NS_MAX)
            .then(|| ClockJump::WentBack { later: last.id, seconds: seconds(back) })
    })
}
