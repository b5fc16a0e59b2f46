//! What a person asks to keep.

use std::fmt;
use std::str::FromStr;

use jiff::{Span, Zoned};

/// How many a rule keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// At most so many.
    AtMost(u32),
    /// As many as there are.
    All,
}

/// A stretch of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Period {
    /// An hour.
    Hour,
    /// A day.
    Day,
    /// A week, from Monday on.
    Week,
    /// A month.
    Month,
    /// A year.
    Year,
}

impl Period {
    /// Every period, the shortest first.
    pub const ALL: [Self; 5] = [Self::Hour, Self::Day, Self::Week, Self::Month, Self::Year];

    /// The word for a rule that keeps one of each.
    pub const fn adverb(self) -> &'static str {
        match self {
            Self::Hour => "hourly",
            Self::Day => "daily",
            Self::Week => "weekly",
            Self::Month => "monthly",
            Self::Year => "yearly",
        }
    }

    /// Equal for two moments exactly when they lie in the same hour, day, …
    pub(super) fn bucket(self, at: &Zoned) -> [i16; 4] {
        let (year, month, day) = (at.year(), i16::from(at.month()), i16::from(at.day()));
        match self {
            Self::Hour => [year, month, day, i16::from(at.hour())],
            Self::Day => [year, month, day, 0],
            Self::Week => {
                let week = at.date().iso_week_date();
                [week.year(), i16::from(week.week()), 0, 0]
            }
            Self::Month => [year, month, 0, 0],
            Self::Year => [year, 0, 0, 0],
        }
    }
}

/// A length of time before the newest snapshot, as restic writes it: `1y5m7d2h`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Within {
    years: u16,
    months: u16,
    days: u16,
    hours: u16,
}

impl Within {
    /// The moment that long before `newest`.
    pub(super) fn before(self, newest: &Zoned) -> Zoned {
        let span = Span::new()
            .years(i64::from(self.years.min(9_000)))
            .months(i64::from(self.months))
            .days(i64::from(self.days))
            .hours(i64::from(self.hours));
        // Before the beginning of the calendar lies nothing: then everything is young enough.
        newest
            .checked_sub(span)
            .unwrap_or_else(|_| jiff::Timestamp::MIN.to_zoned(newest.time_zone().clone()))
    }
}

impl fmt::Display for Within {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [(self.years, 'y'), (self.months, 'm'), (self.days, 'd'), (self.hours, 'h')];
        parts
            .iter()
            .filter(|(many, _)| *many > 0)
            .try_for_each(|(many, unit)| write!(f, "{many}{unit}"))
    }
}

/// Why words are no policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPolicy {
    /// Not a length of time.
    #[error("'{0}' is not a length of time; 1y5m7d2h is one")]
    Within(String),
    /// Not a number of snapshots.
    #[error("'{0}' is not a number of snapshots; 7 or unlimited is one")]
    Count(String),
}

impl FromStr for Within {
    type Err = BadPolicy;

    fn from_str(typed: &str) -> Result<Self, BadPolicy> {
        let bad = || BadPolicy::Within(typed.to_owned());
        let mut span = Self::default();
        let mut rest = typed;
        while !rest.is_empty() {
            let end = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
            let many: u16 = rest[..end].parse().map_err(|_| bad())?;
            let place = match rest.as_bytes()[end] {
                b'y' => &mut span.years,
                b'm' => &mut span.months,
                b'd' => &mut span.days,
                b'h' => &mut span.hours,
                _ => return Err(bad()),
            };
            *place = place.checked_add(many).ok_or_else(bad)?;
            rest = &rest[end + 1..];
        }
        if span == Self::default() { Err(bad()) } else { Ok(span) }
    }
}

impl FromStr for Count {
    type Err = BadPolicy;

    fn from_str(typed: &str) -> Result<Self, BadPolicy> {
        match typed {
            "unlimited" | "-1" => Ok(Self::All),
            digits => {
                digits.parse().map(Self::AtMost).map_err(|_| BadPolicy::Count(typed.to_owned()))
            }
        }
    }
}

/// What shall stay: the union of what each rule keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// The last so many.
    pub last: Option<Count>,
    /// One of each hour, so many.
    pub hourly: Option<Count>,
    /// One of each day.
    pub daily: Option<Count>,
    /// One of each week.
    pub weekly: Option<Count>,
    /// One of each month.
    pub monthly: Option<Count>,
    /// One of each year.
    pub yearly: Option<Count>,
    /// Everything that young.
    pub within: Option<Within>,
    /// One of each hour that young.
    pub within_hourly: Option<Within>,
    /// One of each day that young.
    pub within_daily: Option<Within>,
    /// One of each week that young.
    pub within_weekly: Option<Within>,
    /// One of each month that young.
    pub within_monthly: Option<Within>,
    /// One of each year that young.
    pub within_yearly: Option<Within>,
    /// Those that have all tags of one of these lists.
    pub tags: Vec<Vec<String>>,
}

impl Policy {
    /// Whether it asks to keep nothing at all: then it is a mistake.
    pub fn is_empty(&self) -> bool {
        let keeps = |count: Option<Count>| !matches!(count, None | Some(Count::AtMost(0)));
        let counts = Period::ALL.iter().any(|period| keeps(self.count(*period)));
        let withins = Period::ALL.iter().any(|period| self.within_of(*period).is_some());
        !(keeps(self.last) || counts || withins || self.within.is_some() || !self.tags.is_empty())
    }

    /// How many of each period.
    pub const fn count(&self, period: Period) -> Option<Count> {
        match period {
            Period::Hour => self.hourly,
            Period::Day => self.daily,
            Period::Week => self.weekly,
            Period::Month => self.monthly,
            Period::Year => self.yearly,
        }
    }

    /// For how long one of each period.
    pub const fn within_of(&self, period: Period) -> Option<Within> {
        match period {
            Period::Hour => self.within_hourly,
            Period::Day => self.within_daily,
            Period::Week => self.within_weekly,
            Period::Month => self.within_monthly,
            Period::Year => self.within_yearly,
        }
    }
}

impl fmt::Display for Policy {
    /// As a person says it: `last 3, daily 7, within 2d`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        let mut counted = |word: &str, count: Option<Count>| match count {
            None | Some(Count::AtMost(0)) => {}
            Some(Count::AtMost(many)) => parts.push(format!("{word} {many}")),
            Some(Count::All) => parts.push(format!("{word} all")),
        };
        counted("last", self.last);
        for period in Period::ALL {
            counted(period.adverb(), self.count(period));
        }
        parts.extend(self.within.iter().map(|span| format!("within {span}")));
        for period in Period::ALL {
            let span = self.within_of(period);
            parts.extend(span.map(|span| format!("{} within {span}", period.adverb())));
        }
        parts.extend(self.tags.iter().map(|tags| format!("tag {}", tags.join(","))));
        f.write_str(&parts.join(", "))
    }
}
