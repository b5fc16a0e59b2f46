# The demo as a stranger meets it: no HOME, no network, root or not. Sourced by all.sh.

# demo_run NAME PREFIX...: the demo under PREFIX, in its own temporary directory, which must be
# empty afterwards, within 30 seconds: on the wall, or on the cores where the machine serves others
# too. Runs in a subshell of its own, whose children are the demo's.
demo_run() {
    local tmp=$SCRATCH/demo begun=$SECONDS left spent
    rm -rf "$tmp"
    mkdir -m 1777 "$tmp"
    env -u HOME -u SNAP_CONFIG_DIR -u SNAP_STATE_DIR -u SNAP_CACHE_DIR -u SNAP_RUNTIME_DIR \
        TMPDIR="$tmp" "$@" </dev/null || return 1
    left=$(find "$tmp" -mindepth 1)
    if [ -n "$left" ]; then
        echo "the demo left behind: $left"
        return 1
    fi
    [ $((SECONDS - begun)) -gt 30 ] || return 0
    times >"$tmp/times"
    spent=$(awk 'NR == 2 { gsub(/[ms]/, " "); print int($1 * 60 + $2 + $3 * 60 + $4) }' "$tmp/times")
    if [ "$spent" -gt 30 ]; then
        echo "the demo took $((SECONDS - begun)) s, $spent s on the cores; it may take 30"
        return 1
    fi
}

demo_stage() {
    local snap=$SCRATCH/bin/snap offline=()
    mkdir -p "$SCRATCH/bin"
    cp target/release/snap "$snap"
    # A network namespace without interfaces: whatever asks the network fails.
    if unshare -n true 2>/dev/null; then offline=(unshare -n); fi
    once "demo" "SQLite, no HOME, ${offline[*]:-online}" demo_run "${offline[@]}" "$snap" demo
    if [ "$(id -u)" = 0 ]; then
        once "demo, not as root" "SQLite, user nobody" demo_run \
            setpriv --reuid=nobody --regid="$(id -g nobody)" --clear-groups "$snap" demo
    fi
}
