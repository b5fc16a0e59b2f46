//! The last net: a bug ends with an apology, a report without secrets, and exit 70.

use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::{Arc, Mutex};

use crate::os::{clock, file};

use super::context::Context;
use super::failure::{Code, Exit, Failure};
use super::{no_threads, render};

/// Runs `work`; a panic in it becomes a failure like any other.
pub(super) fn caught(
    cx: &Context<'_>,
    work: impl FnOnce() -> Result<Exit, Failure>,
) -> Result<Exit, Failure> {
    let told = Arc::new(Mutex::new(Vec::new()));
    let hook = Arc::clone(&told);
    panic::set_hook(Box::new(move |info| {
        if let Ok(mut told) = hook.lock() {
            told.push(describe(info));
        }
    }));
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    let told = told.lock().map(|told| told.join("\n")).unwrap_or_default();
    result.unwrap_or_else(|_| Err(of_threads(&told).map_or_else(|| apology(cx, &told), no_threads)))
}

/// The words of a panic that only says that the system refused a thread. The standard library and
/// rayon panic then; that the limits are wide enough was seen at the start, so it is rare.
fn of_threads(told: &str) -> Option<&str> {
    let words = ["failed to spawn thread", "ThreadPoolBuildError"];
    words.iter().find_map(|words| first(told).find(words)).map(|at| &first(told)[at..])
}

fn first(told: &str) -> &str {
    told.lines().next().unwrap_or_default()
}

fn describe(info: &PanicHookInfo<'_>) -> String {
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let words = info.payload_as_str().unwrap_or("no words");
    let trace = std::backtrace::Backtrace::force_capture();
    format!("panicked at {place}: {}\n{trace}", redacted(words))
}

/// A panic's own words may quote data; what looks like a value is not kept.
fn redacted(words: &str) -> String {
    let secret = regex::Regex::new(
        r#"(?i)(pass\w*|secret|token|salt|key|seed)(["']?\s*[:=(]+\s*)\S+|(://[^:/@\s]+):[^@\s]+@"#,
    );
    secret.expect("the pattern is constant").replace_all(words, "$1$2$3••••").into_owned()
}

fn apology(cx: &Context<'_>, told: &str) -> Failure {
    let now = render::timestamp(clock::now());
    let report = format!("snap {}, {now}\n{told}\n", env!("CARGO_PKG_VERSION"));
    let name = format!("snap-bug-{}.txt", now.replace(':', ""));
    let state = cx.directories.state().ok().filter(|dir| dir.is_dir()).cloned();
    let places = state.into_iter().chain([std::env::temp_dir()]);
    let kept = places
        .into_iter()
        .find(|dir| file::replace(dir, &name, report.as_bytes(), 0o600).is_ok())
        .map(|dir| dir.join(&name));
    let failure = Failure::new(Code::E0901, "sorry, this is a bug in snap").because(first(told));
    match kept {
        Some(path) => failure.tip(format!("the report, without secrets: {}", path.display())),
        None => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::{of_threads, redacted};

    #[test]
    fn a_thread_that_the_system_refuses_is_no_bug() {
        let words =
            "panicked at thread/functions.rs:131:29: failed to spawn thread: Os { code: 11 }";
        assert!(of_threads(words).is_some_and(|words| words.starts_with("failed")));
        let other = "panicked at x.rs:1:1: index out of bounds\nfailed to spawn thread";
        assert_eq!(of_threads(other), None);
    }

    #[test]
    fn a_report_holds_no_secret() {
        for words in ["password: hunter2", "mysql://anna:hunter2@db/x", "token=hunter2 rest"] {
            assert!(!redacted(words).contains("hunter2"), "{}", redacted(words));
        }
        assert_eq!(redacted("index out of bounds"), "index out of bounds");
    }
}
