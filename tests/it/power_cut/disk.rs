//! A disk of a test's own that writes down everything that reaches it.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::write_log::{Cut, WriteLog};
use crate::run::{tool, until};

/// The file system on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Ext4,
    Xfs,
    Btrfs,
}

impl Kind {
    /// Which one the campaign is for: `SNAP_TEST_FILE_SYSTEM=ext4|xfs|btrfs`.
    fn of_campaign() -> Self {
        match std::env::var("SNAP_TEST_FILE_SYSTEM").as_deref() {
            Ok("xfs") => Self::Xfs,
            Ok("btrfs") => Self::Btrfs,
            _ => Self::Ext4,
        }
    }

    /// As small as the tools make one.
    const fn size(self) -> u64 {
        match self {
            Self::Ext4 => 64 << 20,
            Self::Xfs => 304 << 20,
            Self::Btrfs => 128 << 20,
        }
    }

    fn make(self, image: &Path) {
        match self {
            // All tables at once, and not in the background while the test writes. Blocks of a page:
            // ext4 itself does not survive half a super block of a smaller one.
            Self::Ext4 => {
                let at_once = "lazy_itable_init=0,lazy_journal_init=0";
                tool("mkfs.ext4", &[&"-q", &"-F", &"-b", &"4096", &"-E", &at_once, &image]);
            }
            Self::Xfs => _ = tool("mkfs.xfs", &[&"-q", &"-f", &image]),
            Self::Btrfs => _ = tool("mkfs.btrfs", &[&"-q", &"-f", &"--mixed", &image]),
        }
    }
}

/// A file system in an image, at one place as long as this lives.
pub(crate) struct Disk {
    images: TempDir,
    kind: Kind,
    place: PathBuf,
    mounted: Option<Loop>,
    recorder: Option<Recorder>,
}

/// A loop device, as long as this lives.
struct Loop {
    device: String,
    image: PathBuf,
}

/// The daemon between a loop device and the image.
struct Recorder {
    daemon: Child,
    exported: PathBuf,
}

/// Why no such disk can be had on this machine, if so.
pub(crate) fn impossible() -> Option<&'static str> {
    if !crate::is_root() {
        Some("mounting a disk of its own needs root")
    } else if !Path::new("/dev/fuse").exists() {
        Some("this machine has no FUSE")
    } else if !Path::new("/dev/loop-control").exists() {
        Some("this machine has no loop devices")
    } else {
        None
    }
}

impl Disk {
    /// An empty one, mounted at `place`.
    pub(crate) fn mount(place: &Path) -> Self {
        let memory = Path::new("/dev/shm");
        let images = if memory.is_dir() {
            TempDir::with_prefix_in("snap-it-disk-", memory)
        } else {
            TempDir::with_prefix("snap-it-disk-")
        };
        let images = images.expect("a temporary directory");
        let (kind, place) = (Kind::of_campaign(), place.to_owned());
        let mut disk = Self { images, kind, place, mounted: None, recorder: None };
        let image = disk.image("disk");
        File::create(&image).and_then(|file| file.set_len(kind.size())).expect("ours");
        kind.make(&image);
        disk.mount_image("disk");
        disk
    }

    /// A directory beside the disk, which no power cut hurts.
    pub(crate) fn beside(&self) -> &Path {
        self.images.path()
    }

    fn image(&self, name: &str) -> PathBuf {
        self.images.path().join(format!("{name}.img"))
    }

    fn mount_image(&mut self, name: &str) {
        let image = Loop::of(&self.image(name));
        tool("mount", &[&image.device, &self.place]);
        self.mounted = Some(image);
    }

    /// Takes it away from its place; nobody holds it afterwards.
    pub(crate) fn unmount(&mut self) {
        // Another test's thread that is about to start a program shares what we have just closed.
        until("the disk is no longer used", || {
            let mut umount = Command::new("umount");
            umount.arg(&self.place).stderr(Stdio::null());
            umount.status().expect("umount can be started").success()
        });
        self.mounted = None;
    }

    /// Puts the disk back as it is now, unhurt.
    pub(crate) fn remount(&mut self) {
        self.mount_image("disk");
    }

