//! Step 8: the application's own migration, and what is asked of it before and after.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use crate::app::App;
use crate::app::credentials::AppDatabase;
use crate::app::files::{Files, Live};
use crate::app::pending;
use crate::app::profile::{Expect, HookPoint, MigrateRun, MigrateStep, PromptRule, Vars};
use crate::app::sql_files::MIGRATE_VERB;
use crate::app::version::AppVersion;
use crate::database::Address;

use super::UpgradeError;
use super::arm::Ready;
use super::armed::Armed;
use super::children::{Command, Nursery};
use super::course::Course;
use super::plan::PlannedRelease;
use super::run::RunOptions;

/// How often a question that was answered on the command line may come.
const TYPED_ANSWERS_MAX: u32 = 16;

/// A status command only reads.
const STATUS_TIMEOUT: Duration = Duration::from_mins(2);

/// Runs every step of the migration that applies. Only who is armed may.
pub(super) fn migrate(
    _armed: &Armed,
    course: &mut Course<'_>,
    nursery: &Nursery,
    app: &App,
    release: &PlannedRelease,
    options: &RunOptions,
) -> Result<String, UpgradeError> {
    let to = version_of(app, release)?;
    let vars = app.vars_for(&to, &course.number().to_string());
    nursery.hooks(course, app, &vars, HookPoint::BeforeMigrate)?;
    let live = Live::open(&app.root)?;
    let mut ran = 0;
    for step in app.profile.migrate.iter().filter(|step| runs(step, app, release)) {
        let account = app.account(&live)?;
        let prompts = prompts(step, options);
        let command = Command {
            what: format!("migration {}", ran + 1),
            argv: argv(course, app, step, &vars)?,
            dir: &app.root,
            account: Some(&account),
            env: Vec::new(),
            expect: &step.expect,
            prompts: &prompts,
            idle_timeout: step.idle_timeout,
            timeout: step.timeout,
        };
        nursery.run(course, &command)?;
        ran += 1;
    }
    Ok(match ran {
        0 => "this release needs none".to_owned(),
        1 => "1 command".to_owned(),
        many => format!("{many} commands"),
    })
}

/// The version that a release declared when it was planned.
pub(super) fn version_of(app: &App, release: &PlannedRelease) -> Result<AppVersion, UpgradeError> {
    AppVersion::parse(&release.version, app.profile.scheme)
        .map_err(|_| UpgradeError::NoRelease { id: release.version.clone() })
}

fn runs(step: &MigrateStep, app: &App, release: &PlannedRelease) -> bool {
    step.when.holds(&app.layout, &release.layout)
}

/// What was typed goes before the profile's rules.
fn prompts(step: &MigrateStep, options: &RunOptions) -> Vec<PromptRule> {
    let typed = options.answers.iter().map(|(pattern, answer)| PromptRule {
        pattern: pattern.clone(),
        answer: answer.clone(),
        max: TYPED_ANSWERS_MAX,
        fails: false,
    });
    typed.chain(step.prompts.iter().cloned()).collect()
}

fn argv(
    course: &Course<'_>,
    app: &App,
    step: &MigrateStep,
    vars: &Vars,
) -> Result<Vec<OsString>, UpgradeError> {
    match &step.run {
        MigrateRun::Command(words) => {
            let words = words.iter().map(|word| word.fill(vars).map(OsString::from));
            Ok(words.collect::<Result<_, _>>()?)
        }
        MigrateRun::Sql { glob, table, database } => {
            let file = database_file(app, database)?;
            let dir = Path::new(glob).parent().unwrap_or(Path::new(""));
            let program = course.ground.trampoline.program().as_os_str().to_owned();
            Ok(vec![
                program,
                MIGRATE_VERB.into(),
                "--database".into(),
                file.into(),
                "--files".into(),
                app.root.join(dir).into(),
                "--table".into(),
                table.into(),
            ])
        }
    }
}

fn database_file<'a>(app: &'a App, name: &str) -> Result<&'a Path, UpgradeError> {
    match app.database(name).map(|database: &AppDatabase| &database.address) {
        Some(Address::Sqlite(path)) => Ok(path),
        Some(Address::MySql(_)) | None => {
            Err(UpgradeError::NoMigrator { database: name.to_owned() })
        }
    }
}

/// What the live tree declares now.
pub(super) fn declared_version(app: &App) -> Result<String, UpgradeError> {
    let live = Live::open(&app.root)?;
    let declared = crate::app::detect::declared(&app.profile, &live as &dyn Files)?;
    Ok(declared.version.as_str().to_owned())
}

/// What is pending although the migration has run: rows decide, and the application's own status.
pub(super) fn still_pending(
    course: &mut Course<'_>,
    nursery: &Nursery,
    ready: &mut Ready<'_>,
    app: &App,
) -> Result<Vec<String>, UpgradeError> {
    let live = Live::open(&app.root)?;
    let databases = &mut ready.home.covered.databases;
    let mut left: Vec<String> = pending::scan(app, &live, databases)?
        .into_iter()
        .map(|one| format!("migration {} is still pending", one.id))
        .collect();
    // Its exit code says nothing; what it prints does.
    let expect = Expect { exit: (0..=255).collect(), must: None, must_not: None };
    for status in pending::status_commands(app) {
        let account = app.account(&live)?;
        let words = status.argv.iter().map(|word| word.fill(&app.vars).map(OsString::from));
        let command = Command {
            what: "status of migrations".to_owned(),
            argv: words.collect::<Result<_, _>>()?,
            dir: &app.root,
            account: Some(&account),
            env: Vec::new(),
            expect: &expect,
            prompts: &[],
            idle_timeout: STATUS_TIMEOUT,
            timeout: STATUS_TIMEOUT,
        };
        let output = nursery.run(course, &command)?;
        if status.says_pending(&output) {
            left.push("the application says that migrations are still pending".to_owned());
        }
    }
    Ok(left)
}
