//! What the system lets this process have: threads, and open files.

use std::error::Error as _;
use std::io;
use std::thread;

use rustix::process::{Resource, getrlimit};

/// Starts the threads that any work shares, and so many more besides, which end at once: whether
/// they can be had is known before anything begins.
pub fn threads(besides: usize) -> io::Result<()> {
    if let Err(error) = rayon::ThreadPoolBuilder::new().build_global()
        // Otherwise they are there already.
        && error.source().is_some()
    {
        return Err(io::Error::other(error));
    }
    // All at once: how many there may be together is what counts. They wait for the end of a channel,
    // which comes however many were started.
    let (open, gate) = crossbeam_channel::bounded::<()>(0);
    thread::scope(|scope| {
        let open = open;
        for _ in 0..besides {
            let gate = gate.clone();
            let waits = move || _ = gate.recv();
            thread::Builder::new().spawn_scoped(scope, waits)?;
        }
        drop(open);
        Ok(())
    })
}

/// How many files this process may have open; `None` if there is no limit.
pub fn open_files() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}
