//! The database part against a real MariaDB server.
//!
//! Every test here is ignored by plain `cargo test`; `bash tests/all.sh` starts a private server
//! and runs them. By hand: `bash tests/all.sh --with-servers cargo test --test mariadb -- --ignored`.
//!
//! The oracle is not ours: `CHECKSUM TABLE`, the text of `mariadb-dump`, `information_schema`.

#![expect(clippy::disallowed_methods, reason = "a test plays the application and the operator")]
#![expect(clippy::print_stdout, reason = "figures")]
#![expect(clippy::unwrap_used, reason = "whatever fails here fails the test")]

mod large;
mod oracle;
mod point;
mod refusals;
mod restore;
mod roundtrip;
mod world;
