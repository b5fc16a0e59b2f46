# The demo as a stranger meets it: no HOME, no network, root or not. Sourced by all.sh.

# demo_run NAME PREFIX...: the demo under PREFIX, in its own temporary directory, which must be
# empty afterwards. How long it takes is told, not tested: the machine may have others to serve.
demo_run() {
    local tmp=$SCRATCH/demo left
    rm -rf "$tmp"
    mkdir -m 1777 "$tmp"
    env -u HOME -u SNAP_CONFIG_DIR -u SNAP_STATE_DIR -u SNAP_CACHE_DIR -u SNAP_RUNTIME_DIR \
        TMPDIR="$tmp" "$@" </dev/null || return 1
    left=$(find "$tmp" -mindepth 1)
    if [ -n "$left" ]; then
        echo "the demo left behind: $left"
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
