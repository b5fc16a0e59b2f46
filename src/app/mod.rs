//! Knows what an installed application is made of.
