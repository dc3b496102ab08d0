#!/bin/sh
# Installs from Debian what the end-to-end tests use and this machine lacks: a browser, Prometheus, its Alertmanager, PostgreSQL, faketime.
# Only programs: nothing is started, the tests start their own on free ports. Needs root only if something is missing.
set -eu
missing=""
need() {  # need PACKAGE PATTERN...: the package is there if a pattern names a program
    package=$1
    shift
    for program in "$@"; do
        [ -x "$program" ] && return
    done
    missing="$missing $package"
}
command -v chromium >/dev/null 2>&1 || missing="$missing chromium"
need prometheus /usr/bin/prometheus /usr/local/bin/prometheus
need faketime /usr/bin/faketime /usr/local/bin/faketime
need prometheus-alertmanager /usr/bin/prometheus-alertmanager /usr/bin/alertmanager /usr/local/bin/alertmanager
need postgresql /usr/lib/postgresql/*/bin/initdb /usr/local/bin/initdb /usr/bin/initdb
[ -z "$missing" ] && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "e2e: please install:$missing" >&2
    exit 1
fi
echo "e2e: installing$missing"

# Debian starts the services it installs, unless this file says no (invoke-rc.d(8)); whatever was there comes back.
policy=/usr/sbin/policy-rc.d
kept=""
if [ -e "$policy" ]; then
    kept=$(mktemp)
    cp -p "$policy" "$kept"
fi
restore() {
    if [ -n "$kept" ]; then
        cp -p "$kept" "$policy"
        rm -f "$kept"
    else
        rm -f "$policy"
    fi
}
trap restore EXIT
trap 'exit 1' HUP INT TERM
printf '#!/bin/sh\nexit 101\n' >"$policy"
chmod 755 "$policy"

apt-get update -qq
# shellcheck disable=SC2086
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=300 $missing >/dev/null
