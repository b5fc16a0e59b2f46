//! A backend that fails when it is told to, in front of one that works.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use rustix::io::Errno;

use super::*;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// No room: only what writes can meet it.
    Full,
    /// Half of a write arrives, then there is no room.
    Short,
    /// The medium refuses, whatever is asked.
    Io,
    /// It can be read, and nothing else.
    ReadOnly,
    /// A list cannot be made.
    List,
    /// The work is done, and the answer is lost on the way.
    AnswerLost,
}

impl Fault {
    pub(crate) const ALL: [Self; 6] =
        [Self::Full, Self::Short, Self::Io, Self::ReadOnly, Self::List, Self::AnswerLost];

    const fn meets(self, call: Call) -> bool {
        match (self, call) {
            (Self::Io, _) | (Self::List, Call::List) => true,
            (Self::List, _) | (_, Call::List | Call::Read) => false,
            (Self::Full | Self::Short, call) => matches!(call, Call::Write | Call::Sync),
            (Self::ReadOnly | Self::AnswerLost, _) => true,
        }
    }

    const fn errno(self) -> Errno {
        match self {
            Self::Full | Self::Short => Errno::NOSPC,
            Self::ReadOnly => Errno::ROFS,
            Self::Io | Self::List | Self::AnswerLost => Errno::IO,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Read,
    List,
    Write,
    Remove,
    Sync,
}

/// When it goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// Once, at the n-th call that the fault can meet, counted from 0.
    At(u64),
    /// From that call on.
    From(u64),
}

#[derive(Default)]
struct State {
    plan: Mutex<Option<(Fault, When)>>,
    met: AtomicU64,
    fired: AtomicU64,
}

/// Passes on what it is asked, or fails. Clones share the plan.
#[derive(Clone)]
pub(crate) struct Faulty {
    works: Arc<dyn Backend>,
    state: Arc<State>,
}

impl Faulty {
    pub(crate) fn before(works: impl Backend + 'static) -> Self {
        Self { works: Arc::new(works), state: Arc::default() }
    }

    /// From now on this goes wrong.
    pub(crate) fn arm(&self, fault: Fault, when: When) {
        self.state.met.store(0, Ordering::SeqCst);
        self.state.fired.store(0, Ordering::SeqCst);
        *self.state.plan.lock().unwrap() = Some((fault, when));
    }

    /// Whether something went wrong since.
    pub(crate) fn fired(&self) -> bool {
        self.state.fired.load(Ordering::SeqCst) > 0
    }

    /// The fault, if this call is one that fails.
    fn call(&self, call: Call) -> Option<Fault> {
        let (fault, when) = (*self.state.plan.lock().unwrap())?;
        if !fault.meets(call) {
            return None;
        }
        let number = self.state.met.fetch_add(1, Ordering::SeqCst);
        let fires = match when {
            When::At(n) => number == n,
            When::From(n) => number >= n,
        };
        if !fires {
            return None;
        }
        self.state.fired.fetch_add(1, Ordering::SeqCst);
        Some(fault)
    }

    /// Does `work` unless this call fails; after it if only its answer is lost.
    fn pass<T>(
        &self,
        call: Call,
        (doing, path): (&'static str, &str),
        work: impl FnOnce() -> Result<T, RepositoryError>,
    ) -> Result<T, RepositoryError> {
        let Some(fault) = self.call(call) else { return work() };
        if fault == Fault::AnswerLost {
            work()?;
        }
        Err(failed(fault, doing, path))
    }
}

fn failed(fault: Fault, doing: &'static str, path: &str) -> RepositoryError {
    let errno = io::Error::from_raw_os_error(fault.errno().raw_os_error());
    RepositoryError::io(doing, path)(errno)
}

impl Backend for Faulty {
    fn put(&self, kind: ObjectKind, name: &str, bytes: &[u8]) -> Result<(), RepositoryError> {
        self.pass(Call::Write, ("create", name), || self.works.put(kind, name, bytes))
    }

    fn writer(
        &self,
        kind: ObjectKind,
        name: &str,
    ) -> Result<Box<dyn ObjectWriter>, RepositoryError> {
        let made = || self.works.writer(kind, name);
        let works = self.pass(Call::Write, ("create", name), made)?;
        Ok(Box::new(FaultyWriter { works, faulty: self.clone(), name: name.to_owned() }))
    }

    fn read(
        &self,
        kind: ObjectKind,
        name: &str,
        range: Range,
        freshness: Freshness,
        into: &mut Vec<u8>,
    ) -> Result<(), RepositoryError> {
        let read = || self.works.read(kind, name, range, freshness, into);
        self.pass(Call::Read, ("read", name), read)
    }

    fn list(&self, kind: ObjectKind) -> Result<Vec<String>, RepositoryError> {
        self.pass(Call::List, ("list", kind.directory()), || self.works.list(kind))
    }

    fn stat(&self, kind: ObjectKind, name: &str) -> Result<Option<u64>, RepositoryError> {
        self.pass(Call::Read, ("read", name), || self.works.stat(kind, name))
    }

    fn remove(&self, kind: ObjectKind, name: &str) -> Result<bool, RepositoryError> {
        self.pass(Call::Remove, ("remove", name), || self.works.remove(kind, name))
    }

    fn sync(&self, kind: ObjectKind) -> Result<(), RepositoryError> {
        self.pass(Call::Sync, ("sync", kind.directory()), || self.works.sync(kind))
    }

    fn traits(&self) -> Traits {
        self.works.traits()
    }
}

struct FaultyWriter {
    works: Box<dyn ObjectWriter>,
    faulty: Faulty,
    name: String,
}

impl ObjectWriter for FaultyWriter {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), RepositoryError> {
        match self.faulty.call(Call::Write) {
            None => self.works.write_at(offset, bytes),
            Some(fault) => {
                if fault == Fault::Short {
                    self.works.write_at(offset, &bytes[..bytes.len() / 2])?;
                }
                Err(failed(fault, "write", &self.name))
            }
        }
    }

    fn finish(&self) -> Result<(), RepositoryError> {
        self.faulty.pass(Call::Sync, ("sync", &self.name), || self.works.finish())
    }
}
