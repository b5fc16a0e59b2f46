#![doc = include_str!("PROTOCOL.md")]

mod arm;
pub mod armed;
mod begin;
mod change;
mod children;
mod context;
mod course;
mod covered;
mod ending;
mod error;
pub mod event;
pub mod history;
pub mod journal;
pub mod lock;
pub mod merge;
mod migrate;
mod outcome;
pub mod plan;
mod probes;
#[cfg(test)]
mod protocol;
mod quiet;
mod recover;
mod restore;
pub mod retain;
mod rollback;
mod run;
mod safety;
mod services;
mod signals;
pub mod state;
pub mod step;
pub mod stored;
#[cfg(test)]
mod tests;
mod verify;
mod wanted;
mod wish;

pub use context::{Context, Ground};
pub use error::{UpgradeError, chain};
pub use history::{Told, history, show, unfinished};
pub use journal::Number;
pub use outcome::{Finished, Outcome};
pub use plan::{Plan, PlanRequest, RestoreRequest, Staged, plan, plan_restore};
pub use recover::{Decision, RecoverRequest, decisions, recover};
pub use run::{RunOptions, run};
pub use signals::{Signals, Stage};
pub use wish::Wish;
