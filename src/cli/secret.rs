//! The recovery passphrase and the machine key: where they come from. Never a flag's value.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::os::process::{self, CaptureLimits, Launch, Trampoline, Wiring};

use super::config::{self, Holds};
use super::context::Context;
use super::failure::{Code, Failure};

/// No passphrase is longer; a wrong file given as one is caught by it.
const PASSPHRASE_BYTES_MAX: u64 = PASSPHRASE_BYTES as u64;
const PASSPHRASE_BYTES: usize = 64 * 1024;

/// It may have to ask a person or a server.
const COMMAND_MAY_TAKE: Duration = Duration::from_mins(2);

/// Which passphrase is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// The one that opens the repository.
    Existing,
    /// One for a new key slot: asked for twice.
    New,
}

impl Which {
    const fn variables(self) -> [&'static str; 3] {
        match self {
            Self::Existing => ["SNAP_PASSWORD_FILE", "SNAP_PASSWORD_COMMAND", "SNAP_PASSWORD_FD"],
            Self::New => {
                ["SNAP_NEW_PASSWORD_FILE", "SNAP_NEW_PASSWORD_COMMAND", "SNAP_NEW_PASSWORD_FD"]
            }
        }
    }
}

/// The passphrase that flags, environment or configuration name; `None` if none of them does.
pub(super) fn named(cx: &Context<'_>, which: Which) -> Result<Option<SecretString>, Failure> {
    let [file, command, descriptor] = which.variables();
    if which == Which::Existing {
        match (&cx.global.password_file, &cx.global.password_command) {
            (Some(file), _) => return from_file(file).map(Some),
            (None, Some(command)) => return from_command(command).map(Some),
            (None, None) => {}
        }
    }
    if let Some(file) = cx.environment.path(file) {
        return from_file(&file).map(Some);
    }
    if let Some(command) = cx.environment.text(command) {
        return from_command(command).map(Some);
    }
    if let Some(number) = cx.environment.text(descriptor) {
        return from_descriptor(number).map(Some);
    }
    if which == Which::New {
        return Ok(None);
    }
    if let Some(command) = &cx.config()?.repository.password_command {
        return from_command(command).map(Some);
    }
    match cx.credential("snap-backup.password") {
        Some(file) => from_file(&file).map(Some),
        None => Ok(None),
    }
}

/// Asks for it on the terminal; a new one twice.
pub(super) fn asked(cx: &Context<'_>, which: Which, what: &str) -> Result<SecretString, Failure> {
    if !cx.can_ask() {
        let message = format!("no {what} is given, and there is no terminal to ask on");
        return Err(Failure::new(Code::E0121, message));
    }
    let prompt = dialoguer::Password::new().with_prompt(what);
    let prompt = match which {
        Which::Existing => prompt,
        Which::New => prompt.with_confirmation("once more", "they differ"),
    };
    let typed = prompt.interact().map_err(|error| {
        Failure::new(Code::E0006, "no passphrase was typed").because(error.to_string())
    })?;
    passphrase(&Zeroizing::new(typed.into_bytes()), what)
}

/// The password of a database named on the command line: a file's first line.
pub(super) fn database(cx: &Context<'_>) -> Result<Option<SecretString>, Failure> {
    match cx.environment.path("SNAP_DB_PASSWORD_FILE") {
        Some(file) => from_file(&file).map(Some),
        None => Ok(None),
    }
}

fn from_file(file: &Path) -> Result<SecretString, Failure> {
    let shown = super::text::path(file);
    let opened = File::open(file).map_err(|error| {
        Failure::new(Code::E0121, format!("cannot read the passphrase from {shown}"))
            .because(error.to_string())
    })?;
    config::trusted(file, Holds::Secret)?;
    read(opened, &shown)
}

/// Runs a program and takes what it prints. No shell: words are parted at blanks, quotes hold
/// them together.
fn from_command(command: &str) -> Result<SecretString, Failure> {
    let failed = |why: String| {
        Failure::new(Code::E0121, "the password command gave no passphrase").because(why)
    };
    let argv = process::argv(words(command).ok_or_else(|| failed("a quote is open".to_owned()))?);
    if argv.is_empty() {
        return Err(failed("it is empty".to_owned()));
    }
    let launch = Launch {
        trampoline: &Trampoline::own(),
        argv: &argv,
        dir: Path::new("/"),
        env: &[],
        identity: None,
        wiring: Wiring::Pipes,
        token: "password",
    };
    let limits = CaptureLimits { timeout: COMMAND_MAY_TAKE, bytes_max: PASSPHRASE_BYTES };
    let told = process::capture(&launch, limits).map_err(|error| failed(error.to_string()))?;
    let said = Zeroizing::new(told.out);
    match told.status.and_then(|status| status.code()) {
        Some(0) => passphrase(&said, "the password command"),
        Some(code) => {
            let words = String::from_utf8_lossy(&told.err);
            Err(failed(format!("exit {code}: {}", words.trim())))
        }
        None => Err(failed("it took too long, said too much, or was killed".to_owned())),
    }
}

/// `None` if a quote is not closed.
fn words(command: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let (mut word, mut quote) = (None::<String>, None);
    for c in command.chars() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

fn from_descriptor(number: &str) -> Result<SecretString, Failure> {
    let number: u32 = number.parse().map_err(|_| {
        Failure::new(Code::E0009, format!("not the number of a file descriptor: {number}"))
    })?;
    let file = PathBuf::from(format!("/proc/self/fd/{number}"));
    let opened = File::open(&file).map_err(|error| {
        Failure::new(Code::E0121, format!("cannot read the passphrase from descriptor {number}"))
            .because(error.to_string())
    })?;
    read(opened, &format!("descriptor {number}"))
}

fn read(file: File, place: &str) -> Result<SecretString, Failure> {
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(PASSPHRASE_BYTES_MAX).read_to_end(&mut bytes).map_err(|error| {
        Failure::new(Code::E0121, format!("cannot read the passphrase from {place}"))
            .because(error.to_string())
    })?;
    passphrase(&bytes, place)
}

/// The first line, without its newline.
fn passphrase(bytes: &Zeroizing<Vec<u8>>, place: &str) -> Result<SecretString, Failure> {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let text = std::str::from_utf8(line).map_err(|_| {
        Failure::new(Code::E0121, format!("the passphrase from {place} is not text"))
    })?;
    if text.is_empty() {
        return Err(Failure::new(Code::E0121, format!("the passphrase from {place} is empty")));
    }
    Ok(SecretString::from(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    #[test]
    fn a_command_is_parted_as_a_person_means_it() {
        let parted = |text: &str| words(text);
        assert_eq!(parted("cat '/etc/my pass' x").unwrap(), ["cat", "/etc/my pass", "x"]);
        assert_eq!(parted("  a\t\"\" ").unwrap(), ["a", ""]);
        assert_eq!(parted("a 'b"), None);
    }

    #[test]
    fn the_first_line_is_the_passphrase() {
        let taken = |bytes: &[u8]| passphrase(&Zeroizing::new(bytes.to_vec()), "a file");
        assert_eq!(taken(b"horse staple\r\nrest").unwrap().expose_secret(), "horse staple");
        assert!(taken(b"\nrest").is_err());
        assert!(taken(b"\xff\n").is_err());
    }
}
