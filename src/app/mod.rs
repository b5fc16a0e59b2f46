//! Knows what an installed application is made of.

pub mod builtin;
pub mod config;
mod error;
pub mod files;
pub mod profile;
pub mod version;

pub use error::AppError;
