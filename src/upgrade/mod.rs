#![doc = include_str!("PROTOCOL.md")]

pub mod event;
pub mod journal;
pub mod merge;
#[cfg(test)]
mod protocol;
pub mod state;
pub mod step;
pub mod stored;
