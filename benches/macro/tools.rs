//! The programs, and how each is told to do the same work.
//!
//! Encryption on where there is any; each program's own defaults but for borg, which is given zstd
//! like the others. Restores are right only with owners, modes and times, so nothing is left out.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::measure::Job;
use crate::options::{Options, Size};

/// What can be asked of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// The least it can do with a repository: start, derive the key, read the configuration.
    Open,
    First,
    Unchanged,
    Restore,
    Back,
    Upgraded,
    Check,
}

impl Stage {
    pub(crate) const ALL: [Self; 7] = [
        Self::Open,
        Self::First,
        Self::Unchanged,
        Self::Restore,
        Self::Back,
        Self::Upgraded,
        Self::Check,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::First => "first",
            Self::Unchanged => "unchanged",
            Self::Restore => "restore",
            Self::Back => "back",
            Self::Upgraded => "upgraded",
            Self::Check => "check",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Snap,
    Restic,
    Rustic,
    Borg,
    Bupstash,
    Zpaq,
    Tar,
    /// Compresses one file, at its fastest level.
    Zstd,
    Cp,
    /// Copies one file and syncs it.
    Copy,
    Rsync,
}

/// A program that is there.
#[derive(Clone, Debug)]
pub(crate) struct Tool {
    pub(crate) kind: Kind,
    program: PathBuf,
    pub(crate) version: String,
}

/// Where one program works in one round.
#[derive(Clone, Debug)]
pub(crate) struct Stall {
    /// Everything of it.
    pub(crate) root: PathBuf,
    /// What is backed up.
    pub(crate) source: PathBuf,
    /// The first state, untouched: what `cp` and `rsync` copy from.
    pub(crate) pristine: PathBuf,
}

impl Stall {
    pub(crate) fn repository(&self) -> PathBuf {
        self.root.join("repository")
    }

    pub(crate) fn target(&self) -> PathBuf {
        self.root.join("target")
    }

    /// Where the source's tree comes to lie below the target.
    pub(crate) fn copy(&self) -> PathBuf {
        self.target().join(self.source.strip_prefix("/").unwrap_or(&self.source))
    }
}

/// Those that are on PATH, ours first.
pub(crate) fn found(options: &Options) -> Result<Vec<Tool>, String> {
    let known = [
        (Kind::Snap, options.snap.clone(), "version"),
        (Kind::Restic, "restic".into(), "version"),
        (Kind::Rustic, "rustic".into(), "--version"),
        (Kind::Borg, "borg".into(), "--version"),
        (Kind::Bupstash, "bupstash".into(), "version"),
        (Kind::Zpaq, "zpaq".into(), ""),
        (Kind::Tar, "tar".into(), "--version"),
        (Kind::Zstd, "zstd".into(), "--version"),
        (Kind::Cp, "cp".into(), "--version"),
        (Kind::Copy, "cp".into(), "--version"),
        (Kind::Rsync, "rsync".into(), "--version"),
    ];
    let mut tools = Vec::new();
    for (kind, program, asks) in known {
        let asked = Command::new(&program).args((!asks.is_empty()).then_some(asks)).output();
        let Ok(said) = asked else { continue };
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        let version = said.lines().next().unwrap_or_default().trim().chars().take(60).collect();
        let tool = Tool { kind, program, version };
        // zpaq takes as long as all the others together.
        let is_slow = tool.kind == Kind::Zpaq && options.size == Size::Quick;
        if options.allows(tool.name(), is_slow) {
            tools.push(tool);
        }
    }
    match tools.first() {
        Some(first) if first.kind == Kind::Snap => Ok(tools),
        _ => Err(format!("{} cannot be run", options.snap.display())),
    }
}

const PASSWORD: &str = "a benchmark's password";

impl Tool {
    pub(crate) const fn name(&self) -> &'static str {
        match self.kind {
            Kind::Snap => "snap",
            Kind::Restic => "restic",
            Kind::Rustic => "rustic",
            Kind::Borg => "borg",
            Kind::Bupstash => "bupstash",
            Kind::Zpaq => "zpaq",
            Kind::Tar => "tar|zstd",
            Kind::Zstd => "zstd -1",
            Kind::Cp => "cp -a",
            Kind::Copy => "cp+fsync",
            Kind::Rsync => "rsync",
        }
    }

