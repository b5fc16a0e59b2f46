#!/usr/bin/env bash
# Everything that is tested, by one command: bash tests/all.sh
#
#   bash tests/all.sh                    installs what is missing (as root), runs everything
#   bash tests/all.sh --no-install       the same, but refuses to install
#   bash tests/all.sh --check            only says what is there and what is missing
#   bash tests/all.sh --with-servers CMD starts the servers, runs CMD with SNAP_TEST_* set, stops them
#
# SNAP_TEST_LARGE=1 adds a tree of 1 GB and a database of 500 MB, SNAP_TEST_TREES=DIR the guide's
# example on the real trees in DIR/passbolt/1.1.0 and 1.3.2.
# SNAP_TEST_CAMPAIGN=full runs the long campaigns whole instead of a sample of each.
# The last line is `N passed, N failed`; the exit code is 0 only if nothing failed.
set -u
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$ROOT" || exit 1
. tests/servers.sh
. tests/install.sh

MODE=install
case ${1:-} in
'') ;;
--no-install) MODE=refuse ;;
--check) MODE=check ;;
--with-servers) MODE=servers ;;
*)
    echo "tests/all.sh: no such option: $1" >&2
    exit 2
    ;;
esac

PASSED=0
FAILED=0
TABLE=()
STARTED=$SECONDS
# Children carry this mark, so that what is left of them at the end can be told from the rest.
export SNAP_TEST_RUN=$$.$RANDOM
LOGS=$ROOT/target/test-logs
mkdir -p "$LOGS"
export SNAP_TEST_REPORT=$LOGS/figures.txt
: >"$SNAP_TEST_REPORT"

# note NAME AGAINST PASSED FAILED SECONDS: one line of the closing table.
note() {
    PASSED=$((PASSED + $3))
    FAILED=$((FAILED + $4))
    TABLE+=("$(printf '%-34s %-34s %6d %6d %6ds' "$1" "$2" "$3" "$4" "$5")")
}

# once NAME AGAINST CMD...: a command that passes or fails as one.
once() {
    local name=$1 against=$2 begun=$SECONDS
    shift 2
    echo "== $name"
    if "$@" 2>&1 | tee "$LOGS/${name//[^a-z0-9]/-}.log"; [ "${PIPESTATUS[0]}" = 0 ]; then
        note "$name" "$against" 1 0 $((SECONDS - begun))
    else
        echo "FAILED: $name"
        note "$name" "$against" 0 1 $((SECONDS - begun))
    fi
}

# suite NAME AGAINST CMD...: a cargo test run; its own counts are added up.
suite() {
    local name=$1 against=$2 begun=$SECONDS log passed failed status
    shift 2
    log=$LOGS/${name//[^a-z0-9]/-}.log
    echo "== $name"
    "$@" 2>&1 | tee "$log"
    status=${PIPESTATUS[0]}
    read -r passed failed < <(awk '/^test result: /{ p += $4; f += $6 } END { print p + 0, f + 0 }' "$log")
    # A run that dies, or does not compile, prints no count.
    if [ "$status" != 0 ] && [ "$failed" = 0 ]; then failed=1; fi
    if [ "$passed" = 0 ] && [ "$failed" = 0 ]; then failed=1; fi
    note "$name" "$against" "$passed" "$failed" $((SECONDS - begun))
}

finish() {
    local status=$?
    trap - EXIT INT TERM
    mariadb_stop
    install_guard_off
    rm -rf "${SCRATCH:-}"
    exit "${1:-$status}"
}
trap finish EXIT
trap 'finish 130' INT
trap 'finish 143' TERM

if [ "$MODE" = check ]; then
    install_report
    exit $?
fi
if [ -n "$(install_missing)" ]; then
    if [ "$MODE" = refuse ]; then
        install_report
        exit 1
    fi
    install_now || exit 1
fi

echo "== servers"
mariadb_start || {
    # Nothing that needs a server may pass by not running.
    note "servers" "MariaDB did not start" 0 1 0
}
export SNAP_TEST_REQUIRE=all SNAP_TEST_PHP=php
echo "MariaDB ${MARIADB_VERSION:-none} on ${SNAP_TEST_MYSQL_SOCKET:-nothing}"

if [ "$MODE" = servers ]; then
    shift
    "$@"
    exit $?
fi

SCRATCH=$(mktemp -d /tmp/snap-all.XXXXXX)
chmod 755 "$SCRATCH"
export CARGO_TERM_COLOR=never
DB="MariaDB ${MARIADB_VERSION%%-*}, PHP $(php -r 'echo PHP_VERSION;')"

once "cargo fmt --check" "sources" cargo fmt --check
if cargo clippy --version >/dev/null 2>&1; then
    once "cargo clippy" "all targets, warnings denied" \
        cargo clippy --locked --all-targets --quiet -- -D warnings
fi
once "release build" "what a user builds" cargo build --release --locked
# The tests of the binary run the release build: that is what is shipped.
export SNAP_TEST_BINARY=$ROOT/target/release/snap
# What needs more than a machine run each time has is run when it is asked for, and said to be not.
LATER=()
[ -n "${SNAP_TEST_LARGE:-}" ] || LATER+=(fifty_thousand_files_and_a_gigabyte_come_back a_database_of_500_megabytes_comes_back)
[ -n "${SNAP_TEST_TREES:-}" ] || LATER+=(the_guides_example_works_on_the_real_trees_from_git_tags)
SKIP=()
for name in "${LATER[@]}"; do SKIP+=(--skip "$name"); done
suite "unit tests" "$DB" cargo test --locked --lib -- --include-ignored
suite "integration tests" "$DB" cargo test --locked --test '*' -- --include-ignored "${SKIP[@]}"
once "doc tests" "the library" cargo test --locked --doc
. tests/demo.sh
demo_stage

left() {
    # What a test started carries the mark of this run or of a transaction; we are no test.
    local pid found=0
    for pid in $(grep -lsaE "SNAP_TEST_RUN=$SNAP_TEST_RUN|SNAP_TXN_ID=" /proc/[0-9]*/environ | tr -dc '0-9\n'); do
        case " $$ $BASHPID $PPID ${MARIADB_PID:-} " in *" $pid "*) continue ;; esac
        [ -e "/proc/$pid/cmdline" ] || continue
        # Our own pipeline: this function's grep and tr are gone by now, tee is our child.
        [ "$(ps_parent "$pid")" = $$ ] && continue
        tr '\0' ' ' <"/proc/$pid/cmdline"
        echo "(pid $pid) was left behind"
        kill "$pid"
        found=1
    done
    return $found
}
ps_parent() { awk '/^PPid:/{ print $2 }' "/proc/$1/status" 2>/dev/null; }
once "no process is left" "processes of this run" left

echo
printf '%-34s %-34s %6s %6s %7s\n' "what ran" "against what" passed failed time
printf '%s\n' "${TABLE[@]}"
if [ "${#LATER[@]}" -gt 0 ]; then
    echo
    echo "not run, for nobody asked (see the head of tests/all.sh):"
    printf '  %s\n' "${LATER[@]}"
fi
echo
cat "$SNAP_TEST_REPORT"
echo "campaigns: ${SNAP_TEST_CAMPAIGN:-sample}; $((SECONDS - STARTED)) s in all; logs in target/test-logs"
echo "$PASSED passed, $FAILED failed"
[ "$FAILED" = 0 ]
