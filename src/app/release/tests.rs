//! Releases taken in from directories and archives; and archives made to do harm.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use tar::{EntryType, Header};

use super::*;
use crate::app::files::{Files, Stored};
use crate::app::profile::Profile;
use crate::app::{AppError, builtin};
use crate::monitor::Recorder;
use crate::os::process::Trampoline;
use crate::repository::{InitOptions, Repository};
use crate::snapshot;
use crate::tree::TreePath;

struct World {
    dir: tempfile::TempDir,
    repository: Repository,
    profile: Profile,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = dir.path().join("key");
        let options = InitOptions { machine_key_file: Some(&key), ..InitOptions::default() };
        let repository = Repository::init(&dir.path().join("repository"), &options).unwrap();
        let text = builtin::text("sql-files").unwrap();
        let profile = Profile::parse(text, "builtin:sql-files").unwrap();
        Self { dir, repository, profile }
    }

    fn import(&self, source: &ReleaseSource) -> Result<Imported, AppError> {
        self.import_with(source, None, Limits::default())
    }

    fn import_with(
        &self,
        source: &ReleaseSource,
        checksum: Option<&Checksum>,
        limits: Limits,
    ) -> Result<Imported, AppError> {
        let trampoline = Trampoline::own();
        let import = Import {
            source,
            profile: &self.profile,
            checksum,
            limits,
            trampoline: &trampoline,
            cache_dir: self.dir.path(),
        };
        super::import(&self.repository, &import, &Recorder::default())
    }

    fn archive(&self, bytes: &[u8]) -> ReleaseSource {
        let path = self.dir.path().join("release.tar");
        fs::write(&path, bytes).unwrap();
        ReleaseSource::Archive(path)
    }

    fn listing(&self, imported: &Imported) -> Vec<String> {
        let files = Stored::new(&self.repository, &imported.root, "it");
        let files: &dyn Files = &files;
        files.matching("**").unwrap().iter().map(ToString::to_string).collect()
    }

    fn text(&self, imported: &Imported, path: &str) -> String {
        let files = Stored::new(&self.repository, &imported.root, "it");
        let files: &dyn Files = &files;
        let path = TreePath::parse(path.as_bytes()).unwrap();
        String::from_utf8(files.read(&path, 1 << 20).unwrap().unwrap()).unwrap()
    }
}

/// An archive, header by header: it can say what no tool would write.
#[derive(Clone, Default)]
struct Tar(Vec<u8>);

impl Tar {
    /// A good release, below `notes/`.
    fn good() -> Self {
        let mut tar = Self::default();
        tar.entry(EntryType::Directory, "notes/", b"", |_| {});
        tar.file("notes/VERSION", b"1.3.2\n");
        tar.file("notes/migrations/0001.sql", b"CREATE TABLE a (b);\n");
        tar.entry(EntryType::Regular, "notes/bin/run", b"#!/bin/sh\n", |h| h.set_mode(0o755));
        tar.entry(EntryType::Symlink, "notes/lib/current", b"", |h| {
            h.set_link_name("../bin/run").unwrap();
        });
        tar.file("notes/index.php", b"<?php\n");
        tar
    }

    fn file(&mut self, name: &str, content: &[u8]) {
        self.entry(EntryType::Regular, name, content, |_| {});
    }

    fn entry(
        &mut self,
        kind: EntryType,
        name: &str,
        content: &[u8],
        change: impl FnOnce(&mut Header),
    ) {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_mtime(1_500_000_000);
        header.set_size(content.len() as u64);
        // The crate refuses to write bad names; we need some.
        let raw = header.as_mut_bytes();
        raw[..name.len().min(100)].copy_from_slice(&name.as_bytes()[..name.len().min(100)]);
        change(&mut header);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
    }

    fn link(&mut self, kind: EntryType, name: &str, target: &str) {
        self.entry(kind, name, b"", |header| {
            let raw = header.as_mut_bytes();
            raw[157..157 + target.len()].copy_from_slice(target.as_bytes());
        });
    }

    fn pax(&mut self, records: &[(&str, &str)]) {
        let mut body = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let length =
                (1..6).map(|digits| rest + digits).find(|all| all.to_string().len() + rest == *all);
            body.extend(format!("{} {key}={value}\n", length.unwrap()).into_bytes());
        }
        self.entry(EntryType::XHeader, "PaxHeader", &body, |_| {});
    }

    fn end(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&[0; 1024]);
        self.0
    }
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn refusal(error: AppError) -> ReleaseError {
    match error {
        AppError::Release(error) => error,
        other => panic!("not a refusal: {other} ({other:?})"),
    }
}

