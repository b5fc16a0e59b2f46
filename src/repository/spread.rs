//! Spreading independent work over the cores.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::error::RepositoryError;
use crate::os::crew::beside;

/// Does `work` for every number below `count`, with all cores. After the first error no further
/// number is begun; that error is returned.
pub(super) fn for_each(
    count: usize,
    work: impl Fn(usize) -> Result<(), RepositoryError> + Sync,
) -> Result<(), RepositoryError> {
    let next = AtomicUsize::new(0);
    let worker = || loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= count {
            return Ok(());
        }
        if let Err(error) = work(number) {
            next.store(count, Ordering::Relaxed);
            return Err(error);
        }
    };
    let cores = thread::available_parallelism().map_or(1, usize::from).min(count);
    if cores <= 1 {
        return worker();
    }
    thread::scope(|scope| {
        // The caller is one of them: the system may refuse all others.
        let threads: Vec<_> = (1..cores).filter_map(|_| beside(scope, worker)).collect();
        let own = worker();
        let ends = threads.into_iter().map(|thread| match thread.join() {
            Ok(end) => end,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        // All of them are joined before the first error is looked at.
        ends.collect::<Vec<_>>().into_iter().fold(own, Result::and)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;

    #[test]
    fn every_number_is_done_once() {
        let sum = AtomicU64::new(0);
        for_each(1000, |number| {
            sum.fetch_add(number as u64, Ordering::Relaxed);
            Ok(())
        })
        .unwrap();
        assert_eq!(sum.into_inner(), 499_500);
    }

    #[test]
    fn an_error_ends_it() {
        let failed = for_each(1000, |number| match number {
            7 => Err(RepositoryError::LeaseLost),
            _ => Ok(()),
        });
        assert!(matches!(failed, Err(RepositoryError::LeaseLost)));
    }
}
