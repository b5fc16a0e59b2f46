//! What a transaction looks like: before, after, and in history.

pub(super) mod outcome;
mod pattern;
pub(super) mod plan;
pub(super) mod proof;
pub(super) mod told;
