//! How the work is going: lines that stay for finished steps, and one that is drawn again.
//!
//! Off a terminal a line comes at the start and end of each step and every 30 seconds; as JSON
//! each piece of news is a line of the one stream.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::RecvTimeoutError;
use serde_json::json;

use crate::monitor::{Counter, Monitor, News, Problem};
use crate::os::clock;
use crate::os::crew::beside;

use super::output::{Level, Output};
use super::render;
use super::screens::proof::Compared;
use super::text::{self, Ink};

const REDRAW_EVERY: Duration = Duration::from_millis(100);
const STATUS_EVERY: Duration = Duration::from_secs(1);
const LINE_EVERY: Duration = Duration::from_secs(30);

/// So much of a child's words is shown; its transcript has more.
const CHILD_LINES_MAX: u64 = 1_000;
const CHILD_COLUMNS_MAX: usize = 500;

/// The monitor of a run that a person or a program watches.
#[derive(Debug)]
pub(super) struct Progress<'a> {
    out: &'a Output,
    started: Instant,
    counts: [AtomicU64; Counter::ALL.len()],
    problems: AtomicU64,
    child_lines: AtomicU64,
    now: Mutex<Option<Step>>,
}

#[derive(Clone, Debug)]
struct Step {
    number: u8,
    name: String,
    started: Instant,
}

impl<'a> Progress<'a> {
    /// Speaks through `out`.
    pub(super) fn new(out: &'a Output) -> Self {
        Self {
            out,
            started: clock::stopwatch(),
            counts: [const { AtomicU64::new(0) }; Counter::ALL.len()],
            problems: AtomicU64::new(0),
            child_lines: AtomicU64::new(0),
            now: Mutex::default(),
        }
    }

    /// Does `work` on this thread, which children are started from, and draws meanwhile.
    pub(super) fn during<T>(&self, work: impl FnOnce() -> T) -> T {
        let (done, ended) = crossbeam_channel::bounded::<()>(0);
        std::thread::scope(|scope| {
            // Where no thread can be had nothing is drawn.
            beside(scope, move || {
                while ended.recv_timeout(self.pace()) == Err(RecvTimeoutError::Timeout) {
                    self.tick();
                }
            });
            // Dropped also when `work` panics, so that the scope does not wait for ever.
            let _done = done;
            work()
        })
    }

    /// What `counter` has come to.
    pub(super) fn total(&self, counter: Counter) -> u64 {
        self.counts[counter as usize].load(Ordering::Relaxed)
    }

    /// How many problems were reported.
    pub(super) fn problems(&self) -> u64 {
        self.problems.load(Ordering::Relaxed)
    }

    /// How long the work has taken so far.
    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn pace(&self) -> Duration {
        if self.out.redraws() {
            REDRAW_EVERY
        } else if self.out.is_json() {
            STATUS_EVERY
        } else {
            LINE_EVERY
        }
    }

    fn tick(&self) {
        if self.out.is_json() {
            let fields = json!({
                "seconds_elapsed": self.elapsed().as_secs(),
                "entries": self.total(Counter::Entries),
                "files_done": self.total(Counter::FilesRead) + self.total(Counter::FilesWritten),
                "bytes_done": self.total(Counter::BytesRead),
                "bytes_written": self.total(Counter::BytesWritten),
                "rows": self.total(Counter::Rows),
            });
            self.out.message("status", Level::Info, &self.counted(), fields);
        } else if self.out.redraws() {
            let spin = ['|', '/', '-', '\\'];
            let turn = usize::try_from(self.elapsed().as_millis() / 100).unwrap_or(0) % spin.len();
            self.out.redraw(&format!(" {} {}", spin[turn], self.live()));
        } else {
            self.out.remark(&format!("   {}\n", self.live()));
        }
    }

    fn live(&self) -> String {
        let step = self.now().clone();
        let (head, since) = match step {
            Some(step) => (label(step.number, &step.name), step.started.elapsed()),
            None => (label(0, "working"), self.elapsed()),
        };
        format!("{head} {:>7}   {}", render::took(since), self.counted())
    }

    fn counted(&self) -> String {
        let mut parts = Vec::new();
        for (counter, one, many) in
            [(Counter::Entries, "entry", "entries"), (Counter::Rows, "row", "rows")]
        {
            let total = self.total(counter);
            if total > 0 {
                parts.push(render::counted(total, one, many));
            }
        }
        for (counter, word) in [(Counter::BytesRead, "read"), (Counter::BytesWritten, "written")] {
            let total = self.total(counter);
            if total > 0 {
                parts.push(format!("{} {word}", render::size(total)));
            }
        }
        if self.problems() > 0 {
            parts.push(render::counted(self.problems(), "problem", "problems"));
        }
        parts.join(", ")
    }

