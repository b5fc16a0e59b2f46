# What the tests need from Debian, and how it gets there. Sourced by all.sh.

# command:package, one a line. A command that exists needs no package.
INSTALL_WANTED='
mariadbd:mariadb-server
mariadb-install-db:mariadb-server
mariadb-dump:mariadb-client
php:php-cli
getfattr:attr
setfacl:acl
setcap:libcap2-bin
strace:strace
sqlite3:sqlite3
setpriv:util-linux
chattr:e2fsprogs
mkfs.ext4:e2fsprogs
losetup:mount
qemu-storage-daemon:qemu-system-common
git:git
python3:python3
'

# The server and the capability tools live where only root's PATH looks.
export PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

install_missing() {
    local line
    {
        for line in $INSTALL_WANTED; do
            command -v "${line%%:*}" >/dev/null || echo "${line##*:}"
        done
        if ! php -m 2>/dev/null | grep -q '^pdo_mysql$'; then echo php-mysql; fi
        if ! php -m 2>/dev/null | grep -q '^pdo_sqlite$'; then echo php-sqlite3; fi
    } | sort -u | tr '\n' ' '
}

install_report() {
    local missing
    missing=$(install_missing)
    if [ -z "$missing" ]; then
        echo "tests/all.sh: everything the tests need is installed"
        return 0
    fi
    echo "tests/all.sh: missing Debian packages: $missing"
    echo "tests/all.sh: as root, bash tests/all.sh installs them"
    return 1
}

# A package's service must not start on the machine of whoever runs the tests: they start their
# own servers, elsewhere. Debian asks /usr/sbin/policy-rc.d; 101 means no.
install_guard_on() {
    GUARD=/usr/sbin/policy-rc.d
    if [ -e $GUARD ]; then
        GUARD_SAVED=$GUARD.before-snap-tests
        mv $GUARD $GUARD_SAVED
    fi
    printf '#!/bin/sh\nexit 101\n' >$GUARD
    chmod 755 $GUARD
}

install_guard_off() {
    [ -n "${GUARD:-}" ] || return 0
    rm -f "$GUARD"
    [ -z "${GUARD_SAVED:-}" ] || mv "$GUARD_SAVED" "$GUARD"
    GUARD='' GUARD_SAVED=''
}

install_now() {
    local missing
    missing=$(install_missing)
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        install_report
        return 1
    fi
    echo "tests/all.sh: installing from Debian: $missing"
    echo "tests/all.sh: no system service will be started"
    install_guard_on
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086 # a list of package names
    apt-get update -q && apt-get install -q -y --no-install-recommends $missing
    local status=$?
    install_guard_off
    return $status
}
