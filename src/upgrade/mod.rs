#![doc = include_str!("PROTOCOL.md")]

mod context;
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

pub use context::{Context, Ground};
pub use error::{UpgradeError, chain};
pub use history::{Told, history, show, unfinished};
pub use journal::Number;
pub use outcome::{Finished, Outcome};
pub use plan::Plan;
pub use signals::{Signals, Stage};