#[test]
fn an_archive_is_taken_in_however_it_is_packed() {
    let world = World::new();
    let plain = Tar::good().end();
    let mut snapshots = Vec::new();
    for packed in [plain.clone(), gzip(&plain), zstd::encode_all(&plain[..], 1).unwrap()] {
        let imported = world.import(&world.archive(&packed)).unwrap();
        assert_eq!(imported.version.to_string(), "1.3.2");
        assert_eq!((imported.layout.as_str(), imported.files), ("sql-files", 4));
        let listing = world.listing(&imported);
        assert_eq!(listing, ["VERSION", "bin/run", "index.php", "migrations/0001.sql"]);
        assert_eq!(world.text(&imported, "lib/current"), "#!/bin/sh\n");
        snapshots.push(imported.snapshot);
    }
    snapshots.dedup();
    assert_eq!(snapshots.len(), 1, "the same release is kept once");
    let record = &snapshot::list(&world.repository).unwrap()[0];
    assert_eq!(record.class, snapshot::Class::Release);
    assert_eq!(record.app.as_ref().unwrap().version, "1.3.2");
}

#[test]
fn a_directory_is_taken_in_without_its_repository() {
    let world = World::new();
    let root = world.dir.path().join("download/notes-1.3.2");
    fs::create_dir_all(root.join("migrations")).unwrap();
    fs::create_dir_all(root.join(".git/hooks")).unwrap();
    fs::write(root.join(".git/hooks/post-checkout"), "#!/bin/sh\n").unwrap();
    fs::write(root.join("VERSION"), "1.3.2\n").unwrap();
    fs::write(root.join("migrations/1.sql"), "").unwrap();
    fs::write(root.join("run"), "").unwrap();
    fs::set_permissions(root.join("run"), fs::Permissions::from_mode(0o750)).unwrap();
    symlink("run", root.join("link")).unwrap();
    let whole = world.import(&ReleaseSource::Directory(root.clone())).unwrap();
    assert_eq!(world.listing(&whole), ["VERSION", "migrations/1.sql", "run"]);
    assert_eq!(whole.warnings, [".git is left out of the release"]);
    let run =
        crate::tree::read::find(&world.repository, &whole.root, &TreePath::parse(b"run").unwrap());
    assert_eq!(run.unwrap().unwrap().meta.mode, 0o755, "only whether it can be run is taken");
    // Found one directory deeper, too.
    let above = world.import(&ReleaseSource::Directory(root.parent().unwrap().to_owned())).unwrap();
    assert_eq!(world.listing(&above), world.listing(&whole));
}

#[test]
fn a_checksum_that_was_given_or_lies_beside_must_fit() {
    let world = World::new();
    let bytes = Tar::good().end();
    let source = world.archive(&bytes);
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &bytes);
    let hex = digest.as_ref().iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    let right = Checksum::parse(&hex).unwrap();
    let imported = world.import_with(&source, Some(&right), Limits::default()).unwrap();
    assert_eq!(imported.checksum.as_deref(), Some(&*format!("sha256:{hex}")));
    let wrong = Checksum::parse(&"0".repeat(128)).unwrap();
    let refused = world.import_with(&source, Some(&wrong), Limits::default()).unwrap_err();
    assert!(matches!(refusal(refused), ReleaseError::Checksum { .. }));
    fs::write(
        world.dir.path().join("release.tar.sha256"),
        format!("{}  release.tar\n", "0".repeat(64)),
    )
    .unwrap();
    assert!(matches!(refusal(world.import(&source).unwrap_err()), ReleaseError::Checksum { .. }));
}

#[test]
fn a_tree_of_another_application_is_no_release() {
    let world = World::new();
    let mut tar = Tar::default();
    tar.file("README", b"hello");
    let refused = refusal(world.import(&world.archive(&tar.end())).unwrap_err());
    assert_eq!(
        refused.to_string(),
        "this is no release of sql-files: sql-files: VERSION is missing"
    );
    assert_eq!(snapshot::list(&world.repository).unwrap(), []);
}

