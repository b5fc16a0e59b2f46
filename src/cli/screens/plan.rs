//! The plan: everything one upgrade will do, on one or two screens.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::cli::context::Context;
use crate::cli::failure::{Failure, refusal_code};
use crate::cli::output::Level;
use crate::cli::render::{self, count, counted};
use crate::cli::text::{self, Ink};
use crate::upgrade::Plan;
use crate::upgrade::event::Label;
use crate::upgrade::merge::Fate;
use crate::upgrade::plan::{Aim, PathSeen, Review};
use crate::upgrade::stored::PathText;

use super::pattern::words_of;

/// How many lines of one kind are shown without `--files`.
const LINES_MAX: usize = 6;

/// The plan, for a person or a program.
pub(in crate::cli) fn show(cx: &Context<'_>, plan: &Plan, files: bool) {
    cx.out.print(&text(plan, files));
    cx.out.message("plan", Level::Info, &format!("{} {}", plan.app.name, plan.what()), json(plan));
}

/// What stands against it, as one failure under the gravest code.
pub(in crate::cli) fn refused(plan: &Plan) -> Option<Failure> {
    let gravest = plan.refusals.iter().min_by_key(|refusal| refusal.kind)?;
    let message = format!("{} would not start: {}", plan.app.name, gravest.what);
    let mut failure = Failure::new(refusal_code(gravest.kind), message);
    for refusal in plan.refusals.iter().filter(|refusal| *refusal != gravest) {
        failure = failure.because(&refusal.what);
    }
    Some(failure.with("app", plan.app.name.as_str()))
}

/// The plan as a person reads it; with `all_files` each path that changes.
pub(in crate::cli) fn text(plan: &Plan, all_files: bool) -> String {
    let mut out = String::new();
    head(&mut out, plan);
    restores(&mut out, plan);
    files(&mut out, plan, all_files);
    preserved(&mut out, plan);
    review(&mut out, &plan.review);
    by_hand(&mut out, plan);
    database(&mut out, plan);
    promises(&mut out, plan);
    refusals(&mut out, plan);
    out
}

/// The plan as a program reads it.
pub(in crate::cli) fn json(plan: &Plan) -> Value {
    json!({
        "plan_id": plan.name(),
        "app": plan.app.name,
        "from": plan.app.version,
        "to": to(plan),
        "class": jump(plan),
        "ready": plan.is_ready(),
        "exit_code": plan.exit_code(),
        "label": plan.label.name(),
        "plan": serde_json::to_value(plan).unwrap_or_default(),
    })
}

fn to(plan: &Plan) -> Option<&str> {
    match &plan.aim {
        Aim::Upgrade(release) => Some(&release.version),
        Aim::Restore(_) => None,
    }
}

fn jump(plan: &Plan) -> Option<&str> {
    match &plan.aim {
        Aim::Upgrade(release) => Some(&release.jump),
        Aim::Restore(_) => None,
    }
}

fn head(out: &mut String, plan: &Plan) {
    let what = format!("{}  {}", plan.app.name, plan.what());
    let class = jump(plan).unwrap_or_default();
    let id = format!("plan {}", plan.name());
    let left = format!("{what}   {class}");
    let gap = 79usize.saturating_sub(text::width(&left) + id.len()).max(3);
    let _ = writeln!(out, "{}{}{}", Ink::Strong.on(left), " ".repeat(gap), Ink::Dim.on(id));
    let mut places = vec![text::path(&plan.app.root)];
    places.extend(plan.databases.iter().map(|database| database.address.clone()));
    let one_line = places.join(" · ");
    if text::width(&one_line) < 80 {
        places = vec![one_line];
    }
    for place in places {
        let _ = writeln!(out, "{place}");
    }
    if let Aim::Upgrade(release) = &plan.aim {
        let _ = writeln!(out, "release: {}", release.origin);
        if release.base.is_none() {
            let _ = writeln!(
                out,
                "{} the release that is installed is not to hand: nothing is called stale, and\n  \
                 core files that differ stop the upgrade (--base DIR, ARCHIVE or TAG gives it)",
                Ink::Warn.on('!')
            );
        }
    }
}

/// What comes back, where that is all there is to do.
fn restores(out: &mut String, plan: &Plan) {
    let Aim::Restore(restore) = &plan.aim else { return };
    let short = &restore.snapshot.to_string()[..6];
    let _ = writeln!(out, "\n{}  snapshot {short}", Ink::Strong.on("Comes back"));
    if restore.files {
        let gone =
            if restore.delete { "what it does not have is deleted" } else { "the rest stays" };
        for root in &plan.roots {
            let _ = writeln!(out, "  ~ {}   {gone}", text::path(&root.path));
        }
    }
    if restore.databases {
        for database in &plan.databases {
            let _ = writeln!(out, "  ~ database {}   {}", database.name, database.address);
        }
    }
}

