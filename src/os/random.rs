//! Bytes that nobody can foretell.

use std::io;

use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};

/// Fills `bytes` from the kernel's generator.
///
/// Not through the cipher's library: that one first gathers entropy of its own from the jitter of
/// the clock, which took 20 ms of every command (all of `init`, more than an unchanged backup of a
/// small tree), for a few names and keys that the kernel gives in a microsecond.
pub fn fill(bytes: &mut [u8]) -> io::Result<()> {
    let mut filled = 0;
    while filled < bytes.len() {
        match getrandom(&mut bytes[filled..], GetRandomFlags::empty()) {
            Ok(given) => filled += given,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_bytes_are_filled_each_time_with_others() {
        let (mut one, mut other) = ([0; 600], [0; 600]);
        fill(&mut one).unwrap();
        fill(&mut other).unwrap();
        assert_ne!(one, other);
        assert!(one.chunks(100).chain(other.chunks(100)).all(|part| part != [0; 100]));
    }
}
