//! One run of a program, and what came of it.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Arguments of a command, of any kind that can be one.
macro_rules! args {
    ($($arg:expr),* $(,)?) => {
        vec![$(::std::ffi::OsStr::new(&$arg).to_os_string()),*]
    };
}
pub(crate) use args;

/// The words that put `target` back in place, as the last backup or restore of it had it; `word` is
/// what the confirmation asks for.
pub(crate) fn put_back(target: &Path, word: &str) -> Vec<OsString> {
    let to = args!["restore", "latest", "--target", target, "--overwrite", "--delete", "--yes"];
    [to, args!["--confirm", word]].concat()
}

/// No run of a test takes longer by right; a run that does is a hang, and is killed.
const PATIENCE: Duration = Duration::from_mins(3);

/// What a run left: how it ended and what it said.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) command: String,
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
}

impl Run {
    /// The code a shell would see: 128 + N for death by signal N.
    pub(crate) fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| 128 + self.status.signal().unwrap_or(0))
    }

    /// Insists on this exit code.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code(), code, "{self}");
        self
    }

    /// Insists on success.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        self.exits(0)
    }

    /// Insists that the run died of SIGKILL.
    #[track_caller]
    pub(crate) fn killed(self) -> Self {
        assert_eq!(self.status.signal(), Some(9), "{self}");
        self
    }

    /// Insists that it said this, on either stream.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        let said = self.stdout.contains(text) || self.stderr.contains(text);
        assert!(said, "does not say {text:?}\n{self}");
        self
    }

    /// The JSON lines of the stream, in order.
    #[track_caller]
    pub(crate) fn json(&self) -> Vec<Value> {
        let line = |line| {
            serde_json::from_str(line).unwrap_or_else(|e| panic!("no JSON ({e}): {line}\n{self}"))
        };
        self.stdout.lines().map(line).collect()
    }

    /// The one JSON line of this type.
    #[track_caller]
    pub(crate) fn message(&self, kind: &str) -> Value {
        let found = self.json().into_iter().find(|line| line["message_type"] == kind);
        found.unwrap_or_else(|| panic!("no {kind} in the stream\n{self}"))
    }

    /// The snapshot that a `backup --json` took.
    #[track_caller]
    pub(crate) fn snapshot_id(&self) -> String {
        self.message("summary")["snapshot_id"].as_str().expect("an id").to_owned()
    }
}

impl std::fmt::Display for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "$ {}\n{}", self.command, self.status)?;
        writeln!(f, "--- stdout\n{}--- stderr\n{}---", self.stdout, self.stderr)
    }
}

/// A program that is running, its output going to files.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    command: String,
    out: PathBuf,
    err: PathBuf,
    begun: Instant,
}

impl Running {
    /// Starts `command`, its output kept below `dir`.
    pub(crate) fn start(mut command: Command, dir: &Path) -> Self {
        static COUNT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let out = dir.join(format!("out.{count}"));
        let err = dir.join(format!("err.{count}"));
        let file = |path| Stdio::from(File::create(path).expect("a test may write its directory"));
        command.stdout(file(&out)).stderr(file(&err));
        let words: Vec<&OsStr> =
            std::iter::once(command.get_program()).chain(command.get_args()).collect();
        let said = words.join(OsStr::new(" ")).to_string_lossy().into_owned();
        let child = command.spawn().unwrap_or_else(|e| panic!("cannot start {said}: {e}"));
        Self { child, command: said, out, err, begun: Instant::now() }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has said so far.
    pub(crate) fn said(&self) -> String {
        let read = |path| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
        read(&self.out) + &read(&self.err)
    }

    /// Whether it has ended.
    pub(crate) fn ended(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_some()
    }

    /// Sends it a signal, by number.
    pub(crate) fn signal(&self, signal: i32) {
        let signal = rustix::process::Signal::from_named_raw(signal).expect("a known signal");
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("the child is ours");
    }

    /// Waits until it ends.
    #[track_caller]
    pub(crate) fn end(mut self) -> Run {
        let mut hung = false;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                break status;
            }
            if self.begun.elapsed() > PATIENCE && !hung {
                hung = true;
                self.child.kill().expect("the child is ours");
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        let read = |path: &Path| {
            String::from_utf8_lossy(&fs::read(path).expect("the output is there")).into_owned()
        };
        let run = Run {
            command: self.command,
            status,
            stdout: read(&self.out),
            stderr: read(&self.err),
            took: self.begun.elapsed(),
        };
        assert!(!hung, "hung for {PATIENCE:?}\n{run}");
        run
    }
}

/// Runs a tool of the system and insists that it succeeds; its standard output.
#[track_caller]
pub(crate) fn tool(program: &str, args: &[&dyn AsRef<OsStr>]) -> Vec<u8> {
    let mut command = Command::new(program);
    command.args(args.iter().map(AsRef::as_ref)).env("LC_ALL", "C").stdin(Stdio::null());
    let output = command.output().unwrap_or_else(|e| panic!("cannot start {program}: {e}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{said}", output.status);
    output.stdout
}

/// Waits for something that another process does, and names it when it never happens.
#[track_caller]
pub(crate) fn until(what: &str, mut happened: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !happened() {
        assert!(begun.elapsed() < PATIENCE, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
