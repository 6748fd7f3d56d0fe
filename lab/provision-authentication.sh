# Provides a KDC and a winbind for the tests of proxy authentication, unpacked and never installed.
#
# Sourced after lab/provision.sh, never run. Expects CACHE, POSTERN_KRB5_ROOT and POSTERN_SAMBA_ROOT of who sources it.

arch_folder() { # ROOT: where its libraries stand
    echo "$1"/usr/lib/*-linux-gnu
}

krb5_works() {
    [ -x "$1/usr/sbin/krb5kdc" ] || return 1
    # Without a configuration it complains and ends; one that misses a library complains of that.
    ! LD_LIBRARY_PATH=$(arch_folder "$1") "$1/usr/sbin/krb5kdc" -n 2>&1 | grep -q 'error while loading'
}

samba_works() {
    local libraries
    # Samba wants popt, which the list of packages leaves out for those that need it in maintenance scripts only.
    libraries=$(arch_folder "$1"):$(arch_folder "$1")/samba:$(arch_folder "$CACHE/popt")
    LD_LIBRARY_PATH=$libraries "$1/usr/sbin/winbindd" --version 2>/dev/null | grep -q Version &&
        LD_LIBRARY_PATH=$libraries "$1/usr/bin/ntlm_auth" --version 2>/dev/null | grep -q Version
}

provide_popt() {
    local folder=$CACHE/popt
    [ -e "$(arch_folder "$folder")/libpopt.so.0" ] && return
    rm -rf "$folder"
    fetch_debian "$folder" libpopt0 && dpkg -x "$folder"/libpopt0_*.deb "$folder" || return 1
    # It may stand in /lib: the lab looks in one place.
    if [ -d "$folder/lib" ]; then mkdir -p "$folder/usr/lib" && cp -a "$folder/lib/." "$folder/usr/lib/"; fi
}

provide_authentication() {
    provide_program krb5 "$POSTERN_KRB5_ROOT" usr/sbin/krb5kdc krb5-kdc krb5-admin-server krb5-user
    samba_works "$POSTERN_SAMBA_ROOT" || provide_popt ||
        note_skip samba "apt-get download libpopt0 failed: is there a network, and are the package lists fresh?"
    provide_program samba "$POSTERN_SAMBA_ROOT" usr/sbin/winbindd winbind samba-common-bin samba-common
    if [ -d "$CACHE/samba" ] && [ ! -e "$(arch_folder "$CACHE/samba")/libpopt.so.0" ]; then
        cp -a "$(arch_folder "$CACHE/popt")"/libpopt.so.0* "$(arch_folder "$CACHE/samba")/"
    fi
}

authentication_stands() {
    krb5_works "$POSTERN_KRB5_ROOT" && samba_works "$POSTERN_SAMBA_ROOT"
}
