# Private database servers for the tests. Sourced by all.sh; defines functions, does nothing itself.
#
# A server runs as an unprivileged user, listens on a socket and on a free loopback port, keeps its
# data under target/test-servers/ and is stopped by its pid. No server that is already running on
# the machine is asked, used or touched.

# Where the servers keep their things. A socket's path may have 107 bytes at most, and the server's
# user must be able to walk there; where the checkout does not allow it, a directory in /tmp serves.
servers_choose_dir() {
    local wanted=$ROOT/target/test-servers
    mkdir -p "$wanted"
    if [ ${#wanted} -le 80 ] && "$@" test -x "$wanted"; then
        SERVERS=$wanted
    else
        SERVERS=$(mktemp -d /tmp/snap-test-servers.XXXXXX)
        chmod 755 "$SERVERS"
    fi
}

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

mariadb_start() {
    local user='' run=()
    if [ "$(id -u)" = 0 ]; then
        user=mysql
        run=(setpriv --reuid=mysql --regid="$(id -g mysql)" --clear-groups)
    fi
    servers_choose_dir "${run[@]}"
    local home=$SERVERS/mariadb
    rm -rf "$home"
    mkdir -p "$home/tmp"
    [ -z "$user" ] || chown "$user" "$home" "$home/tmp"
    chmod 755 "$home"
    "${run[@]}" mariadb-install-db --no-defaults --datadir="$home/data" \
        --auth-root-authentication-method=normal --skip-test-db >"$home.install.log" 2>&1 || {
        cat "$home.install.log"
        return 1
    }
    local port socket=$home/sock pid_file=$home/pid
    port=$(free_port)
    # All as a careful administrator would have it, but small: what is acknowledged is on disk.
    # Its own tmpdir: a server that starts sweeps that for temporary tables, whoever made them.
    "${run[@]}" mariadbd --no-defaults --datadir="$home/data" --socket="$socket" \
        --tmpdir="$home/tmp" --pid-file="$pid_file" --bind-address=127.0.0.1 --port="$port" \
        --innodb-buffer-pool-size=64M --innodb-log-file-size=32M --performance-schema=OFF \
        --character-set-server=utf8mb4 --skip-name-resolve --max-connections=300 \
        >"$home.log" 2>&1 &
    MARIADB_PID=$!
    local waited=0
    until mariadb-admin --no-defaults --socket="$socket" --user=root ping >/dev/null 2>&1; do
        waited=$((waited + 1))
        if [ $waited -gt 300 ] || ! kill -0 "$MARIADB_PID" 2>/dev/null; then
            tail -20 "$home.log"
            return 1
        fi
        sleep 0.1
    done
    local password
    password=$(od -An -N12 -tx1 /dev/urandom | tr -d ' \n')
    mariadb --no-defaults --socket="$socket" --user=root <<SQL || return 1
CREATE USER snap_test@localhost IDENTIFIED BY '$password';
CREATE USER snap_test@127.0.0.1 IDENTIFIED BY '$password';
GRANT ALL ON *.* TO snap_test@localhost WITH GRANT OPTION;
GRANT ALL ON *.* TO snap_test@127.0.0.1 WITH GRANT OPTION;
SQL
    export SNAP_TEST_MYSQL_SOCKET=$socket SNAP_TEST_MYSQL_HOST=127.0.0.1 SNAP_TEST_MYSQL_PORT=$port
    export SNAP_TEST_MYSQL_USER=snap_test SNAP_TEST_MYSQL_PASSWORD=$password
    MARIADB_VERSION=$(mariadb --no-defaults --socket="$socket" --user=root -NBe 'SELECT VERSION()')
}

mariadb_stop() {
    [ -n "${MARIADB_PID:-}" ] || return 0
    kill "$MARIADB_PID" 2>/dev/null
    wait "$MARIADB_PID" 2>/dev/null
    MARIADB_PID=
    rm -rf "$SERVERS/mariadb"
    case $SERVERS in /tmp/snap-test-servers.*) rm -rf "$SERVERS" ;; esac
}