#[test]
fn long_names_and_times_come_from_the_headers_made_for_them() {
    let world = World::new();
    let long = format!("notes/{}/{}.sql", "d".repeat(120), "f".repeat(200));
    let mut tar = Tar::good();
    tar.pax(&[("path", &long), ("mtime", "1500000001.5"), ("comment", "made by hand")]);
    tar.file("short", b"1");
    let gnu = format!("notes/{}", "g".repeat(180));
    tar.entry(EntryType::GNULongName, "././@LongLink", format!("{gnu}\0").as_bytes(), |_| {});
    tar.file("short", b"2");
    tar.link(EntryType::Link, "notes/again", "notes/VERSION");
    let imported = world.import(&world.archive(&tar.end())).unwrap();
    let listing = world.listing(&imported);
    for name in [&long, &gnu, "notes/again"] {
        assert!(listing.contains(&name["notes/".len()..].to_owned()), "{name}: {listing:?}");
    }
    let path = TreePath::parse(&long.as_bytes()["notes/".len()..]).unwrap();
    let found = crate::tree::read::find(&world.repository, &imported.root, &path).unwrap().unwrap();
    assert_eq!((found.meta.mtime.secs, found.meta.mtime.nanos), (1_500_000_001, 500_000_000));
}

type Story = (&'static str, fn(&mut Tar));

/// What is added to a good release.
const STORIES: &[Story] = &[
    ("climbs out by ..", |tar| tar.file("notes/../../canary/out", b"x")),
    ("climbs out at once", |tar| tar.file("../canary/out", b"x")),
    ("climbs and comes back", |tar| tar.file("notes/a/../../notes/b", b"x")),
    ("names an absolute path", |tar| tar.file("/canary/out", b"x")),
    ("is absolute by pax", |tar| {
        tar.pax(&[("path", "/canary/out")]);
        tar.file("notes/x", b"x");
    }),
    ("climbs by a long name", |tar| {
        tar.entry(EntryType::GNULongName, "././@LongLink", b"notes/../../canary/out\0", |_| {});
        tar.file("notes/x", b"x");
    }),
    ("links to an absolute path", |tar| tar.link(EntryType::Symlink, "notes/l", "/etc/passwd")),
    ("links out by ..", |tar| tar.link(EntryType::Symlink, "notes/l", "../../etc/passwd")),
    ("links out through a link", |tar| {
        tar.link(EntryType::Symlink, "notes/a", "bin");
        tar.link(EntryType::Symlink, "notes/b", "a/../../..");
    }),
    ("links out through a link that climbs", |tar| {
        tar.link(EntryType::Symlink, "notes/d/up", "..");
        tar.link(EntryType::Symlink, "notes/b", "d/up/../x");
    }),
    ("links in circles", |tar| {
        tar.link(EntryType::Symlink, "notes/a", "b");
        tar.link(EntryType::Symlink, "notes/b", "a");
    }),
    ("writes through a link", |tar| {
        tar.link(EntryType::Symlink, "notes/hole", "bin");
        tar.file("notes/hole/out", b"x");
    }),
    ("puts a link where files were", |tar| {
        tar.link(EntryType::Symlink, "notes/migrations", "bin");
    }),
    ("links to nothing", |tar| tar.link(EntryType::Symlink, "notes/l", "")),
    ("links hard to the outside", |tar| tar.link(EntryType::Link, "notes/l", "/etc/passwd")),
    ("links hard by ..", |tar| tar.link(EntryType::Link, "notes/l", "../../etc/passwd")),
    ("links hard to what is not there", |tar| tar.link(EntryType::Link, "notes/l", "notes/none")),
    ("links hard to what comes later", |tar| {
        tar.link(EntryType::Link, "notes/l", "notes/late");
        tar.file("notes/late", b"x");
    }),
    ("links hard to a link", |tar| tar.link(EntryType::Link, "notes/l", "notes/lib/current")),
    ("links hard to a directory", |tar| tar.link(EntryType::Link, "notes/l", "notes")),
    ("brings a character device", |tar| tar.entry(EntryType::Char, "notes/null", b"", |_| {})),
    ("brings a block device", |tar| tar.entry(EntryType::Block, "notes/disk", b"", |_| {})),
    ("brings a pipe", |tar| tar.entry(EntryType::Fifo, "notes/pipe", b"", |_| {})),
    ("brings a setuid program", |tar| {
        tar.entry(EntryType::Regular, "notes/su", b"x", |header| header.set_mode(0o4755));
    }),
    ("brings a setgid program", |tar| {
        tar.entry(EntryType::Regular, "notes/sg", b"x", |header| header.set_mode(0o2755));
    }),
    ("says one file twice, differently", |tar| tar.file("notes/index.php", b"<?php evil();\n")),
    ("says one file twice, once to be run", |tar| {
        tar.entry(EntryType::Regular, "notes/index.php", b"<?php\n", |header| {
            header.set_mode(0o755);
        });
    }),
    ("turns a file into a directory", |tar| tar.file("notes/index.php/deeper", b"x")),
    ("turns a directory into a file", |tar| tar.file("notes/bin", b"x")),
    ("has a NUL in a name", |tar| tar.file("notes/a\0b", b"x")),
    ("has a NUL in a pax name", |tar| {
        tar.pax(&[("path", "notes/a\0b")]);
        tar.file("notes/x", b"x");
    }),
    ("disagrees about a size", |tar| {
        tar.pax(&[("size", "0")]);
        tar.file("notes/x", b"xxxxxxxxxxxx");
    }),
    ("claims a larger size by pax", |tar| {
        tar.pax(&[("size", "1024")]);
        tar.file("notes/x", b"x");
    }),
    ("says the pax size twice", |tar| {
        tar.pax(&[("size", "1"), ("size", "2")]);
        tar.file("notes/x", b"x");
    }),
    ("has a malformed pax header", |tar| {
        tar.entry(EntryType::XHeader, "PaxHeader", b"999 path=notes/x\n", |_| {});
        tar.file("notes/x", b"x");
    }),
    ("changes all entries by a global header", |tar| {
        tar.entry(EntryType::XGlobalHeader, "g", b"22 path=/canary/global\n", |_| {});
        tar.file("notes/x", b"x");
    }),
    ("announces an entry twice", |tar| {
        tar.pax(&[("path", "notes/a")]);
        tar.pax(&[("path", "notes/b")]);
        tar.file("notes/x", b"x");
    }),
    ("names an entry differently in two headers", |tar| {
        tar.entry(EntryType::GNULongName, "././@LongLink", b"notes/a\0", |_| {});
        tar.pax(&[("path", "notes/b")]);
        tar.file("notes/x", b"x");
    }),
    ("announces an entry that never comes", |tar| tar.pax(&[("path", "notes/a")])),
    ("brings a sparse file", |tar| {
        tar.pax(&[("GNU.sparse.major", "1"), ("GNU.sparse.realsize", "999999999999")]);
        tar.file("notes/x", b"x");
    }),
    ("brings an old sparse file", |tar| tar.entry(EntryType::GNUSparse, "notes/s", b"", |_| {})),
    ("brings an unknown kind", |tar| tar.entry(EntryType::new(b'Z'), "notes/z", b"", |_| {})),
    ("has a directory with content", |tar| {
        tar.entry(EntryType::Directory, "notes/d/", b"x", |_| {});
    }),
    ("has a link with content", |tar| {
        tar.entry(EntryType::Symlink, "notes/l", b"x", |h| h.set_link_name("bin").unwrap());
    }),
    ("lies about a size", |tar| {
        tar.entry(EntryType::Regular, "notes/lie", b"x", |header| header.set_size(1 << 40));
    }),
    ("lies about a name's length", |tar| {
        tar.entry(EntryType::GNULongName, "././@LongLink", b"x", |header| header.set_size(1 << 33));
    }),
    ("is deeper than any release", |tar| {
        tar.pax(&[("path", &format!("notes/{}x", "d/".repeat(200)))]);
        tar.file("notes/x", b"x");
    }),
    ("has a name longer than a disk takes", |tar| {
        tar.pax(&[("path", &format!("notes/{}", "n".repeat(256)))]);
        tar.file("notes/x", b"x");
    }),
    ("has a checksum that is wrong", |tar| {
        let at = tar.0.len();
        tar.file("notes/x", b"x");
        tar.0[at] ^= 1;
    }),
    ("makes the release a file", |tar| tar.file(".", b"x")),
];

#[test]
fn a_hostile_archive_is_refused_and_leaves_no_snapshot() {
    let world = World::new();
    let canary = world.dir.path().join("canary");
    fs::create_dir(&canary).unwrap();
    fs::write(canary.join("kept"), "outside").unwrap();
    let mut cases = 0;
    for (what, story) in STORIES {
        let mut tar = Tar::good();
        story(&mut tar);
        let plain = tar.end();
        for packed in [plain.clone(), gzip(&plain), zstd::encode_all(&plain[..], 1).unwrap()] {
            cases += 1;
            match world.import(&world.archive(&packed)) {
                Ok(imported) => panic!("accepted: {what}: {:?}", world.listing(&imported)),
                Err(error) => drop(refusal(error)),
            }
        }
    }
    assert!(cases >= 100, "{cases} cases");
    assert_eq!(snapshot::list(&world.repository).unwrap(), []);
    assert_eq!(fs::read_dir(&canary).unwrap().count(), 1);
    assert!(!Path::new("/canary").exists());
    // The good release that all of them began with is still taken.
    world.import(&world.archive(&Tar::good().end())).unwrap();
}

#[test]
fn an_archive_that_was_cut_or_went_on_is_refused() {
    let world = World::new();
    let whole = Tar::good().end();
    for length in (0..whole.len()).step_by(256) {
        let refused = world.import(&world.archive(&whole[..length]));
        assert!(refused.is_err(), "cut to {length} of {}", whole.len());
    }
    let packed = gzip(&whole);
    for length in [10, packed.len() / 2, packed.len() - 1] {
        refusal(world.import(&world.archive(&packed[..length])).unwrap_err());
    }
    let followed = [&whole[..], &[1; 512]].concat();
    refusal(world.import(&world.archive(&followed)).unwrap_err());
    // Padding, as tar writes it, follows every end.
    world.import(&world.archive(&[&whole[..], &[0; 8192]].concat())).unwrap();
}

#[test]
fn what_is_no_tar_archive_is_named() {
    let world = World::new();
    for (start, kind) in
        [(&b"BZh91AY"[..], "bzip2"), (b"\xfd7zXZ\0\0", "xz"), (b"PK\x03\x04rest", "zip")]
    {
        match refusal(world.import(&world.archive(start)).unwrap_err()) {
            ReleaseError::UnknownArchive { kind: found, .. } => assert_eq!(found, kind),
            other => panic!("{other}"),
        }
    }
    refusal(world.import(&world.archive(b"just some text, no archive at all")).unwrap_err());
    let nowhere = ReleaseSource::Archive(world.dir.path().join("none.tar"));
    assert!(matches!(refusal(world.import(&nowhere).unwrap_err()), ReleaseError::NotFound { .. }));
}

#[test]
fn every_limit_is_kept() {
    let world = World::new();
    let figure = |tar: &Tar, limits: Limits| {
        let source = world.archive(&tar.clone().end());
        match refusal(world.import_with(&source, None, limits).unwrap_err()) {
            ReleaseError::TooMuch { figure, .. } => figure,
            other => panic!("{other}"),
        }
    };
    let tar = Tar::good();
    let default = Limits::default();
    assert_eq!(figure(&tar, Limits { entries: 5, ..default }), Figure::Entries);
    assert_eq!(figure(&tar, Limits { file_bytes: 10, ..default }), Figure::FileBytes);
    assert_eq!(figure(&tar, Limits { total_bytes: 20, ..default }), Figure::TotalBytes);
    assert_eq!(figure(&tar, Limits { depth: 2, ..default }), Figure::Depth);
    let mut bomb = Tar::good();
    bomb.file("notes/zeroes", &vec![0; 100 << 20]);
    let source = world.archive(&zstd::encode_all(&bomb.end()[..], 1).unwrap());
    let refused = refusal(world.import(&source).unwrap_err());
    assert!(matches!(refused, ReleaseError::TooMuch { figure: Figure::Ratio, .. }), "{refused}");
}

#[test]
fn a_hostile_directory_is_refused() {
    let world = World::new();
    let make = |name: &str| {
        let root = world.dir.path().join(name);
        fs::create_dir_all(root.join("migrations")).unwrap();
        fs::write(root.join("VERSION"), "1.3.2\n").unwrap();
        root
    };
    let out = make("out");
    symlink("/etc/passwd", out.join("link")).unwrap();
    let setuid = make("setuid");
    fs::write(setuid.join("su"), "").unwrap();
    fs::set_permissions(setuid.join("su"), fs::Permissions::from_mode(0o4755)).unwrap();
    let socket = make("socket");
    let _listener = std::os::unix::net::UnixListener::bind(socket.join("s")).unwrap();
    for root in [out, setuid, socket] {
        let refused = refusal(world.import(&ReleaseSource::Directory(root)).unwrap_err());
        assert!(matches!(refused, ReleaseError::BadEntry { .. }), "{refused}");
    }
}
