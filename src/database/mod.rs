//! Dumps, loads and fingerprints databases.
