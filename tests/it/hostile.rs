//! Release archives made to do harm: refused, with nothing touched anywhere.

use crate::notes_upgrade::unchanged;
use crate::oracle::{Skip, same, tree};
use crate::run::{args, tool};
use crate::site::notes::release;
use crate::stage::write;
use crate::world::World;

/// What each archive does, what is said of it, and the story that makes it: the good release of
/// notes 1.3.2 and something hostile.
const STORIES: &[(&str, &str, &str)] = &[
    ("climbs out by ..", "its path climbs", "put('../../../../../../../../../canary/out', b'x')"),
    (
        "climbs out from below",
        "its path climbs",
        "put('lib/../../../../../../../../canary/out', b'x')",
    ),
    ("names an absolute path", "its path is absolute", "put(CANARY + '/out', b'x')"),
    (
        "writes through a link to outside",
        "what it lies in is no directory",
        "link('hole', CANARY); put('hole/out', b'x')",
    ),
    (
        "writes through a link made of dots",
        "what it lies in is no directory",
        "link('hole', '../../../../../../../..' + CANARY); put('hole/out', b'x')",
    ),
    (
        "writes through a chain of links",
        "what it lies in is no directory",
        "link('a', '.'); link('a/b', CANARY); put('a/b/out', b'x')",
    ),
    ("links hard to a file outside", "its path is absolute", "hard('passwd', CANARY + '/kept')"),
    (
        "links hard by ..",
        "its path climbs",
        "hard('passwd', '../../../../../../..' + CANARY + '/kept')",
    ),
    ("brings a device", "it is a device", "special('null', tarfile.CHRTYPE)"),
    ("brings a fifo", "it is a pipe", "special('pipe', tarfile.FIFOTYPE)"),
    (
        "brings a setuid program",
        "it would run with another account's rights",
        "put('bin/sh', b'x', mode=0o4755)",
    ),
    (
        "says one file twice, differently",
        "it is there twice, and differs",
        "put('index.php', b'<?php // other')",
    ),
    (
        "turns a file into a directory",
        "what it lies in is no directory",
        "put('index.php/deeper', b'x')",
    ),
    ("has a NUL in a name", "its name holds a NUL byte", "raw_name(b'lib/a\\0b')"),
    ("has no end", "it was cut off", "cut()"),
    ("lies about a size", "its headers disagree about its size", "lie_about_size()"),
    ("is a bomb of zeroes", "bytes in one file", "zeroes(3000 << 20)"),
    ("is a bomb of names", "more than 300000 entries", "many(400000)"),
    ("is no archive", "it is no tar archive", "garbage()"),
];

const MAKER: &str = r"
import io, sys, tarfile, os
RELEASE, OUT, CANARY, STORY = sys.argv[1:5]
out = open(OUT, 'w+b')
tar = tarfile.open(fileobj=out, mode='w', format=tarfile.PAX_FORMAT)
tar.add(RELEASE, arcname='notes')
def info(name):
    i = tarfile.TarInfo(name if name.startswith(('/', '..')) else 'notes/' + name); i.mtime = 1500000000; return i
def put(name, data, mode=0o644):
    i = info(name); i.mode = mode; i.size = len(data)
    tar.addfile(i, io.BytesIO(data))
def link(name, to):
    i = info(name); i.type = tarfile.SYMTYPE; i.linkname = to; tar.addfile(i)
def hard(name, to):
    i = info(name); i.type = tarfile.LNKTYPE; i.linkname = to; tar.addfile(i)
def special(name, kind):
    i = info(name); i.type = kind; i.devmajor, i.devminor = 1, 3; tar.addfile(i)
def many(count):
    for n in range(count): tar.addfile(info('n/%d' % n))
def raw_header(block, data=0):
    out.write(bytes(block)); out.seek(data, os.SEEK_CUR); tar.offset += len(block) + data
def raw_name(name):
    i = info('x'); block = bytearray(i.tobuf(tarfile.USTAR_FORMAT)); block[:100] = (b'notes/' + name).ljust(100, b'\0')
    block[148:156] = b' ' * 8; block[148:156] = b'%06o\0 ' % sum(block); raw_header(block)
def zeroes(size):
    i = info('zeroes'); i.size = size; raw_header(i.tobuf(), data=size)
def lie_about_size():
    i = info('lie'); i.size = 1 << 40; raw_header(i.tobuf())
after = lambda: None
def cut():
    global after; after = lambda: out.truncate(os.stat(OUT).st_size - 2000 - 700)
def garbage():
    global after; after = lambda: (out.seek(0), out.truncate(5000), out.write(bytes(255 - n % 256 for n in range(5000))))
exec(STORY)
tar.close()
out.flush()
after()
out.close()
";

#[test]
fn a_hostile_archive_is_refused_and_touches_nothing() {
    let (world, site) = World::with_notes();
    let canary = world.path("canary");
    write(canary.join("kept"), "outside");
    let before = (site.fingerprint(), tree(&canary, Skip::default()));
    for (what, reason, story) in STORIES {
        let archive = world.path("hostile.tar");
        tool("python3", &[&"-c", &MAKER, &release("1.3.2"), &archive, &canary, story]);
        let run = world.snap(args![
            "upgrade",
            "--app",
            "notes",
            "--from-archive",
            archive,
            "--base",
            release("1.1.0"),
            "--yes"
        ]);
        assert_eq!(run.code(), 26, "an archive that {what}: {run}");
        let said = run.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.contains(reason), "an archive that {what}: {run}");
        unchanged(&site, &before.0, what);
        same(&before.1.0, &tree(&canary, Skip::default()).0, what);
    }
    // The maker itself makes good archives: without a story the upgrade goes through.
    let archive = world.path("good.tar");
    tool("python3", &[&"-c", &MAKER, &release("1.3.2"), &archive, &canary, &"pass"]);
    world
        .snap(args![
            "upgrade",
            "--app",
            "notes",
            "--from-archive",
            archive,
            "--base",
            release("1.1.0"),
            "--yes"
        ])
        .ok();
}
