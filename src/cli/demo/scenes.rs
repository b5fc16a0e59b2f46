//! The scenes, in order. Each is one line on the screen, and holds at least one identity.

use std::time::Duration;

use crate::cli::again::Ended;
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::render::{self, count};
use crate::cli::text::{self, Ink};
use crate::os::clock;

use super::house::{House, Mischief, broken};
use super::oracle::{self, Seen};
use super::{kills, site};

/// Plays all of them; the first identity that does not hold ends it.
pub(super) fn play(cx: &Context<'_>, house: &House) -> Result<(), Failure> {
    let pristine = the_app(cx, house)?;
    init(cx, house)?;
    let snapshot = backup(cx, house, &pristine)?;
    plan(cx, house, &pristine)?;
    let new = good(cx, house)?;
    failing(cx, house, &new)?;
    kills::play(cx, house, &pristine, &new)?;
    back(cx, house, &snapshot, &pristine)
}

fn the_app(cx: &Context<'_>, house: &House) -> Result<Seen, Failure> {
    let files = count(site::file_count(site::INSTALLED) as u64);
    say(
        cx,
        1,
        "an application",
        &format!("notes {}, {files} files, 5,000 rows", site::INSTALLED),
        None,
    );
    let whose = match house.owner {
        Some(_) => "its files belong to nobody, and it migrates as nobody",
        None => "you are not root: it belongs to you and migrates as you",
    };
    more(cx, whose);
    look(house)
}

fn init(cx: &Context<'_>, house: &House) -> Result<(), Failure> {
    let (ended, took) = timed(|| house.must(0, &words("init --no-recovery")))?;
    let id = ended.text("initialized", "id");
    let id = id.get(..6).unwrap_or_default();
    say(cx, 2, "snap init", &format!("repository {id}, encrypted, key file there"), Some(took));
    Ok(())
}

fn backup(cx: &Context<'_>, house: &House, pristine: &Seen) -> Result<String, Failure> {
    let (ended, took) = timed(|| house.must(0, &words("backup --app notes")))?;
    let snapshot = ended.text("summary", "snapshot_id");
    let files = count(ended.number("summary", "total_files_processed"));
    let size = render::size(ended.number("summary", "total_bytes_processed"));
    let stored = render::size(ended.number("summary", "data_added_packed"));
    let short = snapshot.get(..6).unwrap_or_default();
    let line = format!("{short}  {files} files, {size}, stored {stored}");
    say(cx, 3, "snap backup", &line, Some(took));
    same(house, pristine, "the backup")?;
    Ok(snapshot)
}

fn plan(cx: &Context<'_>, house: &House, pristine: &Seen) -> Result<(), Failure> {
    let (ended, took) = timed(|| house.must(0, &to(house, "plan", site::GOOD)))?;
    let plan = ended.last("plan").cloned().unwrap_or_default();
    let fates = |wanted: &[&str]| {
        let all = plan["plan"]["fates"].as_array();
        let fate = |one: &&serde_json::Value| one[1].as_str().is_some_and(|f| wanted.contains(&f));
        all.map_or(0, |all| all.iter().filter(fate).count())
    };
    let pending = plan["plan"]["pending"].as_array().map_or(0, Vec::len);
    let line = format!(
        "{} → {} {}: +{} ~{} -{}, {pending} migrations",
        plan["from"].as_str().unwrap_or("?"),
        plan["to"].as_str().unwrap_or("?"),
        plan["class"].as_str().unwrap_or("?"),
        fates(&["added", "restored"]),
        fates(&["changed"]),
        fates(&["removed"]),
    );
    say(cx, 4, "snap plan", &line, Some(took));
    same(house, pristine, "the plan")
}

fn good(cx: &Context<'_>, house: &House) -> Result<Seen, Failure> {
    let config = config(house)?;
    let (ended, took) = timed(|| {
        let arguments = agreed(to(house, "upgrade", site::GOOD));
        house.must_under(0, &arguments, Mischief::Note(&kills::notes(house, site::GOOD)))
    })?;
    let passed = ended.number("txn_end", "checks_passed");
    let line = format!("✓ {}, {passed} checks passed, config.php untouched", site::GOOD);
    say(cx, 5, "snap upgrade", &line, Some(took));
    if self::config(house)? != config {
        return Err(broken("config.php was changed by the upgrade"));
    }
    if !ended.lines.iter().any(|line| {
        let said = line["line"].as_str().unwrap_or_default();
        line["message_type"] == "child_output" && said.contains("anonymous usage statistics")
    }) {
        return Err(broken("the migration did not ask its question"));
    }
    look(house)
}

