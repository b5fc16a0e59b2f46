//! What can be typed after `snap forget`, and what it means.

use crate::snapshot::retain::{BadPolicy, Count, GroupBy, Policy, Within};

use crate::cli::context::Context;
use crate::cli::failure::{Code, Failure};
use crate::cli::selection::Selection;

/// What to keep.
#[derive(Debug, Default, clap::Args)]
pub(in crate::cli) struct Args {
    /// Forget these, whatever a policy would say
    #[arg(value_name = "SNAPSHOT")]
    pub(super) snapshots: Vec<String>,
    /// Keep the last N
    #[arg(short = 'l', long, value_name = "N", value_parser = count, help_heading = "Keep")]
    keep_last: Option<Count>,
    /// Keep one of each hour, N of them
    #[arg(short = 'H', long, value_name = "N", value_parser = count, help_heading = "Keep")]
    keep_hourly: Option<Count>,
    /// Keep one of each day, N of them
    #[arg(short = 'd', long, value_name = "N", value_parser = count, help_heading = "Keep")]
    keep_daily: Option<Count>,
    /// Keep one of each week, N of them
    #[arg(short = 'w', long, value_name = "N", value_parser = count, help_heading = "Keep")]
    keep_weekly: Option<Count>,
    /// Keep one of each month, N of them
    #[arg(short = 'm', long, value_name = "N", value_parser = count, help_heading = "Keep")]
    keep_monthly: Option<Count>,
    /// Keep one of each year, N of them
    #[arg(long, value_name = "N", value_parser = count, help_heading = "Keep")]
    keep_yearly: Option<Count>,
    /// Keep all this young, counted back from the newest: 1y5m7d2h
    #[arg(long, value_name = "TIME", value_parser = within, help_heading = "Keep")]
    keep_within: Option<Within>,
    /// Keep one of each hour this young
    #[arg(long, value_name = "TIME", value_parser = within, help_heading = "Keep",
          hide_short_help = true)]
    keep_within_hourly: Option<Within>,
    /// Keep one of each day this young
    #[arg(long, value_name = "TIME", value_parser = within, help_heading = "Keep",
          hide_short_help = true)]
    keep_within_daily: Option<Within>,
    /// Keep one of each week this young
    #[arg(long, value_name = "TIME", value_parser = within, help_heading = "Keep",
          hide_short_help = true)]
    keep_within_weekly: Option<Within>,
    /// Keep one of each month this young
    #[arg(long, value_name = "TIME", value_parser = within, help_heading = "Keep",
          hide_short_help = true)]
    keep_within_monthly: Option<Within>,
    /// Keep one of each year this young
    #[arg(long, value_name = "TIME", value_parser = within, help_heading = "Keep",
          hide_short_help = true)]
    keep_within_yearly: Option<Within>,
    /// Keep those that have all these tags (a,b); may be given again
    #[arg(long, value_name = "TAGS", help_heading = "Keep")]
    keep_tag: Vec<String>,
    /// Keep the ways back of the last N upgrades of each app, beyond what must stay
    #[arg(long, value_name = "N", help_heading = "Keep")]
    keep_upgrades: Option<u32>,
    /// Keep what [retention] in config.toml says
    #[arg(long, help_heading = "Keep")]
    policy: bool,
    #[command(flatten)]
    pub(super) which: Selection,
    /// Judge together what has these in common: host,app,tags, or none
    #[arg(long, value_name = "LIST", help_heading = "What", default_value = "host,app")]
    group_by: String,
    /// Make room at once
    #[arg(long, help_heading = "What")]
    pub(super) prune: bool,
    /// Take back what was forgotten and not pruned yet; without a name, show it
    #[arg(long, help_heading = "What")]
    pub(super) undo: bool,
}

/// What is to be kept.
pub(super) struct Wish {
    pub(super) policy: Policy,
    pub(super) upgrades: Option<u32>,
    pub(super) group_by: GroupBy,
}

impl Args {
    fn typed(&self) -> Policy {
        let split = |tags: &String| tags.split(',').map(str::to_owned).collect();
        Policy {
            last: self.keep_last,
            hourly: self.keep_hourly,
            daily: self.keep_daily,
            weekly: self.keep_weekly,
            monthly: self.keep_monthly,
            yearly: self.keep_yearly,
            within: self.keep_within,
            within_hourly: self.keep_within_hourly,
            within_daily: self.keep_within_daily,
            within_weekly: self.keep_within_weekly,
            within_monthly: self.keep_within_monthly,
            within_yearly: self.keep_within_yearly,
            tags: self.keep_tag.iter().map(split).collect(),
        }
    }

    /// Whether anything was said about what to keep.
    pub(super) fn has_policy(&self) -> bool {
        self.policy || self.keep_upgrades.is_some() || self.typed() != Policy::default()
    }

    /// What is to be kept; an empty wish is a mistake, never a wish to keep nothing.
    pub(super) fn wish(&self, cx: &Context<'_>) -> Result<Wish, Failure> {
        let (policy, upgrades) = if self.policy {
            if self.typed() != Policy::default() {
                let message = "--policy is what the configuration says: no --keep beside it";
                return Err(Failure::new(Code::E0001, message));
            }
            cx.config()?.retention.policy()?
        } else {
            (self.typed(), self.keep_upgrades)
        };
        if policy.is_empty() && upgrades.is_none() {
            let failure = Failure::new(Code::E0001, "keep what? an empty policy forgets nothing");
            return Err(failure
                .fix("snap forget --keep-daily 7 --keep-weekly 4 --keep-monthly 6 --dry-run"));
        }
        Ok(Wish { policy, upgrades, group_by: group_by(&self.group_by)? })
    }
}

fn count(typed: &str) -> Result<Count, BadPolicy> {
    typed.parse()
}

fn within(typed: &str) -> Result<Within, BadPolicy> {
    typed.parse()
}

/// restic says `host,paths,tags`.
fn group_by(typed: &str) -> Result<GroupBy, Failure> {
    let mut by = GroupBy { host: false, source: false, tags: false };
    for word in typed.split(',').filter(|word| !word.is_empty() && *word != "none") {
        match word {
            "host" => by.host = true,
            "app" | "paths" | "path" => by.source = true,
            "tags" | "tag" => by.tags = true,
            _ => {
                let message = format!("'{word}' is nothing to group by");
                return Err(Failure::new(Code::E0001, message).tip("host,app,tags, or none"));
            }
        }
    }
    Ok(by)
}