fn files(out: &mut String, plan: &Plan, all_files: bool) {
    if plan.fates.is_empty() {
        return;
    }
    let of = |fates: &[Fate]| plan.paths(fates);
    let added = of(&[Fate::Added, Fate::Restored]);
    let changed = of(&[Fate::Changed, Fate::EditedReplaced]);
    let removed = of(&[Fate::Removed, Fate::EditedRemoved]);
    let same = of(&[Fate::Same]).len() as u64;
    let _ = writeln!(
        out,
        "\n{}     + {} added  ~ {} changed  - {} removed  = {} same",
        Ink::Strong.on("Files"),
        count(added.len() as u64),
        count(changed.len() as u64),
        count(removed.len() as u64),
        count(same),
    );
    for (sign, paths) in [('+', &added), ('~', &changed), ('-', &removed)] {
        if all_files || paths.len() <= 2 * LINES_MAX {
            for path in paths {
                let _ = writeln!(out, "  {sign} {}", shown(path));
            }
        } else {
            grouped(out, sign, paths);
        }
    }
    let purged = of(&[Fate::Purged]).len() as u64;
    if purged > 0 {
        let _ = writeln!(out, "  - {} emptied (caches)", counted(purged, "file", "files"));
    }
}

fn grouped(out: &mut String, sign: char, paths: &[&PathText]) {
    let mut groups: BTreeMap<String, (u64, &PathText)> = BTreeMap::new();
    for path in paths {
        let parts: Vec<&[u8]> = path.0.parts().collect();
        let depth = parts.len().saturating_sub(1).min(2);
        let dir = text::name(&parts[..depth].join(&b'/'));
        groups.entry(dir).or_insert((0, path)).0 += 1;
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(_, (number, _))| std::cmp::Reverse(*number));
    for (dir, (number, first)) in groups.iter().take(LINES_MAX) {
        let name = match (*number, dir.as_str()) {
            (1, _) => shown(first),
            (many, "") => format!("{} at the top", counted(many, "file", "files")),
            (many, dir) => format!("{dir}/ ({})", count(many)),
        };
        let _ = writeln!(out, "  {sign} {name}");
    }
    if groups.len() > LINES_MAX {
        let more: u64 = groups[LINES_MAX..].iter().map(|(_, (number, _))| number).sum();
        let _ = writeln!(out, "  {sign} {} elsewhere: snap plan … --files", count(more));
    }
}

fn preserved(out: &mut String, plan: &Plan) {
    if plan.preserved.is_empty() {
        return;
    }
    let number = plan.preserved.len() as u64;
    let _ = writeln!(out, "\n{}   {}", Ink::Strong.on("Preserved (yours)"), count(number));
    // Where one line more says it all, no line says "1 more".
    let lines = if plan.preserved.len() > LINES_MAX + 1 { LINES_MAX } else { LINES_MAX + 1 };
    for PathSeen(path, _) in plan.preserved.iter().take(lines) {
        let _ = writeln!(out, "  = {}", shown(path));
    }
    if plan.preserved.len() > lines {
        let _ = writeln!(out, "  = {} more", count(number - lines as u64));
    }
}

fn review(out: &mut String, reviews: &[Review]) {
    if reviews.is_empty() {
        return;
    }
    let _ = writeln!(
        out,
        "\n{}   {}   a default changed, yours is untouched",
        Ink::Strong.on("Needs your eye"),
        reviews.len()
    );
    for review in reviews {
        let _ = writeln!(
            out,
            "  {} {}   +{} -{}",
            Ink::Warn.on('!'),
            shown(&review.template),
            review.lines_added,
            review.lines_removed
        );
        for (what, keys) in [
            ("keys you lack", &review.keys_you_lack),
            ("changed while you override it", &review.keys_changed),
            ("no longer there", &review.keys_dropped),
        ] {
            if !keys.is_empty() {
                let line = format!("{what}: {}", keys.join(", "));
                for line in text::wrap(&line, 72) {
                    let _ = writeln!(out, "      {line}");
                }
            }
        }
    }
}

fn by_hand(out: &mut String, plan: &Plan) {
    let stops = plan.paths(&[Fate::Conflict, Fate::ExtraStop]);
    let kept = plan.paths(&[Fate::EditedKept, Fate::EditedAlone]);
    let taken = plan.paths(&[Fate::EditedReplaced, Fate::EditedRemoved]);
    let number = stops.len() + kept.len() + taken.len();
    if number == 0 {
        return;
    }
    let title = Ink::Strong.on("Changed by hand since installation");
    let _ = writeln!(out, "\n{title}   {}", count(number as u64));
    for path in stops {
        let _ =
            writeln!(out, "  {} {}   the release changes it too", Ink::Warn.on('!'), shown(path));
        let _ = writeln!(out, "      yours: --keep PATH    theirs: --take PATH    (default: stop)");
    }
    for path in kept {
        let _ = writeln!(out, "  = {}   yours stays", shown(path));
    }
    for path in taken {
        let _ = writeln!(out, "  ~ {}   the release's is taken", shown(path));
    }
}

