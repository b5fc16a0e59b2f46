//! `snap forget`: which snapshots stay, and why; the others get tombstones, which `prune` turns
//! into room.

mod args;
mod show;

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;

use crate::os::clock;
use crate::os::host;
use crate::repository::{ObjectId, Repository};
use crate::snapshot::retain::{self, ClockJump, Group, Subject};
use crate::snapshot::{self, Class, Snapshot};
use crate::upgrade::retain::Needed;

use crate::cli::command::About;
use crate::cli::confirm::{self, Risk};
use crate::cli::context::Context;
use crate::cli::failure::{Code, Exit, Failure};
use crate::cli::needed::{self, needed_here};
use crate::cli::prune;
use crate::cli::remembered;
use crate::cli::render::{counted, took_words};
use crate::cli::unlock;

pub(in crate::cli) use args::Args;

pub(in crate::cli) const ABOUT: About = About {
    name: "forget",
    examples: "snap forget --keep-daily 7 --keep-weekly 4 --dry-run\n\
               snap forget --keep-within 2d --keep-monthly 6 --prune --yes\n\
               snap forget 4f1c09\n\
               snap forget --undo 4f1c09",
    exits: &[Exit::Cancelled, Exit::NoRepo, Exit::Locked, Exit::Password, Exit::OpenTxn],
};

/// What becomes of one snapshot.
pub(in crate::cli) struct Fate {
    pub(in crate::cli) snapshot: Snapshot,
    /// Why it stays; none if it goes.
    pub(in crate::cli) reasons: Vec<String>,
}

impl Fate {
    pub(in crate::cli) fn goes(&self) -> bool {
        self.reasons.is_empty()
    }
}

/// Snapshots that are judged together, newest first.
pub(in crate::cli) struct Judged {
    pub(in crate::cli) heading: String,
    pub(in crate::cli) fates: Vec<Fate>,
}

/// What is known when a fate is decided.
struct Known {
    pinned: BTreeSet<ObjectId>,
    needed: BTreeMap<ObjectId, Needed>,
}

impl Known {
    fn of(cx: &Context<'_>, repository: &Repository) -> Result<Self, Failure> {
        let pinned = repository.pins()?.into_iter().map(|mark| mark.snapshot).collect();
        Ok(Self { pinned, needed: needed_here(cx)? })
    }

    /// Why a snapshot must stay, whoever asks.
    fn holds(&self, snapshot: &Snapshot) -> Option<String> {
        if let Some(by) = self.needed.get(&snapshot.id) {
            return Some(needed::why(by));
        }
        let elsewhere = snapshot.class != Class::User && snapshot.host != host::name();
        if elsewhere {
            // Only the journal over there knows what still needs it.
            return Some(format!("it belongs to transactions of {}", snapshot.host));
        }
        self.pinned.contains(&snapshot.id).then(|| "pinned".to_owned())
    }
}

/// Judges, shows, asks, forgets.
pub(in crate::cli) fn run(cx: &Context<'_>, args: &Args) -> Result<Exit, Failure> {
    let opened = unlock::open(cx)?;
    let repository = &opened.repository;
    if args.undo {
        return undo(cx, repository, &args.snapshots);
    }
    let known = Known::of(cx, repository)?;
    let judged = if args.snapshots.is_empty() {
        by_policy(cx, args, repository, &known)?
    } else {
        by_name(cx, args, repository, &known)?
    };
    let gone: Vec<&Snapshot> = judged
        .iter()
        .flat_map(|group| &group.fates)
        .filter(|fate| fate.goes())
        .map(|fate| &fate.snapshot)
        .collect();
    show::judgement(cx, &judged);
    if cx.global.dry_run {
        show::summary(cx, &judged, " Nothing done (--dry-run).");
        return Ok(Exit::Ok);
    }
    if !gone.is_empty() {
        let many = counted(gone.len() as u64, "snapshot", "snapshots");
        confirm::sure(
            cx,
            Risk::Moderate,
            &format!("forget {many}"),
            &format!("Forget {many}? Until the next prune they can be taken back."),
        )?;
        for snapshot in &gone {
            repository.unpin(&snapshot.id)?;
            repository.forget(&snapshot.id)?;
        }
        remembered::forgot(cx, repository, &gone);
    }
    show::summary(cx, &judged, "");
    if args.prune { prune::after_forget(cx, repository) } else { Ok(Exit::Ok) }
}

/// The snapshots that were named.
fn by_name(
    cx: &Context<'_>,
    args: &Args,
    repository: &Repository,
    known: &Known,
) -> Result<Vec<Judged>, Failure> {
    if args.has_policy() {
        let message = "name snapshots, or give a policy: not both";
        return Err(Failure::new(Code::E0001, message));
    }
    let mut fates: Vec<Fate> = Vec::new();
    for typed in &args.snapshots {
        let (snapshot, _) = crate::cli::address::snapshot(cx, repository, typed)?;
        if let Some(why) = known.holds(&snapshot) {
            let short = snapshot.id.short();
            let open = known.needed.contains_key(&snapshot.id);
            let code = if open { Code::E0401 } else { Code::E0210 };
            let failure = Failure::new(code, format!("snapshot {short} must stay: {why}"));
            return Err(failure.with("snapshot", short));
        }
        if fates.iter().all(|fate| fate.snapshot.id != snapshot.id) {
            fates.push(Fate { snapshot, reasons: Vec::new() });
        }
    }
    Ok(vec![Judged { heading: "named".to_owned(), fates }])
}

