//! What a program asked of the disk, read from `strace -f -y`, and the rules of order that must
//! hold whatever the power does. Pure: text in, broken rules out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The calls a trace must hold for the rules to be judged. `io_uring` would hide them.
pub(crate) const TRACED: &str = "write,writev,pwrite64,pwritev,pwritev2,copy_file_range,ftruncate,\
    fallocate,fsync,fdatasync,syncfs,rename,renameat,renameat2,link,linkat,io_uring_setup";

/// One call that succeeded. A call that another thread's interrupted has two lines: it began at the
/// first and had ended at the second.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    began: usize,
    ended: usize,
    what: What,
}

/// What was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// The content of a file changed, or its length.
    Write { path: PathBuf, said: String },
    /// One file or directory is durable.
    Sync { path: PathBuf },
    /// A whole file system is.
    SyncAll,
    /// A name leads to what another name led to.
    Name { from: PathBuf, to: PathBuf },
    /// Something that these rules cannot follow.
    Hidden { call: String },
}

/// Reads a trace.
pub(crate) fn parse(trace: &str) -> Vec<Call> {
    let mut open: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
    let mut calls = Vec::new();
    for (at, line) in trace.lines().enumerate() {
        let Some((process, rest)) = line.trim_start().split_once(' ') else { continue };
        let rest = rest.trim_start();
        if let Some(first) = rest.strip_suffix("<unfinished ...>") {
            open.insert(process, (at, first));
        } else if let Some((_, last)) =
            rest.strip_prefix("<... ").and_then(|rest| rest.split_once(" resumed>"))
        {
            if let Some((began, first)) = open.remove(process) {
                calls.extend(call(began, at, &format!("{first}{last}")));
            }
        } else {
            calls.extend(call(at, at, rest));
        }
    }
    calls
}

/// One call from its whole text; `None` if it failed or says nothing to these rules.
fn call(began: usize, ended: usize, text: &str) -> Option<Call> {
    let (name, rest) = text.split_once('(')?;
    let (args, result) = rest.rsplit_once(" = ")?;
    if result.trim_start().starts_with(['-', '?']) {
        return None;
    }
    let what = match name {
        "fsync" | "fdatasync" => What::Sync { path: descriptor(args)? },
        "syncfs" => What::SyncAll,
        "rename" | "renameat" | "renameat2" | "link" | "linkat" => {
            let names = names(args);
            let [from, to] = <[PathBuf; 2]>::try_from(names).ok()?;
            What::Name { from, to }
        }
        // The second file of two is the one that is written.
        "copy_file_range" => {
            let to = args.split(">, ").nth(1)?;
            What::Write { path: descriptor(to)?, said: String::new() }
        }
        "io_uring_setup" => What::Hidden { call: name.to_owned() },
        _ => What::Write { path: descriptor(args)?, said: args.to_owned() },
    };
    Some(Call { began, ended, what })
}

/// The path of a leading `7</path>`.
fn descriptor(args: &str) -> Option<PathBuf> {
    let (_, rest) = args.split_once('<')?;
    let (path, _) = rest.split_once('>')?;
    Some(PathBuf::from(path.trim_end_matches(" (deleted)")))
}

/// Both names of a rename, below the directory that each is relative to.
fn names(args: &str) -> Vec<PathBuf> {
    let mut names = Vec::new();
    let mut dir = PathBuf::new();
    let mut rest = args;
    while let Some(at) = rest.find(['<', '"']) {
        let close = if rest.as_bytes()[at] == b'<' { '>' } else { '"' };
        let Some((inside, after)) = rest[at + 1..].split_once(close) else { break };
        if close == '>' {
            dir = PathBuf::from(inside);
        } else {
            names.push(dir.join(inside));
        }
        rest = after;
    }
    names
}

/// The calls of a run, and what each file was called before it got its name.
pub(crate) struct Run<'a> {
    calls: &'a [Call],
}

impl<'a> Run<'a> {
    pub(crate) fn of(calls: &'a [Call]) -> Self {
        Self { calls }
    }

    /// Every name given below `root`, in order.
    pub(crate) fn named(&self, root: &'a Path) -> impl Iterator<Item = Named<'a>> + Clone {
        self.calls.iter().filter_map(move |call| match &call.what {
            What::Name { from, to } if to.starts_with(root) => Some(Named { call, from, to }),
            _ => None,
        })
    }

    /// How many files and directories were made durable one by one.
    pub(crate) fn syncs(&self) -> usize {
        self.calls.iter().filter(|call| matches!(call.what, What::Sync { .. })).count()
    }

    /// Calls that hide what is done from the trace.
    pub(crate) fn hidden(&self) -> Vec<&str> {
        let hidden = self.calls.iter().filter_map(|call| match &call.what {
            What::Hidden { call } => Some(call.as_str()),
            _ => None,
        });
        hidden.collect()
    }

    /// The first write outside `root` that says `words`.
    pub(crate) fn said(&self, words: &str, root: &Path) -> Option<&'a Call> {
        self.calls.iter().find(|call| match &call.what {
            What::Write { path, said } => !path.starts_with(root) && said.contains(words),
            _ => false,
        })
    }

    /// Writes to `path`, in order.
    pub(crate) fn writes(&self, path: &'a Path) -> impl Iterator<Item = &'a Call> {
        self.calls.iter().filter(move |call| match &call.what {
            What::Write { path: written, .. } => written == path,
            _ => false,
        })
    }

    /// Whether something synced `path`, or all, after `from` had ended and before `to` began.
    fn is_synced(&self, path: &Path, from: &Call, to: &Call) -> bool {
        self.calls.iter().any(|call| {
            let covers = match &call.what {
                What::Sync { path: synced } => synced == path,
                What::SyncAll => true,
                _ => false,
            };
            covers && from.ended < call.began && call.ended < to.began
        })
    }

    /// A file gets its name only once all that was written to it is durable.
    pub(crate) fn content_before_name(&self, root: &'a Path) -> Vec<String> {
        let mut broken = Vec::new();
        for named in self.named(root) {
            let writes = self.writes(named.from).filter(|write| write.began < named.call.began);
            for write in writes {
                if !self.is_synced(named.from, write, named.call) {
                    broken.push(format!("{} got its name unsynced", named.to.display()));
                    break;
                }
            }
            if let Some(late) = self.writes(named.to).find(|one| one.began > named.call.ended) {
                let line = late.began + 1;
                broken.push(format!("{} was written to in line {line}", named.to.display()));
            }
        }
        broken
    }

    /// A name is durable (its directory synced) before `then` begins.
    pub(crate) fn durable_before(&self, named: &Named<'_>, then: &Call) -> bool {
        let dir = named.to.parent().expect("a name lies in a directory");
        self.is_synced(dir, named.call, then)
    }
}

/// One name that was given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Named<'a> {
    pub(crate) call: &'a Call,
    from: &'a Path,
    pub(crate) to: &'a Path,
}

impl Named<'_> {
    /// The first directory below `root` that it lies in.
    pub(crate) fn kind(&self, root: &Path) -> String {
        let below = self.to.strip_prefix(root).expect("it lies below");
        let first = below.components().next().expect("it has a name");
        first.as_os_str().to_string_lossy().into_owned()
    }

    /// Whether it was given before `call` began.
    pub(crate) fn is_before(&self, call: &Call) -> bool {
        self.call.began < call.began
    }
}
