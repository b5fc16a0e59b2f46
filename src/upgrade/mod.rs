#![doc = include_str!("PROTOCOL.md")]

#[expect(dead_code, reason = "the run that uses all of it lands next")]
pub mod armed;
#[expect(dead_code, reason = "the run that uses all of it lands next")]
mod children;
mod context;
#[expect(dead_code, reason = "the run that uses all of it lands next")]
mod course;
#[expect(dead_code, reason = "the run that uses all of it lands next")]
mod covered;
mod error;
pub mod event;
pub mod history;
pub mod journal;
pub mod lock;
pub mod merge;
mod outcome;
pub mod plan;
#[cfg(test)]
mod protocol;
pub mod retain;
mod signals;
pub mod state;
pub mod step;
pub mod stored;
#[expect(dead_code, reason = "the run that uses all of it lands next")]
mod wanted;

pub use context::{Context, Ground};
pub use error::{UpgradeError, chain};
pub use history::{Told, history, show, unfinished};
pub use journal::Number;
pub use outcome::{Finished, Outcome};
pub use plan::{Plan, PlanRequest, Staged, plan};
pub use signals::{Signals, Stage};
