//! README.md is executed: what it shows is what happens.
//!
//! A code block after the comment `<!-- checked -->` is a transcript: lines that begin with `$ `
//! are run one after another by `sh` in a directory of the test's own, and what they print must be
//! the lines below. In those, `[..]` stands for anything within a line and a line `...` for any
//! number of lines. `<!-- checked: notes -->` runs it where notes 1.1.0 is installed in `./notes`,
//! the releases lie in `./releases`, and `notes` is registered; `<!-- checked: kept -->` where a
//! repository holds two snapshots of `./site`.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::run::args;
use crate::site::Notes;
use crate::stage::{copy, fixture, write};
use crate::world::{World, binary};

fn readme() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md"))
        .expect("it is there")
}

/// The checked blocks: what stage each wants, and its lines.
fn blocks(text: &str) -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(mark) = line.strip_prefix("<!-- checked").and_then(|l| l.strip_suffix("-->"))
        else {
            continue;
        };
        let stage = mark.trim_start_matches(':').trim().to_owned();
        let fence = lines.next().unwrap_or_default();
        assert!(fence.starts_with("```"), "a checked comment stands before a block: {fence}");
        let block = lines.by_ref().take_while(|line| !line.starts_with("```"));
        found.push((stage, block.map(str::to_owned).collect()));
    }
    found
}

/// Whether what was printed is what was promised.
fn matches(expected: &[String], printed: &[&str]) -> bool {
    match (expected.first(), printed.first()) {
        (None, None) => true,
        (Some(line), _) if line == "..." => {
            (0..=printed.len()).any(|skipped| matches(&expected[1..], &printed[skipped..]))
        }
        (Some(line), Some(said)) => {
            line_matches(line, said) && matches(&expected[1..], &printed[1..])
        }
        _ => false,
    }
}

fn line_matches(line: &str, said: &str) -> bool {
    let mut parts = line.trim_end().split("[..]");
    let said = said.trim_end();
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = said.strip_prefix(first) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    false
}

#[test]
fn every_checked_transcript_of_the_readme_happens_as_it_is_written() {
    let blocks = blocks(&readme());
    assert!(!blocks.is_empty(), "README.md has checked transcripts");
    for (stage, lines) in blocks {
        let world = World::bare();
        if stage == "notes" {
            let site = Notes::install(&world.path(""));
            world.register("notes", "sql-files", &site.root, "");
            copy(fixture("apps/sql-notes"), world.path("releases"));
        } else if stage == "kept" {
            world.snap(["init", "--no-recovery"]).ok();
            for version in ["<?php // 1", "<?php // two"] {
                write(world.path("site/config.php"), version);
                world.snap(args!["backup", world.path("site")]).ok();
            }
        } else {
            assert_eq!(stage, "", "no such stage");
        }
        let bin = world.path("bin");
        fs::create_dir(&bin).expect("ours");
        std::os::unix::fs::symlink(binary(), bin.join("snap")).expect("ours");
        let mut at = 0;
        while at < lines.len() {
            let Some(command) = lines[at].strip_prefix("$ ") else {
                panic!("a transcript begins with a command: {}", lines[at]);
            };
            let next = lines[at + 1..].iter().position(|line| line.starts_with("$ "));
            let end = next.map_or(lines.len(), |n| at + 1 + n);
            let mut shell = Command::new("sh");
            shell
                .args(["-c", &format!("exec 2>&1; {command}")])
                .env_clear()
                .envs(world.environment());
            shell.env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", bin.display()));
            shell.current_dir(world.path("")).stdin(std::process::Stdio::null());
            let run = world.start_command(shell).end();
            let printed: Vec<&str> = run.stdout.lines().collect();
            let expected = &lines[at + 1..end];
            assert!(
                matches(expected, &printed),
                "README.md promises\n{}\nbut\n{run}",
                expected.join("\n")
            );
            at = end;
        }
    }
}

#[test]
#[ignore = "needs MariaDB; bash tests/all.sh runs it"]
fn the_profile_that_the_readme_shows_is_one() {
    let (world, site) = World::with_passbolt();
    let text = readme();
    let (_, rest) = text.split_once("```toml\n").expect("README.md shows one");
    let (profile, _) = rest.split_once("```").expect("it ends");
    assert!(profile.contains("/var/www/passbolt"), "{profile}");
    let here = profile.replace("/var/www/passbolt", &site.root.display().to_string());
    write(world.path("config/apps.d/passbolt.toml"), here);
    world.snap(["app", "show", "passbolt"]).ok().says("shut by   1 switch");
}

#[test]
fn the_first_screen_says_what_it_is_and_gives_the_two_commands() {
    let text = readme();
    let first: Vec<&str> = text.lines().take(45).collect();
    let first = first.join("\n");
    assert!(first.contains("cargo run --release --locked -- demo"), "{first}");
    assert!(first.contains("bash tests/all.sh"), "{first}");
}

#[test]
fn every_exit_code_is_in_the_readme_as_help_tells_it() {
    let world = World::bare();
    let help = world.snap(["help", "exit-codes"]).ok().stdout;
    let text = readme();
    let mut codes = 0;
    for line in help.lines() {
        let mut words = line.split_whitespace();
        let (Some(code), Some(name)) = (words.next(), words.next()) else { continue };
        if code.parse::<u8>().is_ok() {
            codes += 1;
            let row = format!("| {code} | {name} |");
            assert!(text.contains(&row), "README.md lacks the row {row}");
        }
    }
    assert!(codes >= 20, "help lists its exit codes: {help}");
}

#[test]
fn a_wildcard_stands_for_what_it_says() {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    assert!(matches(&lines("a [..] c\n...\nz"), &["a b c", "1", "2", "z"]));
    assert!(matches(&lines("...\nz"), &["z"]));
    assert!(!matches(&lines("a [..] c"), &["a b d"]));
    assert!(!matches(&lines("a"), &["a", "b"]));
}
