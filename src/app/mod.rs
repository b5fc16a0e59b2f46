//! Knows what an installed application is made of.
//!
//! A [`profile::Profile`] is data: a TOML file. Met with a tree it becomes an [`App`]: version,
//! paths, databases. Nothing of the application is executed to find that out.

mod account;
pub mod builtin;
pub mod catalog;
pub mod config;
pub mod credentials;
pub mod detect;
mod error;
pub mod files;
pub mod hook;
mod installed;
pub mod maintenance;
pub mod pending;
pub mod probe;
pub mod profile;
pub mod purge;
pub mod release;
pub mod rules;
pub mod sql_files;
#[cfg(test)]
mod tests;
mod variables;
pub mod version;

pub use account::Account;
pub use error::AppError;
pub use installed::{App, Area};