fn database(out: &mut String, plan: &Plan) {
    if plan.databases.is_empty() || matches!(plan.aim, Aim::Restore(_)) {
        return;
    }
    let pending = plan.pending.len() as u64;
    let found = match pending {
        0 => "no migration is pending".to_owned(),
        _ => format!("{} pending", counted(pending, "migration", "migrations")),
    };
    let _ = writeln!(out, "\n{}   {found}", Ink::Strong.on("Database"));
    for migration in plan.pending.iter().take(2 * LINES_MAX) {
        let _ = writeln!(out, "  > {}", migration.id);
    }
    for question in plan.questions.iter().filter(|_| pending > 0) {
        let answer = match (&question.answered_by, &question.answer) {
            _ if question.fails => "being asked ends the upgrade".to_owned(),
            (Some(by), Some(answer)) => format!("answered '{answer}' ({by})"),
            (Some(by), None) => format!("answered ({by})"),
            (None, _) => "nobody answers it: --answer 'REGEX=REPLY'".to_owned(),
        };
        // Who has to name the pattern sees it; anybody else reads what is asked.
        let asked = match question.answered_by {
            None if !question.fails => question.pattern.clone(),
            _ => format!("\"{}\"", words_of(&question.pattern)),
        };
        for line in text::wrap(&format!("    may ask {asked}"), 79) {
            let _ = writeln!(out, "{line}");
        }
        let _ = writeln!(out, "      {answer}");
    }
}

fn promises(out: &mut String, plan: &Plan) {
    out.push('\n');
    for space in &plan.space {
        let enough = space.has_bytes >= space.needs_bytes
            && space.has_inodes.is_none_or(|has| has >= space.needs_inodes);
        let verdict = if enough { Ink::Good.on("ok") } else { Ink::Bad.on("not enough") };
        let (needs, has) = (render::size(space.needs_bytes), render::size(space.has_bytes));
        let _ = writeln!(out, "Space     {} {needs} (has {has})  {verdict}", space.what);
    }
    let label = match plan.label {
        Label::Proved => {
            "proved = guaranteed: the dump is loaded again and compared before anything changes"
        }
        Label::Verified => "verified: the dump is decoded and counted, the files are read back",
        Label::BestEffort => "best effort",
    };
    part(out, "Rollback", label);
    for reason in &plan.label_reasons {
        part(out, "", reason);
    }
    part(out, "", "automatic until commit, also after a crash; later by snap rollback");
    if plan.maintenance.is_empty() {
        part(out, "Site", "not shut by snap: the upgrade goes on only if nothing writes meanwhile");
    }
    for switch in &plan.maintenance {
        part(out, "Site", &format!("shut by {switch}"));
    }
    for (label, lines) in
        [("Hooks", &plan.hooks), ("Uncovered", &plan.uncovered), ("Risks", &plan.risks)]
    {
        for line in lines {
            part(out, label, line);
        }
    }
}

fn part(out: &mut String, label: &str, words: &str) {
    for (index, line) in text::wrap(words, 69).iter().enumerate() {
        let label = if index == 0 { label } else { "" };
        let _ = writeln!(out, "{label:<9} {line}");
    }
}

fn refusals(out: &mut String, plan: &Plan) {
    out.push('\n');
    if matches!(plan.aim, Aim::Upgrade(_)) {
        sums(out, plan);
    }
    for refusal in &plan.refusals {
        for (index, line) in text::wrap(&refusal.what, 76).iter().enumerate() {
            let mark = if index == 0 { Ink::Bad.on('✗') } else { " ".to_owned() };
            let _ = writeln!(out, "  {mark} {line}");
        }
    }
}

fn sums(out: &mut String, plan: &Plan) {
    let changes = plan.paths(&[
        Fate::Added,
        Fate::Restored,
        Fate::Changed,
        Fate::Removed,
        Fate::EditedReplaced,
        Fate::EditedRemoved,
        Fate::Purged,
    ]);
    let _ = writeln!(
        out,
        "Plan: {}, {} preserved, {}",
        counted(changes.len() as u64, "file change", "file changes"),
        count(plan.preserved.len() as u64),
        counted(plan.pending.len() as u64, "migration", "migrations"),
    );
}

fn shown(path: &PathText) -> String {
    text::name(path.0.as_bytes())
}
