#!/bin/sh
# Install the Debian packages and PostgreSQL majors that TASK (demo or test) wants and that are missing.
# Only as root on Debian; elsewhere it says what is missing and goes on: tests that need it skip and say so.
set -eu
task=${1:?usage: tools/packages.sh demo|test}

want() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || [ -x "$1" ] || missing="$missing $2"; }
missing=
want pgbouncer pgbouncer
if [ "$task" = test ]; then
    want /usr/lib/postgresql/15/bin/postgres postgresql-15
    [ -e /usr/share/postgresql/15/extension/hypopg.control ] || missing="$missing postgresql-15-hypopg"
    want redis-server redis-server
    want chromium chromium
    want npm npm
    [ -d /usr/share/fonts/truetype/dejavu ] || missing="$missing fonts-dejavu-core"
fi

if [ -n "$missing" ]; then
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "missing and not installed (needs root on Debian):$missing" >&2
    else
        export DEBIAN_FRONTEND=noninteractive
        # no service is started and no cluster made by what we install
        policy=/usr/sbin/policy-rc.d
        if [ ! -e "$policy" ]; then
            printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy"
            trap 'rm -f "$policy"' EXIT
        fi
        apt-get update -qq
        case $missing in *postgresql-15*)
            apt-get install -y -qq --no-install-recommends postgresql-common
            sed -i 's/^#\?create_main_cluster.*/create_main_cluster = false/' /etc/postgresql-common/createcluster.conf ;;
        esac
        # shellcheck disable=SC2086  # a list of words
        apt-get install -y -qq --no-install-recommends $missing
    fi
fi

if [ "$task" = test ] && command -v npm >/dev/null; then
    .venv/bin/python tools/fetch_postgres.py
fi
