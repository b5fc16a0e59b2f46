#!/usr/bin/env bash
# Times snap beside the backup programs on PATH, by one command:
#
#   bash benches/macro.sh --quick     under 6 minutes, with restic and borg
#   bash benches/macro.sh --full      the sizes of the goals; an hour with all peers
#   bash benches/macro.sh --quick --tree /srv/v1:/srv/v2     real trees: one state, and the next
#
# As root everything happens on a journaled ext4 in memory (a loop mount in /dev/shm); otherwise,
# or with SNAP_BENCH_DIR=DIR, below a directory on disk. Results go to benches/ (macro.json,
# macro.md, macro.svg). Further options: --rounds N, --only W1,W4, --mib N (the size of W3 and W4),
# --tools snap,restic, --out DIR.
set -eu
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$ROOT"
SIZE_MIB=5120
for word in "$@"; do [ "$word" = --full ] && SIZE_MIB=13312; done

# Builds snap too, as a release build does.
nice cargo bench --locked --quiet --bench macro --no-run

IMAGE= MOUNT=
finish() {
    local status=$?
    trap - EXIT INT TERM
    if [ -n "$MOUNT" ]; then
        umount "$MOUNT" || umount -l "$MOUNT"
        rmdir "$MOUNT"
    fi
    [ -z "$IMAGE" ] || rm -f "$IMAGE"
    [ -z "${WORK:-}" ] || rm -rf "$WORK"
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if [ -n "${SNAP_BENCH_DIR:-}" ]; then
    WORK=$(mktemp -d "$SNAP_BENCH_DIR/snap-macro.XXXXXX")
elif [ "$(id -u)" = 0 ] && [ -w /dev/shm ] && command -v mkfs.ext4 >/dev/null; then
    IMAGE=$(mktemp /dev/shm/snap-macro.XXXXXX)
    # Written, not only promised: the first touch of a machine's memory costs more than its use.
    dd if=/dev/zero of="$IMAGE" bs=1M count="$SIZE_MIB" status=none
    # A quarter of a million inodes a GiB: trees of small files, several times.
    mkfs.ext4 -q -F -i 4096 -E lazy_itable_init=0,lazy_journal_init=0 "$IMAGE"
    MOUNT=$(mktemp -d /dev/shm/snap-macro-mount.XXXXXX)
    mount -o loop,noatime "$IMAGE" "$MOUNT"
    WORK=$MOUNT/work
    mkdir "$WORK"
else
    WORK=$(mktemp -d)
fi
cargo bench --locked --quiet --bench macro -- --work "$WORK" "$@"