    /// Mounts it again so that from now on every write is recorded.
    pub(crate) fn record(&mut self) {
        self.unmount();
        copy_image(&self.image("disk"), &self.image("start"));
        let log = self.image("log");
        // Sparse: a log of a few hundred megabytes would be a test gone wild.
        File::create(&log).and_then(|file| file.set_len(64 * self.kind.size())).expect("ours");
        let exported = self.image("exported");
        File::create(&exported).expect("ours");
        let file = |node: &str, path: &Path| {
            format!("driver=file,node-name={node},filename={}", path.display())
        };
        let mut command = Command::new("qemu-storage-daemon");
        for device in [
            file("disk", &self.image("disk")),
            file("log", &log),
            "driver=blklogwrites,node-name=both,file=disk,log=log,log-sector-size=512".to_owned(),
        ] {
            command.arg("--blockdev").arg(device);
        }
        let place = exported.display();
        let export = format!("type=fuse,id=e,node-name=both,mountpoint={place},writable=on");
        command.arg("--export").arg(export).stdin(Stdio::null());
        let daemon = command.spawn().unwrap_or_else(|e| panic!("no qemu-storage-daemon: {e}"));
        let recorder = self.recorder.insert(Recorder { daemon, exported });
        until("the disk is exported", || {
            let ended = recorder.daemon.try_wait().expect("a child can be waited for");
            assert!(ended.is_none(), "qemu-storage-daemon: {ended:?}");
            fs::metadata(&recorder.exported).is_ok_and(|meta| meta.len() == self.kind.size())
        });
        self.mount_image("exported");
    }

    /// How many requests have reached the disk so far.
    pub(crate) fn reached(&self) -> usize {
        WriteLog::read(&self.image("log")).expect("a log").len()
    }

    /// Ends the recording; the disk is not mounted afterwards.
    pub(crate) fn recorded(&mut self) -> WriteLog {
        self.unmount();
        drop(self.recorder.take());
        WriteLog::read(&self.image("log")).expect("a log")
    }

    /// Goes through `cuts`, each mounted at the place as after the machine's next start.
    pub(crate) fn each(&mut self, log: &WriteLog, cuts: &[Cut], mut judge: impl FnMut(&Cut)) {
        let (prefix, state) = (self.image("start"), self.image("state"));
        let image = File::options().write(true).open(&prefix).expect("ours");
        let mut there = 0;
        for cut in cuts {
            log.replay(there..cut.flushed, &image).expect("room in memory");
            there = cut.flushed;
            copy_image(&prefix, &state);
            let file = File::options().write(true).open(&state).expect("ours");
            log.finish(cut, &file).expect("room in memory");
            self.mount_image("state");
            judge(cut);
            self.unmount();
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // After a failure it is still mounted, and nobody may be told of a second one.
        quietly("umount", &[&"-l", &self.place]);
        self.mounted = None;
        self.recorder = None;
    }
}

impl Loop {
    fn of(image: &Path) -> Self {
        let device = tool("losetup", &[&"-f", &"--show", &image]);
        let device = String::from_utf8_lossy(&device).trim().to_owned();
        Self { device, image: image.to_owned() }
    }

    /// Whether the image is still what the device shows.
    fn is_held(&self) -> bool {
        let name = self.device.trim_start_matches("/dev/");
        let image = fs::read_to_string(format!("/sys/block/{name}/loop/backing_file"));
        image.is_ok_and(|image| Path::new(image.trim_end()) == self.image)
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        quietly("losetup", &[&"-d", &self.device]);
        // A process with a copy of all mounts, of another test perhaps, holds it until it ends. It
        // would show the next image as the last one was, and may still write.
        for _ in 0..10_000 {
            if !self.is_held() {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        eprintln!("{} stays in use", self.device);
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.daemon);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.daemon.wait();
        quietly("umount", &[&"-l", &self.exported]);
    }
}

fn quietly(program: &str, args: &[&dyn AsRef<OsStr>]) {
    let args = args.iter().map(AsRef::as_ref);
    let _ = Command::new(program).args(args).stderr(Stdio::null()).status();
}

fn copy_image(from: &Path, to: &Path) {
    tool("cp", &[&"--sparse=auto", &from, &to]);
}
