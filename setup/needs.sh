#!/bin/bash
# What this machine lacks, said at once and before anything is fetched or built.
#
#   needs.sh run [SUITE]    what the demo cannot do without, and this suite
#   needs.sh test [SUITE]   the same for all tests, or for this suite. As root on Debian it installs what is missing.
#                           Where it cannot, it prints the suites that have to be left out
#   needs.sh skipped        those suites and what each needs, in a line; nothing where there are none
#
# With NO_SKIP set, no suite is left out: it fails where one would have to be.
set -eo pipefail
cd "$(dirname "$0")/.."
# Debian's nginx is where only root looks.
PATH=$PATH:/usr/sbin

mode=$1
suite=$2

has() { command -v "$1" >/dev/null; }
has_pip() { python3 -c 'import ensurepip' 2>/dev/null || python3 -m pip --version >/dev/null 2>&1; }
has_openssl() { [[ -n $OPENSSL_DIR ]] || pkg-config --exists openssl 2>/dev/null; }
has_prometheus() { has prometheus && has promtool; }
# The compiler, and the C library's headers, which Debian has in a package of their own.
has_c() {
    local program status=0
    program=$(mktemp)
    cc -x c -o "$program" - <<<$'#include <stdlib.h>\nint main(void) { return 0; }' 2>/dev/null || status=1
    rm -f "$program"
    return $status
}

# need NAME PACKAGES SUITE CHECK...: notes what is missing for a suite, or, where none is named, for everything.
need() {
    local name="$1 is missing" of=$3
    if [[ -n $of && $of != "$suite" ]]; then
        [[ $mode != run && -z $suite ]] || return 0
    fi
    ! "${@:4}" || return 0
    # shellcheck disable=SC2206 # They are separate words.
    packages+=($2)
    if [[ -z $of || -n $suite || -n $NO_SKIP ]]; then
        missing+=("$name")
    else
        skipped+=("$of: $1")
    fi
}

look() {
    packages=() missing=() skipped=()
    local rust
    rust=$(setup/toolchain.sh check) || missing+=("$rust")
    need "a C compiler, with the C library's headers" "gcc libc6-dev" "" has_c
    if [[ $mode != run || -z $ENVOY ]]; then
        need "Python 3" python3 "" has python3
        need "Python's venv or pip" python3-venv "" has_pip
    fi
    if [[ $mode == run && -z $suite ]]; then
        need_port PROXY_PORT 8080 Envoy
        need_port AUTHGEAR_PORT 3000 "Authgear's main server"
        need_port RESOLVER_PORT 3001 "Authgear's resolver"
        need_port APP_PORT 8000 "the app"
        need_port ADMIN_PORT 9901 "Envoy's admin pages"
    fi
    need nginx nginx bench has nginx
    need wrk wrk bench has wrk
    need taskset util-linux bench has taskset
    need skopeo skopeo image has skopeo
    need docker-registry docker-registry image has docker-registry
    need curl curl demo has curl
    need chromium chromium browser has chromium
    need "Prometheus and promtool" prometheus metrics has_prometheus
    need pkg-config pkg-config auth_o_tron has pkg-config
    need "OpenSSL's headers" libssl-dev auth_o_tron has_openssl
}

# Checks a port of the demo. The demo would report the same, but only once it is compiled.
need_port() {
    local variable=$1 port=${!1:-$2}
    ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null ||
        missing+=("port $port, for $3, is taken; choose another: make run $variable=…")
}

skipped_suites() { printf '%s\n' "${skipped[@]%%:*}" | sort -u; }

tell_skipped() {
    ((${#skipped[@]})) || return 0
    printf '%s\n' "${skipped[@]}" | awk -F ': ' '
        !($1 in of) { name[++count] = $1 }
        { of[$1] = of[$1] (of[$1] ? ", " : "") $2 }
        END {
            printf "%d skipped, for lack of what they need:", count
            for (i = 1; i <= count; i++) printf "%s %s (%s)", (i > 1 ? "," : ""), name[i], of[name[i]]
            print ""
        }'
}

look
if [[ $mode == test ]] && ((${#packages[@]})) && has apt-get && [[ $(id -u) == 0 ]]; then
    echo "installing what is missing: ${packages[*]}" >&2
    export DEBIAN_FRONTEND=noninteractive
    # The tests start what they need themselves: no package is to start a service of its own.
    export RUNLEVEL=1
    # If it fails, the second look says what is still missing.
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${packages[@]}"; } >&2 || true
    look
fi

if [[ $mode == skipped ]]; then
    tell_skipped
    exit
fi
{
    ((${#missing[@]} == 0)) || printf '%s\n' "${missing[@]}"
    tell_skipped
    ((${#packages[@]} == 0)) || echo "On Debian: apt-get install ${packages[*]}"
} >&2
((${#missing[@]} == 0))
((${#skipped[@]} == 0)) || skipped_suites
