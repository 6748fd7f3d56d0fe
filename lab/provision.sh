# Fetches programs that are not installed and unpacks them into a folder, as ./test and bench/provide-peers do.
#
# Sourced, never run. Expects CACHE, VENV and note_skip WHAT WHY of who sources it. Refuses to install anything.

# Everything that installing the first package would newly bring, less what only maintenance scripts need.
packages_for() { # PACKAGE OTHERS...
    {
        printf '%s\n' "$@"
        apt-get -s -q install --no-install-recommends "$1" 2>/dev/null |
            awk '/^Inst/ && $3 !~ /^\[/ { print $2 }'
    } | grep -Ev 'perl|^logrotate$|^libpopt0$' | sort -u
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