/// What the policy says.
fn by_policy(
    cx: &Context<'_>,
    args: &Args,
    repository: &Repository,
    known: &Known,
) -> Result<Vec<Judged>, Failure> {
    let wish = args.wish(cx)?;
    let all = snapshot::list(repository)?;
    let chosen: Vec<Snapshot> = all.into_iter().filter(|one| args.which.takes(cx, one)).collect();
    let subject = |one: &Snapshot| Subject::of(one, known.holds(one).is_some());
    let users: Vec<Subject> =
        chosen.iter().filter(|one| one.class == Class::User).map(subject).collect();
    clock_is_right(cx, &chosen.iter().map(subject).collect::<Vec<_>>())?;
    let mut snapshots: BTreeMap<ObjectId, Snapshot> =
        chosen.into_iter().map(|one| (one.id, one)).collect();
    let mut judged = Vec::new();
    if !wish.policy.is_empty() {
        let zone = TimeZone::system();
        for group in retain::judge(&wish.policy, wish.group_by, &users, &zone) {
            judged.push(told(group, &mut snapshots, known));
        }
    }
    if let Some(many) = wish.upgrades {
        judged.extend(safeties(many, &mut snapshots, known));
    }
    Ok(judged)
}

fn told(group: Group, all: &mut BTreeMap<ObjectId, Snapshot>, known: &Known) -> Judged {
    let heading = show::heading(&group.key);
    let judged = group.judged.into_iter().filter_map(|one| {
        let snapshot = all.remove(&one.id)?;
        let held = known.holds(&snapshot).filter(|why| why != "pinned");
        let reasons = one.reasons.iter().filter(|reason| {
            // What was found to hold it says more than the pin that stands for it.
            held.is_none() || **reason != retain::Reason::Pinned
        });
        let mut reasons: Vec<String> = reasons.map(ToString::to_string).collect();
        reasons.extend(held);
        Some(Fate { snapshot, reasons })
    });
    Judged { heading, fates: judged.collect() }
}

/// The safety snapshots that no transaction needs any more: of each application the newest stay.
fn safeties(many: u32, all: &mut BTreeMap<ObjectId, Snapshot>, known: &Known) -> Vec<Judged> {
    let mut of_apps: BTreeMap<String, Vec<Snapshot>> = BTreeMap::new();
    let safety: Vec<ObjectId> =
        all.values().filter(|one| one.class == Class::Safety).map(|one| one.id).collect();
    for snapshot in safety.into_iter().filter_map(|id| all.remove(&id)) {
        of_apps.entry(snapshot.source.clone()).or_default().push(snapshot);
    }
    let judge = |(source, mut of_app): (String, Vec<Snapshot>)| {
        of_app.sort_by_key(|one| std::cmp::Reverse((one.sequence, one.time)));
        let fates = of_app.into_iter().enumerate().map(|(number, snapshot)| {
            // A pin alone is the transaction's own, and goes with it.
            let held = known.holds(&snapshot).filter(|why| why != "pinned");
            let counted = u32::try_from(number).is_ok_and(|number| number < many);
            let counted = counted.then(|| format!("upgrade {}/{many}", number + 1));
            Fate { reasons: held.into_iter().chain(counted).collect(), snapshot }
        });
        Judged { heading: format!("ways back of {source}"), fates: fates.collect() }
    };
    of_apps.into_iter().map(judge).collect()
}

/// Asks, if the clock cannot be believed. `--yes` alone is no answer: timers give it too.
fn clock_is_right(cx: &Context<'_>, subjects: &[Subject]) -> Result<(), Failure> {
    let said = match retain::clock_jump(subjects, clock::now()) {
        None => return Ok(()),
        Some(ClockJump::Behind { newest, seconds }) => {
            let short = newest.short();
            format!("the clock stands {} behind snapshot {short}", took_words(seconds))
        }
        Some(ClockJump::WentBack { later, seconds }) => {
            let short = later.short();
            format!("snapshot {short} is dated {} before an earlier one", took_words(seconds))
        }
    };
    let question = format!("{said}. A policy goes by dates: is the clock right now?");
    let doing = format!("forget by dates: {said}");
    confirm::sure(cx, Risk::Severe { name: "clock" }, &doing, &question)
}

/// Takes tombstones back.
fn undo(cx: &Context<'_>, repository: &Repository, typed: &[String]) -> Result<Exit, Failure> {
    let forgotten = snapshot::list_forgotten(repository)?;
    let mut back = Vec::new();
    for one in typed {
        back.push(snapshot::resolve(&forgotten, one)?.snapshot);
    }
    if typed.is_empty() {
        show::forgotten(cx, &forgotten);
        return Ok(Exit::Ok);
    }
    if !cx.global.dry_run {
        for snapshot in &back {
            repository.remember(&snapshot.id)?;
        }
    }
    show::remembered(cx, &back);
    Ok(Exit::Ok)
}
