//! Canaries: what must not be told is looked for everywhere it could have been told.

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::run::args;
use crate::stage::{copy, fixture};
use crate::world::World;

#[test]
#[ignore = "needs MariaDB and PHP; bash tests/all.sh runs it"]
fn no_secret_shows_in_arguments_environments_output_logs_journal_or_files() {
    let (world, site) = World::with_passbolt();
    let failing = world.path("failing");
    copy(fixture("apps/passbolt-v1/1.3.2"), &failing);
    copy(fixture("apps/passbolt-v1/overlays/tells-secrets"), &failing);
    let secrets =
        [site.schema.password.clone(), "salt-canary-93b0qy".into(), "key-canary-1f0c66".into()];
    let base = fixture("apps/passbolt-v1/1.1.0");
    let upgrade = |from: &std::path::Path| {
        args!["upgrade", "--app", "passbolt", "--from-dir", from, "--base", base, "--yes", "-vvv"]
    };
    let commands = [
        args!["app", "show", "passbolt"],
        args!["backup", "--app", "passbolt", "-vvv"],
        args!["plan", "--app", "passbolt", "--from-dir", failing, "--base", base],
        upgrade(&failing),
        upgrade(&fixture("apps/passbolt-v1/1.3.2")),
        args!["history"],
        args!["show", "T1"],
        args!["show", "T1", "--step", "8"],
    ];
    let (done, mut runs) = (AtomicBool::new(false), Vec::new());
    let told = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| watch(&secrets, &done));
        // Nothing is asserted before the watcher has been told to end: it would wait for ever.
        runs.extend(commands.iter().map(|command| world.snap(command)));
        done.store(true, Ordering::Relaxed);
        watcher.join().expect("the watcher does not panic")
    });
    for run in &runs {
        assert!([0, 20].contains(&run.code()), "{run}");
        for secret in &secrets {
            assert!(!run.to_string().contains(secret.as_str()), "{secret} was said: {run}");
        }
    }
    assert_eq!(told, BTreeSet::new(), "processes that carried a secret");
    for dir in ["config", "state", "cache", "run", "tmp", "repository", "output"] {
        for entry in walkdir::WalkDir::new(world.path(dir)) {
            let entry = entry.expect("readable");
            if !entry.file_type().is_file() {
                continue;
            }
            let bytes = fs::read(entry.path()).expect("readable");
            for secret in &secrets {
                let found = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
                assert!(!found, "{secret} is in {}", entry.path().display());
            }
        }
    }
    assert_eq!(crate::keys::readable_by_others(&world), [""; 0]);
}

/// Looks at every process over and over; the command lines and environments with a secret in them.
fn watch(secrets: &[String], done: &AtomicBool) -> BTreeSet<String> {
    let mut told = BTreeSet::new();
    while !done.load(Ordering::Relaxed) {
        for entry in fs::read_dir("/proc").expect("there is a /proc").flatten() {
            for part in ["cmdline", "environ"] {
                let Ok(bytes) = fs::read(entry.path().join(part)) else { continue };
                let text = String::from_utf8_lossy(&bytes).replace('\0', " ");
                // The test's own clients of the database are no children of snap.
                if text.contains("MYSQL_PWD") {
                    continue;
                }
                if secrets.iter().any(|secret| text.contains(secret.as_str())) {
                    told.insert(format!("{part}: {text}"));
                }
            }
        }
    }
    told
}
