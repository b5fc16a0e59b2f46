//! What a transaction is asked to do, so that its plan can be made again under the lock.

use crate::app::App;

use super::UpgradeError;
use super::context::Context;
use super::plan::{Plan, PlanRequest, RestoreRequest, plan, plan_restore};

/// What somebody wants.
pub enum Wish<'a> {
    /// Another release.
    Upgrade(PlanRequest<'a>),
    /// A snapshot's state, in place.
    Restore(RestoreRequest<'a>),
}

impl<'a> Wish<'a> {
    /// The application.
    pub const fn app(&self) -> &'a App {
        match self {
            Self::Upgrade(request) => request.app,
            Self::Restore(request) => request.app,
        }
    }

    /// The plan, as things are now.
    pub fn plan(&self, ctx: &Context<'_>) -> Result<Plan, UpgradeError> {
        match self {
            Self::Upgrade(request) => plan(ctx, request),
            Self::Restore(request) => plan_restore(ctx, request),
        }
    }
}
