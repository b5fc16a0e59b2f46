//! Children of a transaction: recorded before they do anything, heard, kept as transcripts.

use std::ffi::OsString;
use std::time::Duration;

use crate::app::Account;
use crate::app::App;
use crate::app::hook::{self, Around, Failure, Redactor};
use crate::app::profile::{Expect, HookFailure, HookPoint, HookRule, PromptRule, Vars};
use crate::os::file;
use crate::os::host::ProcessMark;
use crate::os::process::{ChildMark, kill_orphans};

use super::UpgradeError;
use super::course::Course;
use super::event::{ChildStarted, Event};
use super::journal::Transaction;

/// How long ending what outlived us may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A command of the application or the operator, within a transaction.
pub(super) struct Command<'a> {
    /// For messages and the journal.
    pub(super) what: String,
    pub(super) argv: Vec<OsString>,
    pub(super) dir: &'a std::path::Path,
    pub(super) account: Option<&'a Account>,
    pub(super) env: Vec<(OsString, OsString)>,
    pub(super) expect: &'a Expect,
    pub(super) prompts: &'a [PromptRule],
    pub(super) idle_timeout: Duration,
    pub(super) timeout: Duration,
}

/// What all children of one transaction share.
pub(super) struct Nursery {
    /// What must not be shown or kept.
    pub(super) redactor: Redactor,
    /// Whether somebody may end them: not while something is put back.
    pub(super) heeds_signals: bool,
}

impl Nursery {
    /// Children of `app`; its passwords are taken out of all that they say.
    pub(super) fn of(app: &App, heeds_signals: bool) -> Self {
        Self { redactor: Redactor::of(app), heeds_signals }
    }

    /// Runs `command` to its end; its transcript is appended to the step's.
    pub(super) fn run(
        &self,
        course: &mut Course<'_>,
        command: &Command<'_>,
    ) -> Result<String, UpgradeError> {
        let ground = course.ground;
        let token = course.header.token_hex();
        let cancelled = || self.heeds_signals && ground.signals.asked().is_some();
        let around = Around {
            trampoline: ground.trampoline,
            token: &token,
            redactor: &self.redactor,
            monitor: ground.monitor,
            cancelled: &cancelled,
        };
        let step = hook::Step {
            argv: command.argv.clone(),
            dir: command.dir,
            account: command.account,
            env: command.env.clone(),
            expect: command.expect,
            prompts: command.prompts,
            idle_timeout: command.idle_timeout,
            timeout: command.timeout,
        };
        let what = command.what.clone();
        let mut started = |mark: &ChildMark| {
            course.record(&started_event(&what, mark)).map_err(|error| Box::new(error).into())
        };
        let ran = hook::run(&step, &around, &mut started);
        let text = ran.transcript.text();
        keep(course, &command.what, &text);
        match ran.outcome {
            Ok(_) => Ok(text),
            Err(Failure::Cancelled) => {
                course.heed_signals()?;
                Err(UpgradeError::Child { what: command.what.clone(), source: Failure::Cancelled })
            }
            Err(source) => Err(UpgradeError::Child { what: command.what.clone(), source }),
        }
    }

    /// Runs the operator's commands for one point.
    pub(super) fn hooks(
        &self,
        course: &mut Course<'_>,
        app: &App,
        vars: &Vars,
        at: HookPoint,
    ) -> Result<(), UpgradeError> {
        let expect = Expect { exit: vec![0], must: None, must_not: None };
        for rule in app.profile.hooks.iter().filter(|rule| rule.at == at) {
            let command = hook_command(app, vars, rule, &expect)?;
            let Err(error) = self.run(course, &command) else { continue };
            match rule.on_failure {
                HookFailure::Abort => return Err(error),
                HookFailure::Warn => course.warn(super::chain(&error).join(": ")),
                HookFailure::Ignore => {}
            }
        }
        Ok(())
    }
}

fn hook_command<'a>(
    app: &'a App,
    vars: &Vars,
    rule: &HookRule,
    expect: &'a Expect,
) -> Result<Command<'a>, UpgradeError> {
    let words = rule.run.iter().map(|word| word.fill(vars).map(OsString::from));
    let argv: Vec<OsString> = words.collect::<Result<_, _>>()?;
    let program = argv.first().map(|word| word.to_string_lossy().into_owned());
    Ok(Command {
        what: format!("hook {}", program.unwrap_or_default()),
        argv,
        dir: &app.root,
        account: None,
        env: Vec::new(),
        expect,
        prompts: &[],
        idle_timeout: rule.timeout,
        timeout: rule.timeout,
    })
}

pub(super) fn started_event(what: &str, mark: &ChildMark) -> Event {
    Event::ChildStarted(ChildStarted {
        what: what.to_owned(),
        pid: mark.process.pid,
        process_started: mark.process.started_ticks,
        session: mark.session(),
        boot_id: mark.boot_id.clone(),
    })
}

/// Appends to the transcript of the running step; losing one fails nothing.
fn keep(course: &Course<'_>, what: &str, text: &str) {
    let dir = course.ground.directory_of(course.number());
    let step = course.step.map_or(0, super::step::Step::number);
    let name = format!("step-{step}.log");
    let earlier = std::fs::read_to_string(dir.join(&name)).unwrap_or_default();
    let whole = format!("{earlier}$ {what}\n{text}");
    let kept = file::create_dirs(&dir, 0o700)
        .and_then(|()| file::replace(&dir, &name, whole.as_bytes(), 0o600));
    if let Err(error) = kept {
        course.warn(format!("the transcript of {what} could not be kept: {error}"));
    }
}

/// Ends every process that a transaction started and that is still there.
pub(super) fn end_orphans(transaction: &Transaction) -> Result<usize, UpgradeError> {
    let recorded: Vec<ChildMark> = transaction
        .events
        .iter()
        .filter_map(|recorded| match &recorded.event {
            Event::ChildStarted(child) => Some(ChildMark {
                process: ProcessMark { pid: child.pid, started_ticks: child.process_started },
                boot_id: child.boot_id.clone(),
            }),
            _ => None,
        })
        .collect();
    kill_orphans(&transaction.header.token_hex(), &recorded, PATIENCE)
        .map_err(UpgradeError::Outlived)
}
