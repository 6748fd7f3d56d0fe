# Fetches programs that are not installed and unpacks them into a folder, as ./test and bench/provide-peers do.
#
# Sourced, never run. Expects CACHE, VENV and note_skip WHAT WHY of who sources it. Refuses to install anything.

# Everything that installing the first package would newly bring, less what only maintenance scripts need.
packages_for() { # PACKAGE OTHERS...
    {
        printf '%s\n' "$@"
        apt-get -s -q install --no-install-recommends "$1" 2>/dev/null |
            awk '/^Inst/ && $3 !~ /^\[/ { print $2 }'
    } | grep -Ev 'perl|^logrotate$|^python3|^samba-common$' | sort -u
}

fetch_debian() { # FOLDER PACKAGES...: downloads into FOLDER, asking for newer lists once if that fails
    local folder=$1
    shift
    mkdir -p "$folder"
    (cd "$folder" && apt-get -q download "$@") && return
    [ "$(id -u)" -eq 0 ] && apt-get -q update && (cd "$folder" && apt-get -q download "$@")
}

# Unpacks a program where nothing is installed: NAME is its folder in CACHE, ROOT where it is looked for, PROGRAM its
# path below that, and NAME_works judges it.
provide_program() { # NAME ROOT PROGRAM PACKAGE OTHERS...
    local name=$1 root=$2 program=$3
    shift 3
    if "${name}_works" "$root"; then return; fi
    if ! command -v apt-get >/dev/null || ! command -v dpkg >/dev/null; then
        note_skip "$name" "no apt-get and dpkg: unpack $1 yourself and set POSTERN_${name^^}_ROOT"
        return
    fi
    local work=$CACHE/$name.new package packages
    rm -rf "$work"
    mkdir -p "$work/packages"
    # Before the list is made: without package lists it would lack the dependencies.
    if [ -z "$(apt-cache -q show "$1" 2>/dev/null)" ] && [ "$(id -u)" -eq 0 ]; then apt-get -q update; fi
    packages=$(packages_for "$@")
    # shellcheck disable=SC2086  # one word a package
    if ! fetch_debian "$work/packages" $packages; then
        note_skip "$name" "apt-get download $1 failed: is there a network, and are the package lists fresh?"
        return
    fi
    for package in "$work"/packages/*.deb; do dpkg -x "$package" "$work" || return 1; done
    rm -rf "$work/packages"
    # Some libraries stand in /lib: the lab looks in one place.
    if [ -d "$work/lib" ]; then cp -a "$work/lib/." "$work/usr/lib/"; fi
    if "${name}_works" "$work"; then
        rm -rf "${CACHE:?}/$name" && mv "$work" "$CACHE/$name"
        echo "$1 stands in $CACHE/$name"
    else
        note_skip "$name" "the unpacked program does not run: $(ldd "$work/$program" | grep 'not found' | tr -s '\n\t ' ' ')"
    fi
}

runs() { # ROOT PROGRAM ARGUMENTS...: whether an unpacked program finds its libraries and answers
    local root=$1 program=$2
    shift 2
    [ -x "$root/$program" ] || return 1
    LD_LIBRARY_PATH=$(echo "$root"/usr/lib/*-linux-gnu):$(echo "$root"/usr/lib/*-linux-gnu/samba) \
        "$root/$program" "$@" >/dev/null 2>&1 </dev/null
}

tinyproxy_works() { runs "$1" usr/bin/tinyproxy -v; }
privoxy_works() { runs "$1" usr/sbin/privoxy --version; }
haproxy_works() { runs "$1" usr/sbin/haproxy -v; }
nginx_works() { runs "$1" usr/sbin/nginx -v && [ -f "$1/usr/lib/nginx/modules/ngx_stream_module.so" ]; }
dante_works() { runs "$1" usr/sbin/danted -v; }
nft_works() { runs "$1" usr/sbin/nft --version; }
conntrack_works() { runs "$1" usr/sbin/conntrack --version; }
strace_works() { runs "$1" usr/bin/strace -V; }
iproute_works() { runs "$1" bin/ip -V; }
faketime_works() { [ -f "$(echo "$1"/usr/lib/*-linux-gnu/faketime/libfaketime.so.1)" ]; }
krb5_works() { [ -x "$1/usr/sbin/kadmin.local" ] && [ -x "$1/usr/bin/kinit" ] && ! ldd_lacks "$1" usr/sbin/krb5kdc; }
samba_works() { [ -x "$1/usr/bin/smbpasswd" ] && [ -x "$1/usr/bin/ntlm_auth" ] && ! ldd_lacks "$1" usr/sbin/winbindd; }

ldd_lacks() { # ROOT PROGRAM: whether a library is missing, for programs that know no harmless argument
    [ -x "$1/$2" ] || return 0
    LD_LIBRARY_PATH=$(echo "$1"/usr/lib/*-linux-gnu):$(echo "$1"/usr/lib/*-linux-gnu/samba) ldd "$1/$2" | grep -q 'not found'
}

# What stands between a site and its controller, one folder a program; the lab finds each as it finds Squid.
provide_doors() {
    provide_program tinyproxy "$CACHE/tinyproxy" usr/bin/tinyproxy tinyproxy-bin
    provide_program privoxy "$CACHE/privoxy" usr/sbin/privoxy privoxy
    provide_program haproxy "$CACHE/haproxy" usr/sbin/haproxy haproxy
    provide_program nginx "$CACHE/nginx" usr/sbin/nginx libnginx-mod-stream nginx
    provide_program dante "$CACHE/dante" usr/sbin/danted dante-server
    provide_program nft "$CACHE/nft" usr/sbin/nft nftables
    provide_program conntrack "$CACHE/conntrack" usr/sbin/conntrack conntrack
    command -v ip >/dev/null || provide_program iproute "$CACHE/iproute" bin/ip iproute2
    provide_mitmproxy
}

# An environment of its own: its pinned dependencies are nobody else's. Newest release for Python 3.11.
MITMPROXY=mitmproxy==11.0.2
provide_mitmproxy() {
    local VENV=$CACHE/mitmproxy
    # The place counts: the programs of such an environment name their interpreter by its path.
    local what="$MITMPROXY in $VENV"
    if [ -f "$VENV/.complete" ] && [ "$(cat "$VENV/.complete")" = "$what" ]; then return; fi
    rm -rf "$VENV"
    if ! python3 -m venv --without-pip "$VENV" || ! pip_for_venv; then
        note_skip mitmproxy "no python3 with the module venv, or no pip"
        return
    fi
    # pyperclip comes as source only.
    if pip_install --no-binary pyperclip "$MITMPROXY" && "$VENV/bin/mitmdump" --version >/dev/null; then
        echo "$what" >"$VENV/.complete"
    else
        note_skip mitmproxy "the Python package $MITMPROXY cannot be fetched or does not run"
    fi
}

# A private environment needs pip; Debian ships it apart from Python, as a wheel that runs where it lies.
pip_for_venv() {
    if "$VENV/bin/python3" -m pip --version >/dev/null 2>&1; then
        PIP=("$VENV/bin/python3" -m pip)
    elif "$VENV/bin/python3" -m ensurepip >/dev/null 2>&1; then
        PIP=("$VENV/bin/python3" -m pip)
    else
        local folder=$CACHE/pip
        fetch_debian "$folder" python3-pip-whl && dpkg -x "$folder"/python3-pip-whl_*.deb "$folder" || return 1
        PIP=("$VENV/bin/python3" "$(echo "$folder"/usr/share/python-wheels/pip-*.whl)/pip")
    fi
}

pip_install() {
    "${PIP[@]}" install -q --disable-pip-version-check --only-binary :all: "$@"
}
