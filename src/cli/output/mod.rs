//! The two mouths: results on stdout, remarks and progress on stderr; or one ordered JSON stream.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::Mutex;

use serde_json::{Value, json};

use crate::os::clock;

use crate::cli::environment::Environment;
use crate::cli::failure::Failure;
use crate::cli::text::{self, Style};

/// How loud a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::cli) enum Loudness {
    /// Warnings, errors and the verdict.
    Quiet,
    /// A line a step, and the summary.
    Normal,
    /// A line a file.
    Verbose,
}

/// How grave a JSON line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Level {
    /// As it should be.
    Info,
    /// Worth a look.
    Warning,
    /// Something failed.
    Error,
}

/// What was asked for on the command line.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) struct Wish {
    /// One JSON stream instead of text.
    pub(in crate::cli) json: bool,
    /// How much is said.
    pub(in crate::cli) loudness: Loudness,
    /// Colour: always, never, or as the terminal allows.
    pub(in crate::cli) color: Option<bool>,
    /// Only ASCII of our own.
    pub(in crate::cli) ascii: bool,
}

/// Everything that this run says goes through here.
pub(in crate::cli) struct Output {
    json: bool,
    loudness: Loudness,
    stdout: Style,
    stderr: Style,
    columns: usize,
    redraws: bool,
    state: Mutex<Spoken>,
}

struct Spoken {
    stdout: Box<dyn Write + Send>,
    stderr: Box<dyn Write + Send>,
    seq: u64,
    verb: &'static str,
    txn: Option<String>,
    /// Why nothing more is written to stdout: its reader went away, or its disk is full.
    deaf: Option<io::Error>,
    /// A line without a newline stands on the terminal.
    live: bool,
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Output").field("json", &self.json).finish_non_exhaustive()
    }
}

impl Output {
    /// As the terminal allows and the caller wishes.
    pub(in crate::cli) fn new(environment: &Environment, wish: Wish) -> Self {
        let dumb = environment.text("TERM") == Some("dumb");
        let forbidden = environment.text("NO_COLOR").is_some() || dumb;
        let forced = environment.is_on("CLICOLOR_FORCE");
        let color = |terminal: bool| wish.color.unwrap_or(!forbidden && (terminal || forced));
        let ascii = wish.ascii || !environment.is_utf8();
        let progress = environment.text("SNAP_PROGRESS").unwrap_or("auto");
        let auto = environment.stderr_is_terminal && !dumb && !wish.json;
        let columns = environment.text("COLUMNS").and_then(|text| text.parse().ok());
        Self {
            json: wish.json,
            loudness: wish.loudness,
            stdout: Style { color: color(environment.stdout_is_terminal), ascii },
            stderr: Style { color: color(environment.stderr_is_terminal), ascii },
            columns: columns.unwrap_or(80).clamp(40, 80),
            redraws: progress == "bar" || (progress == "auto" && auto),
            state: Mutex::new(Spoken {
                stdout: Box::new(std::io::stdout()),
                stderr: Box::new(std::io::stderr()),
                seq: 0,
                verb: "",
                txn: None,
                deaf: None,
                live: false,
            }),
        }
    }

    /// Speaks into `stdout` and `stderr` instead: for tests.
    #[cfg(test)]
    pub(in crate::cli) fn into_writers(
        self,
        stdout: impl Write + Send + 'static,
        stderr: impl Write + Send + 'static,
    ) -> Self {
        {
            let mut state = self.lock();
            state.stdout = Box::new(stdout);
            state.stderr = Box::new(stderr);
        }
        self
    }

    /// Whether the one JSON stream is spoken.
    pub(in crate::cli) fn is_json(&self) -> bool {
        self.json
    }

    /// How loud this run is.
    pub(in crate::cli) fn loudness(&self) -> Loudness {
        self.loudness
    }

    /// Whether one line may be drawn again and again.
    pub(in crate::cli) fn redraws(&self) -> bool {
        self.redraws && !self.json && self.loudness >= Loudness::Normal
    }

    /// The width to write for.
    pub(in crate::cli) fn columns(&self) -> usize {
        self.columns
    }

    /// Which verb speaks: JSON lines carry it as `op`.
    pub(in crate::cli) fn speak_as(&self, verb: &'static str) {
        self.lock().verb = verb;
    }

    /// Which transaction is spoken of: JSON lines carry it as `txn`.
    pub(in crate::cli) fn speak_of(&self, transaction: &str) {
        self.lock().txn = Some(transaction.to_owned());
    }

    /// A result, for stdout.
    pub(in crate::cli) fn print(&self, text: &str) {
        if !self.json {
            let mut state = self.lock();
            clear_live(&mut state);
            write_out(&mut state, self.stdout.render(text).as_bytes());
        }
    }

    /// A result as it is, byte for byte: a file's content.
    ///
    /// An error if not all of it arrived: the reader went away, or its disk is full.
    pub(in crate::cli) fn print_raw(&self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.lock();
        write_out(&mut state, bytes);
        state.deaf.as_ref().map_or(Ok(()), |error| Err(again(error)))
    }

