#!/bin/bash
# Compiled kernels are kept on disk: a second process builds none; a file that is damaged, cut or of something else is
# made anew and never trusted; processes may start at once; a folder that cannot be written to does no harm.
# Labels: opencl
source "$(dirname "$0")/../support/script.sh"
"$M3BSR" devices | grep -q '^opencl:' || { echo 'skipped: no opencl device here' && exit 77; }
# What the driver itself keeps lies elsewhere, so that only our files decide what is built.
export POCL_CACHE_DIR=${XDG_CACHE_HOME:-$folder}/pocl/kcache
kept=(--backend opencl --device-option cache=on --layer ops --cases 'philox*')

# run FOLDER: some cases on a cache; sets built and taken
run() {
    XDG_CACHE_HOME=$1 "$M3BSR" conformance "${kept[@]}" -v >"$folder/said" 2>&1 ||
        { fail "the cases do not pass on $1:" && cat "$folder/said"; }
    built=$(grep -c '^opencl: .* built in' "$folder/said")
    taken=$(grep -c '^opencl: .* taken from the cache' "$folder/said")
    [ -z "${OPENCL_LAYERS-}" ] || taken=$((taken - built)) # those are first taken
}

# runs NAME FOLDER BUILT: a run that builds that many and takes the others
runs() {
    run "$2"
    if [ "$built" -ne "$3" ] || [ $((built + taken)) -ne "$programs" ]; then
        fail "$1: $built built and $taken taken; $3 of $programs should be built"
    fi
}

files() {
    find "$folder/kept/m3bsr" -name 'opencl-*.bin' | sort
}

run "$folder/kept"
programs=$built
[ "$programs" -ge 2 ] || fail "an empty cache builds $programs programs"
[ "$(files | wc -l)" -eq "$programs" ] || fail "$(files | wc -l) files for $programs programs"
runs 'a second process builds nothing' "$folder/kept" 0

first=$(files | head -n 1)
second=$(files | sed -n 2p)
bytes=$(stat -c %s "$first")
# damage NAME COMMAND...: then the first file, and only that, is made anew
damage() {
    local name=$1
    shift
    "$@"
    runs "$name is built anew" "$folder/kept" 1
    runs "$name is kept when built anew" "$folder/kept" 0
}

flip() {
    local at=$1 old
    old=$(od -An -t u1 -j "$at" -N 1 "$first")
    # shellcheck disable=SC2059 # the format is the byte
    printf "\\x$(printf %x $((old ^ 1)))" | dd of="$first" bs=1 seek="$at" conv=notrunc status=none
}

# Under sanitizers a few kinds of damage stand for all.
damage 'a file cut in its head' truncate -s 20 "$first"
damage 'a file with one wrong bit in the binary' flip $((bytes / 2))
if [ -z "$SANITIZE" ]; then
    damage 'an empty file' truncate -s 0 "$first"
    damage 'a file cut at its end' truncate -s $((bytes - 1)) "$first"
    damage 'a file with bytes behind its end' truncate -s $((bytes + 1)) "$first"
    damage 'a file with a wrong first byte' flip 0
    damage 'a file with a wrong hash' flip 20
    damage 'a file of another kernel' cp "$second" "$first"
    damage 'a file of another program' cp "$M3BSR" "$first"
fi

# What is no file of our own is made anew, and waited for by nobody; so is all of it where the folder's key is another.
fifo() { rm "$first" && mkfifo "$first"; }
link() { mv "$first" "$folder/moved" && ln -s "$folder/moved" "$first"; }
damage 'a FIFO in the place of a file' fifo
if [ -z "$SANITIZE" ]; then
    damage 'a link to what was a good file' link
    chmod 644 "$folder/kept/m3bsr/key"
    runs 'what lies beside a key that others can read is built anew' "$folder/kept" "$programs"
    runs 'and kept with a new key' "$folder/kept" 0
fi

# A driver that takes its binaries and finds no kernel in them is given the source.
layer=$INTERPOSE_DIR/opencl_layer.so
if [ -e "$layer" ]; then
    export OPENCL_LAYERS=$layer
    runs 'a binary without kernels' "$folder/kept" "$programs"
    unset OPENCL_LAYERS
    runs 'what was built instead is kept' "$folder/kept" 0
fi

# A folder that others could put code into is left alone, with a word.
chmod 777 "$folder/kept/m3bsr"
runs 'a folder that others can write' "$folder/kept" "$programs"
grep -q "nothing is kept in '$folder/kept/m3bsr': it belongs to user $(id -u) (mode 777), and others could put code there" \
    "$folder/said" || fail 'a folder that others can write is left alone without a word'
chmod 700 "$folder/kept/m3bsr"
runs 'a folder that is closed again' "$folder/kept" 0

# Two at once on nothing.
(XDG_CACHE_HOME=$folder/both "$M3BSR" conformance "${kept[@]}" >"$folder/other" 2>&1) &
other=$!
run "$folder/both"
wait "$other" || { fail 'the other of two processes does not pass:' && cat "$folder/other"; }
runs 'after two at once nothing is built' "$folder/both" 0
[ -z "$(find "$folder/both" -type f ! -name '*.bin' ! -name key)" ] || fail "a temporary file was left"

# Nowhere to write: a file where the folder should be, and a folder of somebody else.
: >"$folder/file"
runs 'a cache that is a file' "$folder/file" "$programs"
mkdir -p "$folder/closed/m3bsr" "$folder/driver"
chmod 755 "$folder" "$folder/closed" && chmod 555 "$folder/closed/m3bsr" && chmod 777 "$folder/driver"
as=()
[ "$(id -u)" -ne 0 ] || as=(setpriv --reuid=65534 --regid=65534 --clear-groups)
if "${as[@]}" test -x "$M3BSR"; then
    tool=$M3BSR
    M3BSR=$folder/tool
    printf '#!/bin/sh\nPOCL_CACHE_DIR=%s exec %s %s "$@"\n' "$folder/driver" "${as[*]}" "$tool" >"$M3BSR"
    chmod 755 "$M3BSR"
    runs 'a folder without permission' "$folder/closed" "$programs"
    [ -z "$(ls "$folder/closed/m3bsr")" ] || fail 'a folder without permission was written to'
else
    echo 'not checked: a folder without permission, since nobody else may run the tool'
fi
[ $failures -eq 0 ]
