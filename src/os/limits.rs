//! What the system lets this process have: threads, and open files.

use std::io;
use std::thread;

use rayon::ThreadPoolBuilder;
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

/// Starts the threads that all work shares, as many as there are cores, if so many more can be had
/// `besides`: known before anything begins. If not, fewer are shared, the calling one at least, and
/// the refusal is the error.
pub fn threads(besides: usize) -> io::Result<()> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let (had, refused) = probe(cores + besides);
    let builder = match had.saturating_sub(besides).clamp(had.min(1), cores) {
        0 => ThreadPoolBuilder::new().num_threads(1).use_current_thread(),
        shared => ThreadPoolBuilder::new().num_threads(shared),
    };
    let built = builder.build_global();
    match refused {
        Some(refused) => Err(refused),
        // Otherwise they are there already.
        None => match built {
            Err(error) if std::error::Error::source(&error).is_some() => {
                Err(io::Error::other(error))
            }
            _ => Ok(()),
        },
    }
}

/// How many of so many threads there may be together, and why no more.
fn probe(wanted: usize) -> (usize, Option<io::Error>) {
    // They wait for the end of a channel, which comes however many were started.
    let (open, gate) = crossbeam_channel::bounded::<()>(0);
    thread::scope(|scope| {
        let _open = open;
        for had in 0..wanted {
            let gate = gate.clone();
            let waits = move || _ = gate.recv();
            if let Err(refused) = thread::Builder::new().spawn_scoped(scope, waits) {
                return (had, Some(refused));
            }
        }
        (wanted, None)
    })
}

/// How many files this process may have open; `None` if there is no limit.
pub fn open_files() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// Whether this process, or the system, has as many files open as it may.
pub fn are_reached(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}