    /// Why what was printed did not arrive. A reader that has seen enough (`snap ls | head`) is no
    /// reason.
    pub(in crate::cli) fn unheard(&self) -> Option<io::Error> {
        let state = self.lock();
        let lost = state.deaf.as_ref().filter(|error| error.kind() != io::ErrorKind::BrokenPipe);
        lost.map(again)
    }

    /// A remark, for stderr; quiet runs do without.
    pub(in crate::cli) fn remark(&self, text: &str) {
        if self.loudness >= Loudness::Normal {
            self.insist(text);
        }
    }

    /// A remark that a quiet run makes too: warnings and the verdict of a transaction.
    pub(in crate::cli) fn insist(&self, text: &str) {
        if !self.json {
            let mut state = self.lock();
            clear_live(&mut state);
            let text = self.stderr.render(text);
            write_err(&mut state, text.as_bytes());
        }
    }

    /// Draws `line` in place of the last live line; it stays until something else is said.
    pub(in crate::cli) fn redraw(&self, line: &str) {
        if self.redraws() {
            let mut state = self.lock();
            let line = text::clip(line, self.columns.saturating_sub(1));
            let line = format!("\r\x1b[K{}", self.stderr.render(&line));
            write_err(&mut state, line.as_bytes());
            state.live = true;
        }
    }

    /// One line of the JSON stream; text runs say nothing.
    pub(in crate::cli) fn message(&self, kind: &str, level: Level, sentence: &str, fields: Value) {
        if !self.json {
            return;
        }
        let mut state = self.lock();
        if state.seq == 0 {
            let version = json!({
                "ui": "1.0",
                "snap": env!("CARGO_PKG_VERSION"),
                "repo_format": 1,
            });
            write_line(&mut state, "version", Level::Info, "snap speaks", version);
        }
        write_line(&mut state, kind, level, sentence, fields);
    }

    /// A failure: the lines of a person, or `exit_error` as the stream's last line.
    pub(in crate::cli) fn fail(&self, failure: &Failure) {
        self.insist(&failure.render(self.columns));
        if self.json && self.unheard().is_some() {
            // The stream cannot tell of its own end.
            write_err(
                &mut self.lock(),
                self.stderr.render(&failure.render(self.columns)).as_bytes(),
            );
        }
        let page = failure.code.page();
        let fields = json!({
            "code": failure.exit.code(),
            "name": failure.exit.name(),
            "error_code": page.name,
            "title": page.title,
            "error": failure.message(),
            "cause": failure.causes(),
            "tip": failure.hint(),
            "state": failure.state_line(),
            "fix": failure.fixes(),
        });
        self.message("exit_error", Level::Error, failure.message(), fields);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Spoken> {
        // A thread that panicked while it spoke left at worst half a line.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn write_line(state: &mut Spoken, kind: &str, level: Level, sentence: &str, fields: Value) {
    state.seq += 1;
    let level = match level {
        Level::Info => "info",
        Level::Warning => "warning",
        Level::Error => "error",
    };
    // What every line has comes first, for whoever reads the stream with their eyes.
    let mut all = String::new();
    for (name, value) in [
        ("message_type", kind.into()),
        ("seq", Value::from(state.seq)),
        ("ts", crate::cli::render::timestamp(clock::now()).into()),
        ("level", level.into()),
        ("op", state.verb.into()),
        ("message", sentence.into()),
    ] {
        let _ = write!(all, "{}\"{name}\":{value}", if all.is_empty() { '{' } else { ',' });
    }
    if let Some(txn) = &state.txn {
        let _ = write!(all, ",\"txn\":{}", Value::from(txn.as_str()));
    }
    match fields {
        Value::Object(fields) if !fields.is_empty() => {
            let _ = write!(all, ",{}", &Value::Object(fields).to_string()[1..]);
        }
        _ => all.push('}'),
    }
    let mut text = String::new();
    for c in all.chars() {
        // JSON itself escapes only the first 32 controls; a terminal obeys more of them.
        match c {
            '\u{7f}'..='\u{9f}' => {
                let _ = write!(text, "\\u{:04x}", u32::from(c));
            }
            c => text.push(c),
        }
    }
    text.push('\n');
    write_out(state, text.as_bytes());
}

fn clear_live(state: &mut Spoken) {
    if std::mem::take(&mut state.live) {
        write_err(state, b"\r\x1b[K");
    }
}

/// A reader that goes away (`snap ls | head`) ends what is printed, never what is done.
fn write_out(state: &mut Spoken, bytes: &[u8]) {
    if state.deaf.is_none() {
        state.deaf = state.stdout.write_all(bytes).and_then(|()| state.stdout.flush()).err();
    }
}

/// The same error once more: it is told, and kept.
fn again(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}

fn write_err(state: &mut Spoken, bytes: &[u8]) {
    // Where nobody reads the remarks there is nobody to tell.
    let _ = state.stderr.write_all(bytes);
}

#[cfg(test)]
mod tests;
