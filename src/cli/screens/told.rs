//! Transactions as the journal tells them: a line each, or one in full.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::render::{self, Table};
use crate::cli::text::{self, Ink};
use crate::os::clock::Moment;
use crate::upgrade::Told;
use crate::upgrade::event::{Cause, CauseKind, Ending, Event, Label};
use crate::upgrade::state::State;

use super::proof::Compared;

/// One line a transaction, in the order given.
pub(in crate::cli) fn table(all: &[Told], columns: usize) -> String {
    let mut table = Table::new(&["TXN", "WHEN", "APP", "WHAT", "LABEL", "RESULT"]);
    for told in all {
        table.row([
            Ink::Name.on(told.header.number),
            render::when(Moment(told.began())),
            text::name(told.header.app.as_bytes()),
            what(told),
            told.label().map_or("-", Label::name).to_owned(),
            result(told),
        ]);
    }
    table.render(columns)
}

/// What it was to do, as far as this version can read its plan.
pub(in crate::cli) fn what(told: &Told) -> String {
    told.plan.as_ref().map_or_else(|| "?".to_owned(), crate::upgrade::Plan::what)
}

fn result(told: &Told) -> String {
    let cause = || told.cause().map_or_else(String::new, why);
    match told.ending() {
        Some(Ending::Committed) => Ink::Good.on('✓'),
        Some(Ending::RolledBack) => format!("{} {}", Ink::Warn.on('<'), cause()),
        Some(Ending::Untouched) => format!("- {}", cause()),
        None => Ink::Bad.on(format!("! not finished ({})", state_word(told.state))),
    }
}

fn why(cause: &Cause) -> String {
    match cause.kind {
        CauseKind::Failed => cause.what.clone(),
        CauseKind::Signal(number) => format!("stopped by signal {number}"),
        CauseKind::CutOff => "cut off, recovered".to_owned(),
        CauseKind::Panic => "a bug in snap".to_owned(),
        CauseKind::Asked => "asked for".to_owned(),
    }
}

/// Where a transaction stands, in words.
pub(in crate::cli) const fn state_word(state: State) -> &'static str {
    match state {
        State::Planned => "nothing touched",
        State::Quiescing => "being shut",
        State::Quiesced => "shut, nothing changed",
        State::Armed => "armed, nothing changed",
        State::Changing => "half changed",
        State::Committed => "new, not yet tidied",
        State::RollingBack => "being put back",
        State::RolledBack => "put back, not yet tidied",
        State::Stuck => "stuck",
        State::Closed => "closed",
    }
}

/// One transaction in full.
pub(in crate::cli) fn page(told: &Told) -> String {
    let mut out = String::new();
    let verdict = match told.ending() {
        Some(Ending::Committed) => Ink::Good.on("✓ committed"),
        Some(Ending::RolledBack) => Ink::Warn.on("< rolled back"),
        Some(Ending::Untouched) => Ink::Dim.on("- untouched"),
        None => Ink::Bad.on(format!("! not finished: {}", state_word(told.state))),
    };
    let head = format!("{}  {}  {}", told.header.number, told.header.app, what(told));
    let (began, ended) = (render::when(Moment(told.began())), render::when(Moment(told.latest())));
    let _ = writeln!(out, "{}  {verdict}", Ink::Strong.on(head));
    let _ = writeln!(out, " when    {began} → {ended}");
    if let Some(begun) = told.begun() {
        let plan = told.plan.as_ref().map(|plan| format!(", plan {}", plan.name()));
        let (user, host) = (&begun.user, &begun.host);
        let version = &told.header.binary_version;
        let _ =
            writeln!(out, " by      {user} on {host}, snap {version}{}", plan.unwrap_or_default());
    }
    if let Some(armed) = told.armed() {
        let safety = &armed.safety.to_string()[..6];
        let mut line =
            format!("{}  files b3:{}…", Ink::Name.on(safety), armed.files_digest.short());
        for database in &armed.databases {
            let _ = write!(line, "  {} b3:{}…", database.name, database.fingerprint.short());
        }
        let _ = writeln!(out, " before  {line}  {}", armed.label.name());
    }
    if let Some(proof) = told.proof() {
        let _ = write!(out, "{}", Compared::from(proof).lines(" after   "));
    }
    steps(&mut out, told);
    if let Some(cause) = told.cause() {
        let _ = writeln!(out, " cause   {}", why(cause));
        for link in &cause.chain {
            let _ = writeln!(out, "         {link}");
        }
    }
    if let Some(closed) = told.closed() {
        for problem in &closed.problems {
            let _ = writeln!(out, " {}       {problem}", Ink::Warn.on('!'));
        }
    }
    out
}

fn steps(out: &mut String, told: &Told) {
    for recorded in &told.events {
        match &recorded.event {
            Event::StepFinished(step) => {
                let took = render::took(Duration::from_millis(step.took_ms));
                let mark = Ink::Good.on('✓');
                let _ = writeln!(
                    out,
                    " {mark} {:>2} {:<18} {took:>7}   {}",
                    step.number, step.name, step.note
                );
            }
            Event::UndoStepFinished(step) => {
                let took = render::took(Duration::from_millis(step.took_ms));
                let _ = writeln!(out, " <    {:<18} {took:>7}   {}", step.what, step.note);
            }
            Event::UndoFailed(failed) => {
                let _ = writeln!(out, " {}    undo stopped at {}", Ink::Bad.on('✗'), failed.at);
                for link in &failed.chain {
                    let _ = writeln!(out, "         {link}");
                }
            }
            _ => {}
        }
    }
}

/// One transaction for a program.
pub(in crate::cli) fn json(told: &Told) -> Value {
    let events: Vec<Value> = told
        .events
        .iter()
        .map(|recorded| {
            let body = serde_json::from_str(&recorded.event.encode()).unwrap_or_default();
            let body: Value = body;
            json!({
                "seq": recorded.seq,
                "at": render::timestamp(Moment(recorded.at)),
                "event": recorded.event.kind().name(),
                "body": body,
            })
        })
        .collect();
    json!({
        "txn": told.header.number.to_string(),
        "app": told.header.app,
        "what": what(told),
        "from": told.plan.as_ref().map(|plan| &plan.app.version),
        "began": render::timestamp(Moment(told.began())),
        "latest": render::timestamp(Moment(told.latest())),
        "state": state_word(told.state),
        "ending": told.ending().map(|ending| match ending {
            Ending::Committed => "committed",
            Ending::RolledBack => "rolled-back",
            Ending::Untouched => "untouched",
        }),
        "label": told.label().map(Label::name),
        "cause": told.cause().map(why),
        "recovered": told.was_recovered(),
        "proof": told.proof().map(|proof| Compared::from(proof).json()),
        "events": events,
    })
}
