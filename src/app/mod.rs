//! Knows what an installed application is made of.

pub mod version;