    /// Whether it keeps what it saved: the others only copy.
    pub(crate) const fn is_backup(&self) -> bool {
        !matches!(self.kind, Kind::Cp | Kind::Copy | Kind::Rsync)
    }

    /// Whether it knows nothing of trees: it takes part where there is one file.
    pub(crate) const fn takes_one_file(&self) -> bool {
        matches!(self.kind, Kind::Zstd | Kind::Copy)
    }

    /// The program, told where its repository is and what opens it.
    pub(crate) fn job(&self, stall: &Stall) -> Job {
        let (repository, cache) = (stall.repository(), stall.root.join("cache"));
        let job = Job::new(&self.program, &stall.root).env("HOME", stall.root.join("home"));
        match self.kind {
            Kind::Snap => job
                .env("SNAP_CONFIG_DIR", stall.root.join("config"))
                .env("SNAP_STATE_DIR", stall.root.join("state"))
                .env("SNAP_CACHE_DIR", cache)
                .env("SNAP_RUNTIME_DIR", stall.root.join("run"))
                .env("SNAP_REPOSITORY", repository),
            Kind::Restic => job
                .env("RESTIC_REPOSITORY", repository)
                .env("RESTIC_CACHE_DIR", cache)
                .env("RESTIC_PASSWORD", PASSWORD)
                .arg("--quiet"),
            Kind::Rustic => job
                .env("RUSTIC_REPOSITORY", repository)
                .env("RUSTIC_CACHE_DIR", cache)
                .env("RUSTIC_PASSWORD", PASSWORD)
                .args(["--no-progress", "--log-level", "error"]),
            Kind::Borg => job
                .env("BORG_REPO", repository)
                .env("BORG_BASE_DIR", stall.root.join("home"))
                .env("BORG_PASSPHRASE", PASSWORD),
            Kind::Bupstash => job
                .env("BUPSTASH_REPOSITORY", repository)
                .env("BUPSTASH_KEY", stall.root.join("bupstash.key")),
            Kind::Zpaq | Kind::Tar | Kind::Zstd | Kind::Cp | Kind::Copy | Kind::Rsync => job,
        }
    }

    /// What makes an empty repository, before anything is measured.
    pub(crate) fn prepare(&self, stall: &Stall) -> Vec<Job> {
        let job = self.job(stall);
        match self.kind {
            Kind::Snap => vec![job.args(["init", "--no-recovery"])],
            Kind::Restic | Kind::Rustic => vec![job.arg("init")],
            Kind::Borg => vec![job.args(["init", "--encryption=repokey-blake2"])],
            Kind::Bupstash => {
                let key = job.clone().args(["new-key", "-o"]).arg(stall.root.join("bupstash.key"));
                vec![job.arg("init"), key]
            }
            Kind::Zpaq | Kind::Tar | Kind::Zstd | Kind::Cp | Kind::Copy | Kind::Rsync => Vec::new(),
        }
    }

    /// The command for a stage; `None` where the program has none that does the same.
    pub(crate) fn stage(&self, stage: Stage, stall: &Stall) -> Option<Job> {
        let job = self.job(stall);
        Some(match self.kind {
            Kind::Snap => snap(job, stage, stall),
            Kind::Restic => restic(job, stage, stall),
            Kind::Rustic => rustic(job, stage, stall),
            Kind::Borg => return borg(job, stage, stall),
            Kind::Bupstash => return bupstash(job, stage, stall),
            Kind::Zpaq => return zpaq(job, stage, stall),
            Kind::Tar => return tar(stage, stall),
            Kind::Zstd => {
                return one_file("zstd -q -1 -T2 \"$1\"/* -o repository.zst", stage, stall);
            }
            Kind::Copy => return one_file("cp \"$1\"/* copied && sync copied", stage, stall),
            Kind::Cp if stage == Stage::Restore => {
                job.args(["-a", "-T"]).arg(&stall.pristine).arg(stall.copy())
            }
            Kind::Rsync if stage == Stage::Back => {
                job.args(["-a", "--delete"]).arg(slash(&stall.pristine)).arg(slash(&stall.copy()))
            }
            Kind::Cp | Kind::Rsync => return None,
        })
    }
}

fn slash(path: &Path) -> PathBuf {
    path.join("")
}

