//! Words that only Ubuntu's snapd knows: its binary is called `snap` too.

use super::failure::{Code, Failure};

const WORDS: &[&str] = &[
    "abort",
    "ack",
    "alias",
    "aliases",
    "changes",
    "component",
    "components",
    "connect",
    "connections",
    "disable",
    "disconnect",
    "download",
    "enable",
    "get",
    "install",
    "interface",
    "interfaces",
    "known",
    "login",
    "logout",
    "logs",
    "managed",
    "model",
    "pack",
    "prefer",
    "refresh",
    "remodel",
    "remove",
    "revert",
    "run",
    "save",
    "saved",
    "services",
    "set",
    "start",
    "stop",
    "switch",
    "tasks",
    "try",
    "unalias",
    "unset",
    "wait",
    "warnings",
    "watch",
    "whoami",
];

/// The refusal, if `word` is a command of snapd. It is never run.
pub(super) fn command(word: &str) -> Option<Failure> {
    WORDS.contains(&word).then(|| {
        let message = format!("'{word}' is a command of snapd: /usr/bin/snap {word}");
        Failure::new(Code::E0007, message)
    })
}
