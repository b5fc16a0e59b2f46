//! The thread that closes packs, so that no worker waits for a disk.

use std::sync::{Arc, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::open_pack::OpenPack;
use super::state::Run;
use crate::os::clock;
use crate::repository::error::RepositoryError;

/// What the closer is asked to do, in order.
pub(super) enum Job {
    /// Close a pack that is full.
    Close(Arc<OpenPack>),
    /// Answer once everything before is done.
    Report(Sender<()>),
}

/// So many packs wait at most; then the workers do. It bounds what is written and not yet synced.
const WAITING_MAX: usize = 2;
/// A lease is renewed so often; whoever watches it waits for several of these.
const RENEWAL: Duration = Duration::from_mins(1);

/// Starts the thread. It ends when all senders are gone. If the system refuses it, the run has failed.
pub(super) fn start(run: &Arc<Run>) -> (Sender<Job>, Option<JoinHandle<()>>) {
    let (sender, jobs) = bounded(WAITING_MAX);
    let own = Arc::clone(run);
    let started = thread::Builder::new().spawn(move || work(&own, &jobs));
    let started =
        started.inspect_err(|error| run.fail_for(format!("no thread can be had: {error}")));
    (sender, started.ok())
}

fn work(run: &Run, jobs: &Receiver<Job>) {
    let mut renewed = clock::stopwatch();
    loop {
        let rest = RENEWAL.saturating_sub(renewed.elapsed());
        match jobs.recv_timeout(rest) {
            Ok(Job::Close(pack)) => {
                if let Err(error) = close(run, &pack) {
                    run.fail(&error);
                }
            }
            // Whoever asked may have stopped waiting.
            Ok(Job::Report(done)) => drop(done.send(())),
            Err(RecvTimeoutError::Timeout) => {
                let mut lease = run.lease.lock().unwrap_or_else(PoisonError::into_inner);
                if let Err(error) = lease.renew(&run.inner) {
                    run.fail(&error);
                }
                renewed = clock::stopwatch();
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn close(run: &Run, pack: &OpenPack) -> Result<(), RepositoryError> {
    // A failed run leaves its packs as temporary files, which go.
    run.must_be_sound()?;
    let (contents, bytes) = pack.close()?;
    run.note_closed(pack, contents, bytes)
}
