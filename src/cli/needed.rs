//! What transactions of this machine still need, and how that is said.

use std::collections::BTreeMap;

use crate::os::clock;
use crate::repository::ObjectId;
use crate::upgrade::history;
use crate::upgrade::retain::{Need, Needed, needed};

use super::context::Context;
use super::failure::Failure;

/// The snapshots that they need. A journal that cannot be read is no empty journal.
pub(super) fn needed_here(cx: &Context<'_>) -> Result<BTreeMap<ObjectId, Needed>, Failure> {
    // Where there is no place for a state there is no journal.
    let Ok(state) = cx.directories.state() else { return Ok(BTreeMap::new()) };
    Ok(needed(history(state)?, clock::now().0))
}

/// Why one of them must stay.
pub(super) fn why(by: &Needed) -> String {
    let (number, app) = (by.transaction, &by.app);
    match by.need {
        Need::Open => format!("{number} of {app} is not finished"),
        Need::WayBack => format!("it is the way back of {number} of {app}"),
        Need::Release => format!("{app} is made of it, or would be after a rollback"),
    }
}