fn snap(job: Job, stage: Stage, stall: &Stall) -> Job {
    let target = stall.target();
    match stage {
        Stage::Open => job.arg("snapshots"),
        Stage::First | Stage::Unchanged | Stage::Upgraded => job.arg("backup").arg(&stall.source),
        Stage::Restore => job.args(["restore", "latest", "--target"]).arg(target),
        Stage::Back => job
            .args(["restore", "latest", "--overwrite", "--delete", "--yes", "--confirm", "target"])
            .arg("--target")
            .arg(target),
        Stage::Check => job.args(["check", "--read-data"]),
    }
}

fn restic(job: Job, stage: Stage, stall: &Stall) -> Job {
    let target = stall.target();
    match stage {
        Stage::Open => job.args(["cat", "config"]),
        Stage::First | Stage::Unchanged | Stage::Upgraded => {
            job.args(["backup", "--no-scan"]).arg(&stall.source)
        }
        Stage::Restore => job.args(["restore", "latest", "--target"]).arg(target),
        Stage::Back => job.args(["restore", "latest", "--delete", "--target"]).arg(target),
        Stage::Check => job.args(["check", "--read-data"]),
    }
}

fn rustic(job: Job, stage: Stage, stall: &Stall) -> Job {
    let from = format!("latest:{}", stall.source.display());
    match stage {
        Stage::Open => job.args(["cat", "config"]),
        Stage::First | Stage::Unchanged | Stage::Upgraded => job.arg("backup").arg(&stall.source),
        Stage::Restore => job.arg("restore").arg(from).arg(stall.copy()),
        Stage::Back => {
            job.args(["restore", "--delete", "--verify-existing"]).arg(from).arg(stall.copy())
        }
        Stage::Check => job.args(["check", "--read-data"]),
    }
}

fn borg(job: Job, stage: Stage, stall: &Stall) -> Option<Job> {
    let create = |job: Job, name: &str| {
        job.args(["create", "--compression=zstd,3", name]).arg(&stall.source)
    };
    Some(match stage {
        Stage::Open => job.arg("list"),
        Stage::First => create(job, "::first"),
        Stage::Unchanged => create(job, "::unchanged"),
        Stage::Upgraded => create(job, "::upgraded"),
        Stage::Restore => {
            let mut job = job.args(["extract", "::first"]);
            job.dir = stall.target();
            job
        }
        Stage::Back => return None,
        Stage::Check => job.args(["check", "--verify-data"]),
    })
}

fn bupstash(job: Job, stage: Stage, stall: &Stall) -> Option<Job> {
    Some(match stage {
        Stage::Open => job.arg("list"),
        Stage::First | Stage::Unchanged | Stage::Upgraded => {
            let name = format!("name={}", stage.name());
            job.args(["put", "--quiet", "--send-log"])
                .arg(stall.root.join("send-log"))
                .arg(name)
                .arg(&stall.source)
        }
        Stage::Restore | Stage::Back => {
            job.args(["restore", "--quiet", "--into"]).arg(stall.copy()).arg("name=first")
        }
        Stage::Check => return None,
    })
}

fn zpaq(job: Job, stage: Stage, stall: &Stall) -> Option<Job> {
    let archive = stall.root.join("repository.zpaq");
    let (key, threads) = (["-key", PASSWORD], ["-threads", "2"]);
    Some(match stage {
        Stage::First | Stage::Unchanged | Stage::Upgraded => {
            job.arg("add").arg(archive).arg(&stall.source).args(key).args(threads)
        }
        Stage::Restore => job
            .arg("extract")
            .arg(archive)
            .arg(&stall.source)
            .arg("-to")
            .arg(stall.copy())
            .args(key)
            .args(threads),
        Stage::Open | Stage::Back | Stage::Check => return None,
    })
}

fn tar(stage: Stage, stall: &Stall) -> Option<Job> {
    let script = match stage {
        Stage::First => {
            "tar --format=posix -cf - \"$1\" 2>/dev/null | zstd -q -3 -T2 -o repository.tar.zst"
        }
        Stage::Restore => "zstd -dcq repository.tar.zst | tar -xpf - -C target",
        _ => return None,
    };
    Some(Job::new("sh", &stall.root).args(["-c", script, "sh"]).arg(&stall.source))
}

fn one_file(script: &str, stage: Stage, stall: &Stall) -> Option<Job> {
    let job = Job::new("sh", &stall.root).args(["-c", script, "sh"]).arg(&stall.source);
    (stage == Stage::First).then_some(job)
}
