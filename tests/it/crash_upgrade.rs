//! Wherever an upgrade dies, after `recover` the site is wholly old or wholly new, and open.

use snap_backup::os::crash::CrashPoint;

use crate::arena::{Arena, Kill, Upgrade, campaign, is_full};

fn kill(upgrade: Upgrade, crash: String) -> Kill {
    Kill { upgrade, crash, in_recovery: Vec::new() }
}

/// Every hit of every point.
fn every_hit(arena: &Arena) -> Vec<Kill> {
    let mut kills = Vec::new();
    for upgrade in [Upgrade::Good, Upgrade::Failing] {
        for (point, hits) in arena.points(upgrade) {
            kills.extend((1..=hits).map(|hit| kill(upgrade, format!("{point}:{hit}"))));
        }
    }
    kills
}

/// The first and the last hit of every point.
fn first_and_last(arena: &Arena) -> Vec<Kill> {
    let mut kills = Vec::new();
    for upgrade in [Upgrade::Good, Upgrade::Failing] {
        for (point, hits) in arena.points(upgrade) {
            kills.push(kill(upgrade, format!("{point}:1")));
            if hits > 1 {
                kills.push(kill(upgrade, format!("{point}:{hits}")));
            }
        }
    }
    kills
}

/// Points at which recovery dies after the upgrade died: all, or in a sample one for each kill,
/// another one each time.
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
    let mut kills = doubled(&first_and_last(&arena));
    if !is_full() {
        let each = kills.len().div_ceil(24).max(1);
        kills = kills.into_iter().step_by(each).collect();
    }
    campaign("MariaDB, killed again in recover", vec![arena, Arena::mariadb()], kills);
}

/// A point that no run of any verb meets tests nothing.
#[test]
#[ignore = "needs MariaDB and PHP; bash tests/all.sh runs it"]
fn every_crash_point_is_met_by_some_upgrade() {
    let arenas = [Arena::sqlite(), Arena::mariadb()];
    let met = |point: &CrashPoint| {
        let by = |arena: &Arena| {
            [Upgrade::Good, Upgrade::Failing].iter().any(|u| arena.hits(*u, point.name()) > 0)
        };
        arenas.iter().any(by)
    };
    let never: Vec<&str> =
        CrashPoint::ALL.iter().filter(|point| !met(point)).map(|point| point.name()).collect();
    assert_eq!(never, NOT_IN_AN_UPGRADE, "points that no upgrade meets");
}

/// Points of other verbs; their own tests kill there.
const NOT_IN_AN_UPGRADE: [&str; 0] = [];
