//! Memory that a file is read into, cut in, and compressed or sealed from: its bytes are not copied
//! on their way from the page cache to a frame.
//!
//! ```text
//! 0 ... held ....... at ............... filled ... room to read into
//!       | chunks that | read, not yet cut |
//!       | wait for a  |
//!       | frame       |
//! ```
//!
//! When enough chunks wait, the memory goes to whoever makes the frame, in exchange for other memory,
//! which is given what was read beyond them.

/// What was read of a file, from the first chunk that waits for a frame on.
#[derive(Default)]
pub(super) struct Window {
    bytes: Vec<u8>,
    held: usize,
    at: usize,
    filled: usize,
}

impl Window {
    /// Forgets everything but the memory.
    pub(super) fn clear(&mut self) {
        (self.held, self.at, self.filled) = (0, 0, 0);
    }

    /// What is read and not yet cut.
    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.at..self.filled]
    }

    /// Room to read into, so that [`Self::rest`] can have `wanted` bytes.
    pub(super) fn room(&mut self, wanted: usize) -> &mut [u8] {
        if self.at + wanted > self.bytes.len() && self.held > 0 {
            self.bytes.copy_within(self.held..self.filled, 0);
            self.filled -= self.held;
            self.at -= self.held;
            self.held = 0;
        }
        let end = self.at + wanted;
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        &mut self.bytes[self.filled..end]
    }

    /// Says that so much of the room was read into.
    pub(super) fn read(&mut self, bytes: usize) {
        self.filled += bytes;
    }

    /// Passes over a chunk that nobody needs here; none may wait.
    pub(super) fn pass(&mut self, bytes: usize) {
        debug_assert_eq!(self.held, self.at, "those that wait lie one after the other");
        self.at += bytes;
        self.held = self.at;
    }

    /// Lets the next chunk wait for a frame.
    pub(super) fn hold(&mut self, bytes: usize) {
        self.at += bytes;
    }

    /// How many bytes wait for a frame.
    pub(super) fn held_bytes(&self) -> usize {
        self.at - self.held
    }

    /// Gives the chunks that wait to `plain`, which is empty, for its memory.
    pub(super) fn hand_over(&mut self, plain: &mut Plain) {
        debug_assert!(plain.is_empty(), "it would be lost");
        let rest = &self.bytes[self.at..self.filled];
        if let Some(room) = plain.bytes.get_mut(..rest.len()) {
            room.copy_from_slice(rest);
        } else {
            plain.bytes.clear();
            plain.bytes.extend_from_slice(rest);
        }
        (plain.from, plain.to) = (self.held, self.at);
        std::mem::swap(&mut self.bytes, &mut plain.bytes);
        (self.held, self.at, self.filled) = (0, 0, self.filled - self.at);
    }
}

/// Chunks that wait for one frame, one after the other.
#[derive(Default)]
pub(super) struct Plain {
    /// Longer than what it holds: what is cut off would be filled with zeros before the next read.
    bytes: Vec<u8>,
    from: usize,
    to: usize,
}

impl Plain {
    pub(super) fn len(&self) -> usize {
        self.to - self.from
    }

    pub(super) fn is_empty(&self) -> bool {
        self.to == self.from
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes[self.from..self.to]
    }

    pub(super) fn append(&mut self, plain: &[u8]) {
        let end = self.to + plain.len();
        if let Some(room) = self.bytes.get_mut(self.to..end) {
            room.copy_from_slice(plain);
        } else {
            self.bytes.truncate(self.to);
            self.bytes.extend_from_slice(plain);
        }
        self.to = end;
    }

    /// Forgets everything but the memory.
    pub(super) fn clear(&mut self) {
        (self.from, self.to) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_read_comes_out_in_order(
            content in proptest::collection::vec(any::<u8>(), 0..4000),
            steps in proptest::collection::vec((1..300_usize, 0..4_u8), 1..200),
        ) {
            let (mut window, mut plain, mut unread) = (Window::default(), Plain::default(), &content[..]);
            let mut out = Vec::new();
            let take = |window: &mut Window, plain: &mut Plain, out: &mut Vec<u8>| {
                window.hand_over(plain);
                plain.append(b"end");
                let (chunks, end) = plain.as_slice().split_at(plain.len() - 3);
                assert_eq!(end, b"end");
                out.extend_from_slice(chunks);
                plain.clear();
            };
            for (bytes, what) in steps {
                let left = window.rest().len();
                match what {
                    0 | 1 => {
                        let room = window.room(left + bytes);
                        assert_eq!(room.len(), bytes);
                        let read = bytes.min(unread.len());
                        room[..read].copy_from_slice(&unread[..read]);
                        unread = &unread[read..];
                        window.read(read);
                    }
                    2 => window.hold(bytes.min(left)),
                    _ => {
                        take(&mut window, &mut plain, &mut out);
                        let passed = bytes.min(left);
                        out.extend_from_slice(&window.rest()[..passed]);
                        window.pass(passed);
                    }
                }
            }
            take(&mut window, &mut plain, &mut out);
            out.extend_from_slice(window.rest());
            out.extend_from_slice(unread);
            prop_assert_eq!(out, content);
        }
    }
}