    fn now(&self) -> MutexGuard<'_, Option<Step>> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, number: u8, name: &str) {
        let step = Step { number, name: name.to_owned(), started: clock::stopwatch() };
        *self.now() = Some(step);
        self.child_lines.store(0, Ordering::Relaxed);
        if !self.out.redraws() {
            self.out.remark(&format!("   {} ...\n", label(number, name).trim_end()));
        }
        let fields = json!({ "step": number, "name": name });
        self.out.message("step_start", Level::Info, &format!("{name} begins"), fields);
    }

    fn end(&self, number: u8, name: &str, took: Duration, result: Result<&str, &str>) {
        *self.now() = None;
        let (mark, note) = match result {
            Ok(note) => (Ink::Good.on('✓'), note),
            Err(cause) => (Ink::Bad.on('✗'), cause),
        };
        let mut lines = text::wrap(note, self.out.columns().saturating_sub(36)).into_iter();
        let first = lines.next().unwrap_or_default();
        let head = format!(" {mark} {} {:>7}   {first}", label(number, name), render::took(took));
        let mut shown = format!("{}\n", head.trim_end());
        for line in lines {
            let _ = writeln!(shown, "{}{line}", " ".repeat(36));
        }
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let mut fields = json!({ "step": number, "name": name, "milliseconds": millis });
        if let Err(cause) = result {
            self.out.insist(&shown);
            fields["error"] = cause.into();
            let sentence = format!("{name} failed: {cause}");
            self.out.message("step_failed", Level::Error, &sentence, fields);
        } else {
            self.out.remark(&shown);
            fields["note"] = note.into();
            self.out.message("step_done", Level::Info, &format!("{name} is done"), fields);
        }
    }
}

impl Progress<'_> {
    fn child_said(&self, line: &str) {
        let line = match self.child_lines.fetch_add(1, Ordering::Relaxed) {
            0..CHILD_LINES_MAX => text::clip(line, CHILD_COLUMNS_MAX),
            CHILD_LINES_MAX => "… (it says more; the transcript keeps what fits)".to_owned(),
            _ => return,
        };
        self.out.remark(&format!("      {} {line}\n", Ink::Dim.on('>')));
        let fields = json!({ "line": line });
        self.out.message("child_output", Level::Info, &line, fields);
    }

    fn armed(&self, label: &str, snapshot: &str, files: &str, databases: Vec<(String, String)>) {
        // Only what was loaded again and compared may be called so.
        let word = if label == "proved" { "proved (guaranteed)" } else { label };
        let sentence = format!("rollback: {word}. Nothing was changed until here.");
        self.out.remark(&format!("      {sentence}\n"));
        let fingerprints: serde_json::Map<String, serde_json::Value> = databases
            .into_iter()
            .map(|(name, fingerprint)| (name, format!("b3:{fingerprint}").into()))
            .collect();
        let fields = json!({
            "label": label,
            "snapshot_id": snapshot,
            "digest": format!("b3:{files}"),
            "fingerprints": fingerprints,
        });
        self.out.message("armed", Level::Info, &sentence, fields);
    }
}

/// A step's number and name, in columns.
fn label(number: u8, name: &str) -> String {
    if number == 0 { format!("   {name:<20}") } else { format!("{number:>2} {name:<20}") }
}

impl Monitor for Progress<'_> {
    fn count(&self, counter: Counter, by: u64) {
        self.counts[counter as usize].fetch_add(by, Ordering::Relaxed);
    }

    fn problem(&self, problem: Problem) {
        self.problems.fetch_add(1, Ordering::Relaxed);
        let path = text::path(&problem.path);
        self.out.insist(&format!(" {} {path}: {}\n", Ink::Warn.on('!'), problem.what));
        let fields = json!({ "item": path, "error": problem.what });
        self.out.message("error", Level::Error, &format!("{path}: {}", problem.what), fields);
    }

    fn tell(&self, news: News) {
        match news {
            News::StepStarted { number, name } => self.begin(number, &name),
            News::StepDone { number, name, took, note } => {
                self.end(number, &name, took, Ok(&note));
            }
            News::StepFailed { number, name, took, cause } => {
                self.end(number, &name, took, Err(&cause));
            }
            News::ChildOutput { line } => self.child_said(&line),
            News::TransactionStarted { transaction, app, what, steps } => {
                self.out.speak_of(&transaction);
                let head = format!("{transaction}  {app} {what}");
                self.out.remark(&format!("\n{}\n", Ink::Strong.on(&head)));
                let fields = json!({ "app": app, "what": what, "steps": steps });
                self.out.message("txn_start", Level::Info, &head, fields);
            }
            News::Armed { label, snapshot, files, databases } => {
                self.armed(&label, &snapshot, &files, databases);
            }
            News::RollbackStarted { cause } => {
                self.out.insist("Rolling back: nothing for you to do\n");
                let fields = json!({ "cause": cause });
                self.out.message("rollback_start", Level::Warning, &cause, fields);
            }
            News::RollbackDone { files, databases, files_read, files_unchanged } => {
                let compared = Compared { files, databases, files_read, files_unchanged };
                self.out.insist(&compared.lines("      "));
                let sentence = "everything was compared with what it was";
                self.out.message("rollback_done", Level::Info, sentence, compared.json());
            }
            News::Warning { what } => {
                self.out.insist(&format!(" {} {what}\n", Ink::Warn.on('!')));
                self.out.message("warning", Level::Warning, &what, json!({}));
            }
        }
    }
}
