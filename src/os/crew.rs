//! Threads to work with, as many as the system lets us have.
//!
//! It may refuse one at any time: others of the same user, service or container count too. What
//! takes an application back must not fail for that, so whoever wants threads of its own makes do
//! with those that were there from the start.

use std::thread::{self, Scope, ScopedJoinHandle};

use rayon::{ThreadPool, ThreadPoolBuilder};

/// Threads for one piece of work.
#[derive(Debug)]
pub enum Crew {
    /// Its own.
    Own(ThreadPool),
    /// Those that all work shares: more were refused.
    Shared,
}

impl Crew {
    /// As many threads as there are cores.
    pub fn of_cores() -> Self {
        Self::of(thread::available_parallelism().map_or(1, usize::from))
    }

    /// So many threads, or those that all work shares.
    pub fn of(threads: usize) -> Self {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build();
        pool.map_or(Self::Shared, Self::Own)
    }

    /// How many there are.
    pub fn threads(&self) -> usize {
        match self {
            Self::Own(pool) => pool.current_num_threads(),
            Self::Shared => rayon::current_num_threads(),
        }
    }

    /// Does `work` on one of them; what it spreads is spread over them.
    pub fn install<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        match self {
            Self::Own(pool) => pool.install(work),
            Self::Shared => rayon::scope(|_| work()),
        }
    }

    /// The same, with a scope; ends when all that was spawned in it has ended.
    pub fn scope<'s, T: Send>(&self, work: impl FnOnce(&rayon::Scope<'s>) -> T + Send) -> T {
        match self {
            Self::Own(pool) => pool.scope(work),
            Self::Shared => rayon::scope(work),
        }
    }
}

/// Does `work` on a thread of its own beside the caller; `None` if the system refuses one.
pub fn beside<'scope, 'env, T: Send + 'scope>(
    scope: &'scope Scope<'scope, 'env>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Option<ScopedJoinHandle<'scope, T>> {
    thread::Builder::new().spawn_scoped(scope, work).ok()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use rayon::prelude::*;

    use super::*;

    #[test]
    fn shared_threads_do_what_own_ones_do() {
        for crew in [Crew::of(3), Crew::Shared] {
            let done = AtomicUsize::new(0);
            crew.scope(|scope| {
                for _ in 0..10 {
                    scope.spawn(|_| _ = done.fetch_add(1, Ordering::Relaxed));
                }
            });
            assert_eq!(done.into_inner(), 10);
            assert_eq!(crew.install(|| (0..100).into_par_iter().sum::<u32>()), 4950);
            assert!(crew.install(rayon::current_thread_index) < Some(crew.threads()));
        }
    }
}
