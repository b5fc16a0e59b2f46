//! The time of day and elapsed time. Nothing else in the crate reads a clock.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A moment, in nanoseconds since 1970 (UTC). Good until the year 2262.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub i64);

/// Reads the time of day. It may jump; nothing is ever ordered by it alone.
pub fn now() -> Moment {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Moment(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

/// Starts a stopwatch that no change of the time of day disturbs.
pub fn stopwatch() -> Instant {
    Instant::now()
}

/// How long this thread has been on a core: what others do on the machine is not in it.
pub fn thread_cpu() -> Duration {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let secs = u64::try_from(spent.tv_sec).unwrap_or_default();
    Duration::new(secs, u32::try_from(spent.tv_nsec).unwrap_or_default())
}

/// Waits. For things that cannot be waited for in any other way.
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}
