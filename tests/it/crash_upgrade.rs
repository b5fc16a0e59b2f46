//! Wherever an upgrade dies, after `recover` the site is wholly old or wholly new, and open.

use snap_backup::os::crash::CrashPoint;

use crate::arena::{Act, Arena, Kill, campaign, is_full};

fn kill(act: Act, crash: String) -> Kill {
    Kill { act, crash, in_recovery: Vec::new() }
}

/// Every hit of every point.
fn every_hit(arena: &Arena) -> Vec<Kill> {
    let mut kills = Vec::new();
    for act in arena.acts() {
        for (point, hits) in arena.points(*act) {
            kills.extend((1..=hits).map(|hit| kill(*act, format!("{point}:{hit}"))));
        }
    }
    kills
}

/// The first and the last hit of every point.
fn first_and_last(arena: &Arena) -> Vec<Kill> {
    let mut kills = Vec::new();
    for act in arena.acts() {
        for (point, hits) in arena.points(*act) {
            kills.push(kill(*act, format!("{point}:1")));
            if hits > 1 {
                kills.push(kill(*act, format!("{point}:{hits}")));
            }
        }
    }
    kills
}

/// Points at which recovery dies after the transaction died: all, or in a sample one for each
/// kill, another one each time.
fn doubled(kills: &[Kill]) -> Vec<Kill> {
    let points: Vec<String> = CrashPoint::ALL.iter().map(|p| format!("{}:1", p.name())).collect();
    let mut doubled = Vec::new();
    for (n, first) in kills.iter().enumerate() {
        let seconds: Vec<&String> =
            if is_full() { points.iter().collect() } else { vec![&points[n * 7 % points.len()]] };
        for second in seconds {
            let mut kill = first.clone();
            kill.in_recovery = vec![second.clone()];
            doubled.push(kill);
        }
    }
    doubled
}

/// At most so many of them, spread over all.
fn sample(kills: Vec<Kill>, most: usize) -> Vec<Kill> {
    let each = if is_full() { 1 } else { kills.len().div_ceil(most).max(1) };
    kills.into_iter().step_by(each).collect()
}

#[test]
#[ignore = "long; bash tests/all.sh runs it"]
fn wherever_an_upgrade_on_sqlite_dies_the_site_is_wholly_old_or_wholly_new() {
    let arena = Arena::sqlite();
    let kills = every_hit(&arena);
    campaign("SQLite, every hit", vec![arena, Arena::sqlite()], kills);
}

#[test]
#[ignore = "long; bash tests/all.sh runs it"]
fn wherever_recovery_on_sqlite_dies_too_it_ends_the_same() {
    let arena = Arena::sqlite();
    let kills = doubled(&first_and_last(&arena));
    campaign("SQLite, killed again in recover", vec![arena, Arena::sqlite()], kills);
}

#[test]
#[ignore = "long; bash tests/all.sh runs it"]
fn wherever_a_restore_in_place_dies_the_site_is_wholly_old_or_wholly_new() {
    let arena = Arena::restore();
    let kills = every_hit(&arena);
    campaign("restore in place", vec![arena, Arena::restore()], kills);
}

#[test]
#[ignore = "needs MariaDB and PHP; bash tests/all.sh runs it"]
fn wherever_an_upgrade_on_mariadb_dies_the_site_is_wholly_old_or_wholly_new() {
    let arena = Arena::mariadb();
    let kills = if is_full() { every_hit(&arena) } else { first_and_last(&arena) };
    campaign("MariaDB, first and last hit", vec![arena, Arena::mariadb()], kills);
}

#[test]
#[ignore = "needs MariaDB and PHP; bash tests/all.sh runs it"]
fn wherever_recovery_on_mariadb_dies_too_it_ends_the_same() {
    let arena = Arena::mariadb();
    let kills = sample(doubled(&first_and_last(&arena)), 24);
    campaign("MariaDB, killed again in recover", vec![arena, Arena::mariadb()], kills);
}

/// Where a schema's triggers and views are taken away and put back.
const OF_TRIGGERS: [&str; 4] =
    ["object-dropped", "views-created", "trigger-created", "triggers-created"];

#[test]
#[ignore = "needs MariaDB and PHP; bash tests/all.sh runs it"]
fn wherever_triggers_are_being_put_back_a_death_leaves_none_behind_and_none_out() {
    let arena = Arena::triggers();
    let met = arena.points(Act::Failing);
    let met = |name: &str| met.iter().find(|(point, _)| point == name).map_or(0, |(_, hits)| *hits);
    assert!(met("trigger-created") >= 3, "the undo puts three triggers back");
    let kills: Vec<Kill> = OF_TRIGGERS
        .iter()
        .flat_map(|point| (1..=met(point)).map(move |hit| format!("{point}:{hit}")))
        .map(|crash| kill(Act::Failing, crash))
        .collect();
    let again = kills
        .clone()
        .into_iter()
        .map(|first| Kill { in_recovery: vec!["trigger-created:2".to_owned()], ..first });
    let kills = sample(kills.iter().cloned().chain(again).collect(), 12);
    campaign("MariaDB, triggers put back", vec![arena, Arena::triggers()], kills);
}

/// Where `git_checkout` kills.
pub(crate) const CHECKOUT: &str = "checkout-index";

/// A point that no transaction meets tests nothing.
#[test]
#[ignore = "needs MariaDB and PHP; bash tests/all.sh runs it"]
fn every_crash_point_is_met_by_some_transaction() {
    let mut met = std::collections::BTreeSet::new();
    for arena in [Arena::sqlite(), Arena::triggers(), Arena::restore()] {
        for act in arena.acts() {
            met.extend(arena.points(*act).into_iter().map(|(point, _)| point));
        }
    }
    // No transaction prunes; `crash_prune` sees that all of those are met.
    let wanted =
        CrashPoint::ALL.iter().map(|p| p.name()).filter(|name| !name.starts_with("prune-"));
    let never: std::collections::BTreeSet<&str> =
        wanted.filter(|name| !met.contains(*name)).collect();
    // These need an undo that fails, a site that is a git checkout, or a damaged repository.
    let elsewhere = crate::undo_fails::POINTS.into_iter().chain([CHECKOUT]);
    let elsewhere = elsewhere.chain(crate::repairing::POINTS).collect();
    assert_eq!(never, elsewhere, "points that none of these transactions meets");
}
