#!/bin/sh
# Make the virtual environment DIR with pgrunbook (editable), its demo servers and the development tools in it.
set -eu
dir=${1:?usage: tools/setup.sh DIR}

find_python() {
    for name in python3.13 python3.12 python3.11 python3; do
        if command -v "$name" >/dev/null && "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$name"
            return
        fi
    done
    echo "pgrunbook needs Python 3.11 or newer; none was found on PATH (Debian: apt-get install python3-venv)." >&2
    exit 1
}

if command -v uv >/dev/null; then
    [ -x "$dir/bin/python" ] || uv venv --quiet --python '>=3.11' "$dir"
    uv pip install --quiet --python "$dir/bin/python" -e '.[demo,dev]'
else
    python=$(find_python)
    if [ ! -x "$dir/bin/python" ] && ! "$python" -m venv "$dir" 2>/dev/null; then
        # Debian keeps venv apart; an unfinished attempt is left behind
        rm -rf "$dir"
        [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || {
            echo "Python's venv module is missing: apt-get install python3-venv" >&2
            exit 1
        }
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv
        "$python" -m venv "$dir"
    fi
    "$dir/bin/python" -m pip install --quiet --disable-pip-version-check -e '.[demo,dev]'
fi
touch "$dir/.ready"
