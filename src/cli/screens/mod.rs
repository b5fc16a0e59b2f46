//! What a transaction looks like: before, after, and in history.

#[expect(dead_code, reason = "the verbs of transactions need it")]
pub(super) mod outcome;
pub(super) mod plan;
pub(super) mod proof;
pub(super) mod told;
