//! Knows what an installed application is made of.

pub mod builtin;
mod error;
pub mod profile;
pub mod version;

pub use error::AppError;
