//! Release archives made to do harm: refused, with nothing touched anywhere.

use crate::notes_upgrade::unchanged;
use crate::oracle::{Skip, same, tree};
use crate::run::{args, tool};
use crate::site::notes::release;
use crate::stage::write;
use crate::world::World;

/// Each story makes one archive: the good release of notes 1.3.2 and something hostile.
const STORIES: &[(&str, &str)] = &[
    ("climbs out by ..", "put('../../../../../../../../../canary/out', b'x')"),
    ("climbs out from below", "put('lib/../../../../../../../../canary/out', b'x')"),
    ("names an absolute path", "put(CANARY + '/out', b'x')"),
    ("writes through a link to outside", "link('hole', CANARY); put('hole/out', b'x')"),
    (
        "writes through a link made of dots",
        "link('hole', '../../../../../../../..' + CANARY); put('hole/out', b'x')",
    ),
    (
        "writes through a chain of links",
        "link('a', '.'); link('a/b', CANARY); put('a/b/out', b'x')",
    ),
    ("links hard to a file outside", "hard('passwd', CANARY + '/kept')"),
    ("links hard by ..", "hard('passwd', '../../../../../../..' + CANARY + '/kept')"),
    ("brings a device", "special('null', tarfile.CHRTYPE)"),
    ("brings a fifo", "special('pipe', tarfile.FIFOTYPE)"),
    ("brings a setuid program", "put('bin/sh', b'x', mode=0o4755)"),
    ("says one file twice, differently", "put('index.php', b'<?php // other')"),
    ("turns a file into a directory", "put('index.php/deeper', b'x')"),
    ("has a NUL in a name", "raw_name(b'lib/a\\0b')"),
    ("has no end", "cut()"),
    ("lies about a size", "lie_about_size()"),
    ("is a bomb of zeroes", "put('zeroes', b'\\0' * (1 << 20), times=3000)"),
    ("is a bomb of names", "many(400000)"),
    ("is no archive", "garbage()"),
];

const MAKER: &str = r"
import io, sys, tarfile, os
RELEASE, OUT, CANARY, STORY = sys.argv[1:5]
buffer = io.BytesIO()
tar = tarfile.open(fileobj=buffer, mode='w', format=tarfile.PAX_FORMAT)
tar.add(RELEASE, arcname='notes')
def info(name):
    i = tarfile.TarInfo(name if name.startswith(('/', '..')) else 'notes/' + name); i.mtime = 1500000000; return i
def put(name, data, mode=0o644, times=1):
    i = info(name); i.mode = mode; i.size = len(data) * times
    tar.addfile(i, Repeated(data, times))
def link(name, to):
    i = info(name); i.type = tarfile.SYMTYPE; i.linkname = to; tar.addfile(i)
def hard(name, to):
    i = info(name); i.type = tarfile.LNKTYPE; i.linkname = to; tar.addfile(i)
def special(name, kind):
    i = info(name); i.type = kind; i.devmajor, i.devminor = 1, 3; tar.addfile(i)
def many(count):
    for n in range(count): tar.addfile(info('n/%d' % n))
def raw_name(name):
    i = info('x'); block = bytearray(i.tobuf(tarfile.USTAR_FORMAT)); block[:100] = (b'notes/' + name).ljust(100, b'\0')
    block[148:156] = b' ' * 8; block[148:156] = b'%06o\0 ' % sum(block); tar.fileobj.write(bytes(block)); tar.offset += 512
class Repeated(io.RawIOBase):
    def __init__(self, data, times): self.data, self.left = data, times; self.rest = b''
    def readable(self): return True
    def read(self, n=-1):
        while len(self.rest) < n and self.left: self.rest += self.data; self.left -= 1
        out, self.rest = self.rest[:n], self.rest[n:]; return out
after = lambda data: data
def cut():
    global after; after = lambda data: data[:-2000 - 700]
def garbage():
    global after; after = lambda data: os.urandom(5000)
def lie_about_size():
    i = info('lie'); i.size = 1 << 40; tar.fileobj.write(i.tobuf()); tar.offset += 512
exec(STORY)
tar.close()
open(OUT, 'wb').write(after(buffer.getvalue()))
";

#[test]
fn a_hostile_archive_is_refused_and_touches_nothing() {
    let (world, site) = World::with_notes();
    let canary = world.path("canary");
    write(canary.join("kept"), "outside");
    let before = (site.fingerprint(), tree(&canary, Skip::default()));
    for (what, story) in STORIES {
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
