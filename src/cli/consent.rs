//! From a wish to a transaction: its plan is shown, may be refused, and wants somebody's yes.
//!
//! ```text
//! plan → shown where somebody looks → refused: the gravest reason is the failure
//!                                   → --dry-run: that was all
//!                                   → asked → no: cancelled
//!                                           → yes: Agreed → carried out
//! ```

use crate::os::clock;
use crate::upgrade::{self, Context as Stand, Plan, RunOptions, UpgradeError, Wish};

use super::confirm::{self, Risk};
use super::context::Context;
use super::failure::{Exit, Failure};
use super::screens::outcome::{self, Deed};
use super::screens::plan as screen;
use super::text::Ink;
use super::transaction::Place;

/// What somebody wants of an application.
pub(super) struct Proposal<'a> {
    /// As it is called in the history.
    pub(super) verb: &'static str,
    pub(super) place: &'a Place<'a>,
    pub(super) stand: &'a Stand<'a>,
    pub(super) wish: Wish<'a>,
}

/// When a plan is shown to somebody who did not ask for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    Always,
    /// A script that has said yes already reads only what becomes of it.
    UnlessAgreed,
}

/// What is asked before the plan is carried out.
pub(super) struct Question<'q> {
    pub(super) risk: Risk<'q>,
    /// Completes "refusing to …".
    pub(super) doing: String,
    pub(super) words: String,
}

/// A plan that may be carried out.
///
/// There is one only after somebody has seen the plan and said yes.
#[must_use]
struct Agreed<'p>(&'p Plan);

/// How far a plan came.
enum Consent<'p> {
    /// It was to be shown, and nothing else.
    OnlyShown,
    Given(Agreed<'p>),
}

impl Proposal<'_> {
    /// What would be done. Looks; never touches.
    pub(super) fn plan(&self) -> Result<Plan, Failure> {
        Ok(self.place.progress.during(|| self.wish.plan(self.stand))?)
    }

    /// Shows the plan, asks, and carries it out.
    pub(super) fn settle(
        &self,
        plan: &Plan,
        shown: Shown,
        question: &Question<'_>,
        options: &RunOptions,
    ) -> Result<Exit, Failure> {
        let cx = self.place.cx;
        let is_asked = cx.can_ask() && !cx.global.yes;
        self.look(plan, shown == Shown::Always || cx.global.dry_run || is_asked)?;
        match consent(cx, plan, question)? {
            Consent::OnlyShown => Ok(Exit::Ok),
            Consent::Given(agreed) => self.carry_out(agreed, options),
        }
    }

    /// Carries out a saved plan: somebody looked at it when it was made, and is not asked again.
    pub(super) fn settle_saved(&self, saved: &Plan, options: &RunOptions) -> Result<Exit, Failure> {
        if !self.place.cx.global.dry_run {
            return self.carry_out(Agreed(saved), options);
        }
        // What the run itself would find: it makes the plan again, and holds it against this one.
        let now = self.plan()?;
        if let Some(what) = saved.moved(&now) {
            return Err(UpgradeError::StalePlan { what }.into());
        }
        self.look(&now, true)?;
        Ok(Exit::Ok)
    }

    /// Shows the plan, at least if it is refused; then that is the failure.
    fn look(&self, plan: &Plan, is_shown: bool) -> Result<(), Failure> {
        if is_shown || !plan.is_ready() {
            screen::show(self.place.cx, plan, false);
        }
        screen::refused(plan).map_or(Ok(()), Err)
    }

    /// Carries out what was agreed on, and says how it ended.
    fn carry_out(&self, agreed: Agreed<'_>, options: &RunOptions) -> Result<Exit, Failure> {
        let (cx, Agreed(plan)) = (self.place.cx, agreed);
        let started = clock::stopwatch();
        cx.out.remark(&format!(
            " {}\n",
            Ink::Dim.on(
                "Ctrl-C once: stop safely and put everything back. Closing this window stops nothing."
            )
        ));
        let run = || upgrade::run(self.stand, &self.wish, plan, options);
        let outcome = self.place.progress.during(run).map_err(|error| {
            let name = plan.app.name.as_str();
            Failure::from(error).with("app", name)
        })?;
        outcome::tell(cx, Deed { verb: self.verb, plan, took: started.elapsed() }, outcome)
    }
}

fn consent<'p>(
    cx: &Context<'_>,
    plan: &'p Plan,
    question: &Question<'_>,
) -> Result<Consent<'p>, Failure> {
    if cx.global.dry_run {
        return Ok(Consent::OnlyShown);
    }
    confirm::sure(cx, question.risk, &question.doing, &question.words)?;
    Ok(Consent::Given(Agreed(plan)))
}
