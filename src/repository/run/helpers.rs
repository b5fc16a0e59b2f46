//! A large file with all cores: whoever reads it cuts, hashes and looks up; others make the frames.
//!
//! One worker takes a file from its first byte to its last. That leaves the other cores idle when
//! the file is all there is to do, or the last thing to be done. Compressing and verifying is more
//! than two thirds of the work, and of no frame does it need to be done before the next is filled.

use std::thread::{self, Scope};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use super::feed::Feed;
use super::state::Buffers;
use super::writer::Writer;
use crate::os::crew::beside;
use crate::repository::content::Extent;
use crate::repository::pack::PackClass;

/// From here on a thread costs nothing beside the file.
const LARGE_BYTES: u64 = 32 << 20;

/// Whether content is worth threads of its own. Asking for the number of cores alone reads files
/// below /proc: done for every small file, it took a fifth of a first backup.
pub(super) fn is_large(extent: Extent) -> bool {
    matches!(extent, Extent::Bytes(bytes) if bytes >= LARGE_BYTES)
}

/// Threads that make frames for one worker. They end when this goes.
pub(super) struct Helpers {
    jobs: Sender<Box<Buffers>>,
}

impl Helpers {
    /// Starts as many as there are cores besides.
    pub(super) fn start<'scope>(
        writer: &'scope Writer<'scope>,
        class: PackClass,
        scope: &'scope Scope<'scope, '_>,
    ) -> Option<Self> {
        let others = thread::available_parallelism().map_or(1, usize::from) - 1;
        if others == 0 {
            return None;
        }
        let (jobs, inbox) = bounded(1);
        let had = (0..others).filter(|_| {
            let inbox = inbox.clone();
            beside(scope, move || help(writer, class, &inbox)).is_some()
        });
        (had.count() > 0).then_some(Self { jobs })
    }

    /// Hands over what is in `buffers`, which are empty then; `false` if all have enough to do.
    pub(super) fn take(&self, writer: &Writer<'_>, buffers: &mut Buffers) -> bool {
        if self.jobs.is_full() {
            return false;
        }
        let mut full = Box::new(writer.run.buffers());
        full.swap_chunks(buffers);
        match self.jobs.try_send(full) {
            Ok(()) => true,
            Err(TrySendError::Full(mut full) | TrySendError::Disconnected(mut full)) => {
                full.swap_chunks(buffers);
                writer.run.keep_buffers(*full);
                false
            }
        }
    }
}

fn help(writer: &Writer<'_>, class: PackClass, inbox: &Receiver<Box<Buffers>>) {
    // Frames are made in the same memory, which stays near the core; only the chunks change hands.
    let mut own = writer.run.buffers();
    for mut full in inbox {
        own.swap_chunks(&mut full);
        // A failure is the whole run's, and has been noted there.
        if Feed::new(writer, class, &mut own).flush_alone().is_err() {
            return;
        }
        writer.run.keep_buffers(*full);
    }
    writer.run.keep_buffers(own);
}