fn failing(cx: &Context<'_>, house: &House, before: &Seen) -> Result<(), Failure> {
    let (ended, took) = timed(|| {
        let arguments = agreed(to(house, "upgrade", site::BROKEN));
        house.must_under(20, &arguments, Mischief::Note(&kills::notes(house, site::BROKEN)))
    })?;
    say(cx, 6, "snap upgrade 1.4.0", "✗ its migration fails on purpose: rolled back", Some(took));
    let done = ended.last("rollback_done").cloned().unwrap_or_default();
    let pair = |one: &serde_json::Value| {
        let digit =
            |side: &str| one[side].as_str().and_then(|d| d.get(..9)).unwrap_or("?").to_owned();
        format!("{}… = {}…", digit("before"), digit("after"))
    };
    let database = done["fingerprints"].as_object().and_then(|all| all.values().next().cloned());
    let database = database.unwrap_or_default();
    more(cx, &format!("files {}   database {}", pair(&done["digest"]), pair(&database)));
    if done["identical"] != true {
        return Err(broken("the rollback does not say that everything is identical"));
    }
    same(house, before, "the upgrade that failed")
}

fn back(cx: &Context<'_>, house: &House, snapshot: &str, pristine: &Seen) -> Result<(), Failure> {
    let target = house.root.join("back");
    let (_, took) = timed(|| {
        let target = target.display().to_string();
        house.must(0, &words_and("restore", &[snapshot, "--target", &target]))?;
        house.must(0, &words("check --read-data"))
    })?;
    let inside = house.app().strip_prefix("/").map(|app| target.join(app)).unwrap_or_default();
    let restored = oracle::look(&inside).map_err(|error| {
        broken("the restored application cannot be looked at").because(error.to_string())
    })?;
    if restored != *pristine {
        return Err(broken("what was restored is not what was backed up"));
    }
    say(
        cx,
        8,
        "snap restore, check",
        "the first backup is back, bit for bit; no damage",
        Some(took),
    );
    Ok(())
}

/// The arguments that lead to a release.
pub(super) fn to(house: &House, verb: &str, version: &str) -> Vec<String> {
    let release = |version: &str| house.release(version).display().to_string();
    let base = release(site::INSTALLED);
    let from = release(version);
    let mut words = words_and(verb, &["--app", "notes", "--from-dir", &from]);
    if version == site::GOOD {
        // Later ones know their base: it is what was upgraded to.
        words.extend(words_and("--base", &[&base]));
    }
    words
}

/// The same with every question answered by yes.
pub(super) fn agreed(mut arguments: Vec<String>) -> Vec<String> {
    arguments.push("--yes".to_owned());
    arguments
}

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

fn words_and(verb: &str, arguments: &[&str]) -> Vec<String> {
    std::iter::once(&verb).chain(arguments).map(|word| (*word).to_owned()).collect()
}

/// What the oracle sees now.
pub(super) fn look(house: &House) -> Result<Seen, Failure> {
    oracle::look(&house.app())
        .map_err(|error| broken("the application cannot be looked at").because(error.to_string()))
}

/// The oracle must see no difference.
fn same(house: &House, before: &Seen, doing: &str) -> Result<(), Failure> {
    let now = look(house)?;
    for (what, before, now) in
        [("files", before.files, now.files), ("database", before.database, now.database)]
    {
        if before != now {
            return Err(broken(format!("{doing} left other {what} than it found")));
        }
    }
    Ok(())
}

fn config(house: &House) -> Result<Vec<u8>, Failure> {
    std::fs::read(house.app().join("config.php"))
        .map_err(|error| broken("config.php is gone").because(error.to_string()))
}

/// A scene's line on the screen.
pub(super) fn say(cx: &Context<'_>, number: u8, name: &str, words: &str, took: Option<Duration>) {
    let took = took.map_or_else(String::new, render::took);
    let width = 58usize.saturating_sub(text::width(words));
    let line = format!(" {} {name:<19} {words}{took:>width$}", Ink::Dim.on(number));
    cx.out.print(&format!("{}\n", line.trim_end()));
    let fields = serde_json::json!({ "scene": number, "name": name });
    cx.out.message("scene", crate::cli::output::Level::Info, words, fields);
}

/// A line below it.
fn more(cx: &Context<'_>, words: &str) {
    cx.out.print(&format!("     {words}\n"));
}

/// Does `work` and says how long it took.
pub(super) fn timed(
    work: impl FnOnce() -> Result<Ended, Failure>,
) -> Result<(Ended, Duration), Failure> {
    let started = clock::stopwatch();
    work().map(|done| (done, started.elapsed()))
}
