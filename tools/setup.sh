#!/bin/sh
# Makes the virtual environment with everything in it: Parkwarden itself (editable), the Go toolchain, test and lint tools;
# then compiles the hot loops once, so that nobody waits for a compiler in front of an incident.
set -eu
venv=$1
python=${PYTHON:-python3.11}
command -v "$python" >/dev/null 2>&1 || python=python3
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || {
    echo "setup: Parkwarden needs Python 3.11 or newer; set PYTHON=/path/to/python3.11" >&2
    exit 1
}
if ! "$python" -c 'import ensurepip' 2>/dev/null; then
    echo "setup: this Python has no ensurepip (Debian: package python3-venv); trying to install it"
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv >/dev/null
    else
        echo "setup: please install python3-venv, then run make again" >&2
        exit 1
    fi
fi
echo "setup: making $venv (a minute or two the first time)"
"$python" -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check -e . \
    --group lab --group test --group lint --group e2e --group bench
"$venv/bin/python" -m parkwarden.kernels
