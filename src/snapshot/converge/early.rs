//! Has what is written put onto the disk while more is written: the sync in the end finds little
//! left to do.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use super::act::Act;
use crate::os::crew::beside;
use crate::snapshot::SnapshotError;

/// After so many bytes the disk may begin.
const BYTES_TOGETHER: u64 = 64 << 20;

/// Asks for it.
pub(super) struct Early {
    bytes: AtomicU64,
    ask: SyncSender<()>,
}

impl Early {
    /// So many bytes more were written.
    pub(super) fn wrote(&self, bytes: u64) {
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if before / BYTES_TOGETHER != (before + bytes) / BYTES_TOGETHER {
            // Asked already, or failed, which is told in the end.
            let _ = self.ask.try_send(());
        }
    }
}

/// Does `work`, and syncs beside it. A sync that failed is never asked again: it ends the work.
pub(super) fn syncing(
    act: &Act<'_>,
    work: impl FnOnce(&Early) -> Result<(), SnapshotError>,
) -> Result<(), SnapshotError> {
    thread::scope(|scope| {
        let (ask, asked) = sync_channel(1);
        // Without a thread for it nothing is asked early, and all is left to the end.
        let syncs = beside(scope, move || asked.into_iter().try_for_each(|()| act.sync()));
        let worked = work(&Early { bytes: AtomicU64::new(0), ask });
        let synced = syncs.map_or(Ok(()), |syncs| syncs.join().expect("a sync does not panic"));
        worked.and(synced)
    })
}
