# Fetches Debian's faketime and unpacks it into a folder: the lab fakes the clock of one process with its library.
#
# Sourced, never run, after provision.sh, whose functions it uses. Refuses to install anything.

faketime_works() { # ROOT
    local library
    library=$(echo "$1"/usr/lib/*-linux-gnu/faketime/libfaketimeMT.so.1)
    [ -f "$library" ] &&
        [ "$(LD_PRELOAD=$library FAKETIME='@1970-01-02 00:00:00' FAKETIME_DONT_FAKE_MONOTONIC=1 TZ=UTC date +%Y)" = 1970 ]
}

provide_faketime() {
    provide_program faketime "$POSTERN_FAKETIME_ROOT" usr/bin/faketime faketime libfaketime
}
